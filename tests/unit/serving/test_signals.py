"""No signal to stop is lost, whenever it comes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from threading import Thread

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]  # has no types
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from receiver.serving.signals import SignalSafeWorker
from tests.support.programs import REPOSITORY

TIME_TO_STOP = 60
STOPPED_BETWEEN_FORK_AND_HANDLERS = f"""
import os, signal
from receiver.serving.signals import SignalSafeApplication, SignalSafeWorker

def stop(arbiter, worker):
    os.kill(worker.ppid, signal.SIGTERM)
    while not signal.sigpending() and arbiter.SIG_QUEUE.empty():
        pass  # until the arbiter has passed it on

class Application(SignalSafeApplication):
    def load_config(self):
        for name, value in {{
            "bind": "127.0.0.1:0",
            "worker_class": SignalSafeWorker,
            "graceful_timeout": {TIME_TO_STOP},
            "post_fork": stop,
            "control_socket_disable": True,
        }}.items():
            self.cfg.set(name, value)

    def load(self):
        return lambda environ, start_response: []

Application().run()
"""


def test_a_worker_that_has_only_just_begun_heeds_it() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STOPPED_BETWEEN_FORK_AND_HANDLERS],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=TIME_TO_STOP / 2,
        check=False,
    )
    assert ended.returncode == 0
    assert "SIGKILL" not in ended.stderr


@pytest.fixture
def worker() -> Iterator[SignalSafeWorker]:
    configuration = Config()
    worker = SignalSafeWorker(1, os.getpid(), [], None, 1, configuration, Logger(configuration))
    worker.tpool = worker.get_thread_pool()
    worker.method_queue.init()
    yield worker
    worker.method_queue.close()
    worker.tmp.close()


def test_sigquit_waits_for_no_lock_that_the_interrupted_code_holds(worker: SignalSafeWorker) -> None:
    handler = Thread(target=worker.handle_quit, args=(signal.SIGQUIT, None), daemon=True)
    with worker.tpool._shutdown_lock:  # noqa: SLF001 - what submit() holds while a thread starts
        handler.start()
        handler.join(10)
        assert not handler.is_alive()
    with pytest.raises(SystemExit):
        worker.method_queue.run_callbacks(None)
    assert not worker.alive
