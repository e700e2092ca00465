import io

import pytest

from receiver.local.log import Log, printable


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain text, ünïcode ☃", "plain text, ünïcode ☃"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1b]0;a new title\x07text", "text"),
        ("\x1b]8;;https://acme.test\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("bell\x07", "bell\\x07"),
        ("begin\rend", "begin\\rend"),
        ("right \u202eto left", "right \\u202eto left"),
        ("a\tb", "a   b"),
        ("cut off \x1b", "cut off \\x1b"),
        ("eight bit \x9b31m", "eight bit \\x9b31m"),
    ],
)
def test_nothing_in_a_line_reaches_the_terminal_as_a_command(line: str, shown: str) -> None:
    assert printable(line) == shown


def test_lines_are_aligned_behind_their_names() -> None:
    stream = io.StringIO()
    log = Log(stream, ["api", "receiver"])
    log.write("api", "one")
    log.write("receiver", "two")
    assert stream.getvalue() == "api      | one\nreceiver | two\n"


def test_names_are_coloured_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    Log(terminal, ["api"]).write("api", "one")
    assert terminal.getvalue() == "\x1b[35mapi |\x1b[0m one\n"

    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    Log(terminal, ["api"]).write("api", "one")
    assert terminal.getvalue() == "api | one\n"


def test_bytes_that_are_not_text_and_lines_without_an_end_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    Log(stream, ["api"]).copy("api", io.BytesIO(b"bad \xff byte\r\nno end"))
    assert stream.getvalue() == "api | bad \ufffd byte\napi | no end\n"


def test_a_stream_that_cannot_show_a_character_shows_its_code() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Log(stream, ["api"]).write("api", "☃")
    assert raw.getvalue() == b"api | \\u2603\n"
    stream.close()


def test_the_last_lines_of_what_is_hidden_are_shown_once_when_asked_for() -> None:
    stream = io.StringIO()
    log = Log(stream, ["redis"], hidden=["redis"])
    for number in range(100):
        log.write("redis", f"line {number}")
    assert stream.getvalue() == ""

    log.show_tail("redis")

    lines = stream.getvalue().splitlines()
    assert len(lines) == 50
    assert lines[-1] == "redis | line 99"
    log.show_tail("redis")
    assert stream.getvalue().splitlines() == lines


def test_a_reader_that_has_gone_does_not_stop_the_log() -> None:
    class Closed(io.StringIO):
        def write(self, text: str, /) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    Log(Closed(), ["api"]).write("api", "one")
