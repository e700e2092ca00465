"""What `init` does: asks, writes the settings, checks them."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

import click
from rich.text import Text

from apitraffic_events.environment import DEFAULT_API_URL, read_variable
from receiver.cli import consoles
from receiver.cli.connect.stores import EnvFile, require_writable
from receiver.cli.consoles import print_wrapped
from receiver.cli.error_messages import reading
from receiver.cli.failures import configuration_errors_in_words
from receiver.cli.findings import printed
from receiver.cli.init import DEFAULT_ENV_FILE, DEFAULT_REDIS, DEFAULT_URL
from receiver.cli.init.questions import Answers
from receiver.cli.urls import LOOPBACK, ReceiverUrl
from receiver.config.environment import CONFIG_VARIABLE, DEFAULT_CONFIG_FILE
from receiver.config.template import template
from receiver.doctor.examination import examine
from receiver.sources import SOURCES
from receiver.sources.signing import SENDERS

MAKES_ITS_SECRET: Final = frozenset({"pagerduty"})
"""Senders whose secret we cannot choose."""
SECRET_BYTES: Final = 32
HTTP_PORT: Final = 80
WORKERS: Final = "workers"
"""The check of `doctor` that finds them running."""


def set_up(
    *,
    account_sid: str | None,
    token_file: TextIO | None,
    api_url: str | None,
    redis_url: str | None,
    senders: tuple[str, ...],
    url: str | None,
    env_file: Path | None,
    toml: bool | None,
    no_input: bool,
) -> None:
    asks = not no_input and sys.stdin.isatty() and sys.stderr.isatty()
    path = env_file or Path(
        click.prompt("File for the settings", default=DEFAULT_ENV_FILE, err=True)
        if asks
        else DEFAULT_ENV_FILE
    )
    require_writable(path)
    token = token_file.read().strip() if token_file else None
    with configuration_errors_in_words():
        answers = Answers(EnvFile(path), os.environ, asks=asks)
        answers.take(
            "APITRAFFIC_ACCOUNT_SID", "Account SID (ApiTraffic, settings)", account_sid, "--account-sid"
        )
        answers.take(
            "APITRAFFIC_API_TOKEN",
            "API token (ApiTraffic, settings, API tokens)",
            token,
            "--token-file",
            is_secret=True,
        )
        # Nobody is asked: hardly anybody has another one. But one that this shell has must not get lost.
        if api_url or os.environ.get("APITRAFFIC_API_URL", DEFAULT_API_URL) != DEFAULT_API_URL:
            answers.keep("APITRAFFIC_API_URL", api_url or os.environ["APITRAFFIC_API_URL"])
        answers.take("REDIS_URL", "Redis", redis_url, "--redis-url", default=DEFAULT_REDIS)
        names = answers.names("Senders, with commas", senders, tuple(SOURCES), default="github")
        for name in names:
            if name not in MAKES_ITS_SECRET:
                answers.make(SENDERS[name].secret_name, secrets.token_hex(SECRET_BYTES))
        address = answers.text("The receiver's URL as senders will reach it", url, DEFAULT_URL, ReceiverUrl())
        wants_toml = (
            toml if toml is not None else asks and answers.confirm(f"Write an {DEFAULT_CONFIG_FILE} too")
        )
        answers.write()
    click.echo(f"\nWrote {path}. It holds secrets.")
    if _is_seen_by_git(path):
        click.echo(f"! git would commit it: add {path.name} to .gitignore.")
    if wants_toml:
        _write_toml()
    click.echo()
    # That nothing runs yet is no finding here: starting it is the next step.
    findings = examine(answers.environment(), None)
    is_well = printed(finding for finding in findings if finding.check != WORKERS)
    click.echo()
    out = consoles.output()
    for line in _next_steps(path, names, address, out.width, is_well=is_well):
        print_wrapped(Text(line), out)
    sys.exit(0 if is_well else 1)


def _write_toml() -> None:
    path = Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG_FILE)
    if path.exists():
        click.echo(f"{path} exists and stays as it is.")
        return
    try:
        path.write_text(template(), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"Wrote {path}. Nothing in it has an effect until you remove a #.")


def _next_steps(
    path: Path, names: Sequence[str], address: str, width: int, *, is_well: bool
) -> Iterator[str]:
    if not is_well:
        yield "Correct what is marked ✗, then run this again: it keeps what is there."
        return
    listens, reached = listening(address)
    yield "Next, start both, each in a shell of its own:"
    yield from _with_settings(path, " ".join(["serve", *listens]), width)
    yield from _with_settings(path, "worker", width)
    yield "Then connect each sender:"
    for name in names:
        variable = SENDERS[name].secret_name
        yield f"  {name}: {address}/webhooks/{name}"
        known = read_variable(variable, os.environ) or EnvFile(path).read(variable)
        yield (
            f"    secret: {variable} in {path}"
            if known
            else f"    put the secret that it shows into {path}: {variable}=…"
        )
    sample = next((name for name in names if name in {"github", "gitlab"}), None)
    if sample:
        yield "Try it, in a third:"
        yield from _with_settings(path, " ".join(["trigger", f"{sample}.deployment", *reached]), width)


def _with_settings(path: Path, command: str, width: int) -> Iterator[str]:
    """The command for a shell that has read the file, on two lines if one would be too long to be copied."""
    first, second = f"  {reading(path)};", f"apitraffic-events {command}"
    if len(first) + 1 + len(second) <= width:
        yield f"{first} {second}"
        return
    yield f"{first} \\"
    yield f"    {second}"


def listening(address: str) -> tuple[list[str], list[str]]:
    """Options with which `serve` listens at this address, and those with which `trigger` finds it there.

    An https address is that of a proxy, which passes requests on to where `serve` listens by default.
    """
    parts = urlsplit(address)
    port = parts.port or HTTP_PORT
    if parts.scheme != "http" or parts.path or address == DEFAULT_URL:
        return [], []
    listens = [] if parts.hostname in LOOPBACK else ["--host", "0.0.0.0"]  # noqa: S104 - as senders reach it
    listens += [] if port == urlsplit(DEFAULT_URL).port else ["--port", str(port)]
    return listens, ["--url", address]


def _is_seen_by_git(path: Path) -> bool:
    """Whether the file is in a git repository that does not ignore it."""
    git = shutil.which("git")
    if git is None:
        return False
    command = [git, "-C", str(path.parent), "check-ignore", "--quiet", path.name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 1  # noqa: S603 - no shell
