"""`apitraffic-events config check`"""

import os
import sys
from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
def check(file: Path | None) -> None:
    """Check a configuration file, and say what to correct.

    FILE is apitraffic.toml or what APITRAFFIC_CONFIG names, unless given. The environment is checked too.
    Nothing is connected to; `doctor` does that. Exits with 1 if there is a mistake; a warning is none.
    """
    from receiver.config.environment import CONFIG_VARIABLE, config_file
    from receiver.config.loading import load_what_is_right
    from receiver.config.suspicions import suspicions
    from receiver.errors import ConfigurationError

    environ = {**os.environ, **({CONFIG_VARIABLE: str(file)} if file else {})}
    try:
        settings, mistakes = load_what_is_right(environ)
        name = config_file(environ) or "no apitraffic.toml"
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    warnings = [*settings.warnings(), *(str(each) for each in suspicions(settings, environ))]
    for line in mistakes:
        click.echo(f"mistake: {line}")
    for line in warnings:
        click.echo(f"warning: {line}")
    if not mistakes and not warnings:
        click.echo(f"The configuration is right: the environment and {name}.")
    sys.exit(1 if mistakes else 0)
