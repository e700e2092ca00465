"""`apitraffic-events config`: the commands are in the modules of this package."""

from typing import Final

import click

from receiver.cli.lazy import LazyGroup

SUMMARIES: Final = {
    "check": "Check a configuration file, and say what to correct.",
    "init": "Write an apitraffic.toml with all settings, commented out.",
    "schema": "Print the JSON Schema of apitraffic.toml, for editors.",
}


@click.group(
    "config",
    cls=LazyGroup,
    invoke_without_command=True,
    places={
        "check": f"{__name__}.check:check",
        "init": f"{__name__}.init:init",
        "schema": f"{__name__}.init:schema",
    },
    summaries=SUMMARIES,
)
@click.pass_context
def command(context: click.Context) -> None:
    """Print the configuration in force, with secrets masked, or the mistakes in it.

    What is right is shown beside the mistakes, which are on standard error; the exit code is then 1. The
    commands below check a file before it is used, and write one to begin with.
    """
    if context.invoked_subcommand is None:
        from receiver.cli.config.show import show

        show()
