"""A log line is one line, whatever it quotes."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.observability.logs import render_json, render_line
from tests.support.properties import any_text, reproducible

STAMP = "2026-01-10T10:05:00.123456Z"
FORGED = "2026-01-10T10:05:00.123Z info     receiver.webhooks accepted source=github"


def line(event: object = "accepted", **fields: Any) -> str:
    return render_line(
        None, "", {"timestamp": STAMP, "level": "info", "logger": "receiver", "event": event} | fields
    )


def test_a_line_says_when_how_bad_who_what_and_the_rest() -> None:
    assert (
        line(source="github", changes=1)
        == "2026-01-10T10:05:00.123Z info     receiver accepted source=github changes=1"
    )


def test_what_is_none_is_left_out() -> None:
    assert line(reason=None).endswith("accepted")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("github:acme/shop:deployment:42", "github:acme/shop:deployment:42"),
        ("two words", '"two words"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("a=b", '"a=b"'),
        ("", '""'),
        (7, "7"),
        (1.5, "1.5"),
        (True, "True"),
        ("back\\slash", '"back\\\\slash"'),
        ("größe", "größe"),
    ],
)
def test_a_value_that_could_be_misread_is_quoted(value: object, written: str) -> None:
    assert line(value=value).endswith(f" value={written}")


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x1c"])
def test_no_value_and_no_message_forges_a_line(newline: str) -> None:
    for rendered in (line(value=f"x{newline}{FORGED}"), line(f"x{newline}{FORGED}")):
        assert len(rendered.splitlines()) == 1


def test_no_value_adds_a_field() -> None:
    assert line(value='x" level=error source=evil') == line() + ' value="x\\" level=error source=evil"'
    assert line(value="x source=evil").endswith('value="x source=evil"')


@pytest.mark.parametrize(
    "text", ["\x1b[2J\x1b[31mred", "\x9b2J", "\x07", "\x08\x08\x08", "a\u202eb", "\u2066x", "\x00"]
)
def test_nothing_moves_the_terminal(text: str) -> None:
    for rendered in (line(value=text), line(text), line(exception=f"ValueError: {text}")):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", rendered)


def test_a_long_value_is_cut() -> None:
    assert len(line(value="x" * 100_000)) < 1_200
    assert len(line("x" * 100_000)) < 1_200


def test_a_traceback_follows_on_lines_that_are_told_apart() -> None:
    traceback = f"Traceback (most recent call last):\n  File\nValueError: bad\n{FORGED}"
    head, *rest = line(exception=traceback).splitlines()
    assert head.endswith("accepted")
    assert [text.strip() for text in rest] == [text.strip() for text in traceback.splitlines()]
    assert all(text.startswith("    ") for text in rest)


def test_a_surrogate_does_not_break_the_writing_of_the_log() -> None:
    line(value="\ud800", exception="ValueError: \ud800").encode("utf-8")


@reproducible
@given(
    any_text,
    st.dictionaries(
        st.sampled_from(["source", "key", "reason"]), st.one_of(any_text, st.integers(), st.binary())
    ),
)
def test_any_fields_make_one_line_that_can_be_written(event: str, fields: dict[str, Any]) -> None:
    rendered = line(event, **fields)
    assert len(rendered.splitlines()) == 1
    rendered.encode("utf-8")


def json_line(event: object = "accepted", **fields: Any) -> dict[str, Any]:
    given = {"timestamp": STAMP, "level": "info", "logger": "receiver", "event": event} | fields
    rendered = render_json(None, "", given)
    assert len(rendered.splitlines()) == 1
    assert rendered.isascii()
    found: dict[str, Any] = json.loads(rendered)
    return found


def test_a_program_reads_the_same_as_json() -> None:
    assert json_line(source="github", ms=5.8, reason=None) == {
        "time": "2026-01-10T10:05:00.123Z",
        "level": "info",
        "logger": "receiver",
        "event": "accepted",
        "source": "github",
        "ms": 5.8,
    }


def test_json_is_bounded_and_breaks_on_nothing() -> None:
    found = json_line("x" * 100_000, value=f"\ud800\x1b[2J\n{FORGED}", exception="ValueError: a\nb")
    assert len(found["event"]) < 1_200
    assert not re.search(r"[\x00-\x1f]", found["value"])
    assert found["exception"] == "ValueError: a\nb"


@pytest.mark.parametrize(("wanted", "is_json"), [("json", True), ("text", False), ("", True)])
def test_what_is_not_a_terminal_gets_json_unless_text_is_wanted(wanted: str, *, is_json: bool) -> None:
    code = (
        "import logging; from receiver.observability import logs\n"
        "logs.configure_logging(); logging.getLogger('a').error('b')"
    )
    environment = {**os.environ, "APITRAFFIC_LOG_FORMAT": wanted}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr.startswith('{"time"') is is_json


LOG_BOTH_WAYS = """
import os, structlog
from receiver.observability.logs import LinesTogether, configure_logging
for wanted in ("text", "json"):
    os.environ["APITRAFFIC_LOG_FORMAT"] = wanted
    configure_logging()
    structlog.get_logger("receiver.webhooks").info("accepted", key="a b", reason=None, ms=1.5)
    together = LinesTogether("receiver.webhooks")
    together.info("accepted", key="a b", reason=None, ms=1.5)
    together.info("ignored")
    together.flush()
    together.flush()
"""


def test_lines_that_are_written_together_are_as_structlog_writes_them() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOG_BOTH_WAYS], capture_output=True, text=True, check=True, timeout=30
    )
    without_time = [re.sub(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z", "TIME", line) for line in ran.stderr.splitlines()]
    assert without_time[0] == without_time[1] == 'TIME info     receiver.webhooks accepted key="a b" ms=1.5'
    assert without_time[3] == without_time[4]
    assert json.loads(without_time[5])["event"] == "ignored"
    assert len(without_time) == 6
