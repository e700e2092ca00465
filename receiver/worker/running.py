"""Runs a worker until it is asked to stop, and starts it again if Redis was away."""

import logging
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from rq.exceptions import StopRequested
from structlog import get_logger

from apitraffic_events.client import EventsClient
from receiver.config.account import events_client
from receiver.config.settings import Settings
from receiver.datastore.acl import require_rights
from receiver.datastore.address import require_suitable_server
from receiver.datastore.failures import explain
from receiver.datastore.when_full import connect_to_drain
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Deliverer
from receiver.delivery.marker_store import MarkerStore
from receiver.observability.metrics import DeliveryMetrics
from receiver.queue.queues import announce
from receiver.worker.attempts import DeliveryAttempts
from receiver.worker.desks import Desk, RunJob
from receiver.worker.retry_clock import RetryClock
from receiver.worker.wake_up import WakeUp
from receiver.worker.worker import DeliveryWorker

HELPERS: Final = 5
"""Threads that run jobs beside the worker's own."""
RESTART_PAUSE: Final = 1.0
"""Seconds between attempts to start while Redis cannot be reached."""


class RedisOutage(logging.Filter):
    """Drops RQ's tracebacks if the cause is only that Redis cannot be reached; the worker restarts itself.

    Also drops what RQ's thread for commands logs about it: the worker logs the same.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        if any(isinstance(argument, RedisConnectionError) for argument in arguments):
            return False
        if record.exc_info and isinstance(record.exc_info[1], RedisError):
            words = explain(record.exc_info[1])
            record.msg, record.args, record.exc_info = "Redis is away: %s", (words,), None
        return True


def run_worker(settings: Settings, metrics: DeliveryMetrics | None = None) -> None:
    """Deliver until SIGTERM or SIGINT; the current job is finished first. Counts in `metrics`.

    Raises `ConfigurationError` if a required setting is missing, if Redis is too old, or if its user lacks
    rights.
    """
    with connect_to_drain(settings.redis_url) as redis:
        _run(redis, settings, metrics)
    get_logger("receiver.worker").info("worker stopped")


def _run(redis: Redis, settings: Settings, metrics: DeliveryMetrics | None) -> None:
    lines = {account: _line_to(account, redis, settings) for account in (None, *settings.account)}
    logging.getLogger("rq").setLevel(logging.WARNING)
    logging.getLogger("rq.worker").addFilter(RedisOutage())
    log = get_logger("receiver.worker")
    stop = WakeUp()
    _stop_on_signals(stop)
    while not stop.is_set():
        try:
            require_rights(redis)
            require_suitable_server(redis)
            settle = timedelta(seconds=settings.delivery.settle)
            desks = {
                account: [
                    Desk(budget, partial(_attempts, client, budget, settle, metrics))
                    for budget, client in line
                ]
                for account, line in lines.items()
            }
            _work(redis, lines[None][0][1].account_url, _in_threads(desks), stop)
        except RedisError as error:
            log.warning("Redis is away; trying again", reason=explain(error), in_s=RESTART_PAUSE)
        stop.wait(RESTART_PAUSE)
    for _, client in (pair for line in lines.values() for pair in line):
        client.close()


def _line_to(
    account: str | None, redis: Redis, settings: Settings
) -> list[tuple[RequestBudget, EventsClient]]:
    """For each thread what it delivers to this account with; raises `ConfigurationError`."""
    budget = RequestBudget(redis, account=account)
    budgets = (budget, *(budget.for_another_thread() for _ in range(HELPERS)))
    return [(each, events_client(settings.of_account(account), each)) for each in budgets]


def _in_threads(desks: Mapping[str | None, Sequence[Desk]]) -> list[Desk]:
    """A desk for each thread, which has those of the other accounts."""
    return [
        replace(own, accounts={name: of[number] for name, of in desks.items() if name is not None})
        for number, own in enumerate(desks[None])
    ]


def _attempts(
    client: EventsClient,
    budget: RequestBudget,
    settle: timedelta,
    metrics: DeliveryMetrics | None,
    markers: MarkerStore,
) -> RunJob:
    deliverer = Deliverer(client, markers, budget, settle=settle)
    return DeliveryAttempts(deliverer, metrics, budget.account).make


def _work(redis: Redis, api: str, desks: Sequence[Desk], stop: WakeUp) -> None:
    """Run an RQ worker until it ends; `stop` is set if that is because it was asked to."""
    own, *others = desks
    for account in own.accounts:
        announce(redis, account)
    worker = DeliveryWorker(redis, own.budget, stop, own.accounts)
    clock = RetryClock(worker)
    get_logger("receiver.worker").info(
        "worker started", name=worker.name, api=api, accounts=", ".join(own.accounts) or None
    )
    clock.start()
    try:
        worker.run_job = own.attempts(worker.markers)
        worker.employ(others)
        worker.work(logging_level="WARNING")
    except StopRequested:
        pass
    finally:
        # RQ's handlers belong to the worker that has just ended.
        _stop_on_signals(stop)
        clock.stop()


def _stop_on_signals(stop: WakeUp) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
