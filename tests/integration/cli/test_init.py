"""`apitraffic-events init`: a first set-up that is written down, checked and repeatable."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.cli.init.setting_up import listening
from tests.support.command import Command
from tests.support.processes import started
from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("init")) as stack:
        yield stack


ASKED_FOR = ("APITRAFFIC_ACCOUNT_SID", "APITRAFFIC_API_TOKEN", "REDIS_URL")


def values_in(path: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, _, value in lines}


def test_options_answer_all_questions_and_a_second_run_keeps_the_secrets(
    run: Command, system: Stack, tmp_path: Path
) -> None:
    environment = system.environment
    options = (
        *("--account-sid", environment["APITRAFFIC_ACCOUNT_SID"], "--token-file", "-"),
        *("--api-url", environment["APITRAFFIC_API_URL"], "--redis-url", environment["REDIS_URL"]),
        *("--sender", "github", "--sender", "pagerduty", "--url", "https://hooks.example.com", "--toml"),
    )
    token = environment["APITRAFFIC_API_TOKEN"].encode()
    first = run("init", *options, body=token, APITRAFFIC_SPOOL=environment["APITRAFFIC_SPOOL"])
    assert first.exit_code == 0, first.output
    written = values_in(tmp_path / ".env")
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert written["REDIS_URL"] == environment["REDIS_URL"]
    assert written["APITRAFFIC_API_TOKEN"] == environment["APITRAFFIC_API_TOKEN"]
    assert re.fullmatch("[0-9a-f]{64}", written["GITHUB_WEBHOOK_SECRET"])
    assert "PAGERDUTY_WEBHOOK_SECRET" not in written
    assert "https://hooks.example.com/webhooks/github" in first.stdout
    assert "put the secret that it shows into .env: PAGERDUTY_WEBHOOK_SECRET=" in first.stdout
    assert run("config", "check").exit_code == 0
    for value in (written["GITHUB_WEBHOOK_SECRET"], written["APITRAFFIC_API_TOKEN"]):
        assert value not in first.output

    again = run("init", "--no-input", APITRAFFIC_SPOOL=environment["APITRAFFIC_SPOOL"])
    assert again.exit_code == 0, again.output
    assert values_in(tmp_path / ".env") == written


def test_what_it_prints_can_be_copied_into_a_new_shell(run: Command, system: Stack, tmp_path: Path) -> None:
    environment = system.environment
    printed = run(
        *("init", "--no-input", "--url", "http://127.0.0.1:8090"),
        environment={
            name: environment[name] for name in (*ASKED_FOR, "APITRAFFIC_API_URL", "APITRAFFIC_SPOOL")
        },
    ).stdout.splitlines()
    assert "  set -a; . ./.env; set +a; apitraffic-events serve --port 8090" in printed
    (tried,) = [line for line in printed if "apitraffic-events trigger" in line]
    assert tried.endswith("; apitraffic-events trigger github.deployment --url http://127.0.0.1:8090")
    # The secret is found; nothing listens there.
    told = subprocess.run(
        ["bash", "-c", tried.replace("apitraffic-events", f"{sys.executable} -m receiver")],
        env={"PATH": os.defpath},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no answer from http://127.0.0.1:8090" in told.stderr
    assert values_in(tmp_path / ".env")["APITRAFFIC_API_URL"] == environment["APITRAFFIC_API_URL"]


@pytest.mark.parametrize(
    ("arguments", "variable"),
    [
        (("trigger", "github.deployment"), "GITHUB_WEBHOOK_SECRET"),
        (("events", "list"), "APITRAFFIC_API_TOKEN"),
        (("status",), "REDIS_URL"),
    ],
)
def test_what_is_not_set_and_in_the_file_is_looked_for_there(
    run: Command, arguments: tuple[str, ...], variable: str, tmp_path: Path
) -> None:
    hint = f"{variable} is in .env here; read that file first: set -a; . ./.env; set +a"
    assert hint not in run(*arguments).stderr
    (tmp_path / ".env").write_text(f"{variable}=redis://x\n")
    result = run(*arguments)
    assert result.exit_code
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert line.endswith(hint)
    (tmp_path / ".env").write_text("OTHER=1\n")
    assert ".env" not in run(*arguments).stderr


def test_doctor_looks_there_too(run: Command, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("REDIS_URL=redis://127.0.0.1:9/0\n")
    found = run("doctor")
    assert found.stdout.splitlines()[-1].startswith("REDIS_URL is in .env here; read that file first: ")
    assert ".env" not in run("doctor", REDIS_URL="redis://127.0.0.1:9/0").stdout


@pytest.mark.parametrize(
    ("address", "listens"),
    [
        ("http://127.0.0.1:8080", []),
        ("http://localhost:8090", ["--port", "8090"]),
        ("http://hooks.example.com", ["--host", "0.0.0.0", "--port", "80"]),  # noqa: S104
        ("https://hooks.example.com", []),
    ],
)
def test_the_receiver_is_started_where_it_was_said_to_be(address: str, listens: list[str]) -> None:
    assert listening(address)[0] == listens


def test_without_a_terminal_it_names_the_option_that_is_missing(run: Command) -> None:
    result = run("init")
    assert result.exit_code == 2
    assert "Give --account-sid or set APITRAFFIC_ACCOUNT_SID" in result.output
    assert not Path(".env").exists()
    wrong = run("init", "--account-sid", "typo")
    assert "APITRAFFIC_ACCOUNT_SID is not an account SID" in wrong.output


def test_if_the_check_fails_the_file_is_there_and_it_says_what_to_do(run: Command, tmp_path: Path) -> None:
    options = ("--account-sid", "acc_1", "--api-url", "http://127.0.0.1:9/v1", "--token-file", "-")
    result = run("init", *options, "--redis-url", "redis://127.0.0.1:9/0", body=b"a-token")
    assert result.exit_code == 1
    assert "Correct what is marked ✗, then run this again" in result.stdout
    assert values_in(tmp_path / ".env")["REDIS_URL"] == "redis://127.0.0.1:9/0"


def test_on_a_terminal_it_asks_and_asks_again_for_what_cannot_be_right(system: Stack, tmp_path: Path) -> None:
    environment = system.environment
    controller, terminal = pty.openpty()
    with started(
        [sys.executable, "-m", "receiver", "init", "--api-url", environment["APITRAFFIC_API_URL"]],
        env={
            "PATH": os.defpath,
            "APITRAFFIC_SPOOL": environment["APITRAFFIC_SPOOL"],
            "COLUMNS": "80",
        },
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=tmp_path,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        seen = ""
        for question, answer in (
            ("File for the settings [.env]: ", ""),
            ("Account SID (ApiTraffic, settings): ", "typo"),
            ("Account SID (ApiTraffic, settings): ", environment["APITRAFFIC_ACCOUNT_SID"]),
            ("API token (ApiTraffic, settings, API tokens): ", environment["APITRAFFIC_API_TOKEN"]),
            ("Redis [redis://localhost:6379/0]: ", environment["REDIS_URL"]),
            ("Senders, with commas [github]: ", "github, gitlabb"),
            ("Senders, with commas [github]: ", "github, gitlab"),
            ("as senders will reach it [http://127.0.0.1:8080]: ", "hooks.example.com"),
            ("as senders will reach it [http://127.0.0.1:8080]: ", "https://hooks.example.com"),
            ("Write an apitraffic.toml too [y/N]: ", ""),
        ):
            seen += until(controller, question)
            os.write(controller, f"{answer}\n".encode())
        seen += until(controller, "trigger github.deployment\r\n")
        assert process.wait(timeout=30) == 0
    os.close(controller)
    assert "All is well." in seen
    assert "There is no sender gitlabb." in seen
    assert environment["APITRAFFIC_API_TOKEN"] not in seen
    assert set(values_in(tmp_path / ".env")) >= {"GITHUB_WEBHOOK_SECRET", "GITLAB_WEBHOOK_TOKEN"}


def until(controller: int, text: str) -> str:
    """What is printed until this text."""
    seen = b""
    while text.encode() not in seen:
        seen += os.read(controller, 65536)
    return seen.decode()
