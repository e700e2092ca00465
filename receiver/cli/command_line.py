"""The group of all commands: what is wrong is said in one form, as an error that names the next step."""

import os
import sys
from typing import Any

import click

from receiver.cli.lazy import LazyGroup


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
