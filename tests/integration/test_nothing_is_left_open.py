"""A program closes its connections before it ends: Python 3.13 warns of those that it finds open."""

import os
import sys
from pathlib import Path

import pytest

from receiver.cli.api import TOKEN_VARIABLE
from tests.support.processes import started
from tests.support.waiting import wait_until

PROGRAM = """
import atexit, contextlib, gc, socket, sqlite3

def left_open():
    for each in gc.get_objects():
        with contextlib.suppress(OSError, sqlite3.ProgrammingError):
            if isinstance(each, socket.socket):
                print("left open, to", each.getpeername(), flush=True)
            elif isinstance(each, sqlite3.Connection):
                print("left open, after", each.total_changes, "changes", flush=True)

atexit.register(left_open)
from receiver.cli import main
main(prog_name="apitraffic-events")
"""
"""A command that prints which connections it has not closed. That gunicorn keeps its listener is not ours."""


@pytest.mark.parametrize(("command", "is_up"), [("worker", "worker started"), ("api", "Events API at")])
def test_a_program_that_is_stopped_leaves_no_connection_open(
    tmp_path: Path, redis_url: str, command: str, is_up: str
) -> None:
    log = tmp_path / "log"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "REDIS_URL": redis_url,
        "APITRAFFIC_API_URL": "http://127.0.0.1:1/v1",
        "APITRAFFIC_API_TOKEN": "token",
        "APITRAFFIC_ACCOUNT_SID": "acc_local0000000000000000000000",
        TOKEN_VARIABLE: "token",
    }
    port = ["--port", "0"] if command == "api" else []
    with (
        log.open("w") as output,
        started(
            [sys.executable, "-c", PROGRAM, command, *port],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=output,
        ) as program,
    ):
        wait_until(lambda: is_up in log.read_text(), "it is up", 30)
        program.terminate()
        assert program.wait(timeout=30) == 0, log.read_text()
    assert "left open" not in log.read_text(), log.read_text()
