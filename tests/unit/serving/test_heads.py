"""Admission reads the same of a request, whether gunicorn has made a WSGI environment of it or not."""

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]  # has no types
from gunicorn.http import wsgi  # type: ignore[import-untyped]
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.unreader import IterUnreader  # type: ignore[import-untyped]

from receiver.serving.heads import head_of
from receiver.web.admission import Head

SERVER = ("192.0.2.2", 80)
LINES = [
    "POST /webhooks/github HTTP/1.1",
    "POST /webhooks/jenkins/s%C3%A9cret%2Fx?a=%20 HTTP/1.1",
    "POST //webhooks/gitlab HTTP/1.1",
    "GET http://example.test/healthz HTTP/1.1",
    "OPTIONS * HTTP/1.1",
]
FIELDS = [
    "",
    "Content-Type: application/json\r\nContent-Length: 12",
    "Content-Type:\r\nContent-Length: 0",
    "Transfer-Encoding: chunked\r\nX-Forwarded-For: 192.0.2.7",
    "X-Forwarded-For: 192.0.2.7\r\nx-forwarded-for: 192.0.2.8, 192.0.2.9\r\nX-Forwarded-For: 192.0.2.10",
    "X-Hub_Signature: dropped\r\nX-Hub-Signature-256: sha256=0\r\nX-Text: caf\xe9",
]


def config() -> Config:
    config = Config()
    for name, value in {"header_map": "drop", "forwarder_headers": "", "forwarded_allow_ips": ""}.items():
        config.set(name, value)
    return config


@pytest.mark.parametrize("client", [("192.0.2.1", 1234), "", b""], ids=repr)
@pytest.mark.parametrize("fields", FIELDS)
@pytest.mark.parametrize("line", LINES)
def test_the_head_is_the_one_of_the_wsgi_environment(line: str, fields: str, client: object) -> None:
    head = f"{line}\r\nHost: x\r\n{fields}".rstrip().encode("latin-1") + b"\r\n\r\n"
    request = Request(config(), IterUnreader([head]), client)
    _, environ = wsgi.create(request, None, client, SERVER, config())
    assert head_of(request, client) == Head.of_environ(environ)


def test_a_path_below_script_name_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPT_NAME", "/hooks")
    request = Request(
        config(), IterUnreader([b"POST /hooks/webhooks/github HTTP/1.1\r\nHost: x\r\n\r\n"]), ""
    )
    _, environ = wsgi.create(request, None, "", SERVER, config())
    assert head_of(request, "").path == environ["PATH_INFO"] == "/webhooks/github"
