"""What starting a command imports, and so how long a person waits for help, completion and lists.

Modules are counted and not seconds: time depends on the machine and on what else it does.
"""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import click
import pytest

from apitraffic_events import EventType
from receiver.cli import init, main, options, tail
from receiver.cli.deadletters import commands
from receiver.cli.events import commands as events_commands
from receiver.cli.lazy import LazyGroup, Unloaded
from receiver.insight.verdict import Word
from receiver.monitoring import following
from receiver.queue.dead_letters import Cause
from receiver.routing import LONGEST_VERDICT
from receiver.sources import SOURCES
from tests.support.command import Command

HEAVY = {
    *("flask", "gunicorn", "opentelemetry", "prometheus_client", "pydantic", "redis"),
    *("requests", "rich", "rq", "sqlite3", "structlog", "werkzeug"),
}
"""Libraries that take 20 ms or more to import."""
NEEDED_TO_LIST = {"pydantic", "requests", "rich"}
PROGRAM = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from receiver.cli import main
main(prog_name="apitraffic-events")
"""
ALL_HELP = """
import json, sys
import click
from receiver.cli import main
from receiver.cli.lazy import LazyGroup
helped = {}
def help_of(group, parent, path):
    for name, unloaded in group.commands.items():
        command = unloaded.load()
        context = click.Context(command, parent, name)
        wide = [line for line in command.get_help(context).splitlines() if len(line) > 80]
        helped[" ".join((*path, name))] = wide + sorted(sys.modules.keys() & set(sys.argv[1:]))
        if isinstance(command, LazyGroup):
            help_of(command, context, (*path, name))
help_of(main, click.Context(main), ())
print(json.dumps(helped))
"""
"""Prints which lines of each help are too wide, and which of the modules in its arguments are there then."""


def imported_by(folder: Path, *arguments: str, **variables: str) -> tuple[set[str], str]:
    """The modules that this command has imported when it ends, and what it has printed."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3]), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return set(json.loads(ended.stderr.splitlines()[-1])), ended.stdout


@pytest.mark.parametrize(
    "group", [(), ("events",), ("deadletters",), ("quarantine",), ("github",), ("config",)]
)
def test_the_help_of_a_group_imports_none_of_its_commands(tmp_path: Path, group: tuple[str, ...]) -> None:
    modules, printed = imported_by(tmp_path, *group, "--help")
    assert "Commands:" in printed
    assert modules & HEAVY == set()


def test_the_help_of_a_command_fits_a_terminal_and_imports_nothing_that_takes_long(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ALL_HELP, *HEAVY],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3]), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    helped = json.loads(ended.stdout)
    assert {"serve", "deadletters replay", "connect pagerduty"} < helped.keys()
    assert {name: found for name, found in helped.items() if found} == {}


def test_what_an_option_can_be_is_what_the_product_has() -> None:
    """The names are written down twice, so that nobody has to import the product for them."""
    assert tuple(EventType) == options.TYPES
    assert tuple(Cause) == commands.CAUSES
    assert tail.STATUSES == following.STATUSES
    assert tuple(SOURCES) == init.SENDERS
    assert timedelta(minutes=LONGEST_VERDICT) == events_commands.LONGEST_CHECK
    assert {*events_commands.FAIL_ON} < {*Word}


@pytest.mark.parametrize(
    ("words", "completed"),
    [("ev", "plain,events"), ("events cl", "plain,close"), ("serve --wor", "plain,--workers")],
)
def test_completing_a_name_imports_no_library(tmp_path: Path, words: str, completed: str) -> None:
    modules, printed = imported_by(
        tmp_path,
        _APITRAFFIC_EVENTS_COMPLETE="bash_complete",
        COMP_WORDS=f"apitraffic-events {words}",
        COMP_CWORD=str(words.count(" ") + 1),
    )
    assert printed.strip() == completed
    assert modules & HEAVY == set()


@pytest.mark.parametrize("command", [("list",), ("create", "--name", "x")])
def test_commands_for_events_import_what_talks_to_the_api_and_nothing_of_the_receiver(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    modules, _ = imported_by(tmp_path, "events", *command)
    assert modules & HEAVY == NEEDED_TO_LIST
    assert not modules & {
        "receiver.config.loading",
        "receiver.config.settings",
        "receiver.sources",
        "receiver.queue",
    }


def test_settings_without_a_redis_import_no_redis(tmp_path: Path) -> None:
    modules, _ = imported_by(tmp_path, "config")
    assert modules & HEAVY == {"pydantic"}


def test_a_command_is_listed_with_the_first_sentence_of_its_own_help() -> None:
    """It is written down twice, so that nobody has to import the command for it."""
    for path, listed in unloaded(main, ()):
        own = listed.load().get_short_help_str(limit=1000)
        assert listed.short_help == own, f"correct SUMMARIES: {' '.join(path)}"


def unloaded(group: LazyGroup, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Unloaded]]:
    """All commands of a group, and of the groups in it."""
    found = []
    for name, command in group.commands.items():
        assert isinstance(command, Unloaded)
        found.append(((*path, name), command))
        loaded = command.load()
        assert not isinstance(loaded, click.Group) or isinstance(loaded, LazyGroup)
        if isinstance(loaded, LazyGroup):
            found += unloaded(loaded, (*path, name))
    return found


@pytest.mark.parametrize(
    ("typed", "meant"), [("evnts", "events"), ("dead-letters", "deadletters"), ("quarantin", "quarantine")]
)
def test_a_misspelt_command_is_recognised(run: Command, typed: str, meant: str) -> None:
    result = run(typed)
    assert result.exit_code == 2
    assert f"No such command '{typed}'. Did you mean '{meant}'?" in result.stderr
