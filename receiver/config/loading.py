"""Loads the settings: environment first, apitraffic.toml second. Errors say what to do."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from apitraffic_events.errors import ConfigurationError
from receiver.config.environment import (
    DEFAULT_CONFIG_FILE,
    VARIABLES,
    Variable,
    config_file,
    explained,
    in_file,
    in_our_words,
    readable_in_environment,
    text_of_file,
)
from receiver.config.mistakes import ConfigFile
from receiver.config.secrets import SECRET_VARIABLES
from receiver.config.senders import TABLE, declared_names, preset_names, read_senders
from receiver.config.settings import Settings
from receiver.sources import SOURCES
from receiver.sources.source import Source, SourceOptions, secret_variable_of

TABLES: Final[Mapping[str, type[BaseModel]]] = dict.fromkeys(preset_names(), SourceOptions) | {
    name: source.options for name, source in SOURCES.items()
}
"""Tables of apitraffic.toml that are named after a source."""
WRONG: Final = object()
"""Stands for an item of a list until all mistakes have been named, so that the others keep their numbers."""
NAMES_ITS_VARIABLES: Final = frozenset[tuple[int | str, ...]]({(), ("webhook_secrets",)})
"""Where pydantic says a mistake is, if the message begins with the name of the variable on each line."""
SECTIONS: Final = frozenset({"sources", "declared"})
"""Fields whose own fields are tables of the file."""
NAME_OF_TABLE: Final = "[key]"
"""What pydantic adds to the place of a mistake in a name, as in `[account.NAME]`."""


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read environment and file.

    Raises `ConfigurationError` with a line for each mistake, which says what belongs there.
    """
    settings, problems = load_what_is_right(environ)
    if problems:
        raise ConfigurationError("\n".join(problems))
    return settings


def load_what_is_right(environ: Mapping[str, str] = os.environ) -> tuple[Settings, list[str]]:
    """The settings without those that are wrong, and a line for each of these."""
    values, problems = _values(environ)
    file: ConfigFile | None = None
    while True:
        try:
            return Settings.model_validate(values), list(dict.fromkeys(problems))
        except ValidationError as error:
            file = file or _file(environ)
            before = repr(values)
            for mistake in error.errors():
                problems.append(_explain(mistake, file))
                _leave_out(values, tuple(mistake["loc"]), mistake["msg"])
            values = _without_wrong(values)
            if repr(values) == before:
                raise ConfigurationError("\n".join(problems)) from None


def _values(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """All that is set, as the fields of `Settings`, and a line for each place that cannot be read."""
    values: dict[str, Any] = {"webhook_secrets": {}}
    problems: list[str] = []
    declared: Iterable[str] = preset_names()
    try:
        content = in_file(environ)
    except ConfigurationError as error:
        problems.append(str(error))
    else:
        declared = dict.fromkeys((*declared, *declared_names(content)))
        values["sources"] = {name: content.pop(name) for name in SOURCES if name in content}
        values["declared"] = {name: content.pop(name) for name in declared if name in content}
        if TABLE in content:
            sources, wrong = _senders(environ)
            content[TABLE] = sources
            problems += wrong
        values |= content
    given, unreadable = readable_in_environment(VARIABLES, environ)
    secrets, also_unreadable = readable_in_environment(
        (*SECRET_VARIABLES, *map(_variable_of, declared)), environ
    )
    values |= {variable.field: given[variable.name] for variable in VARIABLES if variable.name in given}
    if isinstance(values["webhook_secrets"], dict):
        values["webhook_secrets"] |= secrets
    return values, problems + unreadable + also_unreadable


def _senders(environ: Mapping[str, str]) -> tuple[tuple[Source[Any], ...], list[str]]:
    """What `[[sender]]` declares, or a line for each mistake."""
    try:
        return read_senders(text_of_file(environ), str(config_file(environ))), []
    except ConfigurationError as error:
        return (), str(error).splitlines()


def _variable_of(name: str) -> Variable:
    advice = f"put the secret there that {name}'s webhook settings hold"
    return Variable(secret_variable_of(name), "webhook_secrets", advice)


def _file(environ: Mapping[str, str]) -> ConfigFile:
    try:
        text = text_of_file(environ)
    except ConfigurationError:
        text = ""
    return ConfigFile(config_file(environ) or Path(DEFAULT_CONFIG_FILE), text, Settings, TABLES)


def _explain(mistake: ErrorDetails, file: ConfigFile) -> str:
    location, message = tuple(mistake["loc"]), mistake["msg"]
    if location in NAMES_ITS_VARIABLES:
        return in_our_words(message)
    for variable in (*VARIABLES, *SECRET_VARIABLES):
        if location[0] == variable.field and (
            variable.field != "webhook_secrets" or variable.name in location
        ):
            return explained(variable, message)
    return file.explain(mistake, tuple(part for part in location if part not in {*SECTIONS, NAME_OF_TABLE}))


def _leave_out(values: dict[str, Any], location: tuple[int | str, ...], message: str) -> None:
    """Remove the value that is wrong, or the smallest part that holds it; in a list, put `WRONG` there."""
    if location in NAMES_ITS_VARIABLES:
        wrong = {line.split(" ", 1)[0] for line in in_our_words(message).splitlines()}
        kept = {name: value for name, value in values["webhook_secrets"].items() if name not in wrong}
        values["webhook_secrets"] = kept if len(kept) < len(values["webhook_secrets"]) else {}
        return
    holder: dict[str, Any] = values
    for part, following in zip(location, (*location[1:], None), strict=True):
        inner = holder.get(str(part))
        if isinstance(inner, list) and isinstance(following, int) and following < len(inner):
            inner[following] = WRONG
            return
        if not isinstance(inner, dict) or following not in inner:
            holder.pop(str(part), None)
            return
        holder = inner


def _without_wrong(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [item for item in value if item is not WRONG] if isinstance(value, list) else value
        for name, value in values.items()
    }
