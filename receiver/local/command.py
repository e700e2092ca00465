"""Options and error handling that the commands `up` and `demo` share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from receiver.local.data_folder import DEFAULT_DATA_FOLDER
from receiver.local.errors import LocalModeError

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def host_option(function: CommandT) -> CommandT:
    return click.option(
        "--host", default="127.0.0.1", show_default=True, help="Address on which the receiver listens."
    )(function)


def data_dir_option(function: CommandT) -> CommandT:
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=DEFAULT_DATA_FOLDER,
        show_default=True,
        help="Where Redis, the local Events API and this machine's secrets are kept.",
    )(function)


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turn LocalModeError into a message and exit code 1, without a traceback."""
    try:
        yield
    except LocalModeError as error:
        raise click.ClickException(str(error)) from error
