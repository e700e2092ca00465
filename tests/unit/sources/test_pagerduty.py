"""What PagerDuty's deliveries mean where no fixture says it: junk, other versions, options, odd values."""

import json
from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from receiver.events import Change, Delivery
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.pagerduty import PAGERDUTY, Options
from receiver.sources.request import MIB
from receiver.sources.source import translate
from tests.support.pagerduty import RECEIVED_AT, change_of_case, received
from tests.support.source_fixtures import body_of

TRIGGERED: dict[str, Any] = json.loads(body_of("pagerduty", "incident.triggered__by_hand"))
NOTE: dict[str, Any] = json.loads(body_of("pagerduty", "incident.annotated__by_ada"))


def body(path: str = "", value: object = None, sample: dict[str, Any] = TRIGGERED) -> bytes:
    """A sample with another value at this path."""
    payload = deepcopy(sample)
    if path:
        *parents, last = path.split(".")
        place = payload
        for parent in parents:
            place = place[parent]
        place[last] = value
    return json.dumps(payload).encode()


def change(path: str = "", value: object = None, sample: dict[str, Any] = TRIGGERED) -> Change:
    (found,) = translate(PAGERDUTY, received(body(path, value, sample)), Options()).changes
    return found


def why_not(sent: bytes, **options: Any) -> str:
    with pytest.raises((Ignored, Untranslatable)) as caught:
        translate(PAGERDUTY, received(sent), Options(**options))
    return caught.value.reason


class TestDelivery:
    def received(self, sent: bytes, **headers: str) -> Delivery:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return PAGERDUTY.receive(named, sent, RECEIVED_AT)

    def test_its_id_is_the_webhooks_else_the_events_else_a_digest(self) -> None:
        event_id = TRIGGERED["event"]["id"]
        assert self.received(body(), x_webhook_id="the-webhook").id == "the-webhook"
        assert self.received(body()).id == event_id
        assert self.received(body("event.id", None)).id.startswith("sha256-")
        assert self.received(b"junk").id.startswith("sha256-")

    @pytest.mark.parametrize("given", ["x" * 201, "ünïcödé", "a\x00b"])
    def test_an_insane_id_is_replaced_by_a_digest(self, given: str) -> None:
        assert self.received(body(), x_webhook_id=given).id.startswith("sha256-")

    @pytest.mark.parametrize(
        "sent", [b"", b"junk", b"\xff", b"[]", b"null", b"{}", b'{"event":[]}', b"[" * MIB]
    )
    def test_an_unreadable_body_has_no_event(self, sent: bytes) -> None:
        assert self.received(sent).event == ""

    def test_its_limit_is_four_times_what_pagerduty_sends_at_most(self) -> None:
        assert PAGERDUTY.body_limit == 4 * 256 * 1024


class TestNotOfVersion3:
    @pytest.mark.parametrize("sent", [b'{"messages":[]}', b'{"messages":[{"event":"incident.resolve"}]}'])
    def test_version_2_is_told_what_to_do(self, sent: bytes) -> None:
        assert "add a V3 one" in why_not(sent)

    @pytest.mark.parametrize(
        "sent", [b"{}", b'{"event":{}}', b'{"event":null}', b'{"messages":{}}', b'{"event":{},"messages":[]}']
    )
    def test_what_is_of_neither_version_is_kept(self, sent: bytes) -> None:
        with pytest.raises(Untranslatable, match=r"^event\.event_type is missing from the payload$"):
            translate(PAGERDUTY, received(sent), Options())

    @pytest.mark.parametrize("sent", [b"", b"junk", b"\xff\xfe", b"[" * 100_000, b"1" * 10_000])
    def test_what_is_not_json_is_kept(self, sent: bytes) -> None:
        with pytest.raises(Untranslatable, match="not JSON that can be read"):
            translate(PAGERDUTY, received(sent), Options())

    def test_what_is_not_an_object_is_kept(self) -> None:
        with pytest.raises(Untranslatable, match="not an object"):
            translate(PAGERDUTY, received(b"[]"), Options())


class TestIndispensable:
    @pytest.mark.parametrize("value", [None, {}, [], True, 4242.0, "", "\x00\x1b"])
    def test_an_incident_without_an_id_is_kept(self, value: object) -> None:
        with pytest.raises(Untranslatable, match=r"^event\.data\.id is missing from the payload$"):
            change("event.data.id", value)

    @pytest.mark.parametrize("value", [None, {}, [], True, "", "\x00\x1b"])
    def test_a_note_without_its_incidents_id_is_kept(self, value: object) -> None:
        with pytest.raises(Untranslatable, match=r"^event\.data\.incident\.id is missing from the payload$"):
            change("event.data.incident.id", value, NOTE)

    @pytest.mark.parametrize("value", [None, [], "text", 7])
    def test_an_incident_without_data_is_kept(self, value: object) -> None:
        with pytest.raises(Untranslatable, match=r"^event\.data\.id is missing"):
            change("event.data", value)

    def test_another_shape_of_data_is_kept_with_its_name(self) -> None:
        with pytest.raises(Untranslatable, match=r"event\.data\.type is 'incident_note'"):
            change("event.data", NOTE["event"]["data"])

    def test_an_incident_need_not_say_that_it_is_one(self) -> None:
        assert change("event.data.type", None).event == change().event

    @pytest.mark.parametrize("path", ["agent", "client", "id", "resource_type", "occurred_at"])
    @pytest.mark.parametrize("value", [None, [], {}, 7, True, "x"])
    def test_the_rest_of_the_envelope_is_optional(self, path: str, value: object) -> None:
        assert change(f"event.{path}", value).key == "pagerduty:Q1EXAMPLE00001"

    @pytest.mark.parametrize(
        "path",
        ["title", "number", "service", "assignees", "teams", "priority", "urgency", "escalation_policy"],
    )
    @pytest.mark.parametrize("value", [None, [], {}, [None], True, [{"summary": 7}]])
    def test_the_rest_of_an_incident_is_optional(self, path: str, value: object) -> None:
        assert change(f"event.data.{path}", value).key == "pagerduty:Q1EXAMPLE00001"


class TestName:
    def test_without_a_title_it_is_known_by_its_id(self) -> None:
        assert change("event.data.title", None).event.name == "#1842 Incident Q1EXAMPLE00001 (P1)"

    def test_without_a_number_it_has_only_its_title(self) -> None:
        assert change("event.data.number", None).event.name == "Checkout latency above 2 s (P1)"

    def test_the_number_may_be_text(self) -> None:
        assert change("event.data.number", "1842").event.name == "#1842 Checkout latency above 2 s (P1)"

    @pytest.mark.parametrize("priority", ["Sev " * 200, "P" * 1_000])
    def test_no_priority_crowds_out_the_title(self, priority: str) -> None:
        name = change("event.data.priority.summary", priority).event.name
        assert name.startswith("#1842 Checkout latency above 2 s (")
        assert name.endswith("…)")

    @pytest.mark.parametrize("length", range(150, 220, 7))
    def test_a_long_title_leaves_number_and_priority(self, length: int) -> None:
        name = change("event.data.title", "x" * length).event.name
        assert len(name) <= 200
        assert name.startswith("#1842 xxx")
        assert name.endswith(" (P1)")

    def test_a_resolved_incident_is_called_as_before(self) -> None:
        assert (
            change_of_case("incident.triggered__by_hand").event.name
            == change_of_case("incident.resolved__by_ada").event.name
            == change_of_case("incident.resolved__merged").event.name
        )


class TestOptions:
    HIGH = body("event.data.urgency", "high")
    LOW = body("event.data.urgency", "low")

    def test_an_urgency_that_is_left_out_makes_no_marker(self) -> None:
        reason = why_not(self.LOW, urgencies=("high",))
        assert reason == "its urgency is low; [pagerduty] urgencies in apitraffic.toml leaves it out"
        assert "its urgency is high" in why_not(self.HIGH, urgencies=("low",))

    @pytest.mark.parametrize("urgency", [None, "severe", 7])
    def test_an_urgency_that_is_not_known_is_let_in(self, urgency: object) -> None:
        sent = received(body("event.data.urgency", urgency))
        assert translate(PAGERDUTY, sent, Options(urgencies=("high",))).changes

    def test_a_service_that_is_left_out_makes_no_marker(self) -> None:
        reason = why_not(body(), services=("payments", "search*"))
        assert reason == "its service is checkout; [pagerduty] services in apitraffic.toml leaves it out"

    @pytest.mark.parametrize("pattern", ["checkout", "check*", "PSVC001", "*"])
    def test_a_service_is_named_by_a_pattern_of_its_name_or_by_its_id(self, pattern: str) -> None:
        assert translate(PAGERDUTY, received(body()), Options(services=("other", pattern))).changes

    def test_an_incident_without_a_service_is_let_in(self) -> None:
        sent = received(body("event.data.service", None))
        assert translate(PAGERDUTY, sent, Options(services=("payments",))).changes

    @pytest.mark.parametrize("options", [{"urgencies": ("high",)}, {"services": ("payments",)}])
    def test_notes_are_let_in_and_wait(self, options: dict[str, Any]) -> None:
        (found,) = translate(PAGERDUTY, received(body(sample=NOTE)), Options(**options)).changes
        assert found.sets == ("metadata",)

    @pytest.mark.parametrize("case", ["by_ada", "merged"])
    def test_what_is_left_out_still_ends_but_is_not_made(self, case: str) -> None:
        left_out = change_of_case(f"incident.resolved__{case}", services=("payments",))
        let_in = change_of_case(f"incident.resolved__{case}")
        assert left_out.effect == "update"
        assert left_out.sets == ("name", "description", "metadata", "ended_at")
        assert left_out.event == let_in.event

    @pytest.mark.parametrize(
        "options",
        [
            {"urgencies": []},
            {"urgencies": ["urgent"]},
            {"services": []},
            {"service": ["a"]},
            {"urgencies": "high"},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Options.model_validate(options)

    def test_a_configured_list_of_events_leaves_out_the_others(self) -> None:
        reason = why_not(body(), events=("incident.res*",))
        assert reason == (
            "PagerDuty event 'incident.triggered' is off; name it in [pagerduty] events in apitraffic.toml"
        )


class TestRemarks:
    def remark(self, content: object, **fields: Any) -> str | None:
        sample = deepcopy(NOTE)
        sample["event"]["data"] |= fields
        return change("event.data.content", content, sample).remark

    @pytest.mark.parametrize("prefix", ["Resolution Note: ", "resolution note:", "  Resolution Note:\n\n"])
    def test_the_words_before_a_resolution_note_are_replaced(self, prefix: str) -> None:
        assert self.remark(f"{prefix}rolled back") == "Resolution by Ada Example: rolled back"

    def test_they_are_left_where_somebody_wrote_them_later_on(self) -> None:
        assert self.remark("See the Resolution Note: rolled back") == (
            "Ada Example: See the Resolution Note: rolled back"
        )

    def test_it_is_bounded(self) -> None:
        remark = self.remark("x" * 100_000)
        assert remark is not None
        assert len(remark) <= 300

    def test_what_was_trimmed_ends_in_one_ellipsis(self) -> None:
        assert self.remark("and so…", trimmed=True) == "Ada Example: and so…"
        assert self.remark("x" * 600, trimmed=True) == f"Ada Example: {'x' * 286}…"

    @pytest.mark.parametrize("content", [None, 7, [], "", " ", "\u200b", "Resolution Note:"])
    def test_one_without_text_is_ignored(self, content: object) -> None:
        with pytest.raises(Ignored, match="has no text"):
            self.remark(content)
