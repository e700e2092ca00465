"""Acks of jobs that are done. Each is sent together with the next script."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from rq.job import Job
from rq.results import Result

from receiver.delivery.marker_scripts import MarkerSave
from receiver.queue.throughput import LIFETIME
from receiver.worker.dequeued import Dequeued

Arguments = list[str | bytes | float]
"""Of a script."""


@dataclass(frozen=True, slots=True)
class Ack:
    """An ack that is still to be sent, as `ack_all` in `ack.lua` takes it; `token` locks its marker."""

    job_id: str
    execution_id: str
    token: str | bytes | float | None
    arguments: Sequence[str | bytes | float]

    @classmethod
    def of(cls, dequeued: Dequeued, seconds: float, save: MarkerSave | None, executions_of_job: str) -> Self:
        """The job took so many seconds. `save` saves and releases its marker; `executions_of_job` is the key
        that has the job's executions.
        """
        execution = dequeued.execution
        stored = (
            Job.key_for(dequeued.id),
            execution.key,
            executions_of_job,
            Job.dependents_key_for(dequeued.id),
            f"{Job.redis_job_namespace_prefix}:{dequeued.id}:dependencies",
            Result.get_key(dequeued.id),  # type: ignore[no-untyped-call]  # RQ has no types here
        )
        saved = () if save is None else (*save.keys, *save.arguments)
        arguments = (
            dequeued.queue.started_job_registry.key,
            execution.composite_key,
            seconds,
            len(stored),
            *stored,
            len(saved),
            *saved,
        )
        token = save.arguments[0] if save is not None else None
        return cls(dequeued.id, execution.id, token, arguments)


def arguments_of(acks: Sequence[Ack]) -> Arguments:
    """As `ack_all` takes them."""
    return [LIFETIME, len(acks), *(word for ack in acks for word in ack.arguments)]
