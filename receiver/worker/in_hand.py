"""The jobs that a worker has dequeued, the locks of their markers, and the acks that are to be sent."""

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

from structlog import get_logger

from receiver.worker.acks import Ack
from receiver.worker.dequeued import Dequeued


class InHand:
    """The jobs that this worker has dequeued and not finished. Its threads may use it at the same time.

    A job that is done stays in hand until its ack has been sent.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Dequeued] = {}
        """By the id of the execution."""
        self.locks: set[str] = set()
        """The tokens of the locks that the worker's threads hold."""
        self._unsent: deque[Ack] = deque()

    def add(self, dequeued: Dequeued) -> None:
        if dequeued.lock is not None and dequeued.lock.fields:
            self.locks.add(dequeued.lock.token)
        self.jobs[dequeued.execution.id] = dequeued

    def done_with(self, dequeued: Dequeued) -> None:
        """The job is not this worker's any more: it was given back, or RQ has dealt with its failure."""
        self.jobs.pop(dequeued.execution.id, None)
        if dequeued.lock is not None:
            self.locks.discard(dequeued.lock.token)

    def is_idle_without(self, acks: Sequence[Ack]) -> bool:
        """Whether nothing is in hand once these have been sent."""
        return set(self.jobs) <= {ack.execution_id for ack in acks}

    def send_later(self, dequeued: Dequeued, ack: Ack) -> None:
        """Send this ack of the job with what is sent next."""
        if dequeued.lock is not None and ack.token != dequeued.lock.token:
            self.locks.discard(dequeued.lock.token)
        self._unsent.append(ack)

    def take_unsent(self) -> list[Ack]:
        """The acks that are to be sent now; if that fails, `put_back` takes them again."""
        taken: list[Ack] = []
        with suppress(IndexError):
            while True:
                taken.append(self._unsent.popleft())
        return taken

    def put_back(self, acks: Sequence[Ack]) -> None:
        self._unsent.extendleft(reversed(acks))

    def note_sent(self, acks: Sequence[Ack], done: Iterable[int]) -> None:
        """These were sent; log if a job is not done after all."""
        for ack, is_done in zip(acks, done, strict=True):
            self.jobs.pop(ack.execution_id, None)
            self.locks.discard(str(ack.token))
            if not is_done:
                get_logger("receiver.worker").warning(
                    "not acked: this worker has lost the lock of the marker; the job will be put back",
                    job=ack.job_id,
                )
