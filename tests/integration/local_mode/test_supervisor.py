import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from receiver.local.log import Log
from receiver.local.supervisor import Child, ChildFailedError, StopRequested, Supervisor
from tests.support.ports import held_ports
from tests.support.processes import started
from tests.support.waiting import wait_until

SLEEP = "import time; time.sleep(60)"
STOP_PARENT = "import os, signal; os.kill(os.getppid(), signal.SIGTERM)\n"


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    threads = set(threading.enumerate())
    handlers = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
    }
    yield
    assert set(threading.enumerate()) <= threads
    assert {number: signal.getsignal(number) for number in handlers} == handlers


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """A file for which children wait that would otherwise end before all have been started."""
    return tmp_path / "go"


def child(name: str, script: str, *, go: Path | None = None, **options: object) -> Child:
    script = dedent(script)
    if go:
        script = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.005)\n{script}"
    return Child(name, [sys.executable, "-I", "-S", "-c", script], **options)  # type: ignore[arg-type]


def run(supervisor: Supervisor, go: Path) -> None:
    with supervisor:
        supervisor.start()
        go.touch()
        supervisor.run()


def supervisor(*children: Child, hidden: tuple[str, ...] = ()) -> tuple[Supervisor, io.StringIO]:
    stream = io.StringIO()
    log = Log(stream, ["up", *(child.name for child in children)], hidden=hidden)
    return Supervisor("up", children, log), stream


def test_output_is_prefixed_with_the_childs_name(go: Path) -> None:
    running, stream = supervisor(
        child(
            "api",
            f"import sys; print('out', flush=True); print('err', file=sys.stderr, flush=True)\n{STOP_PARENT}",
            go=go,
        )
    )
    run(running, go)
    assert {"api | out", "api | err"} <= set(stream.getvalue().splitlines())


def test_a_child_starts_when_those_it_comes_after_are_ready(tmp_path: Path) -> None:
    ready, seen = tmp_path / "ready", tmp_path / "seen"
    running, _ = supervisor(
        child("worker", f"import os; os.rename({str(ready)!r}, {str(seen)!r})\n{SLEEP}", after=("redis",)),
        child("redis", f"open({str(ready)!r}, 'w').close()\n{SLEEP}", ready=lambda _pid: ready.exists()),
    )
    with running:
        running.start()
        wait_until(seen.exists, "the worker has found what was there when it started")


def test_ready_is_asked_with_the_childs_process_id() -> None:
    asked: list[int] = []

    def ready(pid: int) -> bool:
        asked.append(pid)
        return True

    running, stream = supervisor(
        child(
            "api",
            f"import os; print(os.getpid(), flush=True)\n{SLEEP}",
            ready=ready,
        )
    )
    with running:
        running.start()
        wait_until(lambda: f"api | {asked[0]}\n" in stream.getvalue(), "the child says its process id")


def test_children_have_sessions_of_their_own(go: Path) -> None:
    running, stream = supervisor(
        child(
            "api", f"import os; print(os.getsid(0) == os.getpid(), flush=True)\n{STOP_PARENT}{SLEEP}", go=go
        )
    )
    run(running, go)
    assert "api | True" in stream.getvalue()


def test_a_dead_child_comes_back_after_growing_pauses(tmp_path: Path, go: Path) -> None:
    starts = tmp_path / "starts"
    running, stream = supervisor(
        child(
            "worker",
            f"""
            import os, signal, sys
            with open({str(starts)!r}, "a+") as starts:
                print("start", file=starts, flush=True)
                starts.seek(0)
                count = len(starts.readlines())
            if count == 3:
                os.kill(os.getppid(), signal.SIGTERM)
                signal.pause()
            sys.exit(3)
            """,
            go=go,
        )
    )
    run(running, go)
    assert "worker ended with exit code 3; starting it again in 0.2 s" in stream.getvalue()
    assert "worker ended with exit code 3; starting it again in 0.4 s" in stream.getvalue()
    assert len(starts.read_text().splitlines()) == 3


def test_the_log_says_which_signal_ended_a_child_and_shows_what_was_hidden(tmp_path: Path, go: Path) -> None:
    again = tmp_path / "again"
    running, stream = supervisor(
        child(
            "redis",
            f"""
            import os, signal
            if os.path.exists({str(again)!r}):
                os.kill(os.getppid(), signal.SIGTERM)
                signal.pause()
            open({str(again)!r}, "w").close()
            print("last words", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
            """,
            go=go,
        ),
        hidden=("redis",),
    )
    run(running, go)
    assert stream.getvalue().splitlines()[:2] == [
        "redis | last words",
        "up    | redis was ended by SIGKILL; starting it again in 0.2 s",
    ]


def test_pauses_begin_short_again_for_a_child_that_has_run_well(
    tmp_path: Path, go: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.local.supervisor.STEADY_AFTER", 0.0)
    starts = tmp_path / "starts"
    running, stream = supervisor(
        child(
            "worker",
            f"""
            import os, signal
            with open({str(starts)!r}, "ab") as starts:
                starts.write(b"x")
            if os.path.getsize({str(starts)!r}) == 3:
                os.kill(os.getppid(), signal.SIGTERM)
                signal.pause()
            """,
            go=go,
        )
    )
    run(running, go)
    assert stream.getvalue().count("starting it again in 0.2 s") == 2


def test_children_stop_in_the_opposite_order_one_after_another(tmp_path: Path) -> None:
    order = tmp_path / "order"
    script = """
        import signal, sys, time
        def stop(*_):
            with open({order!r}, "a") as file:
                print({name!r}, "begins", file=file)
            with open({order!r}, "a") as file:
                print({name!r}, "ends", file=file)
            sys.exit()
        signal.signal(signal.SIGTERM, stop)
        print("armed", flush=True)
        signal.pause()
        """
    names = ("redis", "api", "receiver")
    running, stream = supervisor(*(child(name, script.format(order=str(order), name=name)) for name in names))
    with running:
        running.start()
        wait_until(lambda: stream.getvalue().count("armed") == 3, "all children handle signals")
    stops = [f"{name} {what}" for name in reversed(names) for what in ("begins", "ends")]
    assert order.read_text().splitlines() == stops


def test_a_child_that_does_not_stop_is_killed() -> None:
    running, stream = supervisor(
        child(
            "worker",
            f"""
            import signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("armed", flush=True)
            {SLEEP}
            """,
            stop_timeout=0.1,
        )
    )
    with running:
        running.start()
        wait_until(lambda: "armed" in stream.getvalue(), "the child ignores SIGTERM")
    assert "up     | worker does not stop; killing it" in stream.getvalue()


def test_a_second_ctrl_c_does_not_wait() -> None:
    running, stream = supervisor(
        child(
            "worker",
            f"""
            import os, signal
            signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getppid(), signal.SIGINT))
            print('armed', flush=True)
            {SLEEP}
            """,
            stop_timeout=3600.0,
        )
    )
    with running:
        running.start()
        wait_until(lambda: "armed" in stream.getvalue(), "the child handles SIGTERM")
        os.kill(os.getpid(), signal.SIGINT)
        running.run()
    assert "worker does not stop; killing it" in stream.getvalue()


@pytest.fixture
def port() -> Iterator[int]:
    with held_ports(1) as (port,):
        yield port


def test_what_a_dead_child_has_started_ends_with_it(port: int) -> None:
    listen = (
        "import socket, time; "
        f"listener = socket.create_server(('127.0.0.1', {port})); print('up', flush=True); time.sleep(60)"
    )
    running, stream = supervisor(
        child("receiver", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {listen!r}])")
    )
    with running:
        running.start()
        wait_until(lambda: "receiver | up" in stream.getvalue(), "the grandchild listens")
    with socket.socket() as connection:
        wait_until(lambda: connection.connect_ex(("127.0.0.1", port)) != 0, "nobody listens any more")


def test_a_child_that_dies_while_starting_ends_it_all_and_its_last_words_are_shown() -> None:
    running, stream = supervisor(
        child("api", SLEEP),
        child("redis", "import sys; sys.exit('no space left')", ready=lambda _pid: False),
        hidden=("redis",),
    )
    with running, pytest.raises(ChildFailedError, match="redis ended with exit code 1 while starting"):
        running.start()
    assert stream.getvalue() == "redis | no space left\n"


def test_a_child_that_does_not_become_ready_is_named() -> None:
    running, _ = supervisor(child("api", SLEEP), child("worker", SLEEP, ready=lambda _pid: False))
    with running, pytest.raises(ChildFailedError, match=r"Not ready after 0 s: worker\."):
        running.start(timeout=0.1)


@pytest.fixture
def _not_under_nohup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_not_under_nohup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_starting_stops(number: signal.Signals) -> None:
    def interrupted(_pid: int) -> bool:
        os.kill(os.getpid(), number)
        return False

    running, _ = supervisor(child("api", SLEEP, ready=interrupted))
    with running, pytest.raises(StopRequested):
        running.start()


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux'")
def test_a_child_ends_when_its_parent_is_killed() -> None:
    in_child = (
        "from receiver.cli.child import stop_with_parent; stop_with_parent();"
        "print('armed', flush=True); import time; time.sleep(60)"
    )
    in_parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {in_child!r}])"
    with started([sys.executable, "-c", in_parent], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "armed\n"
        parent.kill()
        # The pipe ends when the last process that holds it does.
        assert parent.stdout.read() == ""
