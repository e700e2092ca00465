"""`python -m benchmarks.memory`: what large unsigned bodies cost a receiver, and the deliveries beside them.

Six senders post chunked bodies of 26 MiB, one after the other, without a signature or with a made-up one,
while signed deliveries arrive at a steady rate. With `--before`, the build in that folder (such as a git
worktree of an earlier commit) takes turns with this one on the same machine. Linux only.
"""

import argparse
import http.client
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Final

from redis import Redis
from rq import Queue

from benchmarks.deliveries import DELIVERY_ID, PATH, SECRET, SignedBody, new_delivery_id, signed_bodies
from benchmarks.machine import machine
from benchmarks.processes import BenchmarkError, Launcher
from receiver.cli.child import stop_with_parent
from receiver.local.plain_http import answers_ok
from receiver.local.stack import LOOPBACK, free_port
from receiver.queue.queues import ROUTINE
from tests.support.redis import running_redis

MIB: Final = 1024 * 1024
ATTACKERS: Final = 6
ATTACK: Final = 26 * MIB
CHUNK: Final = 64 * 1024
SECONDS: Final = 20.0
RATE: Final = 10.0
"""Signed deliveries a second, each on a connection of its own, as GitHub sends them."""
PATIENCE: Final = 10.0
"""Seconds that GitHub and GitLab wait for an answer."""
HERE: Final = Path(__file__).parents[1]
PROCESSES: Final = 2
THREADS: Final = 4
SIGNATURES: Final = {"none": "", "made up": f"X-Hub-Signature-256: sha256={'0' * 64}\r\n"}


@dataclass
class Turn:
    """One build under one load; sizes in MiB, one for each process."""

    before: list[float]
    peak: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    lost: int = 0
    attacks: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="another build, measured in turns")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--attack", nargs=2, metavar=("PORT", "SIGNATURE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.attack:
        stop_with_parent()
        attack(int(arguments.attack[0]), SIGNATURES[arguments.attack[1]])
        return
    builds = {"before": arguments.before.resolve(), "now": HERE} if arguments.before else {"now": HERE}
    try:
        _measure(builds, arguments.rounds)
    except BenchmarkError as error:
        sys.exit(str(error))


def _measure(builds: dict[str, Path], rounds: int) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="apitraffic-bench-") as name,
        running_redis(Path(name, "redis")) as redis_url,
        Redis.from_url(redis_url) as redis,
    ):
        about = machine(redis, Path(name))
        print(
            f"{about.date}: {about.cores} cores of {about.processor}, load {about.load:.2f}, {about.python}"
        )
        print(
            f"{PROCESSES} processes of {THREADS} threads; {ATTACKERS} senders of {ATTACK // MIB} MiB chunked"
        )
        print(f"for {SECONDS:g} s, {RATE:g} signed deliveries a second beside them; sizes in MiB a process\n")
        print("signature  build    start    peak   20 s later   p50 ms   p99 ms   slowest   lost   attacks")
        for signature in SIGNATURES:
            for number in range(rounds):
                for build, folder in builds.items():
                    settings = {"REDIS_URL": redis_url, "GITHUB_WEBHOOK_SECRET": SECRET}
                    # Without the present folder before it on the path of modules.
                    settings |= {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
                    launcher = Launcher.with_settings(Path(name), settings)
                    turn = _turn(launcher, redis, f"{build}-{signature}-{number}", signature)
                    print(_line(signature, build, turn), flush=True)


def _turn(launcher: Launcher, redis: Redis, name: str, signature: str) -> Turn:
    redis.flushall()
    port = free_port(LOOPBACK)
    command = ["serve", "--port", str(port), "--workers", str(PROCESSES), "--threads", str(THREADS)]
    with launcher.running(name, "receiver", *command) as receiver:
        launcher.wait_until(lambda: answers_ok(f"http://{LOOPBACK}:{port}/healthz"), name)
        bodies = signed_bodies()
        for signed in islice(bodies, 100):
            _deliver(port, signed)
        children = Path(f"/proc/{receiver.pid}/task/{receiver.pid}/children").read_text().split()
        turn = Turn(before=[_memory(child, "VmRSS") for child in children])
        for child in children:
            Path(f"/proc/{child}/clear_refs").write_text("5")  # sets the peak back
        redis.flushall()
        attackers = Launcher.with_settings(launcher.folder, {"PYTHONPATH": str(HERE)})
        with attackers.running(f"{name}-attack", "benchmarks.memory", "--attack", str(port), signature):
            began = time.monotonic()
            with ThreadPoolExecutor(64) as pool:
                waiting = []
                for number, signed in zip(range(int(SECONDS * RATE)), bodies, strict=False):
                    time.sleep(max(0.0, began + number / RATE - time.monotonic()))
                    waiting.append(pool.submit(_deliver, port, signed))
                answers = [each.result() for each in waiting]
        turn.milliseconds = sorted(1000 * seconds for status, seconds in answers)
        accepted = sum(status == HTTPStatus.ACCEPTED for status, _ in answers)
        turn.lost = len(answers) - accepted
        queued = Queue(ROUTINE, connection=redis).count
        if queued < accepted:
            raise BenchmarkError(f"{accepted} were accepted and {queued} are queued")
        alive = Path(f"/proc/{receiver.pid}/task/{receiver.pid}/children").read_text().split()
        turn.peak = [_memory(child, "VmHWM") for child in alive]
        time.sleep(SECONDS)
        turn.later = [_memory(child, "VmRSS") for child in alive]
        printed = launcher.log(f"{name}-attack").read_text().split()
        turn.attacks = int(printed[-1]) if printed else 0
    return turn


def _deliver(port: int, signed: SignedBody) -> tuple[int, float]:
    """The answer's status, 0 if there was none, and the seconds it took."""
    began = time.monotonic()
    status = 0
    headers = {**signed.headers, DELIVERY_ID: new_delivery_id()}
    with (
        suppress(OSError, http.client.HTTPException),
        closing(http.client.HTTPConnection(LOOPBACK, port, timeout=PATIENCE)) as connection,
    ):
        connection.request("POST", PATH, signed.body, headers)
        status = connection.getresponse().status
    return status, time.monotonic() - began


def _memory(process: str, name: str) -> float:
    """In MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def attack(port: int, signature: str) -> None:
    """Until it is stopped; prints every second how many bodies were sent or refused."""
    counts = [0] * ATTACKERS
    for number in range(ATTACKERS):
        threading.Thread(target=_attack, args=(port, signature, counts, number), daemon=True).start()
    while True:
        time.sleep(1)
        print(sum(counts), flush=True)


def _attack(port: int, signature: str, counts: list[int], number: int) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: application/json\r\n"
        f"X-GitHub-Event: push\r\n{signature}Transfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"%x\r\n%b\r\n" % (CHUNK, b" " * CHUNK)
    while True:
        with suppress(OSError), _connected(port) as client:
            client.sendall(head.encode())
            for _ in range(ATTACK // CHUNK):
                client.sendall(chunk)
            client.sendall(b"0\r\n\r\n")
            client.recv(4096)
        counts[number] += 1


@contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection((LOOPBACK, port), timeout=PATIENCE) as client:
        yield client


def _line(signature: str, build: str, turn: Turn) -> str:
    times = turn.milliseconds
    sizes = (f"{max(each):.0f}" for each in (turn.before, turn.peak, turn.later))
    start, peak, later = sizes
    return (
        f"{signature:<9}  {build:<6} {start:>7} {peak:>7} {later:>12} {times[len(times) // 2]:>8.0f} "
        f"{times[len(times) * 99 // 100]:>8.0f} {times[-1]:>9.0f} {turn.lost:>6} {turn.attacks:>9}"
    )


if __name__ == "__main__":
    main()
