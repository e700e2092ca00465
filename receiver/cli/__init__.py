"""The command `apitraffic-events`: one module per command, imported only when the command is used."""

from importlib import import_module
from importlib.metadata import version
from typing import Final

import click

COMMANDS: Final = {
    "up": "up",
    "demo": "demo",
    "serve": "serve",
    "worker": "worker",
    "api": "api",
    "translate": "translate",
    "send": "send",
    "senders": "senders",
    "events": "events",
    "status": "status",
    "deadletters": "deadletters",
    "quarantine": "quarantine",
    "github": "github",
    "doctor": "doctor",
    "mcp": "mcp",
    "config": "config",
    "completion": "completion",
}
"""Command name -> module in this package that defines it as `command`, in the order of the help text."""


class LazyGroup(click.Group):
    """Imports a command when it is used, so that `--help` does not wait for Flask and RQ.

    After https://click.palletsprojects.com/en/stable/complex/#lazily-loading-subcommands
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module_name = COMMANDS.get(cmd_name)
        if module_name is None:
            return None
        command = import_module(f"{__name__}.{module_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"{__name__}.{module_name}.command is not a click command")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("apitraffic-events"), prog_name="apitraffic-events")
def main() -> None:
    """Put deploys and incidents on ApiTraffic's charts."""
