"""`apitraffic-events completion`"""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands and options.

    Put it where the shell looks for it; docs/cli.md says where that is.
    """
    root = context.find_root()
    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"{shell} is not known here; known are {', '.join(SHELLS)}.")
    name = "apitraffic-events"
    click.echo(completion(root.command, {}, name, "_APITRAFFIC_EVENTS_COMPLETE").source())
