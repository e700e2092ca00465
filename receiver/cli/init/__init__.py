"""`apitraffic-events init`"""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

import click

from apitraffic_events.environment import read_variable
from receiver.cli.connect.stores import EnvFile, require_writable
from receiver.cli.doctor import ReceiverUrl, printed
from receiver.cli.failures import configuration_errors_in_words
from receiver.cli.init.questions import Answers
from receiver.config.environment import CONFIG_VARIABLE, DEFAULT_CONFIG_FILE
from receiver.config.template import template
from receiver.doctor.examination import examine
from receiver.sources import SOURCES
from receiver.sources.signing import SENDERS

DEFAULT_ENV_FILE: Final = ".env"
DEFAULT_REDIS: Final = "redis://localhost:6379/0"
DEFAULT_URL: Final = "http://127.0.0.1:8080"
MAKES_ITS_SECRET: Final = frozenset({"pagerduty"})
"""Senders whose secret we cannot choose."""
SECRET_BYTES: Final = 32
WORKERS: Final = "workers"
"""The check of `doctor` that finds them running."""
FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command("init")
@click.option("--account-sid", metavar="SID", help="The account's SID in ApiTraffic; it begins acc_.")
@click.option(
    "--token-file",
    type=click.File("r"),
    help="The file that holds the API token; - is standard input.  [default: APITRAFFIC_API_TOKEN]",
)
@click.option("--api-url", metavar="URL", help="The Events API, if it is not ApiTraffic's own.")
@click.option("--redis-url", metavar="URL", help=f"The Redis to use.  [default: {DEFAULT_REDIS}]")
@click.option(
    "--sender",
    "senders",
    multiple=True,
    type=click.Choice(tuple(SOURCES)),
    help="A sender to accept webhooks from; repeatable.  [default: github]",
)
@click.option(
    "--url",
    type=ReceiverUrl(),
    help=f"The receiver's URL as senders will reach it.  [default: {DEFAULT_URL}]",
)
@click.option("--env-file", type=FILE, help=f"Where to write the settings.  [default: {DEFAULT_ENV_FILE}]")
@click.option(
    "--toml/--no-toml",
    default=None,
    help=f"Also write an {DEFAULT_CONFIG_FILE} with all other settings, commented out.  [default: no]",
)
@click.option("--no-input", is_flag=True, help="Ask nothing: take the defaults for what is not given.")
def command(
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
    """Set up a receiver: ask for what it needs, write it down, and check it.

    Writes a file of environment variables, which Docker, Compose, systemd and shells can read, with a new
    secret for each sender. What the file holds already is kept, so you can run this again. At the end, it
    checks everything as `doctor` does, and exits with 1 if anything is marked ✗.
    """
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
        if api_url:
            answers.take("APITRAFFIC_API_URL", "", api_url, "--api-url")
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
    for line in _next_steps(path, names, address, is_well=is_well):
        click.echo(line)
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


def _next_steps(path: Path, names: Sequence[str], address: str, *, is_well: bool) -> Iterator[str]:
    if not is_well:
        yield "Correct what is marked ✗, then run this again: it keeps what is there."
        return
    file = path if path.is_absolute() else f"./{path}"
    yield "Next, start both, each in a shell of its own:"
    yield f"  set -a; . {file}; set +a; apitraffic-events serve"
    yield f"  set -a; . {file}; set +a; apitraffic-events worker"
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
        yield f"Try it: apitraffic-events trigger {sample}.deployment"


def _is_seen_by_git(path: Path) -> bool:
    """Whether the file is in a git repository that does not ignore it."""
    git = shutil.which("git")
    if git is None:
        return False
    command = [git, "-C", str(path.parent), "check-ignore", "--quiet", path.name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 1  # noqa: S603 - no shell
