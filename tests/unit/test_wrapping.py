"""80 columns: nothing is cut, no word is broken, and an address has a line of its own if it needs one."""

import io
import os

import click
import pytest
from rich.console import Console
from rich.text import Text

from apitraffic_events.records import StoredEvent
from receiver.cli import consoles
from receiver.cli.consoles import wrapped
from receiver.cli.error_messages import ErrorMessage
from receiver.cli.events.tables import demo_table
from receiver.cli.findings import printed
from receiver.cli.tail.following import _print as print_happening
from receiver.doctor.findings import failure
from receiver.monitoring.following import Happening
from receiver.queue.delivery_log import Entry
from tests.support.processes import shown_on

ADDRESS = "https://hooks.example.com/" + "webhooks/" * 9
WORDS = "the receiver's URL as senders will reach it is not the one that this machine can reach"


def lines_of(line: str, width: int = 80, indent: int | None = None) -> list[str]:
    return [part.plain.rstrip() for part in wrapped(Text(line), Console(width=width), indent)]


def test_a_line_breaks_at_words_and_goes_on_indented() -> None:
    first, *rest = lines_of(f"  {WORDS} {WORDS}")
    assert len(first) <= 80
    assert all(line.startswith("    ") and len(line) <= 80 for line in rest)
    assert " ".join([first, *rest]).split() == f"{WORDS} {WORDS}".split()


def test_an_address_stays_whole() -> None:
    assert lines_of(f"secret: see {ADDRESS} and more", indent=2) == [
        "secret: see",
        f"  {ADDRESS}",
        "  and more",
    ]


def test_in_a_pipe_a_line_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert wrapped(Text(WORDS * 20), consoles.output()) == [Text(WORDS * 20)]


def test_what_doctor_finds_goes_on_below_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert not printed([failure("redis", WORDS + ADDRESS, f"{WORDS} {WORDS}")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✗ redis              ")
    assert all(line.startswith(" " * 20) for line in lines[1:-1])
    assert all(line == line.rstrip() for line in lines)


def test_a_reason_is_shown_whole_by_tail() -> None:
    entry = Entry(
        id="1795867200000-0",
        status="refused",
        source="github",
        event="deployment_status",
        reason=f"X-Hub-Signature-256 matches no secret: {WORDS}",
        address="203.0.113.7",
    )
    out = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None, highlight=False)
    print_happening(out, Happening(entry.at, entry.status, entry), with_id=False)
    assert isinstance(out.file, io.StringIO)
    first, *rest = out.file.getvalue().splitlines()
    assert first.startswith("12:00:00  refused")
    assert rest
    assert all(line.startswith(" " * 23) and len(line) <= 80 for line in rest)
    told = " ".join(line.strip() for line in [first, *rest])
    assert told.endswith(f"matches no secret: {WORDS} (from 203.0.113.7)")


def test_an_error_breaks_at_words_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, program = os.openpty()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(program, "w") as error:
        monkeypatch.setattr("sys.stderr", error)
        ErrorMessage(click.ClickException(f"{WORDS} {ADDRESS}"), None).show()
    shown = shown_on(terminal).splitlines()
    assert shown[0].startswith("Error: the receiver's URL")
    assert shown[1].startswith("       ")
    assert shown[-1].strip() == ADDRESS


def test_a_table_has_no_blanks_at_the_end_of_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    events = [
        StoredEvent(sid="evt_1", type="scale", name="x"),
        StoredEvent(sid="evt_2", type="scale", name="y"),
    ]
    consoles.print_trimmed(consoles.output(width_when_piped=100), demo_table(events))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 4
    assert all(line == line.rstrip() for line in lines)


def test_a_pipe_may_say_how_wide_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert consoles.output(width_when_piped=100).width == 72
    assert consoles.output().width == consoles.UNBROKEN
    monkeypatch.setenv("COLUMNS", "wide")
    assert consoles.output(width_when_piped=100).width == 100
