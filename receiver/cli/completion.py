"""`apitraffic-events completion`"""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script that lets the shell complete commands and options.

    docs/cli.md says where to put it.
    """
    root = context.find_root()
    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"{shell} is not supported; supported are {', '.join(SHELLS)}.")
    name = "apitraffic-events"
    click.echo(completion(root.command, {}, name, "_APITRAFFIC_EVENTS_COMPLETE").source())
