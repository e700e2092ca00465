"""What a thread of a worker runs jobs with."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from rq import Retry

from receiver.delivery.budget import RequestBudget
from receiver.delivery.marker_store import MarkerStore
from receiver.worker.dequeued import Dequeued

RunJob = Callable[[Dequeued], Retry | None]
"""Makes an attempt at a job; returns a `Retry` if it is to be retried, and raises if it failed."""
Limit = Callable[[str], AbstractContextManager[None]]
"""Around the job of this id: raises `JobTimeoutException` in it if it takes too long."""


@dataclass(frozen=True, slots=True)
class ThreadResources:
    """What one thread needs to run jobs: a budget and what makes attempts, with a marker store of its own.

    `accounts` has the same for each account in apitraffic.toml, by its name.
    """

    budget: RequestBudget
    attempts: Callable[[MarkerStore], RunJob]
    accounts: "Mapping[str, ThreadResources]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AccountResources:
    """What one thread needs to run the jobs of one account."""

    budget: RequestBudget
    markers: MarkerStore
    run_job: RunJob | None
