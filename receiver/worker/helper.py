"""Threads that run jobs beside the worker's own: while one waits for the API or for Redis, others go on."""

import contextvars
import ctypes
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rq.timeouts import JobTimeoutException

from receiver.queue.queues import JOB_TIMEOUT
from receiver.worker.batch import Batch
from receiver.worker.dequeued import Dequeued

UNTIL_ACKED: Final = 0.005
"""Seconds after which a helper that has no work tells the worker so: somebody may have sent the acks by then,
along with something else, or have got more jobs.
"""


class Helper:
    """A thread that runs jobs of the batch whenever it is woken. `run` runs one job, as the worker does."""

    def __init__(
        self,
        name: str,
        batch: Batch,
        run: "Callable[[Dequeued, Helper], None]",
        has_nothing: Callable[[], bool],
    ) -> None:
        """`has_nothing` is called if the batch is empty; returns whether there is something in it now."""
        self.name = name
        self._batch = batch
        self._run = run
        self._has_nothing = has_nothing
        self.is_idle = True
        self._wakes: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._began: float | None = None
        # Attempts are recorded by what the context of the worker's thread has.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._work,), name=name, daemon=True)
        self._starting = threading.Lock()
        self._is_stopped = False
        self.error: BaseException | None = None
        """What ended it, such as an outage of Redis; the worker ends, too."""

    def wake(self) -> None:
        """Take from the batch until it is empty; nothing happens once it was stopped.

        Any thread of the worker calls this. Without the lock, two of them could start the same thread: it has
        no identity before it runs.
        """
        with self._starting:
            if self._thread.ident is None and not self._is_stopped:
                self._thread.start()
        self._wakes.put(True)

    def stop(self) -> None:
        """Wait until its job, if it has one, is finished."""
        with self._starting:
            self._is_stopped = True
            has_started = self._thread.ident is not None
        if has_started:
            self._wakes.put(False)
            self._thread.join()

    @contextmanager
    def limited(self, _job_id: str) -> Iterator[None]:
        """Around a job, which `interrupt_if_late` interrupts."""
        self._began = time.monotonic()
        try:
            yield
        finally:
            self._began = None

    def interrupt_if_late(self) -> None:
        """As RQ interrupts a job of the worker's own thread, which can be done by a signal."""
        began, ident = self._began, self._thread.ident
        if began is not None and ident is not None and time.monotonic() - began > JOB_TIMEOUT:
            self._began = None
            raised = ctypes.py_object(JobTimeoutException)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), raised)

    def _work(self) -> None:
        try:
            while self._wakes.get():
                self.is_idle = False
                is_to_go_on = True
                while is_to_go_on:
                    while (dequeued := self._batch.take()) is not None:
                        self._run(dequeued, self)
                    is_to_go_on = not self._is_woken() and self._has_nothing()
                self.is_idle = True
        except BaseException as error:  # noqa: BLE001 - the worker raises it again
            self.error = error

    def _is_woken(self) -> bool:
        """Wait a moment for it."""
        try:
            is_to_go_on = self._wakes.get(timeout=UNTIL_ACKED)
        except queue.Empty:
            return False
        self._wakes.put(is_to_go_on)
        return True
