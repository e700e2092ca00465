"""The tokens for the senders' APIs."""

import os

import click

from apitraffic_events.connection import is_token
from apitraffic_events.environment import read_variable
from receiver.cli.exits import NotConfigured
from receiver.cli.failures import configuration_errors_in_words


def token_of(*names: str, permission: str) -> str:
    """The token in the first variable that is set, or in its file.

    Raises `NotConfigured` if there is none, and `click.ClickException` if it cannot be one.
    """
    with configuration_errors_in_words():
        for name in names:
            token = read_variable(name, os.environ)
            if token is not None and not is_token(token):
                raise click.ClickException(
                    f"{name} holds characters that no token has, such as a space; copy it again"
                )
            if token is not None:
                return token
    raise NotConfigured(f"{names[0]} (or {names[0]}_FILE) is not set; {permission}")
