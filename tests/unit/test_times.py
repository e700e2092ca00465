"""Every option and every tool's argument that takes a time takes the same forms."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args, get_type_hints

import click
import pytest

from receiver import timestamps
from receiver.cli import main
from receiver.cli.lazy import Unloaded
from receiver.cli.times import TimeType
from receiver.mcp_server.arguments import Arguments
from receiver.mcp_server.tools import TOOLS
from receiver.timestamps import read_moment

NOW = datetime(2026, 1, 10, 10, 5, 7, 123_000, tzinfo=UTC)
WRITTEN = {
    "now": NOW,
    "today": datetime(2026, 1, 10, tzinfo=UTC),
    "yesterday": datetime(2026, 1, 9, tzinfo=UTC),
    "90s": NOW - timedelta(seconds=90),
    "90m": NOW - timedelta(minutes=90),
    "2h": NOW - timedelta(hours=2),
    "3d": NOW - timedelta(days=3),
    "1w": NOW - timedelta(days=7),
    "100000m": NOW - timedelta(minutes=100_000),
    "10:05": datetime(2026, 1, 10, 10, 5, tzinfo=UTC),
    "10:05:07Z": datetime(2026, 1, 10, 10, 5, 7, tzinfo=UTC),
    "10:06": datetime(2026, 1, 9, 10, 6, tzinfo=UTC),
    " 2h\n": NOW - timedelta(hours=2),
    "2026-01-10": datetime(2026, 1, 10, tzinfo=UTC),
    "2026-01-10T10:05": datetime(2026, 1, 10, 10, 5, tzinfo=UTC),
    "2026-01-10T10:05:00Z": datetime(2026, 1, 10, 10, 5, tzinfo=UTC),
    "2026-01-10T12:05:00+02:00": datetime(2026, 1, 10, 10, 5, tzinfo=UTC),
}
JUNK = [
    "",
    "soon",
    "last week",
    "tomorrow",
    "3y",
    "-2h",
    "2 h",
    "h",
    "٣d",
    "999999d",
    "9999999d",
    "Yesterday",
    "25:00",
    "9:05",
    "10:60",
]
TIME_OPTIONS = ("since", "until", "started_at", "ended_at", "moment")


@pytest.fixture(autouse=True)
def _a_clock_that_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timestamps, "now", lambda: NOW)


def commands(group: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    if isinstance(group, Unloaded):
        group = group.load()
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            _, command, _ = group.resolve_command(context, [name])
            assert command is not None
            yield from commands(command, f"{path} {name}")
    else:
        yield path.strip(), group


OPTIONS = {
    f"{path} --{parameter.name}": parameter
    for path, command in commands(main)
    for parameter in command.params
    if parameter.name in TIME_OPTIONS
}
ARGUMENTS = [
    (tool.arguments, name)
    for tool in TOOLS
    for name, hint in get_type_hints(tool.arguments).items()
    if datetime in (hint, *get_args(hint))
]


@pytest.mark.parametrize(("text", "moment"), WRITTEN.items())
def test_each_form_is_read(text: str, moment: datetime) -> None:
    assert read_moment(text) == moment


@pytest.mark.parametrize("text", JUNK)
def test_anything_else_is_not_a_time(text: str) -> None:
    assert read_moment(text) is None


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_every_option_for_a_time_takes_every_form(option: click.Parameter) -> None:
    assert isinstance(option.type, TimeType)
    for text, moment in WRITTEN.items():
        assert option.type.convert(text, option, None) == moment


@pytest.mark.parametrize(
    ("arguments", "name"), ARGUMENTS, ids=[f"{arguments.__name__}.{name}" for arguments, name in ARGUMENTS]
)
def test_every_argument_for_a_time_takes_every_form(arguments: type[Arguments], name: str) -> None:
    field = arguments.model_fields[name]
    given: dict[str, Any] = {"sid": "evt_1", "type": "incident", "name": "x", "resolution": "x"}
    needed = {key: value for key, value in given.items() if key in arguments.model_fields}
    for text, moment in WRITTEN.items():
        assert getattr(arguments.model_validate(needed | {str(field.alias): text}), name) == moment


def test_these_are_all_there_are() -> None:
    assert sorted(OPTIONS) == [
        "deadletters discard --since",
        "deadletters discard --until",
        "deadletters list --since",
        "deadletters list --until",
        "deadletters replay --since",
        "deadletters replay --until",
        "events close --ended_at",
        "events create --ended_at",
        "events create --started_at",
        "events list --since",
        "events list --until",
        "events update --ended_at",
        "events update --started_at",
        "github redeliver --since",
        "what-changed --moment",
    ]
    assert sorted(f"{arguments.__name__}.{name}" for arguments, name in ARGUMENTS) == [
        "CloseIncident.ended_at",
        "CreateEvent.ended_at",
        "CreateEvent.started_at",
        "ListEvents.started_from",
        "ListEvents.started_to",
        "UpdateEvent.ended_at",
        "UpdateEvent.started_at",
        "WhatChanged.around",
    ]
