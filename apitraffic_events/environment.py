"""Environment variables, or the files that they name instead (`NAME_FILE`, as for Docker's secrets)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from apitraffic_events.errors import ConfigurationError

DEFAULT_API_URL: Final = "https://api.apitraffic.io/v1"
LARGEST_FILE: Final = 1024 * 1024
"""Characters."""


def read_variable(name: str, environ: Mapping[str, str]) -> str | None:
    """The value of `name`, or the content of the file that `NAME_FILE` names; `None` if unset or empty.

    Raises `ConfigurationError` if both are set or the file cannot be read.
    """
    value, path = environ.get(name, ""), environ.get(f"{name}_FILE", "")
    if value.strip() and path:
        raise ConfigurationError(f"{name} and {name}_FILE are both set; remove one of them")
    if path:
        value = read_file(f"{name}_FILE", Path(path))
    return value.strip() or None


def read_file(variable: str, path: Path) -> str:
    """The text of the file that `variable` names; raises `ConfigurationError` if it cannot be read."""
    try:
        # -sig: some editors on Windows write a byte order mark, which does not belong to the secret.
        with path.open(encoding="utf-8-sig") as file:
            return file.read(LARGEST_FILE)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"{variable}: {path} cannot be read ({reason}); check the path and who may read it"
        ) from error
