"""What a person sees while a call takes its time."""

import io

import pytest
from rich.console import Console

from apitraffic_events.errors import ServerFailed
from receiver.cli import waiting
from receiver.cli.waiting import Patience
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LONGEST_SILENCE", 0.01)


def test_a_terminal_counts_the_seconds_and_shows_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    shown = io.StringIO()
    patience = Patience(Console(file=shown, force_terminal=True, width=80, highlight=False))
    with patience.shown():
        wait_until(lambda: "Waiting for ApiTraffic, 0 s" in shown.getvalue(), "it counts")
        patience.before_retry(ServerFailed("the [bold]database[/bold] is away", status=503))
        wait_until(lambda: "503 the [bold]database[/bold] is away" in shown.getvalue(), "it says why")


@pytest.mark.parametrize("is_dumb_terminal", [False, True])
def test_a_pipe_and_a_dumb_terminal_get_one_line_and_one_for_each_retry(
    monkeypatch: pytest.MonkeyPatch, is_dumb_terminal: bool
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    printed = io.StringIO()
    patience = Patience(Console(file=printed, highlight=False, force_terminal=is_dumb_terminal))
    with patience.shown():
        wait_until(lambda: printed.getvalue() == "Waiting for ApiTraffic …\n", "it says that it waits")
        patience.before_retry(ServerFailed("down", status=503))
    assert printed.getvalue().splitlines()[1:] == ["ApiTraffic is tried again: 503 down"]


def test_nothing_is_shown_of_an_answer_that_comes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LONGEST_SILENCE", 60.0)
    shown = io.StringIO()
    with Patience(Console(file=shown, force_terminal=True)).shown():
        pass
    assert shown.getvalue() == ""
