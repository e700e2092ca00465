"""The name under which queued jobs find their function; jobs queued by older versions hold it, too."""

from receiver.worker.jobs import deliver

__all__ = ["deliver"]
