"""`apitraffic-events demo`: the way of a delivery from webhook to chart, in a few seconds."""

import os
import re
import sys
import time
from pathlib import Path
from typing import Final

import click

from receiver.local.command import data_dir_option, errors_in_words, host_option
from receiver.local.data_folder import DataFolder
from receiver.local.demonstration import send_samples, wait_until_listed
from receiver.local.errors import LocalModeError
from receiver.local.log import Log
from receiver.local.redis_server import RedisServer, find_redis_server
from receiver.local.stack import LOOPBACK, LocalStack, free_port, require_free_port
from receiver.local.supervisor import ChildFailedError, StopRequested, Supervisor
from receiver.sources.signing import SENDERS

DEMO: Final = "demo"
OWN_VARIABLES: Final = re.compile(
    r"APITRAFFIC_.*|REDIS_URL(_FILE)?|.*_(WEBHOOK_SECRET|WEBHOOK_TOKEN|SIGNING_TOKEN)(_FILE)?"
)


@click.command("demo")
@host_option
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Its port.  [default: a free one]")
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the local Events API.  [default: a free one]",
)
@data_dir_option
@click.option("--stay", is_flag=True, help="Keep everything running until Ctrl-C.")
@click.option("--verbose", is_flag=True, help="Show what the processes log.")
def command(host: str, port: int, api_port: int, data_dir: Path, *, stay: bool, verbose: bool) -> None:
    """Start everything, send signed deliveries, show the markers they become.

    Nothing of this reaches ApiTraffic or a Redis of yours: whatever is configured is left aside.
    """
    DataFolder(data_dir).make()
    # Absolute, because the parts run in it: there they find no apitraffic.toml that would change the outcome.
    folder = DataFolder((data_dir / DEMO).absolute())
    with errors_in_words(), folder.locked():
        stack = LocalStack(
            folder=folder,
            redis=RedisServer(folder.redis, find_redis_server()),
            host=host,
            port=_port(host, port, "--port"),
            api_port=_port(LOOPBACK, api_port, "--api-port"),
            environment=_environment(),
            secrets={sender.secret_name: folder.secret(sender.secret_name) for sender in SENDERS.values()},
        )
        with stack.prepared():
            _run(stack, stay=stay, verbose=verbose)


def _run(stack: LocalStack, *, stay: bool, verbose: bool) -> None:
    # Deliveries are accepted whether or not a worker is there yet; the demonstration waits for the outcome.
    children = stack.children(wait_for_worker=False)
    names = [child.name for child in children]
    log = Log(sys.stderr, [DEMO, *names], hidden=() if verbose else names)
    click.echo(f"Starting {', '.join(names)} …")
    with Supervisor(DEMO, children, log, folder=stack.folder.path) as supervisor:
        try:
            begin = time.monotonic()
            supervisor.start()
            ready = time.monotonic() - begin
            deliveries = send_samples(stack)
            accepted = time.monotonic() - begin
            events = wait_until_listed(stack, deliveries, supervisor.check)
            listed = time.monotonic() - begin

            from receiver.local.event_table import print_events  # noqa: PLC0415 - not while the clock runs

            click.echo(
                f"Sent {len(deliveries)} signed webhooks to {stack.receiver_url}; the Events API lists:\n"
            )
            print_events(events)
            click.echo(
                f"\nReady after {ready:.1f} s, all accepted after {accepted:.1f} s,"
                f" all listed after {listed:.1f} s."
            )
            if stay:
                click.echo(f"Receiver {stack.receiver_url}, Events API {stack.api_url}. Ctrl-C stops.")
                supervisor.run()
        except StopRequested:
            raise click.Abort from None
        except ChildFailedError:
            raise
        except (LocalModeError, OSError) as error:
            for name in names:
                log.show_tail(name)
            raise LocalModeError(str(error)) from error


def _port(host: str, wanted: int, option: str) -> int:
    if wanted == 0:
        return free_port(host)
    require_free_port(host, wanted, option)
    return wanted


def _environment() -> dict[str, str]:
    """Without the user's own configuration: a demonstration must not put made-up deploys on real charts."""
    return {name: value for name, value in os.environ.items() if not OWN_VARIABLES.fullmatch(name)}
