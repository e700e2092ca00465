"""gunicorn's arbiter and threaded worker, made to react to every signal to stop.

As gunicorn ships them, a worker can miss such a signal, and is killed when the time for stopping is over:

- Between its fork and the installation of its own handlers it has those of the arbiter, which put the signal
  into a queue that nobody reads in the worker.
- Its handler of SIGQUIT takes the lock of the thread pool, which the interrupted code may hold.
"""

import signal
import sys
from types import FrameType
from typing import Any, Final

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # has no types
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

TO_STOP: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class SignalSafeArbiter(Arbiter):  # type: ignore[misc]  # untyped, see above
    """Blocks signals during a fork: the arbiter gets them after it, a worker once it has its own handlers."""

    def spawn_worker(self) -> Any:
        signal.pthread_sigmask(signal.SIG_BLOCK, TO_STOP)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TO_STOP)


class SignalSafeWorker(ThreadWorker):  # type: ignore[misc]  # untyped, see above
    """Must be run by a `SignalSafeArbiter`."""

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TO_STOP)

    def handle_quit(self, _signal: int, _frame: FrameType | None) -> None:
        """Leaves the work to the loop, which holds no lock at that point."""
        self.alive = False
        self.method_queue.defer(self._quit)

    def _quit(self) -> None:
        self.tpool.shutdown(wait=False)
        sys.exit(0)


class SignalSafeApplication(BaseApplication):  # type: ignore[misc]  # untyped, see above
    """An application run by a `SignalSafeArbiter`. Its worker class must be a `SignalSafeWorker`."""

    def run(self) -> None:
        SignalSafeArbiter(self).run()
