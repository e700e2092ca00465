"""The settings of the local system that `up` runs in this folder, for commands that are given no others."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import click

from apitraffic_events.errors import ConfigurationError
from receiver.config.environment import VARIABLES, in_file
from receiver.local.data_folder import DEFAULT_DATA_FOLDER, DataFolder
from receiver.local.running import running_in


@dataclass(frozen=True, slots=True)
class Need:
    """Variables that belong together: if one of `names` is set, all are left as they are.

    `others` are taken along with them, unless they are set.
    """

    names: tuple[str, ...]
    others: tuple[str, ...] = ()


SAID: Final = f"{__name__}.said"
"""Where a command's context notes that it has said so."""
ACCOUNT: Final = Need(("APITRAFFIC_API_TOKEN", "APITRAFFIC_ACCOUNT_SID", "APITRAFFIC_API_URL"))
QUEUE: Final = Need(("REDIS_URL",), ("APITRAFFIC_SPOOL",))


def environment_for(
    *needs: Need, environ: Mapping[str, str] = os.environ, with_secrets: bool = False
) -> Mapping[str, str]:
    """`environ`, with what is missing taken from the local system; says so on standard error if it is.

    With `with_secrets`, the secrets of webhooks are taken too, unless they are set.
    """
    missing = [need for need in needs if not any(_is_set(name, environ) for name in need.names)]
    running = running_in(DataFolder(DEFAULT_DATA_FOLDER)) if missing else None
    if running is None:
        return environ
    wanted = {name for need in missing for name in need.names} & running.settings.keys()
    if not wanted:
        return environ
    _say_once(f"Using the local system that `apitraffic-events up` runs in {running.folder.path}.")
    wanted |= {name for need in missing for name in need.others}
    if with_secrets:
        wanted |= running.settings.keys() - {name for need in needs for name in (*need.names, *need.others)}
    taken = {
        name: value
        for name, value in running.settings.items()
        if name in wanted and not _is_set(name, environ)
    }
    return {**environ, **taken}


def _say_once(text: str) -> None:
    """A command that asks both Redis and the API says it once."""
    context = click.get_current_context(silent=True)
    if context is None or not context.meta.get(SAID):
        click.echo(text, err=True)
    if context is not None:
        context.meta[SAID] = True


def _is_set(name: str, environ: Mapping[str, str]) -> bool:
    """Whether the variable, its file or apitraffic.toml has it."""
    if environ.get(name, "").strip() or environ.get(f"{name}_FILE"):
        return True
    field = next((variable.field for variable in VARIABLES if variable.name == name), None)
    try:
        return field in in_file(environ)
    except ConfigurationError:
        return False  # The command will say what is wrong with the file.
