"""The RQ job of one change, which its worker runs without looking up a function by name."""

from collections.abc import Callable
from typing import Any, NoReturn

from rq import Retry
from rq.job import Job

NEEDS_OUR_WORKER = "this job is not for a plain `rq worker`; start `apitraffic-events worker`"


class DeliveryJob(Job):
    """A job that is run by what its worker has set as `run`.

    RQ's own `Job` would import the function that the job names, and call it with arguments made of JSON.
    """

    run: "Callable[[DeliveryJob], Retry | None] | None" = None
    """Returns a `Retry` if the job is to be retried; raises if it failed."""

    def perform(self) -> Retry | None:
        if self.run is None:
            raise RuntimeError(NEEDS_OUR_WORKER)
        return self.run(self)


def deliver(_: dict[str, Any]) -> NoReturn:
    """What a plain `rq worker` calls: the function that the stored jobs of all versions name."""
    raise RuntimeError(NEEDS_OUR_WORKER)
