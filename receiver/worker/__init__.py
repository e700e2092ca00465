"""The worker process: RQ's worker, its access to the queue, and recovery of the jobs of dead workers."""

import receiver.queue  # noqa: F401 - before any module here imports rq, which reads the prefix of its keys once
