"""A local Events API in a process of its own, for tests that need a real one.

    with running_local_api(tmp_path, "--quota", "100") as api:
        api.set_faults(["POST:dropx1"])
        ...
        assert api.requests() == {"POST": {"drop": 1, "201": 1}}

The grammar of faults is in `receiver.local.events_api.faults`.
"""

import os
import re
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from requests import Response, request

from receiver.cli.api import TOKEN_VARIABLE

REPOSITORY: Final = Path(__file__).parents[2]
ANNOUNCEMENT: Final = re.compile(r"Events API at (\S+:(\d+)/v1) for account (\S+)\n")
SECONDS_TO_START: Final = 30.0
SECONDS_TO_STOP: Final = 10.0


class LocalApi:
    """`url` is the base URL with `/v1`; it and the data stay when it is stopped and started again."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], token: str) -> None:
        self.token = token
        self.url = ""
        self.account_sid = ""
        self.data = folder / "events-api.sqlite"
        self._log = folder / "events-api.log"
        self._arguments = arguments
        self._port = "0"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it takes requests; raises RuntimeError with its log where it does not."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "receiver", "api", "--fault-control"),
                    *("--port", self._port, "--data", str(self.data), *self._arguments),
                ],
                cwd=REPOSITORY,
                env={**os.environ, TOKEN_VARIABLE: self.token},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = _first_line(self._process.stdout)
        announced = ANNOUNCEMENT.fullmatch(line)
        if announced is None:
            self.kill()
            raise RuntimeError(f"The local Events API did not start: {line}{self.log()}")
        self.url, self._port, self.account_sid = announced.groups()

    def stop(self) -> None:
        """Stop it in good order; nothing happens where it is not running."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it like a power failure would."""
        self._end(signal.SIGKILL)

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

    def call(self, method: str, path: str, **kwargs: Any) -> Response:
        """Send one request on a connection of its own; `path` is below the account, such as `/events`."""
        kwargs.setdefault("timeout", 20)
        headers = {"Authorization": f"Bearer {self.token}", "Connection": "close"}
        address = f"{self.url}/accounts/{self.account_sid}{path}"
        return request(method, address, headers=headers, **kwargs)  # noqa: S113 - set above

    def log(self) -> str:
        return self._log.read_text()

    def _control(self, method: str, path: str, body: object = None) -> Any:
        address = self.url.removesuffix("/v1") + path
        headers = {"Authorization": f"Bearer {self.token}", "Connection": "close"}
        response = request(method, address, json=body, headers=headers, timeout=20)
        if not response.ok:
            raise ValueError(response.json()["error"]["message"])
        return response.json()

    def _end(self, sent: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            if sent is signal.SIGKILL:
                _signal_group(process, sent)
            else:
                process.send_signal(sent)
            try:
                process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)


@contextmanager
def running_local_api(tmp_path: Path, *args: str, token: str = "local-api-token") -> Iterator[LocalApi]:
    """Run `apitraffic-events api` with `args`, data in `tmp_path`, on a free port, with fault control."""
    api = LocalApi(tmp_path, args, token)
    try:
        api.start()
        yield api
    finally:
        api.stop()


def _first_line(stream: IO[str]) -> str:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        return stream.readline() if selector.select(SECONDS_TO_START) else "it says nothing\n"


def _signal_group(process: subprocess.Popen[str], sent: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, sent)
