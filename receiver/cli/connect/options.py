"""Options that all `connect` and `disconnect` commands share, and the tokens they read."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from apitraffic_events.connection import is_token
from apitraffic_events.environment import read_variable
from receiver.cli.connect.flow import Wishes
from receiver.cli.connect.stores import (
    EnvFile,
    EnvironmentNow,
    KubernetesSecret,
    SecretFile,
    Store,
    TomlFile,
    require_writable,
)
from receiver.cli.doctor import ReceiverUrl
from receiver.cli.failures import configuration_errors_in_words

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
FILE: Final = click.Path(dir_okay=False, path_type=Path)
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
LONGEST_WAIT: Final = 120.0
"""Seconds that somebody may take to restart the receiver."""


class ApiUrl(click.ParamType[str]):
    """A sender's API: https, so that nobody else reads the token."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            parts = urlsplit(value)
            is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address or parts.query or parts.fragment or "@" in parts.netloc:
            self.fail("Write an https URL without a user name, a query or a fragment.", param, ctx)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            self.fail("It begins with http://, which would show the token to the network.", param, ctx)
        return str(value).rstrip("/")


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
        store = _store_of(env_file, toml, kubernetes_secret, secret_file, secret_name)
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


def _store_of(
    env_file: Path | None,
    toml: Path | None,
    kubernetes_secret: Path | None,
    secret_file: Path | None,
    secret_name: str,
) -> Store:
    """The one that was asked for. Raises `click.ClickException` if it cannot be written."""
    paths = [path for path in (env_file, toml, kubernetes_secret, secret_file) if path]
    if len(paths) > 1:
        raise click.UsageError("Give one of --env-file, --toml, --kubernetes-secret and --secret-file.")
    for path in paths:
        require_writable(path)
    if env_file:
        return EnvFile(env_file)
    if toml:
        return TomlFile(toml)
    if kubernetes_secret:
        return KubernetesSecret(kubernetes_secret, secret_name)
    return SecretFile(secret_file) if secret_file else EnvironmentNow()


def token_of(*names: str, permission: str) -> str:
    """The token in the first variable that is set, or in its file. Raises `click.ClickException`."""
    with configuration_errors_in_words():
        for name in names:
            token = read_variable(name, os.environ)
            if token is not None and not is_token(token):
                raise click.ClickException(
                    f"{name} holds characters that no token has, such as a space; copy it again"
                )
            if token is not None:
                return token
    raise click.ClickException(f"{names[0]} (or {names[0]}_FILE) is not set; {permission}")
