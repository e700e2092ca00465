"""What starting a command imports, and so how long a person waits for help, completion and lists.

Modules are counted and not seconds: time depends on the machine and on what else it does.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from receiver.cli import main
from receiver.cli.lazy import LazyGroup, Unloaded
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


@pytest.mark.parametrize(("words", "completed"), [("ev", "plain,events"), ("events cl", "plain,close")])
def test_completing_a_name_imports_no_command(tmp_path: Path, words: str, completed: str) -> None:
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
