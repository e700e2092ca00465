"""What GitHub's deliveries mean where no fixture says it: junk, other events, options, odd values."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from receiver.events import Change, Delivery
from receiver.sources.github import GITHUB, TRANSLATORS
from receiver.sources.github.payload import Options
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.source import translate
from tests.support.source_fixtures import body_of

RECEIVED_AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FORM = "application/x-www-form-urlencoded"
SUCCESS: dict[str, Any] = json.loads(body_of("github", "deployment_status__production_success"))


def delivery(body: bytes, event: str = "deployment_status", **headers: str) -> Delivery:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return GITHUB.receive({"x-github-event": event, "x-github-delivery": "guid"} | named, body, RECEIVED_AT)


def status(path: str = "", value: object = None, **options: Any) -> Change:
    """The change that the sample success becomes with another value at this path."""
    payload = deepcopy(SUCCESS)
    if path:
        *parents, last = path.split(".")
        place = payload
        for parent in parents:
            place = place[parent]
        place[last] = value
    (change,) = translate(GITHUB, delivery(json.dumps(payload).encode()), Options(**options)).changes
    return change


def test_a_deploy_is_a_point_unless_it_is_to_be_a_span() -> None:
    assert status().effect == "point"
    assert status(deployments="point").effect == "point"
    assert status(deployments="span").effect == "close"


@pytest.mark.parametrize("event", ["deployment", "star", "check_run", "not_yet_invented", "Ping"])
@pytest.mark.parametrize("events", [None, ("*",)])
def test_every_other_event_is_ignored_whatever_its_body(event: str, events: tuple[str, ...] | None) -> None:
    for body in (b"", b"{}", b"\xff", b"[" * 100_000):
        with pytest.raises(Ignored, match=f"'{event}' is not one that becomes a marker"):
            translate(GITHUB, delivery(body, event), Options(events=events))


@pytest.mark.parametrize("event", sorted({row.event for row in GITHUB.features if row.is_optional}))
def test_an_event_that_has_to_be_asked_for_says_so_whatever_its_body(event: str) -> None:
    for body in (b"", b"{}", b"\xff", b"[" * 100_000):
        with pytest.raises(Ignored, match=f"'{event}' is off; name it in"):
            translate(GITHUB, delivery(body, event), Options())


@pytest.mark.parametrize("event", sorted({*TRANSLATORS} - {"ping"}))
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000])
def test_an_event_that_is_on_with_nothing_to_read_in_it_is_kept(event: str, body: bytes) -> None:
    with pytest.raises(Untranslatable):
        translate(GITHUB, delivery(body, event), Options(events=("*",)))


def test_the_table_and_the_default_list_name_events_that_are_read() -> None:
    assert set(GITHUB.default_events) <= set(TRANSLATORS)
    assert {row.event for row in GITHUB.features if row.type} == {*TRANSLATORS} - {"ping"}


def test_without_the_event_header_it_says_which_is_missing() -> None:
    no_event = GITHUB.receive({}, b"{}", RECEIVED_AT)
    with pytest.raises(Untranslatable, match="X-GitHub-Event"):
        translate(GITHUB, no_event, Options())


def test_a_configured_list_of_events_leaves_out_the_others() -> None:
    with pytest.raises(Ignored, match=r"is off; name it in \[github\] events"):
        status(events=("release", "issues"))
    with pytest.raises(Ignored, match="is off"):
        status(events=())
    assert status(events=("deploy*",)).effect == "point"


def test_a_ping_is_answered_well_even_without_a_hook_id() -> None:
    with pytest.raises(Ignored, match="ping of hook unknown: the receiver is set up correctly"):
        translate(GITHUB, delivery(b"{}", "ping"), Options())


def test_a_ping_does_not_say_the_secret_it_may_hold() -> None:
    body = b'{"hook_id": 1, "hook": {"config": {"secret": "hunter2hunter2"}}}'
    with pytest.raises(Ignored) as caught:
        translate(GITHUB, delivery(body, "ping"), Options())
    assert "hunter2" not in caught.value.reason


@pytest.mark.parametrize("word", ["SUCCESS", "Success", "succeeded", "completed"])
def test_only_githubs_own_words_are_states(word: str) -> None:
    with pytest.raises(Ignored, match=f"deployment state '{word}' is not known here"):
        status("deployment_status.state", word)


def test_a_state_that_github_may_add_later_is_ignored_with_its_name() -> None:
    with pytest.raises(Ignored, match="deployment state 'abandoned' is not known here"):
        status("deployment_status.state", "abandoned")


@pytest.mark.parametrize("path", ["deployment_status.state", "repository.full_name"])
@pytest.mark.parametrize("value", [None, 7, True, [], {}, "", "\x00\x1b"])
def test_what_is_indispensable_is_named_when_it_is_missing(path: str, value: object) -> None:
    with pytest.raises(Untranslatable, match=f"^{path} is missing from the payload$"):
        status(path, value)


@pytest.mark.parametrize("value", [None, {}, [], True, 4242.0, ""])
def test_a_deployment_whose_id_is_unreadable_takes_it_from_the_status_url(value: object) -> None:
    assert status("deployment.id", value).key == "github:deployment:4242"


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        7,
        "https://api.github.com/repos/acme/shop",
        "https://api.github.com/deployments/",
        "/deployments/x",
    ],
)
def test_a_url_that_names_no_deployment_does_not_become_an_id(url: object) -> None:
    payload = deepcopy(SUCCESS)
    del payload["deployment"]["id"]
    payload["deployment_status"]["deployment_url"] = url
    with pytest.raises(Untranslatable, match=r"deployment\.id is missing"):
        translate(GITHUB, delivery(json.dumps(payload).encode()), Options())


def test_without_any_time_in_the_payload_the_time_it_came_counts() -> None:
    payload = deepcopy(SUCCESS)
    payload["deployment_status"] |= {"created_at": "yesterday", "updated_at": None}
    (change,) = translate(GITHUB, delivery(json.dumps(payload).encode()), Options()).changes
    assert change.occurred_at == change.event.started_at == RECEIVED_AT


def test_two_deployments_of_a_repository_with_an_endless_name_stay_two() -> None:
    first, second = deepcopy(SUCCESS), deepcopy(SUCCESS)
    first["repository"]["full_name"] = second["repository"]["full_name"] = "acme/" + "shop" * 200
    second["deployment"]["id"] = 4243
    (one,) = translate(GITHUB, delivery(json.dumps(first).encode()), Options()).changes
    (two,) = translate(GITHUB, delivery(json.dumps(second).encode()), Options()).changes
    assert one.key != two.key


def test_the_key_in_the_metadata_is_the_markers_key_however_long() -> None:
    change = status("repository.full_name", "acme/" + "shop" * 200)
    assert change.event.metadata["marker_key"] == change.key


def test_a_url_that_is_too_long_to_keep_whole_is_left_out() -> None:
    change = status("deployment_status.log_url", "https://logs.example.test/?" + "q" * 1000)
    assert change.event.metadata["url"] == "https://github.com/acme/shop/actions/runs/77/job/5"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b"NaN",
        b"\xff\xfe\x00",
        b'{"a": \xed\xa0\x80}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
    ],
)
def test_an_unreadable_body_is_untranslatable(body: bytes) -> None:
    with pytest.raises(Untranslatable):
        translate(GITHUB, delivery(body), Options())


def test_a_byte_order_mark_does_no_harm() -> None:
    body = b"\xef\xbb\xbf" + json.dumps(SUCCESS).encode()
    assert translate(GITHUB, delivery(body), Options()).changes


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"payload=",
        b"payload",
        b"other=%7B%7D",
        b"payload=%FF%FE",
        b"payload=%7B",
        b"\xff",
        b"payload=[]",
        "payload=é".encode(),
        b"&" * 1000 + b"payload=%7B%7D",
    ],
)
def test_a_form_without_a_readable_payload_is_untranslatable(body: bytes) -> None:
    with pytest.raises(Untranslatable):
        translate(GITHUB, delivery(body, content_type=FORM), Options())


@pytest.mark.parametrize("content_type", [FORM, FORM.upper(), f"{FORM}; charset=utf-8"])
def test_a_form_is_known_by_its_content_type(content_type: str) -> None:
    with pytest.raises(Ignored, match="ping of hook 7"):
        translate(
            GITHUB, delivery(b"payload=%7B%22hook_id%22%3A7%7D", "ping", content_type=content_type), Options()
        )


def test_the_same_delivery_sent_again_has_the_same_id() -> None:
    assert delivery(b"{}").id == "guid"


@pytest.mark.parametrize("given", [None, "", "x" * 201, "é", "a\nb", "\x1b[2J"])
def test_without_a_sane_delivery_id_the_body_identifies_it(given: str | None) -> None:
    headers = {} if given is None else {"x-github-delivery": given}
    first, again, other = (GITHUB.receive(headers, body, RECEIVED_AT).id for body in (b"1", b"1", b"2"))
    assert first == again != other
    assert first.startswith("sha256-")
