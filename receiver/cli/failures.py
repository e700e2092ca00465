"""A mistake in the configuration ends in a message and exit code 1, not in a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from apitraffic_events.errors import ConfigurationError


@contextmanager
def configuration_errors_in_words() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
