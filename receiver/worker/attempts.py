"""One attempt to deliver a job's change, and what follows if it fails: a retry, or a dead letter."""

import math
from datetime import timedelta
from enum import Enum
from logging import ERROR, WARNING
from time import perf_counter
from typing import Final, Protocol

from rq import Retry
from rq.job import Job
from structlog import get_logger
from structlog.typing import FilteringBoundLogger

from apitraffic_events.errors import EventsApiError
from apitraffic_events.timestamps import now, parse_timestamp
from receiver.datastore.failures import UNREACHABLE, explain
from receiver.datastore.replication import Unreplicated
from receiver.delivery.budget import BudgetExhausted
from receiver.delivery.deliverer import SECOND_LOOK
from receiver.delivery.doubt import Unsettled
from receiver.delivery.marker_lock import MarkerBusy, MustWait
from receiver.delivery.retries import (
    PATIENCE,
    is_outage,
    is_refusal,
    needs_operator,
    pause_after,
    what_to_check,
)
from receiver.events import Change
from receiver.observability.metrics import DeliveryMetrics
from receiver.observability.trace_context import (
    TRACEPARENT,
    attempt_concerns,
    attempt_ended,
    recorded_attempt,
)
from receiver.queue.dead_letters import Cause, Death
from receiver.queue.queues import UNEXPECTED_RETRIES, change_in
from receiver.worker.dequeued import Dequeued

ANY_NUMBER: Final = 1_000_000
"""Retries are limited by time, not by number."""
PAUSE_WHEN_BUSY: Final = 1
"""Seconds."""

WAITED: Final = "waited_s"
"""In a job's meta: for how many seconds a failing API has kept it waiting. RQ stores the meta with each
retry."""
ATTEMPTS: Final = "tries"
"""In a job's meta: how many attempts have failed. RQ also counts those that had to wait for the budget or for
another worker."""


class GivenUp(Exception):
    """The change has become a dead letter; the message is the API's own."""


class Delivers(Protocol):
    """The interface of `Deliverer` and `Notifier` that attempts use."""

    def deliver(self, change: Change) -> Enum:
        """The result, in words; raises what `DeliveryAttempts` retries or gives up."""
        ...


class DeliveryAttempts:
    """Makes attempts by this deliverer, and counts them in `metrics`."""

    def __init__(
        self, deliverer: Delivers, metrics: DeliveryMetrics | None = None, account: str | None = None
    ) -> None:
        self._deliverer = deliverer
        self._metrics = metrics
        self._account_label = [account or ""] if metrics is not None and metrics.has_accounts else []

    def make(self, dequeued: Dequeued) -> Retry | None:
        """Attempt to deliver the job's change; returns a `Retry` if it has to be retried.

        Raises `GivenUp` if it is not retried, `MustWait` if no request may begin and nothing was done, and
        anything unexpected, which RQ retries by itself.
        """
        with recorded_attempt(dequeued.id, dequeued.queue.name, dequeued.meta.get(TRACEPARENT)):
            try:
                return self._make(dequeued)
            except (GivenUp, MustWait):
                raise
            except Exception as error:
                job = dequeued.job
                self._count("failed", retry_because="unexpected" if job.should_retry else None)
                if not job.should_retry:
                    self._record_death(job, Cause.UNEXPECTED, error, str(error))
                raise

    def _make(self, dequeued: Dequeued) -> Retry | None:
        change = change_in(dequeued.data)
        attempt_concerns(change)
        log = get_logger("receiver.delivery").bind(delivery=change.delivery.id, key=change.key)
        if dequeued.account is not None:
            log = log.bind(account=dequeued.account)
        began = perf_counter()
        try:
            outcome = self._deliverer.deliver(change)
        except Unreplicated as error:
            self._count("not_yet", retry_because="unreplicated")
            log.warning("not delivered yet", reason=str(error), next_try_in_s=PAUSE_WHEN_BUSY)
            return _retry_in(PAUSE_WHEN_BUSY)
        except MarkerBusy:
            self._count("busy", retry_because="busy")
            return _retry_in(PAUSE_WHEN_BUSY)
        except Unsettled as unsettled:
            self._count("not_yet", retry_because="unsettled")
            log.info("waits for an earlier attempt", reason=str(unsettled))
            return _retry_in(math.ceil(unsettled.wait))
        except UNREACHABLE as error:
            self._count("not_yet", retry_because="redis")
            log.warning("not delivered yet", reason=explain(error), next_try_in_s=PAUSE_WHEN_BUSY)
            return _retry_in(PAUSE_WHEN_BUSY)
        except EventsApiError as error:
            return self._after(error, dequeued, log, is_second_look=change.delivery.source == SECOND_LOOK)
        seconds = perf_counter() - began
        milliseconds = round(seconds * 1000, 1)
        if change.delivery.source == SECOND_LOOK:
            # Nobody has sent it: it is no delivery whose figures count.
            attempt_ended(outcome.name.lower(), None)
            log.debug("looked at again", outcome=outcome.value, ms=milliseconds)
        else:
            self._count(outcome.name.lower(), seconds=seconds, accepted_at=dequeued.accepted_at)
            log.info(outcome.value, effect=change.effect.value, ms=milliseconds)
        return None

    def _after(
        self,
        error: EventsApiError,
        dequeued: Dequeued,
        log: FilteringBoundLogger,
        *,
        is_second_look: bool,
    ) -> Retry | None:
        job = dequeued.job
        waited, attempts = _waited(job), job.meta.get(ATTEMPTS, 0)
        pause = pause_after(error, attempts=attempts, waiting_for=waited)
        if pause is None and is_second_look:
            # Nobody has sent it, so there is nothing to be replayed. While it is still due, it is made again.
            attempt_ended("given_up", None)
            log.warning("not looked at again", reason=str(error), status=error.status)
            return None
        if pause is None:
            self._count("given_up")
            raise self._give_up(error, job, log) from None
        self._count("not_yet", retry_because=type(error).__name__.lower())
        if not isinstance(error, BudgetExhausted):
            job.meta[ATTEMPTS] = attempts + 1
        if is_outage(error):
            job.meta[WAITED] = round(waited.total_seconds() + pause, 3)
        is_for_operator = needs_operator(error)
        log.log(
            ERROR if is_for_operator else WARNING,
            "not delivered yet",
            reason=str(error) or type(error).__name__,
            status=error.status,
            next_try_in_s=round(pause),
            advice=what_to_check(dequeued.account) if is_for_operator else None,
        )
        return _retry_in(max(1, round(pause)))

    def _give_up(self, error: EventsApiError, job: Job, log: FilteringBoundLogger) -> GivenUp:
        words = str(error) or type(error).__name__
        cause, message = Cause.REFUSED, error.message
        if not is_refusal(error):
            hours = round(PATIENCE.total_seconds() / 3600)
            status = f"{error.status} " if error.status and f"HTTP {error.status}" not in words else ""
            cause, message = Cause.OUT_OF_TIME, f"ran out of time after {hours} h; last: {status}{words}"
            words = message
        self._record_death(job, cause, error, message)
        job.retries_left = 0
        log.error("dead letter", kind=type(error).__name__, status=error.status, reason=words)
        return GivenUp(words)

    def _record_death(self, job: Job, cause: Cause, error: Exception, message: str) -> None:
        """Store with the job why it is given up, before RQ moves it to the failed jobs.

        If this process died between the two, the job would still be in work, and another worker would take it
        over. Only its entry among the failed jobs makes a dead letter, and none is made without this record.
        """
        if self._metrics is not None:
            self._metrics.dead_letters.labels(cause.value, *self._account_label).inc()
        retries_left = UNEXPECTED_RETRIES if job.retries_left is None else job.retries_left
        Death(
            at=now(),
            cause=cause,
            kind=type(error).__name__,
            code=error.code if isinstance(error, EventsApiError) else None,
            status=error.status if isinstance(error, EventsApiError) else None,
            message=message,
            attempts=job.meta.get(ATTEMPTS, 0) + max(0, UNEXPECTED_RETRIES - retries_left) + 1,
        ).store(job)

    def _count(
        self,
        outcome: str,
        *,
        retry_because: str | None = None,
        seconds: float | None = None,
        accepted_at: str | None = None,
    ) -> None:
        attempt_ended(outcome, retry_because)
        if self._metrics is None:
            return
        self._metrics.attempts.labels(outcome, *self._account_label).inc()
        if retry_because is not None:
            self._metrics.retries.labels(retry_because, *self._account_label).inc()
        if seconds is not None:
            self._metrics.seconds.observe(seconds)
        accepted = parse_timestamp(accepted_at)
        if accepted is not None:
            self._metrics.lag_seconds.observe(max(0.0, (now() - accepted).total_seconds()))


def _retry_in(seconds: int) -> Retry:
    return Retry(max=ANY_NUMBER, interval=seconds)


def _waited(job: Job) -> timedelta:
    """For how long a failing API has kept this job waiting, including the attempt that has just failed.

    Counted from acceptance, or from a replay. The clock stands still while the job waits for something else:
    a valid token, the budget, a running worker.
    """
    began = parse_timestamp(job.started_at) or now()
    return timedelta(seconds=job.meta.get(WAITED, 0)) + max(now() - began, timedelta(0))
