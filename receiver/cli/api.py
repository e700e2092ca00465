"""`apitraffic-events api`: the local Events API."""

import os
import re
import shutil
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final, get_args

import click

from receiver.local.events_api.faults import EXAMPLES, Fault, FaultSyntaxError, parse
from receiver.local.events_api.options import LOCAL_ACCOUNT_SID, Options, UpdateMethod
from receiver.serving.sockets import CannotListen, base_url, listen

TOKEN_VARIABLE: Final = "APITRAFFIC_LOCAL_API_TOKEN"  # noqa: S105 - the name of it, not the token
SHORTEST_WINDOW: Final = 0.001


class FaultType(click.ParamType[Fault]):
    name = "fault"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Fault:
        try:
            return parse(value)
        except FaultSyntaxError as error:
            self.fail(str(error), param, ctx)


def account_sid(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"acc_[A-Za-z0-9]+", value):
        raise click.BadParameter(f"{value!r} is not acc_ followed by letters and digits")
    return value


@click.command(epilog=f"The token that clients must send is read from {TOKEN_VARIABLE} (or …_FILE).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8800,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file for the events. Default: a temporary file, removed when this stops.",
)
@click.option(
    "--account-sid",
    default=LOCAL_ACCOUNT_SID,
    show_default=True,
    callback=account_sid,
    help="SID of the one account that it has.",
)
@click.option(
    "--quota",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    help="Requests allowed per window.",
)
@click.option(
    "--window",
    type=click.FloatRange(min=SHORTEST_WINDOW),
    default=3600.0,
    show_default=True,
    help="Length of a window in seconds.",
)
@click.option(
    "--update-method",
    type=click.Choice(["put", "patch", "both"]),
    default="both",
    show_default=True,
    help="Method that updates an event.",
)
@click.option("--envelope", is_flag=True, help='Wrap responses in {"success": true, "data": …, "meta": …}.')
@click.option(
    "--fault", "faults", type=FaultType(), multiple=True, help=f"Fail on purpose, {EXAMPLES}; repeatable."
)
@click.option(
    "--fault-control",
    is_flag=True,
    help="Serve /_faults, /_requests and /_traffic, to change faults, count requests and set metrics.",
)
def command(
    *,
    host: str,
    port: int,
    data: Path | None,
    account_sid: str,
    quota: int,
    window: float,
    update_method: str,
    envelope: bool,
    faults: tuple[Fault, ...],
    fault_control: bool,
) -> None:
    """Run a stand-in for the ApiTraffic Events API on this machine."""
    from apitraffic_events.environment import read_variable
    from receiver.cli.failures import configuration_errors_in_words
    from receiver.local.events_api.server import Server

    with configuration_errors_in_words():
        token = read_variable(TOKEN_VARIABLE, os.environ) or ""
    if not token:
        raise click.ClickException(
            f"{TOKEN_VARIABLE} is not set; it is the token that clients must send."
            f' For example: export {TOKEN_VARIABLE}="$(openssl rand -hex 20)"'
        )
    methods: tuple[UpdateMethod, ...] = get_args(UpdateMethod)
    temporary: Path | None = None
    if data is None:
        temporary = Path(tempfile.mkdtemp(prefix="apitraffic-events-api-"))
        data = temporary / "events.sqlite"
    options = Options(
        data=data,
        token=token,
        account_sid=account_sid,
        quota=quota,
        window=window,
        update_methods=tuple(method for method in methods if update_method in {"both", method.lower()}),
        envelope=envelope,
        faults=faults,
        fault_control=fault_control,
    )

    def clean_up() -> None:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)

    try:
        require_usable(data)
        listener = listen(host, port)
    except (CannotListen, click.ClickException) as error:
        clean_up()
        raise click.ClickException(str(error)) from error
    url = f"{base_url(listener)}/v1"
    # Not `with` or `finally`: the forked worker would clean up too when it ends.
    Server(
        options,
        listener,
        when_ready=lambda: click.echo(f"Events API at {url} for account {account_sid}"),
        on_exit=clean_up,
    ).run()


def require_usable(data: Path) -> None:
    """Fail here, with a message, and not in the worker process."""
    import sqlite3

    from receiver.local.events_api.store import Store

    try:
        with closing(Store(data)):
            pass
    except sqlite3.Error as error:
        raise click.ClickException(
            f"cannot keep events in {data} ({error}); use --data with a file that can be written"
        ) from error
