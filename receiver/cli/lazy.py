"""Groups that import a command when it is used, so that `--help` and completion do not wait for it."""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class Unloaded(click.Command):
    """Stands for a command in a list of commands: its name and first sentence. `load` imports the command."""

    def __init__(self, name: str, place: str, summary: str | None) -> None:
        """`place` is the command's module and its name there, as `package.module:name`."""
        super().__init__(name, short_help=summary)
        self.place = place

    def load(self) -> click.Command:
        module, _, name = self.place.partition(":")
        command = getattr(import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.place} is not a click command")
        return command

    def get_short_help_str(self, limit: int = 45) -> str:
        return super().get_short_help_str(limit) or self.load().get_short_help_str(limit)


class LazyGroup(click.Group):
    """`commands` are in the order of the help text. Only a command that is used is imported.

    After https://click.palletsprojects.com/en/stable/complex/#lazily-loading-subcommands
    """

    def __init__(
        self, *arguments: Any, places: Mapping[str, str], summaries: Mapping[str, str], **options: Any
    ) -> None:
        """`places` has each command's place, as `Unloaded` takes it, and `summaries` its first sentence."""
        super().__init__(*arguments, **options)
        for name, place in places.items():
            self.add_command(Unloaded(name, place, summaries.get(name)))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Unloaded) else command, rest


class CommandLine(LazyGroup):
    """Errors of all commands pass here, on their way to standard error."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            from receiver.cli.error_messages import ErrorMessage, env_file_hint

            hint = env_file_hint(error.format_message(), os.environ)
            if hint or sys.stderr.isatty():
                raise ErrorMessage(error, hint) from error
            raise
