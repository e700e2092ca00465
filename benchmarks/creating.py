"""`python -m benchmarks.creating [CHECKOUT …]`: the processor time the local Events API takes an event.

Measured in two ways: as WSGI calls in one process, without a server, and served by `apitraffic-events api`
over one and over eight connections that stay open. Other checkouts of this repository can be measured beside
this one; they take turns, so that the machine's other work affects all of them alike.

On 28 November 2026, on 2 shared cores of AMD EPYC (Linux 6.18, load 13; Python 3.11.7, gunicorn 27.0.1,
werkzeug 3.1.9), median and least of 11 turns of 1,200 events in µs, beside commit 2403174, in which it was a
Flask application:

                                  called   served over 1   served over 8
    this checkout               136, 115        442, 358        383, 333
    2403174                     321, 256        642, 542        517, 475
"""

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.processes import end, processor_seconds

TOKEN: Final = "benchmark-token"  # noqa: S105 - protects nothing
ACCOUNT_SID: Final = "acc_bench1"
PATH: Final = f"/v1/accounts/{ACCOUNT_SID}/events"
THIS_CHECKOUT: Final = Path(__file__).parents[1]
CONNECTIONS: Final = (1, 8)
PATIENCE: Final = 60.0
CREATED: Final = b"HTTP/1.1 201 "
PACKAGES: Final = ("gunicorn", "werkzeug", "pydantic")

EVENT: Final = json.dumps(
    {
        "type": "deployment",
        "name": "Deploy acme/checkout v2.14.0 to production",
        "description": "Success after 1 min 12 s. Deployed by octocat: Take gift cards at the checkout",
        "source": "github_actions",
        "metadata": {
            "repository": "acme/checkout",
            "repository_url": "https://github.com/acme/checkout",
            "environment": "production",
            "ref": "v2.14.0",
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "short_commit": "01234567",
            "commit_message": "Take gift cards at the checkout",
            "actor": "octocat",
            "url": "https://checkout.example.com",
            "status": "success",
            "deployment_id": 90000001234,
            "run_id": 90000005678,
            "run_url": "https://github.com/acme/checkout/actions/runs/90000005678",
            "marker_key": "github:deployment:90000001234",
            "delivery_id": "4bd3a1c0-8d2e-11f0-9c1e-5f2b6a7c8d9e",
        },
        "buckets": ["bkt_checkout0000000000000000000"],
        "environments": ["env123"],
        "startedAt": "2026-01-10T10:05:00.000Z",
    }
).encode()
"""What the worker sends for a deployment that has finished."""

REQUEST: Final = (
    f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:8800\r\nUser-Agent: apitraffic-events/0.1.0\r\n"
    f"Accept-Encoding: gzip, deflate\r\nAccept: application/json\r\nConnection: keep-alive\r\n"
    f"Content-Type: application/json\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(EVENT)}\r\n\r\n"
).encode() + EVENT
"""The request as `EventsClient` makes it, but in one piece."""

CALLER: Final = """
import io, sys, time
from pathlib import Path
from receiver.local.events_api.app import create_app
from receiver.local.events_api.options import Options
number, path, account_sid, token, data = int(sys.argv[1]), *sys.argv[2:]
app = create_app(Options(data=Path(data), token=token, account_sid=account_sid))
body = sys.stdin.buffer.read()
given = {
    "REQUEST_METHOD": "POST", "PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": "",
    "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8800", "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_HOST": "127.0.0.1:8800", "HTTP_USER_AGENT": "apitraffic-events/0.1.0",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate", "HTTP_ACCEPT": "application/json",
    "HTTP_CONNECTION": "keep-alive", "HTTP_AUTHORIZATION": f"Bearer {token}",
    "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)),
    "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.errors": sys.stderr, "wsgi.multithread": True,
    "wsgi.multiprocess": False, "wsgi.run_once": False, "wsgi.input_terminated": True,
}
statuses = set()
def start_response(status, headers, exc_info=None):
    statuses.add(status)
    return None
def call(times):
    for _ in range(times):
        answer = app({**given, "wsgi.input": io.BytesIO(body)}, start_response)
        for part in answer:
            pass
        if hasattr(answer, "close"):
            answer.close()
call(number // 10)
began = time.process_time()
call(number)
print(1e6 * (time.process_time() - began) / number)
assert {status[:3] for status in statuses} == {"201"}, statuses
"""
"""Runs in the checkout's folder, so that `receiver` is the one of that checkout."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.creating", description=__doc__)
    parser.add_argument("checkouts", nargs="*", type=Path, help="other versions of this repository")
    parser.add_argument("--rounds", type=int, default=11, help="turns of each (default: %(default)s)")
    parser.add_argument("--events", type=int, default=2_000, help="events in a turn (default: %(default)s)")
    arguments = parser.parse_args()
    checkouts = [THIS_CHECKOUT, *(each.resolve() for each in arguments.checkouts)]
    ways: dict[str, Callable[[Path, Path, int], float]] = {"called": called}
    for number in CONNECTIONS:
        ways[f"served over {number}"] = partial(served, connections=number)
    figures: dict[tuple[Path, str], list[float]] = {(each, way): [] for each in checkouts for way in ways}
    for _ in range(arguments.rounds):
        for way, measure in ways.items():
            for checkout in checkouts:
                with tempfile.TemporaryDirectory(prefix="apitraffic-bench-") as folder:
                    figures[checkout, way].append(measure(checkout, Path(folder), arguments.events))
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, load {os.getloadavg()[0]:.1f}")
    print(
        ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)])
    )
    turns = f"{arguments.rounds} turns of {arguments.events} events"
    print(f"µs of processor time an event: median and least of {turns}")
    print(f"{'':24}" + "".join(f"{way:>16}" for way in ways))
    for checkout in checkouts:
        name = "this checkout" if checkout == THIS_CHECKOUT else checkout.name
        cells = (f"{median(figures[checkout, way]):.0f}, {min(figures[checkout, way]):.0f}" for way in ways)
        print(f"{name:24}" + "".join(f"{cell:>16}" for cell in cells))


def called(checkout: Path, folder: Path, events: int) -> float:
    """Microseconds of processor time an event, without a server."""
    arguments = [str(events), PATH, ACCOUNT_SID, TOKEN, str(folder / "events.sqlite")]
    done = subprocess.run(
        [sys.executable, "-c", CALLER, *arguments], cwd=checkout, input=EVENT, capture_output=True, check=True
    )
    return float(done.stdout)


def served(checkout: Path, folder: Path, events: int, connections: int) -> float:
    """Microseconds of processor time an event, in all processes of the server."""
    with ExitStack() as opened:
        process, port = opened.enter_context(_running(checkout, folder))
        sockets = [
            opened.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            for _ in range(connections)
        ]
        pool = opened.enter_context(ThreadPoolExecutor(connections))
        list(pool.map(_create, sockets, [events // 10 // connections + 1] * connections))
        began = processor_seconds(process.pid)
        list(pool.map(_create, sockets, [events // connections] * connections))
        return 1e6 * (processor_seconds(process.pid) - began) / (events // connections * connections)


@contextmanager
def _running(checkout: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    arguments = ["--port", "0", "--account-sid", ACCOUNT_SID, "--data", str(folder / "events.sqlite")]
    process = subprocess.Popen(
        [sys.executable, "-m", "receiver", "api", *arguments],
        cwd=checkout,
        env={**os.environ, "APITRAFFIC_LOCAL_API_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("its output is no pipe")
        address = process.stdout.readline().split()[3]
        yield process, int(address.removesuffix("/v1").rpartition(":")[2])
    finally:
        end(process)


def _create(connection: socket.socket, events: int) -> None:
    for _ in range(events):
        connection.sendall(REQUEST)
        answer = connection.recv(65_536)
        while not _is_whole(answer):
            answer += connection.recv(65_536)
        if not answer.startswith(CREATED):
            sys.exit(f"an event was answered with {answer[:200]!r}")


def _is_whole(answer: bytes) -> bool:
    head, end_of_head, body = answer.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return bool(end_of_head) and len(body) == int(length)


if __name__ == "__main__":
    main()
