"""Deliveries on their way from webhook to chart, in a few seconds."""

import os
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from receiver.local.command import errors_in_words
from receiver.local.data_folder import DataFolder
from receiver.local.demonstration import ListedEvent, send_samples, wait_until_listed
from receiver.local.errors import LocalModeError
from receiver.local.log import Log
from receiver.local.redis_server import RedisServer, find_redis_server
from receiver.local.stack import LOOPBACK, LocalStack, free_port, require_free_port
from receiver.local.supervisor import ChildFailedError, StopRequested, Supervisor
from receiver.sources.signing import SENDERS

DEMO: Final = "demo"
WIDTH_WHEN_PIPED: Final = 100
OWN_VARIABLES: Final = re.compile(
    r"APITRAFFIC_.*|REDIS_URL(_FILE)?|.*_(WEBHOOK_SECRET|WEBHOOK_TOKEN|SIGNING_TOKEN)(_FILE)?"
)


def show(host: str, port: int, api_port: int, data_dir: Path, *, stay: bool, verbose: bool) -> None:
    DataFolder(data_dir).make()
    # Absolute, because it becomes the working directory: no apitraffic.toml there can change the outcome.
    folder = DataFolder((data_dir / DEMO).absolute())
    with errors_in_words(), folder.locked():
        stack = LocalStack(
            folder=folder,
            redis=RedisServer(folder.redis, find_redis_server(data=folder.redis)),
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

            click.echo(
                f"Sent {len(deliveries)} signed webhooks to {stack.receiver_url}; the Events API lists:\n"
            )
            _print_table(events)
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


def _print_table(events: Iterable[ListedEvent]) -> None:
    # Here, not while the clock runs.
    from apitraffic_events.records import StoredEvent
    from receiver.cli import consoles
    from receiver.cli.events.tables import demo_table

    table = demo_table(StoredEvent.model_validate(event) for event in events)
    consoles.print_trimmed(consoles.output(width_when_piped=WIDTH_WHEN_PIPED), table)


def _port(host: str, wanted: int, option: str) -> int:
    if wanted == 0:
        return free_port(host)
    require_free_port(host, wanted, option)
    return wanted


def _environment() -> dict[str, str]:
    """The environment without the configuration, so that no sample deploy reaches a real chart."""
    return {name: value for name, value in os.environ.items() if not OWN_VARIABLES.fullmatch(name)}
