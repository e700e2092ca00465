"""What tests start takes signals and ends, whatever started the tests."""

import errno
import re
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.cli.api import TOKEN_VARIABLE
from tests.support.launcher import Launcher
from tests.support.ports import held_ports
from tests.support.processes import heed_signals_in_children, started
from tests.support.programs import run_to_the_end
from tests.support.redis import running_redis
from tests.support.waiting import wait_until

ANNOUNCEMENT = re.compile(r"Events API at http://127\.0\.0\.1:(\d+)/")
SLEEP = "import time; time.sleep(60)"
IP_LOCAL_PORT_RANGE = 51
"""Of Linux since 6.3: the lowest and the highest port that a socket is given if it asks for any."""
INTERRUPTED = -signal.SIGINT


@pytest.fixture
def _interrupts_ignored() -> Iterator[None]:
    """As in a job that a shell has put into the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts_ignored")
def test_a_program_takes_a_signal_that_these_tests_ignore() -> None:
    heed_signals_in_children()
    signal.raise_signal(signal.SIGINT)
    with started(["sleep", "60"]) as program:
        program.send_signal(signal.SIGINT)
        assert program.wait(timeout=20) == INTERRUPTED


def test_a_program_ends_with_a_test_that_fails() -> None:
    with pytest.raises(AssertionError), started([sys.executable, "-c", SLEEP]) as program:
        raise AssertionError
    assert program.returncode == -signal.SIGKILL


def test_a_command_has_the_environment_that_it_is_given_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    ended = run_to_the_end(tmp_path, {"APITRAFFIC_LOG_FORMAT": "text"}, "status")
    assert ended.returncode == 3
    assert "REDIS_URL is not set" in ended.output


def test_a_command_ends_with_the_tests(tmp_path: Path) -> None:
    launcher, log = Launcher(), tmp_path / "log"
    launcher.start(["api", "--port", "0"], {TOKEN_VARIABLE: "t"}, tmp_path, log)
    wait_until(lambda: log.exists() and ANNOUNCEMENT.search(log.read_text()), "it listens")
    announced = ANNOUNCEMENT.search(log.read_text())
    launcher.close()
    assert announced is not None
    with socket.socket() as connection:
        wait_until(lambda: connection.connect_ex(("127.0.0.1", int(announced[1]))) != 0, "nobody listens")


def test_a_redis_does_not_start_in_the_folder_of_another(tmp_path: Path) -> None:
    another = pytest.raises(AssertionError, match="another Redis answers")
    with running_redis(tmp_path), another, running_redis(tmp_path):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="other systems would refuse the server")
def test_a_held_port_is_for_the_server_that_is_told_it_also_after_a_pause() -> None:
    with held_ports(1) as (port,), socket.socket() as client:
        for _ in range(2):
            assert client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
            with socket.create_server(("127.0.0.1", port)):
                socket.create_connection(("127.0.0.1", port)).close()
                with pytest.raises(OSError, match="in use"):
                    socket.create_server(("127.0.0.1", port))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems would refuse the server")
def test_a_held_port_is_given_to_nobody_who_asks_for_any() -> None:
    """Here somebody may have none but this one."""
    with held_ports(1) as (port,), socket.socket() as listener, socket.socket() as client:
        for each in (listener, client):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                each.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("=HH", port, port))
            except OSError as error:
                pytest.skip(f"Linux before 6.3: {error}")
        with pytest.raises(OSError, match="in use"):
            listener.bind(("127.0.0.1", 0))
        with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(OSError, match="Cannot assign"):
            client.connect(server.getsockname())
