"""A server on 127.0.0.1 that answers as a sender's API does, and keeps what it was asked."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from click.testing import Result
from requests.structures import CaseInsensitiveDict

from tests.support.serving import serving

SECRET = "5ec2e7" * 10 + "abcd"
"""What the receiver has, and what a new secret is in these tests."""
OTHER_SECRET = "0a0b0c" * 10 + "abcd"
TOKEN = "a-token-that-nobody-may-see"
SIGNING_TOKEN = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q="

Call = Callable[..., Result]
"""Calls a command."""
Answer = tuple[int, Any]
"""Status, and what the body holds: text as it is, anything else as JSON, `None` for nothing."""


@dataclass
class Request:
    method: str
    target: str
    headers: CaseInsensitiveDict[str]
    text: str

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def body(self) -> Any:
        return json.loads(self.text) if self.text else None


@dataclass
class SenderServer:
    """`answer` stands for the sender. `fault` is what every request of this method is answered instead."""

    answer: Callable[[Request], Answer]
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    fault: dict[str, Answer] = field(default_factory=dict)

    def reply(self, request: Request) -> Answer:
        self.requests.append(request)
        return self.fault.get(request.method) or self.answer(request)

    def writes(self) -> list[tuple[str, str, Any]]:
        """Everything that was asked for and may change something: method, address and body."""
        return [
            (request.method, request.target, request.body)
            for request in self.requests
            if request.method != "GET"
        ]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # A proxy must not keep a connection to the server of another test.

    def __init__(self, server: SenderServer, *arguments: Any) -> None:
        self.sender = server
        super().__init__(*arguments)

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        text = self.rfile.read(length).decode()
        status, content = self.sender.reply(
            Request(self.command, self.path, CaseInsensitiveDict(self.headers.items()), text)
        )
        body = (
            b""
            if content is None
            else (content if isinstance(content, str) else json.dumps(content)).encode()
        )
        self.send_response(status)
        if body:
            kind = "text/html" if isinstance(content, str) else "application/json"
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def sender_server(answer: Callable[[Request], Answer]) -> Iterator[SenderServer]:
    state = SenderServer(answer)
    # tests.senders.connect_openapi puts a proxy in between, which checks what passes.
    port = int(os.environ.get("CONNECT_UPSTREAM_PORT", "0"))
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, state))
    server.daemon_threads = True
    state.url = os.environ.get("CONNECT_PROXY_URL") or f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        yield state
