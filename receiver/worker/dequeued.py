"""A job that this worker has dequeued."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rq import Queue
from rq.executions import Execution
from rq.job import Job

from receiver.datastore.replies import as_text
from receiver.delivery.budget import Permit
from receiver.delivery.marker_scripts import LockReply
from receiver.queue.queues import account_of


@dataclass(frozen=True)
class Dequeued:
    """A job in work, with the fields that Redis has of it, and the execution that makes it this worker's.

    It comes with the permit for its first request and with the lock of its marker. There is no `lock` if the
    marker cannot be read, or if the version that queued the job did not store the marker's names.
    """

    id: str
    fields: Mapping[bytes, bytes]
    queue: Queue
    execution: Execution
    permit: Permit
    lock: LockReply | None
    taken_at: float = field(default_factory=time.monotonic)

    @property
    def account(self) -> str | None:
        """Whose change it is: an account in apitraffic.toml, or `None` for APITRAFFIC_ACCOUNT_SID."""
        return account_of(self.queue.name)

    @property
    def data(self) -> bytes:
        """Its call, which RQ may have compressed."""
        return self.fields[b"data"]

    @property
    def accepted_at(self) -> str | None:
        return as_text(self.fields.get(b"created_at")) or None

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        """Before this attempt; an attempt that fails changes that of `job`."""
        meta = self.fields.get(b"meta")
        return self.queue.serializer.loads(meta) if meta else {}

    @cached_property
    def job(self) -> Job:
        """As RQ knows it. To make it takes as long as to read the change, so that is done if it failed."""
        job = Job(self.id, self.queue.connection, self.queue.serializer)
        job.restore(self.fields)
        return job
