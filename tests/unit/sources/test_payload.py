"""`Payload`: whatever is missing or of another type on the way reads as nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.sources.changes import present
from receiver.sources.not_translated import Untranslatable
from receiver.sources.payload import Payload
from receiver.sources.request import delivery_id
from tests.support.properties import any_text, json_values, reproducible

CONTENT = Payload(
    {
        "text": "  two\n lines ",
        "blank": " \t\u200b\u200f",
        "number": 7,
        "yes": True,
        "list": ["a"],
        "null": None,
        "deep": {"er": {"text": "here"}},
        "when": "2026-01-10T10:00:00Z",
        "web": "https://example.test/a?b=c#d",
        "plain": "http://example.test",
        "script": "javascript:alert(1)",
        "upper": "HTTPS://example.test",
        "space": "https://example.test/a b",
        "bare": "https://",
        "long": "https://example.test/" + "x" * 600,
        "huge": 10**40,
    }
)


def test_text_is_on_one_line() -> None:
    assert CONTENT.text("text") == "two lines"
    assert CONTENT.text("deep.er.text") == "here"


def test_the_first_text_with_something_in_it_counts() -> None:
    assert (
        CONTENT.text("missing", "null", "blank", "number", "list", "deep", "deep.er.text", "text") == "here"
    )


@pytest.mark.parametrize(
    "path", ["missing", "missing.er", "deep.er.text.more", "list.0", "null.x", "", ".", "deep."]
)
def test_a_path_that_leads_nowhere_reads_as_none(path: str) -> None:
    assert CONTENT.value(path) is None
    assert CONTENT.text(path) is None
    assert CONTENT.identifier(path) is None
    assert CONTENT.flag(path) is None
    assert CONTENT.time(path) is None
    assert CONTENT.url(path) is None


@pytest.mark.parametrize(
    ("path", "found"), [("number", "7"), ("text", "two lines"), ("yes", None), ("huge", None), ("list", None)]
)
def test_an_id_is_a_number_or_text(path: str, found: str | None) -> None:
    assert CONTENT.identifier(path) == found


def test_a_flag_is_only_true_or_false() -> None:
    assert CONTENT.flag("yes") is True
    assert CONTENT.flag("number") is None


def test_a_time_is_the_first_that_is_one() -> None:
    assert CONTENT.time("text", "when") == datetime(2026, 1, 10, 10, tzinfo=UTC)


@pytest.mark.parametrize("path", ["web", "plain"])
def test_a_web_url_is_kept(path: str) -> None:
    assert CONTENT.url(path) == CONTENT.value(path)


@pytest.mark.parametrize("path", ["script", "space", "bare", "long", "text", "number", "upper"])
def test_what_would_lead_nowhere_or_run_code_is_no_url(path: str) -> None:
    assert CONTENT.url(path) is None
    assert CONTENT.url(path, "web") == "https://example.test/a?b=c#d"


def test_what_is_required_is_named() -> None:
    assert CONTENT.require_text("text") == "two lines"
    assert CONTENT.require_identifier("number") == "7"
    with pytest.raises(Untranslatable, match=r"^deep\.missing is missing from the payload$"):
        CONTENT.require_text("deep.missing")
    with pytest.raises(Untranslatable, match=r"^list is missing from the payload$"):
        CONTENT.require_identifier("list")


@reproducible
@given(
    st.dictionaries(st.sampled_from("abc"), json_values),
    st.lists(st.sampled_from("abcd"), min_size=1).map(".".join),
)
def test_no_content_and_no_path_raises(content: dict[str, Any], path: str) -> None:
    payload = Payload(content)
    for found in (payload.text(path), payload.url(path), payload.identifier(path)):
        assert found is None or 1 <= len(found) <= 500
    payload.flag(path)
    payload.time(path)


@reproducible
@given(any_text)
def test_a_delivery_id_is_always_fit_for_a_key_and_a_log(given_id: str) -> None:
    made = delivery_id(given_id, b"")
    assert made.isascii()
    assert made.isprintable()
    assert 1 <= len(made) <= 200


def test_metadata_that_is_missing_is_left_out_but_false_and_zero_are_values() -> None:
    assert present(a=None, b="", c=False, d=0, e="x") == {"c": False, "d": 0, "e": "x"}


@pytest.mark.parametrize("unset", ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", 0, 1])
def test_a_time_before_2000_is_none(unset: str | int) -> None:
    payload = Payload({"updated_at": unset, "created_at": "2026-01-10T10:05:00Z"})
    assert payload.time("updated_at") is None
    assert payload.time("updated_at", "created_at") == datetime(2026, 1, 10, 10, 5, tzinfo=UTC)
