"""smee's client gets a delivery as parsed JSON and writes it anew, so the signature may be lost.

The client is the real one (npm: smee-client). A channel of ours takes the place of smee.io.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.proxies.conftest import ALLOWED
from tests.support.github import deployment_status, signed
from tests.support.gitlab_ci_local import required
from tests.support.processes import started
from tests.support.stack import Stack
from tests.support.waiting import wait_until


@contextmanager
def channel(body: bytes) -> Iterator[str]:
    """Sends one delivery to each client, as smee.io does, and then nothing."""
    ended = Event()

    class Channel(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            headers = {name.lower(): value for name, value in signed(body).items()}
            message = {**headers, "x-forwarded-for": ALLOWED, "query": {}, "body": json.loads(body)}
            self.wfile.write(f"event: ready\ndata: {{}}\n\nid: 1\ndata: {json.dumps(message)}\n\n".encode())
            self.wfile.flush()
            ended.wait()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Channel) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/a-channel"
        finally:
            ended.set()
            server.shutdown()


@pytest.mark.parametrize(
    ("writes", "status"),
    [(("&", "&"), 202), (("&", "\\u0026"), 401)],
    ids=["as JavaScript does", "with escapes of its own"],
)
def test_a_signature_holds_only_if_the_sender_writes_json_as_javascript_does(
    writes: tuple[str, str], status: int, stack: Stack, tmp_path: Path
) -> None:
    payload = json.loads(deployment_status(3000 + status)) | {"note": "this & that"}
    body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).replace(*writes).encode()
    log = tmp_path / "smee.log"
    with channel(body) as url, log.open("wb") as output:
        command = [required("smee"), "--url", url, "--target", f"{stack.url}/webhooks/github"]
        with started(command, stdout=output, stderr=subprocess.STDOUT):
            wait_until(lambda: "POST " in log.read_text(), log.read_text, 30)
    assert f"- {status}" in log.read_text()
