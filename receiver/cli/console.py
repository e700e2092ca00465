"""`apitraffic-events console`"""

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from receiver.config.settings import Settings
    from receiver.console.app import FigureSource


@click.command("console")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8081,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option("--read-only", is_flag=True, help="Show everything and change nothing.")
@click.option(
    "--receiver-url",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="The receiver to which samples are sent.",
)
@click.option(
    "--figures",
    type=click.Choice(["api", "receiver"]),
    default="api",
    show_default=True,
    help="What the charts draw without [charts]: the account's metrics, or the receiver's own requests.",
)
def command(host: str, port: int, receiver_url: str, figures: "FigureSource", *, read_only: bool) -> None:
    """Show the charts, the markers and the deliveries in a browser.

    If --host lets other machines reach it, it needs a login: APITRAFFIC_CONSOLE_TOKEN, or a proxy that
    authenticates users ([console] in apitraffic.toml).
    """
    from structlog import get_logger

    from receiver.cli.failures import configuration_errors_in_words
    from receiver.config.account import events_client
    from receiver.config.loading import load_settings
    from receiver.console.app import Options, create_console
    from receiver.datastore.when_full import connect_to_drain
    from receiver.observability.logs import configure_logging
    from receiver.serving.console_server import ConsoleServer
    from receiver.serving.sockets import CannotListen, base_url, listen

    configure_logging()
    with configuration_errors_in_words():
        settings = load_settings()
        events_client(settings).close()
        redis = connect_to_drain(settings.redis_url) if settings.redis_url else None
    _require_login(settings, host)
    options = Options(receiver_url, is_read_only=read_only, figures=figures)
    try:
        listener = listen(host, port)
    except CannotListen as error:
        raise click.ClickException(str(error)) from error
    url = base_url(listener)

    def start(app: Any) -> None:
        app.extensions["start"]()

    ConsoleServer(
        listener,
        load=lambda: create_console(settings, options, redis),
        start=start,
        when_ready=lambda: get_logger("receiver.console").info("console listens", url=url),
    ).run()


def _require_login(settings: "Settings", host: str) -> None:
    from receiver.console.access import is_loopback

    if is_loopback(host) or settings.console_token or settings.console.user_header:
        return
    raise click.ClickException(
        f"On {host} others can reach the console, so it needs a login: set APITRAFFIC_CONSOLE_TOKEN "
        "(openssl rand -hex 32), or user_header and user_proxies in [console] of apitraffic.toml; "
        "or leave out --host, so that only this machine reaches it"
    )
