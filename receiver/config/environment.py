"""Where settings come from: environment variables, `NAME_FILE` files and apitraffic.toml."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from apitraffic_events.environment import DEFAULT_API_URL, read_file, read_variable
from apitraffic_events.errors import ConfigurationError

CONFIG_VARIABLE: Final = "APITRAFFIC_CONFIG"
DEFAULT_CONFIG_FILE: Final = "apitraffic.toml"
NOT_TOML: Final = (
    (r"Cannot declare .*twice|Cannot overwrite|Cannot mutate", "write [[route]] for each of several routes"),
    (r"Invalid value|Invalid or incomplete escape", 'write texts in quotes: deployments = "span"'),
    (r"Expected '=' after a key", "write one setting on each line: name = value"),
    (r"Unclosed array|Expected newline or end of document", 'end a list with ]: events = ["release"]'),
    (r"Expected '\]+' at the end", "end a table's name with ], or with ]] if it began with [["),
)
"""Patterns of tomllib's messages, and what was probably meant."""


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
    Variable("APITRAFFIC_PROMETHEUS_TOKEN", "prometheus_token", "the bearer token that Prometheus wants"),
    Variable("APITRAFFIC_METRICS_TOKEN", "metrics_token", "make one with openssl rand -hex 32"),
    Variable("APITRAFFIC_CONSOLE_TOKEN", "console_token", "make one with openssl rand -hex 32"),
    Variable(
        "APITRAFFIC_NOTIFY_URL",
        "notify_url",
        "copy the address of an incoming webhook from your chat, or leave it out",
    ),
    Variable(
        "APITRAFFIC_NOTIFY_SECRET",
        "notify_secret",
        'make one with echo "whsec_$(openssl rand -base64 32)", or leave it out: a chat needs none',
    ),
    Variable("APITRAFFIC_KEEP_PAYLOADS", "keep_payloads", "a number up to 10000, or 0 for none"),
    Variable(
        "APITRAFFIC_TRUSTED_PROXIES", "trusted_proxies", "addresses or networks, as 10.0.0.0/8, with commas"
    ),
    Variable(
        "APITRAFFIC_ALLOWED_SENDERS",
        "allowed_senders",
        "addresses or networks, as 192.30.252.0/22, with commas",
    ),
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


def in_environment(variables: Iterable[Variable], environ: Mapping[str, str]) -> dict[str, str]:
    """Name of each variable that is set, also by its file -> its value.

    Raises `ConfigurationError` with a line for each that cannot be read.
    """
    values, problems = readable_in_environment(variables, environ)
    if problems:
        raise ConfigurationError("\n".join(problems))
    return values


def readable_in_environment(
    variables: Iterable[Variable], environ: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """As `in_environment`, with the problems beside what can be read."""
    values, problems = {}, []
    for variable in variables:
        try:
            value = read_variable(variable.name, environ)
        except ConfigurationError as error:
            problems.append(str(error))
        else:
            if value is not None:
                values[variable.name] = value
    return values, problems


def text_of_file(environ: Mapping[str, str]) -> str:
    """The text of apitraffic.toml, empty if there is none. Raises `ConfigurationError`."""
    path = config_file(environ)
    return "" if path is None else read_file(CONFIG_VARIABLE, path)


def in_file(environ: Mapping[str, str]) -> dict[str, Any]:
    """The content of apitraffic.toml, empty if there is none. Raises `ConfigurationError`."""
    try:
        return tomllib.loads(text_of_file(environ))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"{config_file(environ)} is not valid TOML: {not_toml(str(error))}"
        ) from error
    except RecursionError as error:
        raise ConfigurationError(f"{config_file(environ)} is nested too deeply") from error


def not_toml(message: str) -> str:
    """What to say of a file that tomllib cannot read. Its message names the line, and comes last."""
    hint = next((hint for pattern, hint in NOT_TOML if re.search(pattern, message)), None)
    return f"{hint}; {message}" if hint else message


def explained(variable: Variable, message: str) -> str:
    """What is wrong with a variable's value, and what belongs there."""
    return f"{variable.name} {in_our_words(message)}; {variable.advice}"


def in_our_words(message: str) -> str:
    """Pydantic's message as the rest of a sentence that begins with a name."""
    return message.removeprefix("Value error, ").removeprefix("Input ")
