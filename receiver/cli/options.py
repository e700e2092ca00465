"""Options that several commands have.

Like each module that declares commands, it imports no more than their help needs. What a command does is
imported when it runs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from receiver.local.data_folder import DEFAULT_DATA_FOLDER

TYPES: Final = ("deployment", "incident", "config_change", "scale", "custom")
"""Those of `apitraffic_events.EventType`, which is slow to import."""
CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def timeout_option(function: CommandT) -> CommandT:
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0.1, max=3600),
        default=20.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to retry while the API fails.",
    )(function)


def json_option(function: CommandT) -> CommandT:
    return click.option("--json", "as_lines", is_flag=True, help="Print JSON, one object per line.")(function)


def every_option(function: CommandT) -> CommandT:
    return click.option(
        "--every",
        type=click.FloatRange(min=0.1),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="How often --watch refreshes.",
    )(function)


class SourceName(click.ParamType[str]):
    """The name of a sender; whether there is one is known with the configuration, which may declare it."""

    name = "source"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from receiver.config.senders import preset_names
        from receiver.sources import SOURCES

        names = sorted((*SOURCES, *preset_names()))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


SOURCE: Final = SourceName()
url_option = click.option(
    "--url",
    help="The receiver's address.  [default: the one that `up` runs, or http://127.0.0.1:8080]",
)
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA_FOLDER,
    show_default=True,
    help="Where `up` keeps its secrets, which are used if none is configured.",
)


def header_option(function: CommandT) -> CommandT:
    return click.option(
        "--header",
        multiple=True,
        metavar="'NAME: VALUE'",
        help="A further header that the sender would send; repeatable.",
    )(function)
