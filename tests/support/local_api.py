"""A local Events API in a process of its own, for tests that need a real one.

    with running_local_api(tmp_path, "--quota", "100") as api:
        api.set_faults(["POST:dropx1"])
        ...
        assert api.requests() == {"POST": {"drop": 1, "201": 1}}

The grammar of faults is in `receiver.local.events_api.faults`.
"""

import re
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import connect
from typing import Any, Final
from urllib.parse import urlsplit

from requests import Response, Session

from receiver.cli.api import TOKEN_VARIABLE
from receiver.local.events_api.store import Store
from tests.support.ports import held_ports
from tests.support.programs import Program
from tests.support.waiting import wait_until

MADE_BY_THE_API: Final = frozenset({"sid", "accountSid", "createdAt", "updatedAt"})
ANNOUNCEMENT: Final = r"Events API at (\S+/v1) for account (\S+)\n"


class LocalApi:
    """`url` is the base URL with `/v1`; it and the data stay when it is stopped and started again."""

    def __init__(self, folder: Path, port: int, arguments: tuple[str, ...], token: str) -> None:
        self.token = token
        self.url = ""
        self.account_sid = ""
        self.data = folder / "events-api.sqlite"
        self._folder = folder
        self._arguments = arguments
        self._port = str(port)
        self._program: Program | None = None
        self._session = Session()
        self._session.trust_env = False  # reading the environment for proxies takes longer than the request

    def start(self) -> None:
        """Start it and wait until it takes requests; raises AssertionError with its log if it does not."""
        self._program = Program(
            self._folder / "events-api.log",
            {TOKEN_VARIABLE: self.token},
            *("api", "--fault-control", "--port", self._port, "--data", str(self.data), *self._arguments),
            ready=ANNOUNCEMENT,
        ).start()
        assert self._program.announced is not None
        self.url, self.account_sid = self._program.announced.groups()

    def stop(self) -> None:
        """Stop it in good order; nothing happens if it is not running."""
        if self._program is not None:
            self._program.send_signal(signal.SIGINT)
            self._program.wait()

    def kill(self) -> None:
        """End it like a power failure would; nothing happens if it is not running."""
        if self._program is not None and self._program.is_running:
            self._program.kill()
            # Its first process has ended. The other one, which has the port too, ends a moment later.
            wait_until(lambda: not self._listens(), "nobody listens any more")

    def _listens(self) -> bool:
        address = urlsplit(self.url)
        with socket.socket() as connection:
            return connection.connect_ex((address.hostname, address.port)) == 0

    def set_faults(self, faults: list[str]) -> list[str]:
        """Replace the faults in force and give them as the API understood them."""
        written: list[str] = self._control("PUT", "/_faults", faults)
        return written

    def faults(self) -> list[str]:
        """Give the faults in force, with the times that are left."""
        written: list[str] = self._control("GET", "/_faults")
        return written

    def requests(self) -> dict[str, dict[str, int]]:
        """Give the number of requests since the start as `{"POST": {"201": 3, "drop": 1}}`."""
        counts: dict[str, dict[str, int]] = self._control("GET", "/_requests")
        return counts

    def number_of_requests(self) -> int:
        """Give the number of requests since the start."""
        return sum(sum(counts.values()) for counts in self.requests().values())

    def set_traffic(self, points: list[dict[str, Any]]) -> None:
        """Replace the traffic that the metrics endpoints add up (docs/local-api.md)."""
        self._control("PUT", "/_traffic", points)

    def call(self, method: str, path: str, **kwargs: Any) -> Response:
        """Send one request on a connection of its own; `path` is below the account, such as `/events`."""
        kwargs.setdefault("timeout", 20)
        headers = {"Authorization": f"Bearer {self.token}", "Connection": "close"}
        address = f"{self.url}/accounts/{self.account_sid}{path}"
        return self._session.request(method, address, headers=headers, **kwargs)

    def events(self) -> list[dict[str, Any]]:
        """All events that it lists."""
        events: list[dict[str, Any]] = []
        page, has_more = 0, True
        while has_more:
            page += 1
            answer = self.call("GET", f"/events?limit=100&page={page}").json()
            events += answer["records"]
            has_more = answer["hasMore"]
        return events

    def create_many(self, events: Sequence[Mapping[str, Any]]) -> None:
        """As a POST of each would, in its file. The first is posted, and shows what the API adds."""
        if not events:
            return
        posted = self.call("POST", "/events", json=events[0]).json()
        added = {name: value for name, value in posted.items() if name not in MADE_BY_THE_API}
        with closing(Store(self.data)) as store:
            for event in events[1:]:
                store.create(self.account_sid, {**added, **event})

    def remove_events(self) -> None:
        """As a DELETE of each would, in its file, without a request for each."""
        with closing(connect(self.data, isolation_level=None)) as file:
            file.execute("PRAGMA synchronous = OFF")  # nothing that has to survive the machine
            file.execute("DELETE FROM events")

    def log(self) -> str:
        """What it has printed but for the line that announces it."""
        return re.sub(ANNOUNCEMENT, "", self._program.log()) if self._program is not None else ""

    def _control(self, method: str, path: str, body: object = None) -> Any:
        address = self.url.removesuffix("/v1") + path
        headers = {"Authorization": f"Bearer {self.token}", "Connection": "close"}
        response = self._session.request(method, address, json=body, headers=headers, timeout=20)
        if not response.ok:
            raise ValueError(response.json()["error"]["message"])
        return response.json()


@contextmanager
def running_local_api(tmp_path: Path, *args: str, token: str = "local-api-token") -> Iterator[LocalApi]:
    """Run `apitraffic-events api` with `args`, data in `tmp_path`, a port of its own, and fault control."""
    with held_ports(1) as (port,):
        api = LocalApi(tmp_path, port, args, token)
        try:
            api.start()
            yield api
        finally:
            api.kill()  # in good order it takes a quarter of a second, and nobody reads its data any more
