"""Where settings come from: environment variables, `NAME_FILE` files and apitraffic.toml."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from apitraffic_events.client import DEFAULT_API_URL
from apitraffic_events.environment import read_file, read_variable
from receiver.config.senders import TABLE, declared_names, preset_names, read_senders
from receiver.errors import ConfigurationError
from receiver.sources import SOURCES
from receiver.sources.base import secret_variable_of

CONFIG_VARIABLE: Final = "APITRAFFIC_CONFIG"
DEFAULT_CONFIG_FILE: Final = "apitraffic.toml"


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable, the setting it fills and what belongs there."""

    name: str
    field: str
    advice: str


VARIABLES: Final = (
    Variable("APITRAFFIC_API_TOKEN", "api_token", "copy a token from ApiTraffic's settings, API tokens"),
    Variable("APITRAFFIC_ACCOUNT_SID", "account_sid", "copy it from ApiTraffic's settings; it begins acc_"),
    Variable("APITRAFFIC_API_URL", "api_url", f"leave it out for {DEFAULT_API_URL}"),
    Variable("APITRAFFIC_SPOOL", "spool", "the path of a file on a disk that lasts, or off"),
    Variable(
        "REDIS_URL",
        "redis_url",
        "for example redis://localhost:6379/0 or redis+sentinel://one,two,three/mymaster",
    ),
    Variable("APITRAFFIC_LOG_FORMAT", "log_format", "text, json, or leave it out: text on a terminal"),
    Variable("APITRAFFIC_METRICS_TOKEN", "metrics_token", "make one with openssl rand -hex 32"),
    Variable(
        "APITRAFFIC_TRUSTED_PROXIES", "trusted_proxies", "addresses or networks, as 10.0.0.0/8, with commas"
    ),
    Variable(
        "APITRAFFIC_ALLOWED_SENDERS",
        "allowed_senders",
        "addresses or networks, as 192.30.252.0/22, with commas",
    ),
)
SECRET_VARIABLES: Final = tuple(
    Variable(name, "webhook_secrets", f"put the secret there that {source.title}'s webhook settings hold")
    for source in SOURCES.values()
    for name in source.secret_variables
)


def config_file(environ: Mapping[str, str]) -> Path | None:
    """The TOML file in use, if any; raises `ConfigurationError` if the one that was named is missing."""
    named = environ.get(CONFIG_VARIABLE, "").strip()
    path = Path(named or DEFAULT_CONFIG_FILE)
    if path.is_file():
        return path
    if named:
        raise ConfigurationError(f"{CONFIG_VARIABLE}: there is no file {named}; correct the path or unset it")
    return None


def read_config(path: Path | None) -> tuple[str, dict[str, Any]]:
    """The text of apitraffic.toml, and what is in it. Raises `ConfigurationError`."""
    if path is None:
        return "", {}
    text = read_file(CONFIG_VARIABLE, path)
    try:
        return text, tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error


class _Provided(PydanticBaseSettingsSource):
    """Gives pydantic-settings one whole mapping instead of single fields."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False


class EnvironmentSource(_Provided):
    """Environment variables, and the files that `NAME_FILE` variables name."""

    def __call__(self) -> dict[str, Any]:
        values = {variable.field: read_variable(variable.name, os.environ) for variable in VARIABLES}
        _, content = read_config(config_file(os.environ))
        names = [variable.name for variable in SECRET_VARIABLES]
        names += [secret_variable_of(name) for name in (*preset_names(), *declared_names(content))]
        secrets = {name: read_variable(name, os.environ) for name in names}
        return {field: value for field, value in values.items() if value is not None} | {
            "webhook_secrets": {name: value for name, value in secrets.items() if value is not None}
        }


class TomlFileSource(_Provided):
    """apitraffic.toml. A table named after a source, also a declared one, becomes its section."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self.path = config_file(os.environ)

    def __call__(self) -> dict[str, Any]:
        text, content = read_config(self.path)
        sections = {name: content.pop(name) for name in SOURCES if name in content}
        known = dict.fromkeys((*preset_names(), *declared_names(content)))
        declared = {name: content.pop(name) for name in known if name in content}
        senders = read_senders(text, str(self.path)) if content.pop(TABLE, None) is not None else ()
        given = {"sources": sections, "declared": declared, TABLE: senders}
        return content | {name: value for name, value in given.items() if value}
