"""Runs a worker until it is asked to stop, and starts it again if Redis was away."""

import logging
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
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
from apitraffic_events.timestamps import now
from receiver.config.account import events_client
from receiver.config.accounts import NOTIFY
from receiver.config.settings import Settings
from receiver.datastore.acl import require_rights
from receiver.datastore.address import require_suitable_server
from receiver.datastore.failures import explain
from receiver.datastore.when_full import connect_to_drain
from receiver.delivery.budget import RequestBudget
from receiver.delivery.deliverer import Deliverer
from receiver.delivery.insights import Insights
from receiver.delivery.marker_store import MarkerStore
from receiver.delivery.notices import Notice
from receiver.delivery.notifier import Notices, Notifier, target_of
from receiver.delivery.verdicts import VerdictRules
from receiver.insight.figures import figure_source
from receiver.insight.timeline import Timeline
from receiver.insight.verdict import Thresholds
from receiver.observability.metrics import DeliveryMetrics
from receiver.queue.queues import announce
from receiver.senders_api.notify import NoticeTarget
from receiver.worker.attempts import DeliveryAttempts
from receiver.worker.resources import RunJob, ThreadResources
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
    target = target_of(settings)
    tell = Notices(redis, settings.notify.events).tell if target is not None else None
    logging.getLogger("rq").setLevel(logging.WARNING)
    logging.getLogger("rq.worker").addFilter(RedisOutage())
    log = get_logger("receiver.worker")
    stop = WakeUp()
    _stop_on_signals(stop)
    while not stop.is_set():
        try:
            require_rights(redis)
            require_suitable_server(redis)
            resources = {
                account: [
                    ThreadResources(
                        budget, partial(_attempts, redis, settings, client, budget, metrics, tell)
                    )
                    for budget, client in line
                ]
                for account, line in lines.items()
            }
            if target is not None:
                resources[NOTIFY] = _notice_resources(redis, target)
                for line in lines.values():
                    line[0][0].take_over_pause()
            told = None if target is None else target.host
            _work(redis, lines[None][0][1].account_url, _by_thread(resources), stop, told)
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


def _by_thread(resources: Mapping[str | None, Sequence[ThreadResources]]) -> list[ThreadResources]:
    """Those of each thread, which have those of the other accounts."""
    return [
        replace(own, accounts={name: of[number] for name, of in resources.items() if name is not None})
        for number, own in enumerate(resources[None])
    ]


def _attempts(
    redis: Redis,
    settings: Settings,
    client: EventsClient,
    budget: RequestBudget,
    metrics: DeliveryMetrics | None,
    tell: Callable[[Notice], None] | None,
    markers: MarkerStore,
) -> RunJob:
    rules = _verdict_rules(settings, client)
    insights = Insights(Timeline(redis, budget.account), client, budget, now, rules)
    settle = timedelta(seconds=settings.delivery.settle)
    deliverer = Deliverer(client, markers, budget, settle=settle, insights=insights, tell=tell)
    return DeliveryAttempts(deliverer, metrics, budget.account).make


def _verdict_rules(settings: Settings, client: EventsClient) -> VerdictRules | None:
    """How deploys are judged; `None` if they are not."""
    verdict, token = settings.verdict, settings.prometheus_token
    if not verdict.enabled:
        return None
    return VerdictRules(
        timedelta(minutes=verdict.after),
        Thresholds(verdict.errors_up, verdict.slower, verdict.fewest_requests),
        figure_source(client, verdict.prometheus, token.get_secret_value() if token else None),
        longest=max((route.verdict for route in settings.route if route.verdict), default=timedelta()),
    )


def _notice_resources(redis: Redis, target: NoticeTarget) -> list[ThreadResources]:
    """For each thread what it posts notices with. The metrics are those of deliveries."""
    budget, turn = RequestBudget(redis, account=NOTIFY), threading.Lock()
    budgets = (budget, *(budget.for_another_thread() for _ in range(HELPERS)))

    def attempts(budget: RequestBudget, markers: MarkerStore) -> RunJob:
        return DeliveryAttempts(Notifier(target, markers, budget, turn), account=NOTIFY).make

    return [ThreadResources(each, partial(attempts, each)) for each in budgets]


def _work(
    redis: Redis, api: str, resources: Sequence[ThreadResources], stop: WakeUp, told: str | None
) -> None:
    """Run an RQ worker until it ends; `stop` is set if that is because it was asked to.

    `told` is the host that notices to people are posted to.
    """
    own, *others = resources
    for account in own.accounts:
        announce(redis, account)
    worker = DeliveryWorker(redis, own.budget, stop, own.accounts)
    clock = RetryClock(worker)
    accounts = ", ".join(account for account in own.accounts if account != NOTIFY)
    get_logger("receiver.worker").info(
        "worker started", name=worker.name, api=api, accounts=accounts or None, notify=told
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
