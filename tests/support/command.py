"""The command line, called in this process."""

from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner, Result

from receiver.cli import main


class Command:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        *arguments: str,
        body: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        **variables: str,
    ) -> Result:
        """Call it with this on its standard input, and these variables set."""
        runner = CliRunner(env={**(environment or {}), **variables})
        return runner.invoke(main, list(arguments), input=body)

    def write(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)
