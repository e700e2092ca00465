"""What one signed GitHub delivery passes, and what it costs, from the request into the queue."""

import json
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import pytest
from werkzeug.test import Client

from apitraffic_events.text import CleanLine
from receiver.config.settings import Settings
from receiver.datastore.address import connect
from receiver.queue.queues import delivery_queue
from receiver.sources.github import FORM
from receiver.sources.signing import SENDERS
from receiver.web.admission import Head
from receiver.web.app import create_app
from tests.support.github import SECRET, deployment_status, signed

WAY_IN: Final = ("serving", "web", "translation", "sources", "routing", "reception", "queue")
"""As docs/architecture.md has it; the test itself is `serving`. `translation` only calls the two after it."""
SECRETS: Final = {sender.secret_name: SECRET for sender in SENDERS.values()}
SAMPLES: Final = Path(__file__).parents[3] / "receiver/local/samples"
PARSES: Final = ("JSONDecoder.decode", "from_json", "SchemaValidator.validate_json")
WRITES: Final = ("JSONEncoder.encode", "to_json", "SchemaSerializer.to_json")
CONVERSIONS: Final = ("BaseModel.model_dump", "SchemaSerializer.to_python")


class Sent(NamedTuple):
    """One signed request."""

    source: str
    body: bytes
    headers: dict[str, str]

    def post(self, client: Client) -> None:
        answer = client.post(f"/webhooks/{self.source}", data=self.body, headers=self.headers)
        assert (answer.status_code, answer.get_json()["changes"]) == (202, 1)

    def go_directly(self, client: Client) -> None:
        """What `DirectWorker` calls, up to the script that it has run."""
        parts = client.application.extensions  # type: ignore[attr-defined]  # a Flask application
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = parts["admission"].admit(Head("POST", f"/webhooks/{self.source}", headers, "127.0.0.1"))
        body.add(self.body)
        body.finish()
        reading = parts["acceptance"].read(body, perf_counter())
        call = parts["delivery_store"].call_to_store(reading.meaning.changes)
        sys.setprofile(None)
        assert call.script.run(parts["redis"], call.keys, call.arguments) == 1


def deployment() -> Sent:
    body = deployment_status(uuid.uuid4().int % 10**9)
    return Sent("github", body, signed(body))


def deployment_in_a_form() -> Sent:
    body = urlencode({"payload": deployment_status(uuid.uuid4().int % 10**9)}).encode()
    return Sent("github", body, signed(body) | {"Content-Type": FORM})


def dispatch() -> Sent:
    payload = {"name": "Cache on", "type": "config_change", "metadata": {"ttl": 60, "note": "a  note"}}
    repository = {"full_name": "acme/checkout", "html_url": "https://github.com/acme/checkout"}
    dispatched = {"action": "cache", "repository": repository, "client_payload": payload}
    body = json.dumps(dispatched).encode()
    return Sent("github", body, signed(body, event="repository_dispatch"))


def sample(source: str, name: str, event: str = "") -> Sent:
    body = SAMPLES.joinpath(source, name).read_bytes()
    return Sent(source, body, SENDERS[source].headers(SECRET, event, body, str(uuid.uuid4())))


DELIVERIES: Final[dict[str, Callable[[], Sent]]] = {
    "github": deployment,
    "github in a form": deployment_in_a_form,
    "github dispatch": dispatch,
    "gitlab": lambda: sample("gitlab", "deployment__production_success.json", "Deployment Hook"),
    "jenkins": lambda: sample("jenkins", "completed__production_success.json"),
    "pagerduty": lambda: sample("pagerduty", "incident.triggered__payment_errors.json"),
    "gitea": lambda: sample("gitea", "release__search.json", "release"),
    "alertmanager": lambda: sample("alertmanager", "resolved__high_latency.json"),
    "events": lambda: sample("events", "event__feature_flag.json"),
}


@pytest.fixture
def client(redis_url: str) -> Client:
    """The receiver, with its first delivery behind it."""
    route = {"match": {"environment": "production"}, "buckets": ["Checkout"], "name": "{repository} is out"}
    settings = {"redis_url": redis_url, "spool": None, "webhook_secrets": SECRETS, "route": [route]}
    client = Client(create_app(Settings.model_validate(settings)))
    deployment().post(client)
    return client


Seen = Callable[[str, FrameType], None]


@contextmanager
def every_call(see: Seen) -> Iterator[None]:
    """Until the delivery is stored, `see` gets the name and frame of each call on this thread.

    For a function in C it is the caller's frame.
    """

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            see(frame.f_code.co_qualname, frame)
        elif event == "c_call":
            see(argument.__qualname__, frame)
        elif event == "return" and frame.f_code.co_qualname == "Ingestor.ingest":
            sys.setprofile(None)

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)


def package_of(frame: FrameType | None) -> str | None:
    """The part of the receiver that a function belongs to; `None` for all that is not on the way in."""
    if frame is None or frame.f_code.co_filename.startswith("<"):  # dataclasses' own methods
        return None
    first, _, rest = str(frame.f_globals.get("__name__")).partition(".")
    package = rest.partition(".")[0]
    return package if first == "receiver" and package in WAY_IN else None


@pytest.mark.parametrize("way", [Sent.post, Sent.go_directly], ids=["application", "direct"])
def test_a_delivery_passes_each_package_once_and_never_goes_back_up(
    client: Client, way: Callable[[Sent, Client], None]
) -> None:
    steps: list[tuple[str, str]] = []

    def see(name: str, frame: FrameType) -> None:
        entered = package_of(frame) if name == frame.f_code.co_qualname else None
        caller = frame.f_back
        while caller is not None and package_of(caller) is None:
            caller = caller.f_back
        left = package_of(caller) or "serving"
        if entered and entered != left:
            steps.append((left, entered))

    sent = deployment()
    with every_call(see):
        way(sent, client)
    assert all(WAY_IN.index(left) < WAY_IN.index(entered) for left, entered in steps)
    below_web = [entered for _, entered in steps if entered not in {"web", "translation"}]
    assert [package for package, _ in groupby(below_web)] == ["sources", "routing", "reception", "queue"]


@pytest.mark.parametrize("way", [Sent.post, Sent.go_directly], ids=["application", "direct"])
@pytest.mark.parametrize("make", DELIVERIES.values(), ids=DELIVERIES)
def test_json_is_parsed_once_and_written_once(
    client: Client, make: Callable[[], Sent], way: Callable[[Sent, Client], None]
) -> None:
    calls: Counter[str] = Counter()
    sent = make()
    with every_call(lambda name, _frame: calls.update([name])):
        way(sent, client)
    assert calls["Acceptance.read"] == calls["Enqueuer.call_for"] == 1
    assert [calls[name] for name in PARSES if calls[name]] == [1]
    assert [calls[name] for name in WRITES if calls[name]] == [1]
    assert [name for name in CONVERSIONS if calls[name]] == []


def texts_in(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts_in(item)]
    return [value] if isinstance(value, str) else []


def test_each_text_of_a_delivery_is_made_safe_once(client: Client, redis_url: str) -> None:
    cleaned: list[str] = []

    def see(name: str, frame: FrameType) -> None:
        if name in {"one_line", "paragraphs"}:
            cleaned.append(frame.f_locals["text"])

    sent = deployment()
    with every_call(see):
        sent.post(client)
    with connect(redis_url) as redis:
        jobs = delivery_queue(redis).jobs
        event = jobs[-1].args[0]["event"]
    assert len(cleaned) <= len(texts_in(event))
    assert not any(isinstance(text, CleanLine) for text in cleaned)
