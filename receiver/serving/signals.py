"""gunicorn's arbiter and threaded worker, made to heed every signal to stop.

As they are, a worker can miss one for good, and is killed when the time for stopping is over:

- Between its fork and the setting of its own handlers it has the arbiter's, which puts the signal into a
  queue that nobody reads there.
- Its handler of SIGQUIT takes the lock of the pool of threads, which the very code that the signal interrupts
  may hold.
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
    """Holds signals back over a fork: this process gets its own after it, a worker when it can heed them."""

    def spawn_worker(self) -> Any:
        signal.pthread_sigmask(signal.SIG_BLOCK, TO_STOP)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TO_STOP)


class SignalSafeWorker(ThreadWorker):  # type: ignore[misc]  # untyped, see above
    """To be run by a `SignalSafeArbiter`."""

    def init_signals(self) -> None:
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TO_STOP)

    def handle_quit(self, _signal: int, _frame: FrameType | None) -> None:
        """Leaves the work to the loop, which holds no lock when it gets there."""
        self.alive = False
        self.method_queue.defer(self._quit)

    def _quit(self) -> None:
        self.tpool.shutdown(wait=False)
        sys.exit(0)


class SignalSafeApplication(BaseApplication):  # type: ignore[misc]  # untyped, see above
    """An application under a `SignalSafeArbiter`; its worker class is to be a `SignalSafeWorker`."""

    def run(self) -> None:
        SignalSafeArbiter(self).run()
