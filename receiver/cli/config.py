"""`apitraffic-events config`"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel, SecretStr

from receiver.cli.failures import configuration_errors_in_words
from receiver.config.environment import VARIABLES, config_file
from receiver.config.secrets import SECRET_VARIABLES
from receiver.config.settings import Network, Settings, load_settings

NOT_SET = "(not set)"


@click.command("config")
def command() -> None:
    """Print the configuration in force, with secrets masked, or the mistakes in it."""
    with configuration_errors_in_words():
        settings = load_settings()
        file = config_file(os.environ)
    click.echo("# Environment")
    for line in _variables(settings):
        click.echo(line)
    click.echo(f"\n# {file or 'no apitraffic.toml; these are the defaults'}")
    for line in _sections(settings):
        click.echo(line)
    for warning in settings.warnings():
        click.echo(f"warning: {warning}", err=True)


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


def _masked(value: str | Path | SecretStr | tuple[Network, ...] | None) -> str:
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
        yield from _table(settings.options_for(source))
    for route in settings.route:
        yield "\n[[route]]"
        yield from _table(route)


def _table(model: BaseModel) -> Iterator[str]:
    for name, value in model.model_dump(mode="json", exclude_none=True).items():
        yield f"{name} = {_toml(value)}"


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
