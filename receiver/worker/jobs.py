"""What stored jobs call. A worker does not call it: it takes the change from the job and delivers that."""

from typing import Any, Final, NoReturn

NEEDS_OUR_WORKER: Final = "this job is not for a plain `rq worker`; start `apitraffic-events worker`"


def deliver(_: dict[str, Any]) -> NoReturn:
    """What a plain `rq worker` calls: the function that the stored jobs of all versions name."""
    raise RuntimeError(NEEDS_OUR_WORKER)
