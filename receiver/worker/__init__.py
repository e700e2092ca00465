"""The worker process: RQ's worker, its bookkeeping, and jobs that a dead one left."""
