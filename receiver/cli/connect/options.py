"""Options that all `connect` and `disconnect` commands share."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from receiver.cli.urls import ReceiverUrl

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
FILE: Final = click.Path(dir_okay=False, path_type=Path)
LONGEST_WAIT: Final = 120.0
"""Seconds that somebody may take to restart the receiver."""


def url_option(function: CommandT) -> CommandT:
    return click.option(
        "--url",
        required=True,
        type=ReceiverUrl(),
        help="The receiver's URL as the sender reaches it, such as https://hooks.example.com.",
    )(function)


def dry_run_option(function: CommandT) -> CommandT:
    return click.option(
        "--dry-run", is_flag=True, help="Print what would be done; read only, and change nothing."
    )(function)


def connect_options(function: Callable[..., None]) -> Callable[..., None]:
    """Where to store the secret, and how to check: the command takes them together, as `wishes`."""

    @wraps(function)
    def with_wishes(
        *,
        url: str,
        env_file: Path | None,
        toml: Path | None,
        kubernetes_secret: Path | None,
        secret_file: Path | None,
        secret_name: str,
        new_secret: bool,
        wait: float,
        no_ping: bool,
        dry_run: bool,
        **others: Any,
    ) -> None:
        from receiver.cli.connect.flow import Wishes
        from receiver.cli.connect.stores import store_of

        store = store_of(env_file, toml, kubernetes_secret, secret_file, secret_name)
        function(wishes=Wishes(url, store, new_secret, wait, no_ping, dry_run), **others)

    command: Callable[..., None] = with_wishes
    for option in reversed(
        (
            url_option,
            click.option("--env-file", type=FILE, help="Store the secret there, as NAME=value."),
            click.option("--toml", type=FILE, help="Store it in this apitraffic.toml, [webhook_secrets]."),
            click.option(
                "--kubernetes-secret", type=FILE, help="Store it in this manifest of a Secret, in JSON."
            ),
            click.option(
                "--secret-name",
                default="apitraffic-events",
                show_default=True,
                help="The name of that Secret.",
            ),
            click.option("--secret-file", type=FILE, help="Store it alone in this file, for NAME_FILE."),
            click.option(
                "--new-secret",
                is_flag=True,
                help="Change the secret. The file keeps the old one beside it until you remove it.",
            ),
            click.option(
                "--wait",
                type=click.FloatRange(min=0),
                default=LONGEST_WAIT,
                show_default=True,
                metavar="SECONDS",
                help="How long to wait for the receiver to have the secret, and then for the ping.",
            ),
            click.option(
                "--no-ping", is_flag=True, help="Only make the settings; ask neither receiver nor sender."
            ),
            dry_run_option,
        )
    ):
        command = option(command)
    return command
