"""The help texts of all commands as a page of documentation: `make docs` writes it, a test compares it."""

from collections.abc import Iterator

import click

from receiver.cli import main

WIDTH = 100
HEAD = """\
# Commands

`make docs` generates this page from each command's `--help`. [cli.md](cli.md) explains `events`, `status` and
`completion`.
"""


def document() -> str:
    """The content of docs/commands.md."""
    return "\n".join([HEAD, *_sections(main, "apitraffic-events", None)])


def _sections(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    name = path.rpartition(" ")[2]
    context = click.Context(
        command, parent, name, terminal_width=WIDTH, max_content_width=WIDTH, **command.context_settings
    )
    yield f"## {path}\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            _, subcommand, _ = command.resolve_command(context, [name])
            if subcommand is not None:
                yield from _sections(subcommand, f"{path} {name}", context)


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 - what it is for
