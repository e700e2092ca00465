"""The name that stored jobs have for their function, also those that older versions queued."""

from receiver.worker.jobs import deliver

__all__ = ["deliver"]
