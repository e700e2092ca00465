"""Deliveries as GitHub makes them."""

import copy
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

import requests
from pydantic import create_model

from receiver.events import Delivery
from receiver.sources.github import FORM, GITHUB, JSON
from receiver.sources.github.payload import Options
from receiver.sources.not_translated import NotTranslated
from receiver.sources.signing import github_request
from receiver.sources.source import Source, translate
from tests.support import source_fixtures
from tests.support.source_fixtures import FIXTURES, body_of

DELIVERY_ID: Final = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
RECEIVED_AT: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET: Final = "a-secret-of-the-tests"
SAMPLE: Final = (
    Path(__file__).parents[2] / "receiver/local/samples/github/deployment_status__production_success.json"
)


def deployment_status(deployment_id: int, state: str = "success", **changes: Any) -> bytes:
    """A deployment status of this deployment; `changes` go over the status itself."""
    payload = copy.deepcopy(json.loads(SAMPLE.read_bytes()))
    payload["deployment"]["id"] = payload["workflow_run"]["id"] = deployment_id
    payload["deployment_status"] |= {"state": state, **changes}
    return json.dumps(payload).encode()


def signed(
    body: bytes, *, event: str = "deployment_status", delivery: str | None = None, secret: str = SECRET
) -> dict[str, str]:
    return github_request(secret, event, body, delivery or str(uuid.uuid4()))


def post(url: str, body: bytes, headers: dict[str, str] | None = None, **signing: Any) -> requests.Response:
    """Post a delivery to the receiver at this base URL, signed unless headers are given."""
    headers = signed(body, **signing) if headers is None else headers
    return requests.post(f"{url}/webhooks/github", data=body, headers=headers, timeout=30)


def event_of(case: str) -> str:
    return case.partition("__")[0]


def received(body: bytes, event: str, *, as_form: bool = False) -> Delivery:
    """A delivery as it comes in; its id and time are those that the fixtures' expectations have."""
    headers = {
        "content-type": FORM if as_form else JSON,
        "x-github-event": event,
        "x-github-delivery": DELIVERY_ID,
    }
    return GITHUB.receive(headers, b"payload=" + quote_plus(body).encode() if as_form else body, RECEIVED_AT)


def configured(**options: Any) -> Source[Options]:
    """GitHub with these settings in [github] of apitraffic.toml."""
    if not options:
        return GITHUB  # making a model takes longer than most of the tests that ask for one
    fields: dict[str, Any] = {
        name: (Options.model_fields[name].annotation, tuple(value) if isinstance(value, list) else value)
        for name, value in options.items()
    }
    return replace(GITHUB, options=create_model("Configured", __base__=Options, **fields))


def source_of(case: str) -> Source[Options]:
    """GitHub as the fixture wants it configured: its expectation may have `options`."""
    written = json.loads((FIXTURES / "github" / f"{case}.expected.json").read_bytes())
    return configured(**written.get("options", {}))


IDENTITY: Final = ("claims", "former_keys", "sequence", "lasted", "is_authoritative")
"""What else a fixture says of a change, where it is not as usual."""


def outcome(case: str, mode: str, *, as_form: bool = False) -> Any:
    """All that a fixture's delivery becomes; where a change knows only some fields, which these are."""
    source, delivery = source_of(case), received(body_of("github", case), event_of(case), as_form=as_form)
    found = source_fixtures.outcome(source, delivery, mode)
    if isinstance(found, list):
        options = source.options.model_validate({"deployments": mode})
        for shown, change in zip(found, translate(source, delivery, options).changes, strict=True):
            if change.sets is not None:
                shown["sets"] = list(change.sets)
            if change.remark:
                shown["remark"] = change.remark
            written = change.model_dump(mode="json", exclude_defaults=True)
            shown |= {name: written[name] for name in IDENTITY if name in written}
    return found


def reason(body: bytes, event: str, **options: Any) -> NotTranslated | None:
    """Why a delivery becomes nothing; `None` where it becomes something."""
    source = configured(**options)
    try:
        translate(source, received(body, event), source.options(deployments="span"))
    except NotTranslated as error:
        return error
    return None
