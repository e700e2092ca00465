"""How an error is shown: wrapped on a terminal, and with the file that may have what is not set."""

import re
import shlex
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import IO, Any, Final

import click
from rich.text import Text

from receiver.cli import consoles
from receiver.cli.connect.stores import EnvFile
from receiver.cli.consoles import wrapped
from receiver.cli.init import DEFAULT_ENV_FILE

VARIABLE: Final = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
BEGINS: Final = "Error: "


class ErrorMessage(click.ClickException):
    """Shows `error` as it shows itself, but for the width of the lines and a hint at the end."""

    def __init__(self, error: click.ClickException, hint: str | None) -> None:
        super().__init__(error.format_message())
        self.exit_code = error.exit_code  # type: ignore[misc]  # click reads the instance's
        self._error = error
        self._hint = hint

    def show(self, file: IO[Any] | None = None) -> None:
        shown = StringIO()
        self._error.show(shown)
        text = shown.getvalue().rstrip("\n")
        if self._hint:
            text = f"{text.rstrip('.')}. {self._hint}"
        console = consoles.errors()
        for line in text.split("\n"):
            indent = len(BEGINS) if line.startswith(BEGINS) else None
            parts = wrapped(Text(line), console, indent) if console.is_terminal else [Text(line)]
            for part in parts:
                click.echo(part.plain.rstrip(), file=file, err=file is None)


def env_file_hint(message: str, environ: Mapping[str, str]) -> str | None:
    """What to do if a variable is not set that the file of `init` has; `None` if this is not the case."""
    path = Path(DEFAULT_ENV_FILE)
    if "not set" not in message or not path.is_file():
        return None
    try:
        file = EnvFile(path)
        missing = [name for name in VARIABLE.findall(message) if not environ.get(name) and file.read(name)]
    except click.ClickException:
        return None
    if not missing:
        return None
    return f"{missing[0]} is in {path} here; read that file first: {reading(path)}"


def reading(path: Path) -> str:
    """The command with which a shell takes the variables from the file."""
    name = str(path) if path.is_absolute() else f"./{path}"
    return f"set -a; . {shlex.quote(name)}; set +a"
