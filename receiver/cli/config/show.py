"""`apitraffic-events config` without another word."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, SecretStr

from apitraffic_events.errors import ConfigurationError
from receiver.config.environment import VARIABLES, config_file
from receiver.config.loading import load_what_is_right
from receiver.config.networks import Network
from receiver.config.secrets import SECRET_VARIABLES
from receiver.config.settings import Settings
from receiver.config.suspicions import suspicions
from receiver.config.toml import as_toml
from receiver.sources.source import Source, SourceOptions

NOT_SET = "(not set)"


def show() -> None:
    """Print the settings in force; exits with 1 if some of what is set is wrong."""
    try:
        settings, mistakes = load_what_is_right()
        file = config_file(os.environ)
    except ConfigurationError as error:
        settings, mistakes, file = Settings(), str(error).splitlines(), None
    click.echo("# Environment")
    for line in _variables(settings):
        click.echo(line)
    click.echo(f"\n# {file or 'no apitraffic.toml; these are the defaults'}")
    for line in _sections(settings):
        click.echo(line)
    for warning in settings.warnings():
        click.echo(f"warning: {warning}", err=True)
    for suspicion in suspicions(settings, os.environ):
        click.echo(f"warning: {suspicion}", err=True)
    if mistakes:
        raise click.ClickException("\n".join(mistakes))


def _variables(settings: Settings) -> Iterator[str]:
    for variable in VARIABLES:
        value = getattr(settings, variable.field)
        yield f"{variable.name}={_masked(value)}{_origin(variable.name)}"
    known = (variable.name for variable in SECRET_VARIABLES)
    declared = (name for source in settings.active_sources.values() for name in source.secret_variables)
    for name in dict.fromkeys((*known, *declared)):
        secrets = settings.webhook_secrets.get(name, ())
        state = f"{', '.join(_masked(secret) for secret in secrets)}" if secrets else NOT_SET
        yield f"{name}={state}{_origin(name)}"


def _masked(value: str | int | Path | SecretStr | tuple[Network, ...] | None) -> str:
    """The value as it can be shown: only the length of a secret, and a URL without its password."""
    if value is None or value == ():
        return NOT_SET
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, SecretStr):
        return f"{'*' * 8} ({len(value.get_secret_value())} characters)"
    without_password = re.sub(r"//.*@", "//********@", str(value))
    return re.sub(r"([?&][^=&#]*=)[^&#]*", r"\1********", without_password)


def _origin(name: str) -> str:
    path = os.environ.get(f"{name}_FILE")
    if path:
        return f"  # from {path}"
    return "" if os.environ.get(name) else "  # default"


def _sections(settings: Settings) -> Iterator[str]:
    yield "[delivery]"
    yield from _table(settings.delivery)
    for name, source in settings.active_sources.items():
        yield f"\n[{name}]"
        yield from _options(source, settings.options_for(source))
    for account, of_account in settings.account.items():
        yield f"\n[account.{account}]"
        yield from _table(of_account)
    for name, section in (
        ("console", settings.console),
        ("charts", settings.charts),
        ("verdict", settings.verdict),
        ("notify", settings.notify),
    ):
        if lines := [*_table(section)]:
            yield f"\n[{name}]"
            yield from lines
    for route in settings.route:
        yield "\n[[route]]"
        yield from _table(route)


def _options(source: Source[Any], options: SourceOptions) -> Iterator[str]:
    """With the defaults that an option leaves to the source."""
    if options.events is None:
        yield f"events = {as_toml(list(source.default_events))}  # default"
    yield from _table(options)


def _table(model: BaseModel) -> Iterator[str]:
    for name, value in model.model_dump(mode="json", exclude_none=True).items():
        yield f"{name} = {as_toml(value)}"
