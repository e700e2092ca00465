"""What is waiting, paused or given up, from Redis (for all hosts) and from this host's spool."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from redis import Redis
from redis.exceptions import RedisError
from structlog import get_logger

from apitraffic_events import __version__
from apitraffic_events.timestamps import now
from receiver.config.accounts import NOTIFY
from receiver.datastore.failures import explain
from receiver.datastore.keys import keys_of
from receiver.errors import StorageUnavailable
from receiver.queue.inspection import accepted_at, count_jobs
from receiver.queue.queues import account_of
from receiver.reception.delivery_store import DeliveryStore
from receiver.reception.quarantine import INDEX

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

STORAGE: Final = ("redis", "spool", "none")
STUCK: Final = "1 while deliveries stay in this host's spool although Redis takes them."
ACCOUNT_LABEL: Final = "account"
BUDGET_FIELDS: Final = ("limit", "remaining", "reset", "blocked")

Figure = tuple[str, str, dict[str, float], str]
"""A gauge's name, its help, label value -> value, and the label's name (empty if it has none).

The value of the empty label has no label: that is the account of APITRAFFIC_ACCOUNT_SID beside those that
have one, so that its series are the same with other accounts and without.
"""


class Backlog:
    """A Prometheus collector, called at each scrape. Without Redis its figures are absent, not zero."""

    def __init__(self, redis: Redis, store: DeliveryStore) -> None:
        self._redis = redis
        self._store = store

    def collect(self) -> "Iterator[GaugeMetricFamily]":
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see receiver.metrics

        for name, words, values, label in self._figures():
            family = GaugeMetricFamily(f"apitraffic_{name}", words, labels=[label] if label else [])
            for value_of_label, value in values.items():
                family.add_metric([value_of_label] if value_of_label else [], value)
            yield family

    def _figures(self) -> Iterator[Figure]:
        yield "build_info", "1, with this receiver's version.", {__version__: 1.0}, "version"
        storage = self._storage()
        in_use = {path: float(path == storage) for path in STORAGE}
        yield "storage_in_use", "1 for where a delivery would be stored now.", in_use, "path"
        try:
            spooled = self._store.spooled()
            is_stuck = self._store.spool_problem() is not None
        except StorageUnavailable as failure:
            get_logger("receiver.metrics").warning("the spool cannot be read", reason=str(failure))
            is_stuck = True
        else:
            yield _plain("spool_deliveries", "Deliveries in this host's spool.", spooled)
        yield _plain("spool_stuck", STUCK, float(is_stuck))
        if not self._store.does_redis_answer:
            return
        try:
            yield from self._of_redis()
        except RedisError as error:
            get_logger("receiver.metrics").warning("no figures from Redis", reason=explain(error))

    def _storage(self) -> str:
        try:
            return self._store.storage()
        except StorageUnavailable:
            return "none"

    def _of_redis(self) -> list[Figure]:
        """All of them or none; raises `RedisError`."""
        counts = count_jobs(self._redis)
        accepted = accepted_at(self._redis, [queue.next_job_id for queue in counts if queue.next_job_id])
        named = dict.fromkeys(account_of(queue.name) for queue in counts)
        accounts = [account for account in named if account != NOTIFY]
        # Not in a transaction: a scrape must not make others wait, and these figures change anyway.
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.zcard(INDEX)
            for account in accounts:
                pipeline.hget(keys_of(account).pause, "until")
                pipeline.hmget(keys_of(account).budget, BUDGET_FIELDS)
            quarantined, *replies = pipeline.execute()
        paused = {
            account or "": _is_ahead(until) for account, until in zip(accounts, replies[::2], strict=True)
        }
        budgets = {
            account or "": dict(zip(BUDGET_FIELDS, fields, strict=True))
            for account, fields in zip(accounts, replies[1::2], strict=True)
        }
        label = ACCOUNT_LABEL if len(accounts) > 1 else ""
        waiting = {queue.name: float(queue.waiting) for queue in counts}
        ages = {queue.name: _age(accepted.get(queue.next_job_id or "")) for queue in counts}
        retrying = {queue.name: float(queue.to_retry) for queue in counts}
        working = {queue.name: float(queue.in_work) for queue in counts}
        dead = {queue.name: float(queue.dead) for queue in counts}
        return [
            ("queue_depth", "Changes that wait for a worker.", waiting, "queue"),
            ("queue_oldest_age_seconds", "How long ago the next in the queue was accepted.", ages, "queue"),
            ("retries_waiting", "Changes that wait for their next try.", retrying, "queue"),
            ("in_work", "Changes that workers have in hand.", working, "queue"),
            ("dead_letters_kept", "Dead letters that nobody has replayed or discarded.", dead, "queue"),
            _plain("quarantined", "Deliveries in quarantine.", quarantined),
            ("delivery_paused", "1 while the API refuses our token or account.", paused, label),
            *_budgets(budgets, label),
        ]


def _age(accepted: datetime | None) -> float:
    return max(0.0, (now() - accepted).total_seconds()) if accepted else 0.0


def _budgets(accounts: dict[str, dict[str, bytes | None]], label: str) -> Iterator[Figure]:
    """Nothing of an account before the first answer of the API has announced its budget."""
    known = {
        account: fields
        for account, fields in accounts.items()
        if None not in (fields["limit"], fields["remaining"], fields["reset"])
    }
    if not known:
        return

    def each(field: str) -> dict[str, float]:
        return {account: float(fields[field] or 0) for account, fields in known.items()}

    yield "budget_limit", "Requests that the API allows in a window.", each("limit"), label
    yield "budget_remaining", "Requests that are left of them.", each("remaining"), label
    yield "budget_reset_timestamp_seconds", "When the window ends.", each("reset"), label
    blocked = {account: _is_ahead(fields["blocked"]) for account, fields in known.items()}
    yield "budget_blocked", "1 while the API has refused for want of budget.", blocked, label


def _plain(name: str, words: str, value: float) -> Figure:
    return name, words, {"": value}, ""


def _is_ahead(moment: bytes | None) -> float:
    return float(moment is not None and float(moment) > now().timestamp())
