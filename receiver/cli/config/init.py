"""`apitraffic-events config init|schema`"""

import json
from pathlib import Path
from typing import Final

import click

from receiver.config.environment import DEFAULT_CONFIG_FILE

SCHEMA_FILE: Final = "apitraffic.schema.json"


@click.command()
@click.argument(
    "file", type=click.Path(dir_okay=False, path_type=Path), default=DEFAULT_CONFIG_FILE, required=False
)
@click.option(
    "--schema",
    "with_schema",
    is_flag=True,
    help=f"Write {SCHEMA_FILE} beside it, with which editors complete and check.",
)
@click.option("--force", is_flag=True, help="Replace a file that exists.")
def init(file: Path, *, with_schema: bool, force: bool) -> None:
    """Write an apitraffic.toml with all settings, commented out.

    Each has its default and what it means. Nothing changes until you remove a #.
    """
    from receiver.config.template import template

    if file.exists() and not force:
        raise click.ClickException(f"{file} exists; give another name, or --force to replace it")
    head = f"#:schema ./{SCHEMA_FILE}\n" if with_schema else ""
    try:
        file.write_text(head + template(), encoding="utf-8")
        if with_schema:
            file.with_name(SCHEMA_FILE).write_text(_schema(), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from error
    click.echo(f"Wrote {file}. `apitraffic-events config check` checks it.")


@click.command()
def schema() -> None:
    """Print the JSON Schema of apitraffic.toml, for editors.

    Editors find it by a first line such as `#:schema ./apitraffic.schema.json`.
    """
    click.echo(_schema(), nl=False)


def _schema() -> str:
    from receiver.config.schema import schema_of_file

    return json.dumps(schema_of_file(), indent=2, ensure_ascii=False) + "\n"
