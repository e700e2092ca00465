"""The load generator: `python -m benchmarks.load`, a process of its own that shares no interpreter lock.

A closed loop over keep-alive connections: each sends its next request when the answer to the last one is
there. With a rate, requests are due at fixed moments instead, whether or not earlier ones have their answers,
and their time counts from when they were due. One thread, raw sockets and epoll; requests are put together
from parts made beforehand, so that it costs a fraction of what any server does. What it costs is part of the
result.
"""

import json
import selectors
import socket
import sys
import time
from array import array
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Final

from benchmarks.deliveries import DELIVERY_ID, PATH, SignedBody, new_delivery_id, signed_bodies
from receiver.cli.child import stop_with_parent
from receiver.local.stack import LOOPBACK

BODIES: Final = 1024
FEWER_BODIES: Final = 256
"""Different bodies, in turn; every request has a delivery id that no other one has."""
ANSWER_TIMEOUT: Final = 10.0
HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length: "


@dataclass(frozen=True)
class Plan:
    """What to send: for `seconds` after `warm_up`, or, where that is sooner, until `most` have been sent."""

    port: int
    connections: int
    warm_up: float
    seconds: float
    most: int
    rate: float = 0.0
    """Requests a second; 0 is as many as come back."""
    bodies: int = BODIES
    """How many different ones there are; making them takes most of the time of a short plan."""
    from_actions: bool = False
    """Whether the bodies are those of deployments that GitHub Actions made."""


@dataclass
class Load:
    """What came of it; `answers` counts all by their status, the rest is of the measured time only."""

    answers: dict[str, int]
    seconds: float
    requests: int
    p50_ms: float
    p99_ms: float
    slowest_ms: float
    generator_us: float
    """The generator's own processor time for each request, in microseconds."""

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


@dataclass
class Connection:
    socket: socket.socket
    began: float = 0.0
    received: bytearray = field(default_factory=bytearray)


class Generator:
    """Runs one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._selector = selectors.DefaultSelector()
        bodies = islice(signed_bodies(from_actions=plan.from_actions), plan.bodies)
        self._parts = [_split(signed, plan.port) for signed in bodies]
        self._id_stem = new_delivery_id()[:-12].encode()
        self._sent = 0
        self._waiting = 0
        self._answers: Counter[str] = Counter()
        self._latencies = array("d")
        self._idle: deque[Connection] = deque()
        self._due = 0.0

    def run(self) -> Load:
        plan = self._plan
        connections = [self._connect() for _ in range(plan.connections)]
        measured_from = time.perf_counter() + plan.warm_up
        until = measured_from + plan.seconds
        cpu_at_start = time.process_time()
        self._due = time.perf_counter()
        self._idle.extend(connections)
        self._send_due(until)
        last = measured_from
        while self._waiting or self._goes_on(until):
            ready = self._selector.select(self._time_to_wait(until))
            if not ready and not self._goes_on(until):
                raise TimeoutError(f"no answer within {ANSWER_TIMEOUT:g} s")
            for key, _ in ready:
                connection = key.data
                if not self._receive(connection):
                    continue
                now = time.perf_counter()
                if connection.began >= measured_from and now <= until:
                    self._latencies.append(now - connection.began)
                    last = now
                self._idle.append(connection)
            self._send_due(until)
        cpu = time.process_time() - cpu_at_start
        for connection in connections:
            connection.socket.close()
        return self._load(last - measured_from, cpu)

    def _goes_on(self, until: float) -> bool:
        """Whether there is more to send: at a rate it may be that nothing is on the way meanwhile."""
        now = max(time.perf_counter(), self._due) if self._plan.rate else time.perf_counter()
        return now < until and self._sent < self._plan.most

    def _time_to_wait(self, until: float) -> float:
        if not self._plan.rate or not self._idle or not self._goes_on(until):
            return ANSWER_TIMEOUT
        return max(0.0, self._due - time.perf_counter())

    def _send_due(self, until: float) -> None:
        """Let connections that are free send what is due."""
        while self._idle and self._goes_on(until):
            due_at = time.perf_counter()
            if self._plan.rate:
                if self._due > due_at:
                    return
                due_at, self._due = self._due, self._due + 1 / self._plan.rate
            self._send(self._idle.popleft(), due_at)

    def _connect(self) -> Connection:
        opened = socket.create_connection((LOOPBACK, self._plan.port), timeout=ANSWER_TIMEOUT)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(opened)
        self._selector.register(opened, selectors.EVENT_READ, connection)
        return connection

    def _send(self, connection: Connection, due_at: float) -> None:
        before, after = self._parts[self._sent % self._plan.bodies]
        request = b"%s%s%012d%s" % (before, self._id_stem, self._sent, after)
        self._sent += 1
        self._waiting += 1
        connection.began = due_at
        connection.socket.sendall(request)

    def _receive(self, connection: Connection) -> bool:
        """Whether the answer is there as a whole; counts it then."""
        data = connection.socket.recv(65_536)
        if not data:
            raise ConnectionError("the server closed a connection")
        received = connection.received
        received += data
        head = received.find(HEAD_END)
        if head < 0:
            return False
        length_at = received.lower().find(LENGTH, 0, head) + len(LENGTH)
        length = int(received[length_at : received.find(b"\r", length_at)])
        if len(received) < head + len(HEAD_END) + length:
            return False
        self._answers[received[9:12].decode()] += 1
        self._waiting -= 1
        received.clear()
        return True

    def _load(self, seconds: float, cpu: float) -> Load:
        latencies = sorted(self._latencies)
        if not latencies:
            raise RuntimeError(f"nothing was measured; answers: {dict(self._answers)}")
        return Load(
            answers=dict(self._answers),
            seconds=seconds,
            requests=len(latencies),
            p50_ms=1000 * latencies[len(latencies) // 2],
            p99_ms=1000 * latencies[len(latencies) * 99 // 100],
            slowest_ms=1000 * latencies[-1],
            generator_us=1e6 * cpu / self._sent,
        )


def _split(signed: SignedBody, port: int) -> tuple[bytes, bytes]:
    """The request up to where its delivery id goes, and from there on."""
    headers = {"Host": f"{LOOPBACK}:{port}", **signed.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    before = f"POST {PATH} HTTP/1.1\r\n{lines}{DELIVERY_ID}: "
    return before.encode(), HEAD_END + signed.body


def main() -> None:
    stop_with_parent()
    json.dump(asdict(Generator(Plan(**json.load(sys.stdin))).run()), sys.stdout)


if __name__ == "__main__":
    main()
