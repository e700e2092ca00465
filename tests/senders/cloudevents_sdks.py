"""Both SDKs of CloudEvents, really run: what they send becomes the right markers.

`python -m tests.senders.cloudevents_sdks`; installs cloudevents from PyPI and from npm into a temporary folder.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any, Final

from tests.senders.alertmanager import until
from tests.support.stack import Stack, running_stack

TOKEN: Final = "the-secret-of-events-0123456789abcdef"
PYTHON_SDK: Final = "cloudevents==2.2.0"
JAVASCRIPT_SDK: Final = "cloudevents@10.0.0"

PYTHON: Final = """
import json, sys, urllib.request
from datetime import datetime, timedelta, timezone
from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent

url, token = sys.argv[1:]

def send(message):
    headers = dict(message.headers) | {"Authorization": f"Bearer {token}"}
    body = message.body if isinstance(message.body, bytes) else message.body.encode()
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    if "content-type" not in {name.lower() for name in headers}:
        request.add_unredirected_header("Content-Type", "")  # else urllib says it is a form
    with urllib.request.urlopen(request) as answer:
        print(answer.status, json.load(answer)["status"])

at = datetime(2026, 11, 28, 18, 0, tzinfo=timezone(timedelta(hours=1)))
common = {"source": "/python", "time": at, "subject": 'é "q" 100% ☃ a/b'}
plain = {"type": "com.example.python.plain"} | common
send(http.to_binary_event(CloudEvent(plain | {"datacontenttype": "application/json"}, {"a": "é"})))
send(http.to_structured_event(CloudEvent(plain | {"type": "com.example.python.structured"}, {"a": "é"})))
deploy = {"type": "deployment", "name": "Deploy shop v2.3.1", "metadata": {"release": "v2.3.1"}}
send(http.to_binary_event(CloudEvent(common | {"type": "com.example.deploy", "datacontenttype": "application/json"}, deploy)))
send(http.to_structured_event(CloudEvent({"type": "com.example.python.nothing", "source": "/python"}, None)))
"""

JAVASCRIPT: Final = """
const { CloudEvent, HTTP, emitterFor, httpTransport } = require('cloudevents');
const [url, token] = process.argv.slice(2);

async function send(message) {
  const headers = { ...message.headers, Authorization: `Bearer ${token}` };
  const body = typeof message.body === 'string' ? message.body : JSON.stringify(message.body);
  const answer = await fetch(url, { method: 'POST', headers, body });
  console.log(answer.status, (await answer.json()).status);
}

(async () => {
  const common = { source: '/javascript', time: '2026-11-28T18:00:00+01:00', subject: 'é' };
  await send(HTTP.binary(new CloudEvent({ ...common, type: 'com.example.javascript.plain', data: { a: 'é' } })));
  await send(HTTP.structured(new CloudEvent({ ...common, type: 'com.example.javascript.structured', data: { a: 'é' } })));
  const context = { specversion: '0.5.1', id: '7', source: '/argo', type: 'dev.cdevents.service.deployed.0.3.0', timestamp: '2026-11-28T17:00:00Z' };
  const content = { environment: { id: 'production' }, artifactId: 'pkg:oci/shop@sha256%3A0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427?tag=v2.3.1' };
  const data = { context, subject: { id: 'shop', source: '/argo', content } };
  await send(HTTP.structured(new CloudEvent({ ...common, id: '7', source: '/argo', type: context.type, subject: 'shop', data })));
  await send(HTTP.binary(new CloudEvent({ ...common, id: '7', source: '/argo', type: context.type, subject: 'shop', data })));
  const emit = emitterFor(httpTransport(url), { headers: { Authorization: `Bearer ${token}` } });
  await emit(new CloudEvent({ ...common, type: 'com.example.javascript.transport', subject: 'chunked', data: {} }), { headers: { Authorization: `Bearer ${token}` } });
})();
"""

EXPECTED: Final = {
    'com example python plain: é "q" 100% ☃ a/b': ("custom", "2026-11-28T17:00:00.000Z"),
    'com example python structured: é "q" 100% ☃ a/b': ("custom", "2026-11-28T17:00:00.000Z"),
    "Deploy shop v2.3.1": ("deployment", "2026-11-28T17:00:00.000Z"),
    "com example python nothing: /python": ("custom", None),
    "com example javascript plain: é": ("custom", "2026-11-28T17:00:00.000Z"),
    "com example javascript structured: é": ("custom", "2026-11-28T17:00:00.000Z"),
    "Deploy shop v2.3.1 to production": ("deployment", "2026-11-28T17:00:00.000Z"),
    "com example javascript transport: chunked": ("custom", "2026-11-28T17:00:00.000Z"),
}
"""Name of a marker -> its type and start; `None` if the SDK chose the time."""


def run(*command: str | Path, folder: Path) -> None:
    print(
        "$",
        *(Path(str(part)).name if index == 0 else part for index, part in enumerate(command[:2])),
        flush=True,
    )
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    print(done.stdout, end="")
    if done.returncode:
        sys.exit(f"it ended with {done.returncode}: {done.stderr[-2000:]}")


def send_all(folder: Path, url: str) -> None:
    venv.create(folder / "python", with_pip=True)
    python = folder / "python" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", PYTHON_SDK, folder=folder)
    (folder / "send.py").write_text(PYTHON)
    run(python, "send.py", url, TOKEN, folder=folder)
    (folder / "package.json").write_text(json.dumps({"private": True}))
    run("npm", "install", "--silent", JAVASCRIPT_SDK, folder=folder)
    (folder / "send.js").write_text(JAVASCRIPT)
    run("node", "send.js", url, TOKEN, folder=folder)


def shown(stack: Stack) -> dict[str, tuple[Any, Any]]:
    return {event["name"]: (event["type"], event["startedAt"]) for event in stack.events()}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cloudevents-") as name, running_stack(Path(name)) as stack:
        stack.environment["EVENTS_WEBHOOK_SECRET"] = TOKEN
        stack.receiver.start()
        stack.worker.start()
        send_all(Path(name), f"{stack.url}/webhooks/events")
        until(lambda: len(shown(stack)) >= len(EXPECTED), f"all markers; there are {shown(stack)}")
        found = shown(stack)
        for title, (kind, started_at) in EXPECTED.items():
            assert (
                found.pop(title)[: 2 if started_at else 1] == (kind, started_at)[: 2 if started_at else 1]
            ), title
            print("ok   ", kind, title)
        assert not found, found


if __name__ == "__main__":
    main()
