"""The model: what is mended, what is refused, and what the Events API is sent."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apitraffic_events import event as module
from apitraffic_events.event import (
    ALREADY_CLEAN,
    METADATA_DEPTH,
    METADATA_KEYS,
    METADATA_SIZE,
    Event,
    EventType,
    within_limits,
)
from apitraffic_events.text import DESCRIPTION_LIMIT, NAME_LIMIT, CleanLine, one_line
from receiver.events import KEY_LIMIT, Change, Delivery, marker_key
from tests.support.changes import KEY, TEN, change, event
from tests.support.properties import any_text, json_values, long_text, reproducible


class TestOneLine:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("plain", "plain"),
            ("  a\t b\r\n c ", "a b c"),
            ("a\x00b\x1b[31mc\x7fd\x9be", "a b [31mc d e"),
            ("user\u202etxt.exe", "user txt.exe"),
            ("a\u2028b\u2029c\u0085d", "a b c d"),
            ("a\ud800b\udfffc", "a b c"),
            ("\ufeffa\u200bb\u200ec\u200fd\u061ce\u2060f", "a b c d e f"),
            ("\u2066a\u2067b\u2068c\u2069", "a b c"),
            ("família 👩‍👩‍👧 日本語 العربية नमस्ते", "família 👩‍👩‍👧 日本語 العربية नमस्ते"),
            ("", ""),
            (" \n\x00", ""),
        ],
    )
    def test_what_could_not_be_seen_or_would_move_the_rest_becomes_a_space(
        self, text: str, line: str
    ) -> None:
        assert one_line(text, 200) == line

    @pytest.mark.parametrize(
        ("text", "cut"),
        [
            ("twelve chars", "twelve chars"),
            ("thirteen char", "thirteen…"),
            ("one two three four", "one two…"),
            ("one two thre four", "one two…"),
            ("one two thr four", "one two thr…"),
            ("abcdefghijklmnop", "abcdefghijk…"),
            ("a bcdefghijklmnop", "a bcdefghij…"),
            ("eight or, more", "eight or…"),
            ("eight ors - more", "eight ors…"),
        ],
    )
    def test_too_long_is_cut_at_a_word_where_that_leaves_half_of_it(self, text: str, cut: str) -> None:
        assert one_line(text, 12) == cut

    @reproducible
    @given(st.one_of(any_text, long_text), st.integers(1, 300))
    def test_it_is_never_longer_and_twice_is_as_once(self, text: str, limit: int) -> None:
        line = one_line(text, limit)
        assert len(line) <= limit
        assert one_line(line, limit) == line
        assert line == line.strip()
        assert "\n" not in line
        line.encode("utf-8")

    def test_what_is_clean_is_marked_and_what_is_made_of_it_is_not(self) -> None:
        assert type(one_line("a", 9)) is type(one_line("a\n", 9)) is type(one_line("ab " * 9, 9)) is CleanLine
        assert type(one_line("ab", 9)[1:]) is type(f"{one_line('ab', 9)}") is str

    def test_a_clean_line_is_still_cut_where_less_is_allowed(self) -> None:
        clean = one_line("shop " * 100, 500)
        made = event(name=clean, metadata={clean: one_line("x" * 5000, 5000)})
        assert len(made.name) <= NAME_LIMIT
        assert made.metadata == {clean: "x" * 999 + "…"}
        assert type(made.name) is str


class TestName:
    @pytest.mark.parametrize(
        "name", ["", "  ", "\n", "\x00\x1b", "\u200b\u200f", "\ud800", None, 7, [], {}, True]
    )
    def test_an_event_without_a_name_to_show_is_refused(self, name: object) -> None:
        with pytest.raises(ValidationError):
            Event.model_validate({"type": "custom", "name": name})

    def test_a_long_one_is_cut_at_a_word(self) -> None:
        name = event(name="Deploy " + "shop " * 100).name
        assert len(name) <= NAME_LIMIT
        assert name.endswith("shop…")


class TestDescription:
    def test_lines_stay_and_are_tidied(self) -> None:
        assert (
            event(description=" one \r\n\r\ntwo\x1b[1m\u202e \u2028three ").description
            == "one\n\ntwo [1m\nthree"
        )

    def test_a_long_one_is_cut(self) -> None:
        description = event(description="x" * 10_000).description
        assert description == "x" * (DESCRIPTION_LIMIT - 1) + "…"

    @reproducible
    @given(st.one_of(any_text, long_text))
    def test_any_text_becomes_one_that_can_be_sent_and_twice_is_as_once(self, text: str) -> None:
        description = event(description=text).description
        assert description is not None
        assert len(description) <= DESCRIPTION_LIMIT
        description.encode("utf-8")
        assert all(one_line(line, DESCRIPTION_LIMIT) == line for line in description.split("\n"))
        assert event(description=description).description == description


class TestKey:
    def test_a_key_is_on_one_line(self) -> None:
        assert marker_key("github:\nacme\x00/shop ") == "github: acme /shop"

    def test_keys_that_differ_only_at_their_end_stay_two_however_long(self) -> None:
        one, two = (marker_key("jenkins:" + "folder/" * 100 + number) for number in "12")
        assert one != two
        assert len(one) == len(two) == KEY_LIMIT
        assert one.startswith("jenkins:folder/")

    @reproducible
    @given(st.one_of(any_text, long_text))
    def test_a_key_fits_and_twice_is_as_once(self, text: str) -> None:
        key = marker_key(text)
        assert len(key) <= KEY_LIMIT
        assert marker_key(key) == key

    @pytest.mark.parametrize("key", ["", " ", "\x00", None, 7])
    def test_a_change_without_a_key_is_refused(self, key: object) -> None:
        with pytest.raises(ValidationError):
            Change.model_validate(change("point").model_dump() | {"key": key})


class TestMetadata:
    def test_what_is_empty_is_left_out_and_false_and_zero_are_not_empty(self) -> None:
        given_: dict[str, Any] = {
            "a": "",
            "b": None,
            "c": [],
            "d": {},
            "e": " \n",
            "f": False,
            "g": 0,
            "h": 0.0,
            "i": "x",
        }
        kept = event(metadata=given_).metadata
        assert kept == {"f": False, "g": 0, "h": 0.0, "i": "x"}

    def test_keys_and_values_are_made_safe_at_every_depth(self) -> None:
        metadata = event(metadata={"a\nb\x1b": {"c\u202e": ["d\x00e", "\ud800f"]}, "\udc00g": "h"}).metadata
        assert metadata == {"a b": {"c": ["d e", "f"]}, "g": "h"}

    def test_long_values_are_cut(self) -> None:
        assert event(metadata={"log": "x" * 5000}).metadata["log"] == "x" * 999 + "…"

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    def test_numbers_that_json_does_not_know_are_left_out(self, number: float) -> None:
        assert event(metadata={"a": number, "b": [1.5, number]}).metadata == {"b": [1.5, None]}

    def test_the_number_of_keys_is_limited(self) -> None:
        assert (
            len(event(metadata={f"k{number}": 1 for number in range(METADATA_KEYS)}).metadata)
            == METADATA_KEYS
        )
        with pytest.raises(ValidationError, match=f"has {METADATA_KEYS + 1} keys"):
            event(metadata={f"k{number}": 1 for number in range(METADATA_KEYS + 1)})

    def test_empty_values_do_not_count_as_keys(self) -> None:
        assert event(metadata={f"k{number}": "" for number in range(METADATA_KEYS * 2)}).metadata == {}

    def test_the_size_is_limited(self) -> None:
        with pytest.raises(ValidationError, match="characters long as JSON"):
            event(metadata={f"k{number}": "x" * 999 for number in range(METADATA_SIZE // 1000 + 1)})

    def test_the_depth_is_limited(self) -> None:
        value: Any = "leaf"
        for _ in range(METADATA_DEPTH - 1):
            value = {"in": value}
        assert event(metadata={"in": value}).metadata == {"in": value}
        with pytest.raises(ValidationError, match="nested deeper than"):
            event(metadata={"in": {"in": value}})

    def test_a_bottomless_one_is_refused_and_does_not_overflow(self) -> None:
        value: Any = []
        for _ in range(100_000):
            value = [value]
        with pytest.raises(ValidationError, match="nested deeper than"):
            event(metadata={"in": value})

    @pytest.mark.parametrize("metadata", [None, [], "text", 7, {"when": object()}, {7: "x"}])
    def test_what_json_objects_cannot_be_is_refused(self, metadata: object) -> None:
        with pytest.raises(ValidationError):
            event(metadata=metadata)

    @reproducible
    @given(st.dictionaries(any_text, json_values, max_size=5))
    def test_any_json_object_is_kept_within_limits_or_refused(self, metadata: dict[str, Any]) -> None:
        try:
            kept = event(metadata=metadata).metadata
        except ValidationError:
            return
        written = json.dumps(kept, allow_nan=False, ensure_ascii=False)
        assert len(written) <= METADATA_SIZE
        assert written.encode("utf-8")
        assert event(metadata=kept).metadata == kept

    @reproducible
    @given(st.dictionaries(any_text, json_values, min_size=1, max_size=5))
    def test_the_size_is_that_of_the_json_that_would_be_written(self, metadata: dict[str, Any]) -> None:
        try:
            kept = event(metadata=metadata).metadata
        except ValidationError:
            return
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "METADATA_SIZE", 0)
            with pytest.raises(ValueError, match="as JSON") as refused:
                within_limits(kept)
        assert str(refused.value).split()[1] == str(len(json.dumps(kept, ensure_ascii=False)))


class TestTimes:
    def test_an_end_before_the_start_is_clamped_to_it(self) -> None:
        clamped = event(started_at=TEN, ended_at=TEN - timedelta(seconds=1))
        assert clamped.started_at == clamped.ended_at == TEN

    def test_both_ways_to_write_a_field_are_read(self) -> None:
        assert event(startedAt="2026-01-10T10:00:00Z") == event(started_at=TEN)

    @pytest.mark.parametrize("value", ["soon", "", True, [], {}, "2026-02-30"])
    def test_what_is_no_time_is_refused_with_an_example(self, value: object) -> None:
        with pytest.raises(ValidationError, match="write it as ISO 8601, for example"):
            event(started_at=value)

    def test_a_change_must_say_when(self) -> None:
        fields = change("point").model_dump() | {"occurred_at": None}
        with pytest.raises(ValidationError, match="occurred_at"):
            Change.model_validate(fields)


class TestEvent:
    @pytest.mark.parametrize("kind", ["deployment", "incident", "config_change", "scale", "custom"])
    def test_the_types_are_those_of_the_api(self, kind: str) -> None:
        assert Event.model_validate({"type": kind, "name": "x"}).type == EventType(kind)

    @pytest.mark.parametrize("kind", ["release", "Deployment", "", None, 1])
    def test_another_type_is_refused(self, kind: object) -> None:
        with pytest.raises(ValidationError):
            Event.model_validate({"type": kind, "name": "x"})

    def test_an_unknown_field_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="Extra inputs"):
            event(titel="x")

    def test_it_is_shown_everywhere_unless_said_otherwise(self) -> None:
        assert event().buckets == event().environments == ("*",)
        assert event(buckets=[]).buckets == ("*",)
        assert event(buckets=["bkt_1"]).buckets == ("bkt_1",)

    @pytest.mark.parametrize("scope", [[""], [None], "bkt_1", ["x"] * 101, ["x" * 1001]])
    def test_a_scope_that_names_nothing_or_too_much_is_refused(self, scope: object) -> None:
        with pytest.raises(ValidationError):
            event(buckets=scope)

    def test_the_api_is_sent_its_own_names_times_and_no_nulls(self) -> None:
        sent = event(source="github_actions", metadata={"ref": "main"}, started_at=TEN).to_api()
        assert sent == {
            "type": "deployment",
            "name": "Deploy acme/shop v2.3.1 to production",
            "source": "github_actions",
            "metadata": {"ref": "main"},
            "buckets": ["*"],
            "environments": ["*"],
            "startedAt": "2026-01-10T10:00:00.000Z",
        }

    def test_a_scope_can_be_given_later(self) -> None:
        narrowed = event(environments=["env123"]).with_scope(("bkt_1",), None)
        assert (narrowed.buckets, narrowed.environments) == (("bkt_1",), ("env123",))

    def test_its_source_is_on_one_line_too(self) -> None:
        assert event(source="my\ntool\x1b").source == "my tool"

    def test_it_cannot_be_changed_by_accident(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            event().name = "other"  # type: ignore[misc]

    def test_it_is_read_back_from_what_was_sent(self) -> None:
        original = event(metadata={"a": [1, {"b": None}]}, started_at=TEN, ended_at=TEN, description="x\ny")
        assert Event.model_validate_json(original.model_dump_json(by_alias=True)) == original


def test_a_delivery_shows_neither_body_nor_headers_when_printed() -> None:
    delivery = Delivery(
        source="github",
        id="1",
        event="ping",
        headers={"x-gitlab-token": "hunter2"},
        body=b"hunter2",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert "hunter2" not in f"{delivery!r} {delivery}"


def test_a_change_is_the_same_after_the_queue() -> None:
    original = change("close", 1.5, started_at=TEN, ended_at=TEN, metadata={"marker_key": KEY})
    assert Change.model_validate(json.loads(original.model_dump_json())) == original
    assert Change.model_validate(original.model_dump(mode="json", by_alias=True)) == original


HOSTILE = "a\x1b\u202eb  " + "c" * 3_000


def test_what_we_wrote_ourselves_is_read_without_cleaning_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    original = change("close", 1.5, name=HOSTILE, description=HOSTILE, metadata={HOSTILE: [HOSTILE]})
    written = original.model_copy(update={"remark": "a remark"}).model_dump_json(by_alias=True)
    for cleaner in ("one_line", "paragraphs", "within_limits"):
        monkeypatch.delattr(module, cleaner)
    read = Change.model_validate_json(written, context=ALREADY_CLEAN)
    assert read == original.model_copy(update={"remark": "a remark"})


@pytest.mark.parametrize("context", [None, {}, {"is_clean": False}, {"other": True}])
def test_without_saying_so_everything_is_cleaned(context: dict[str, bool] | None) -> None:
    fields = change("open").model_dump(mode="json", by_alias=True) | {"key": HOSTILE, "remark": HOSTILE}
    fields["event"] |= {"name": HOSTILE, "description": HOSTILE, "metadata": {"note": HOSTILE}}
    read = Change.model_validate(fields, context=context)
    texts = (read.key, read.remark, read.event.name, read.event.description, read.event.metadata["note"])
    assert all(isinstance(text, str) and text.isprintable() and len(text) <= 2_000 for text in texts)


def test_what_we_wrote_ourselves_still_has_to_be_a_change() -> None:
    with pytest.raises(ValidationError):
        Change.model_validate({"key": "", "event": {"type": "party"}}, context=ALREADY_CLEAN)


NAMES = st.sampled_from(("repository", "run_id", "a b", "größe", "x" * 200)) | any_text
PLAIN_VALUES = any_text | long_text | st.integers() | st.booleans() | st.none() | st.floats()


def metadata_of(given: dict[str, Any]) -> object:
    try:
        return event(metadata=given).metadata
    except ValidationError as error:
        return [(found["loc"], found["type"]) for found in error.errors()]


@reproducible
@given(st.dictionaries(NAMES, PLAIN_VALUES, max_size=8))
def test_plain_metadata_become_what_they_become_beside_nested_ones(plain: dict[str, Any]) -> None:
    """They are checked in one pass. Something nested makes all of them go the long way."""
    assert metadata_of(plain) == metadata_of(plain | {"nested": {}})
