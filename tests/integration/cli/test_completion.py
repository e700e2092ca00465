"""`completion` prints what bash, zsh and fish need; each shell that is here completes with it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import Command

BIN = Path(sys.executable).parent


def require(shell: str) -> None:
    if shutil.which(shell) is None:
        message = f"{shell} is not installed; on Debian: apt-get install {shell}"
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(message)
        pytest.skip(message)


def in_shell(shell: str, *arguments: str, script: Path) -> str:
    result = subprocess.run(
        [shell, *arguments],
        env={
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(script.parent),
            "TERM": "dumb",
            "SCRIPT": str(script),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture
def script(run: Command, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The file of the shell that the test is about."""
    shell = str(request.param)
    require(shell)
    result = run("completion", shell)
    assert result.exit_code == 0, result.output
    return Path(run.write(f"completion.{shell}", result.stdout))


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_completes_commands_options_and_values(script: Path) -> None:
    lines = ("ev", "events cl", "events create --type sc", "events create --on", "completion f")
    typed = [f"COMP_WORDS=(apitraffic-events {words}); complete_last" for words in lines]
    complete_last = (
        "complete_last() { COMPREPLY=(); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
        '_apitraffic_events_completion apitraffic-events; echo "${COMPREPLY[@]}"; }'
    )
    program = "\n".join(['source "$SCRIPT"', complete_last, *typed, "complete -p apitraffic-events"])
    out = in_shell("bash", "--norc", "-c", program, script=script).splitlines()
    assert out[:-1] == ["events", "close", "scale", "--on-error", "fish"]
    assert out[-1].endswith("-F _apitraffic_events_completion apitraffic-events")


@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_completes(script: Path) -> None:
    typed = 'source $SCRIPT; complete -C "apitraffic-events events cl"'
    assert "close" in in_shell("fish", "--no-config", "-c", typed, script=script)


@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_completes(script: Path) -> None:
    """Its completion needs a line editor, so the one function that reads the answer stands in for it."""
    typed = (
        "autoload -Uz compinit && compinit -u; "
        '_describe() { print -l $completions_with_descriptions }; source "$SCRIPT"; '
        "words=(apitraffic-events events cl); CURRENT=3; _apitraffic_events_completion; "
        "print -l ${_comps[apitraffic-events]}"
    )
    out = in_shell("zsh", "-f", "-c", typed, script=script)
    assert out.splitlines()[0].startswith("close:")
    assert out.splitlines()[-1] == "_apitraffic_events_completion"


def test_another_shell_is_wrong_usage(run: Command) -> None:
    result = run("completion", "tcsh")
    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.stderr
