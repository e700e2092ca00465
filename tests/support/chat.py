"""What takes notices: a server on 127.0.0.1 that answers as it is told to, and keeps what it was sent."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.support.serving import serving

PATH: Final = "/services/T0001/B0001/xoxb-nobody-may-see-this"
"""Of the address, which is a secret."""


@dataclass(frozen=True, slots=True)
class Posted:
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    answered: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return str(self.json["text"])


@dataclass(slots=True)
class Chat:
    """`answers` are given to the next requests, and 200 to those after them.

    `before_answering` is called before each.
    """

    port: int = 0
    answers: list[tuple[int, Mapping[str, str], str]] = field(default_factory=list)
    posted: list[Posted] = field(default_factory=list)
    before_answering: Callable[[], object] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def will_answer(self, status: int, text: str = "", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, named, text))

    def taken(self) -> list[Posted]:
        """What was answered with 200."""
        return [each for each in self.posted if each.answered == 200]

    def clear(self) -> None:
        self.answers.clear()
        self.posted.clear()
        self.before_answering = None


class Handler(BaseHTTPRequestHandler):
    def __init__(self, chat: Chat, *arguments: Any) -> None:
        self._chat = chat
        super().__init__(*arguments)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._chat.before_answering is not None:
            self._chat.before_answering()
        status, headers, text = self._chat.answers.pop(0) if self._chat.answers else (200, {}, "ok")
        sent = {name.lower(): value for name, value in self.headers.items()}
        self._chat.posted.append(Posted(sent, body, status))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own word
        """Say nothing."""


@contextmanager
def running_chat() -> Iterator[Chat]:
    chat = Chat()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, chat))
    server.daemon_threads = True
    chat.port = server.server_port
    with serving(server):
        yield chat
