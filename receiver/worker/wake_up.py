"""An event that a signal handler may set."""

from contextlib import suppress
from queue import Empty, SimpleQueue


class WakeUp:
    """What `threading.Event` is to threads, for a signal handler and a thread that waits.

    A handler runs in the main thread, between any two of its instructions. If that thread has just taken the
    lock inside a `threading.Event`, the handler's `set()` waits for this lock forever, and the process hangs.
    `SimpleQueue.put` is safe there: https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put
    """

    def __init__(self) -> None:
        self._is_set = False
        self._sets: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._is_set = True
        self._sets.put(None)

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Return once it is set, or after so many seconds; whether it is set.

        If two threads wait, one of them may wait for all of its time.
        """
        if not self._is_set:
            with suppress(Empty):
                self._sets.get(timeout=seconds)
        return self._is_set

    def clear(self) -> None:
        self._is_set = False
        for _ in range(self._sets.qsize()):
            with suppress(Empty):
                self._sets.get_nowait()
