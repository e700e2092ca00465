"""`apitraffic-events mcp`"""

import os
import signal
from functools import partial
from typing import Final

import click

from apitraffic_events.environment import read_variable
from apitraffic_events.errors import ConfigurationError

TOKEN_VARIABLE: Final = "APITRAFFIC_MCP_TOKEN"  # noqa: S105 - the name of it, not the token
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@click.command("mcp", epilog=f"The token that HTTP clients must send is read from {TOKEN_VARIABLE}.")
@click.option("--http", "over_http", is_flag=True, help="Serve HTTP instead of standard input and output.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on, with --http.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8090,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Host name, besides localhost, by which clients reach the server; repeatable.",
)
@click.option("--allow-delete", is_flag=True, help="Offer the tool delete_event too.")
def command(
    *, over_http: bool, host: str, port: int, allowed_hosts: tuple[str, ...], allow_delete: bool
) -> None:
    """Offer the Events API to AI assistants as tools (Model Context Protocol).

    Talks over standard input and output, for an assistant that starts it, or over streamable HTTP if --http
    is given. Uses the configured API token and account.
    """
    from receiver.cli.failures import configuration_errors_in_words
    from receiver.cli.local_system import ACCOUNT, environment_for
    from receiver.config.account import events_client
    from receiver.config.loading import load_settings
    from receiver.observability.logs import configure_logging
    from receiver.serving.sockets import CannotListen, listen

    try:
        from receiver.mcp_server.server import make_server, serve_stdio  # an extra
        from receiver.mcp_server.verdicts import Judge
    except ImportError as error:
        raise click.ClickException(
            f"This needs the MCP SDK ({error.name} is missing): pip install 'apitraffic-events[mcp]'"
        ) from error
    configure_logging()
    with configuration_errors_in_words():
        settings = load_settings(environment_for(ACCOUNT))
        events_client(settings).close()
        tokens = _tokens() if over_http else ()
    token = settings.prometheus_token
    judge = Judge(settings.verdict, token.get_secret_value() if token else None)
    server = make_server(partial(events_client, settings), judge, allow_delete=allow_delete)
    if not over_http:
        import anyio

        # Python's own handler would wait for the thread that reads standard input.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        anyio.run(serve_stdio, server)
        return
    if host not in LOOPBACK and not allowed_hosts:
        raise click.UsageError(
            f"--host {host} lets other machines reach this server; name the host that they use with "
            "--allowed-host, so that no web page can use another name."
        )
    from receiver.mcp_server.http import http_app, serve_http

    try:
        listener = listen(host, port)
    except CannotListen as error:
        raise click.ClickException(str(error)) from error
    serve_http(http_app(server, tokens, allowed_hosts), listener)


def _tokens() -> tuple[str, ...]:
    """Raises `ConfigurationError` if no token is set, or one that could be guessed."""
    from receiver.config.secrets import SHORTEST_STRONG_SECRET

    value = read_variable(TOKEN_VARIABLE, os.environ)
    if value is None:
        raise ConfigurationError(
            f"{TOKEN_VARIABLE} is not set; it is the token that clients must send. "
            f'For example: export {TOKEN_VARIABLE}="$(openssl rand -hex 32)"'
        )
    tokens = tuple(value.split())
    if min(len(token) for token in tokens) < SHORTEST_STRONG_SECRET:
        raise ConfigurationError(
            f"{TOKEN_VARIABLE} is shorter than {SHORTEST_STRONG_SECRET} characters and could be guessed; "
            "better: openssl rand -hex 32"
        )
    return tokens
