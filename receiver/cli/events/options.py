"""The fields of an event as options, and the options of all commands that write."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, cast

import click

from receiver.cli.options import CommandT, json_option, timeout_option
from receiver.cli.times import TimeType

STATUSES: Final = ("in_progress", "success", "failure", "cancelled")


def scope_options(function: CommandT) -> CommandT:
    """`--bucket` and `--environments`, and the former `--environment`, which is added to the latter."""

    @wraps(function)
    def with_former(
        *arguments: Any, environments: tuple[str, ...], former: tuple[str, ...], **others: Any
    ) -> Any:
        if former:
            warn_of_former_name()
        return function(*arguments, environments=(*environments, *former), **others)

    options = (
        click.option(
            "--bucket",
            "buckets",
            metavar="NAME",
            multiple=True,
            help="Show the event on this bucket's charts only, by name or SID; repeatable.",
        ),
        click.option(
            "--environments",
            metavar="NAME",
            multiple=True,
            help="Show the event on this environment's charts only, by name or SID; repeatable.",
        ),
        click.option("--environment", "former", multiple=True, hidden=True),
    )
    wrapped: Any = with_former
    for option in reversed(options):
        wrapped = option(wrapped)
    return cast("CommandT", wrapped)


def text_options(function: CommandT) -> CommandT:
    """`--name`, `--description`, `--source`, `--metadata`."""
    options = (
        click.option("--name", help="What happened, as the chart shows it; at most 200 characters."),
        click.option("--description", help="Details; at most 2,000 characters."),
        click.option("--source", help="Where the event comes from, such as jenkins."),
        click.option(
            "--metadata",
            metavar="NAME=VALUE",
            multiple=True,
            callback=_read_metadata,
            help="Further facts, such as a commit or a ticket; repeatable.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _read_metadata(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    metadata = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name.strip() or not equals:
            raise click.BadParameter(f"{pair!r} is not of the form NAME=VALUE")
        metadata[name.strip()] = value
    return metadata


def previous_option(function: CommandT) -> CommandT:
    """`--previous/--no-previous`."""
    return click.option(
        "--previous/--no-previous",
        default=True,
        show_default=True,
        help="Say which version ran before, and call a rollback one. Asks the API for the deploys before.",
    )(function)


def time_options(function: CommandT) -> CommandT:
    """`--started-at`, `--ended-at`."""
    started = click.option(
        "--started-at", type=TimeType(), help="When it began: ISO 8601 (UTC), or 10m for ten minutes ago."
    )
    ended = click.option("--ended-at", type=TimeType(), help="When it ended. Default: no end.")
    return started(ended(function))


def write_options(function: Callable[..., None]) -> Callable[..., None]:
    """Decorates a command that takes `WriteOptions`: adds the options and passes them."""

    @wraps(function)
    def with_options(
        *arguments: Any, dry_run: bool, on_error: str, timeout: float, as_lines: bool, **others: Any
    ) -> None:
        from receiver.cli.events.writing import WriteOptions

        options = WriteOptions(dry_run=dry_run, on_error=on_error, timeout=timeout, as_lines=as_lines)
        function(*arguments, options=options, **others)

    options = (
        click.option("--dry-run", is_flag=True, help="Print what would be sent; send nothing."),
        click.option(
            "--on-error",
            type=click.Choice(["fail", "warn"]),
            default="fail",
            show_default=True,
            help="warn: report the error but exit with 0, so that no deployment fails because of a marker.",
        ),
        timeout_option,
        json_option,
    )
    command: Callable[..., None] = with_options
    for option in reversed(options):
        command = option(command)
    return command


def warn_of_former_name() -> None:
    """`--environment` is where something is deployed to in the CI plugins, and was something else here."""
    click.echo(
        "--environment is now --environments, as in the CI plugins; where it is deployed to is --to.",
        err=True,
    )
