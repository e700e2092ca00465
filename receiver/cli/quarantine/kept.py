"""What `quarantine list`, `show`, `replay` and `discard` do."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.table import Table

from apitraffic_events.text import one_line
from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli import consoles
from receiver.cli.stacked import stacked
from receiver.cli.storage import connected_redis
from receiver.cli.tables import age
from receiver.config.settings import Settings
from receiver.queue.enqueueing import Enqueuer
from receiver.reception.delivery_store import DeliveryStore
from receiver.reception.ingestion import Ingestor
from receiver.reception.quarantine import Quarantine, Quarantined
from receiver.translation import translate_and_route

WIDEST_EVENT: Final = 30


def list_(*, as_json: bool) -> None:
    out = consoles.output()
    with _opened() as (_, _, quarantine):
        if out.is_terminal and not as_json:
            found = list(quarantine)
            if found:
                out.print(table(found))
            else:
                click.echo("Nothing is in quarantine.", err=True)
            return
        for item in quarantine:
            if as_json:
                click.echo(json.dumps(_summary(item), ensure_ascii=False))
            else:
                received = format_timestamp(item.delivery.received_at)
                click.echo(f"{received}  {item.name}  {item.delivery.event}  {item.reason}")


def table(items: Iterable[Quarantined]) -> Table:
    """As `list` shows them on a terminal."""
    return stacked(
        ["Received, UTC\n", "Source\nEvent", "Name\nReason"],
        (
            [
                [(format_timestamp(item.delivery.received_at), ""), (_ago(item), "dim")],
                [(item.delivery.source, ""), (one_line(item.delivery.event, WIDEST_EVENT) or "-", "dim")],
                [(item.name, "bold"), (item.reason, "red")],
            ]
            for item in items
        ),
    )


def _ago(item: Quarantined) -> str:
    return f"{age(now() - item.delivery.received_at)} ago"


def show(name: str) -> None:
    with _opened() as (_, _, quarantine):
        item = _find(quarantine, name)
    try:
        body: object = json.loads(item.delivery.body)
    except (ValueError, RecursionError):
        body = item.delivery.body.decode("utf-8", "backslashreplace")
    whole = {**_summary(item), "headers": item.delivery.headers, "body": body}
    click.echo(json.dumps(whole, indent=2, ensure_ascii=True))


def replay(names: tuple[str, ...], *, everything: bool) -> None:
    remaining = 0
    with _opened() as (settings, store, quarantine):
        ingestor = Ingestor(store)
        for item in _select(quarantine, names, everything=everything):
            source = settings.senders.get(item.delivery.source)
            if source is None:
                click.echo(f"{item.name}  quarantined  its sender is no longer declared in apitraffic.toml")
                remaining += 1
                continue
            options = settings.options_for(source)
            meaning = translate_and_route(source, item.delivery, options, settings.route)
            body = ingestor.ingest(item.delivery, meaning).body
            stays = body["status"] == "quarantined"
            if not stays:
                quarantine.discard(item.name)
            remaining += stays
            reason = f"  {body['reason']}" if "reason" in body else ""
            click.echo(f"{item.name}  {body['status']}{reason}")
    sys.exit(1 if remaining else 0)


def discard(names: tuple[str, ...], *, everything: bool) -> None:
    with _opened() as (_, _, quarantine):
        for item in _select(quarantine, names, everything=everything):
            quarantine.discard(item.name)
            click.echo(f"{item.name}  discarded")


@contextmanager
def _opened() -> Iterator[tuple[Settings, DeliveryStore, Quarantine]]:
    with connected_redis() as (settings, redis):
        quarantine = Quarantine(redis)
        yield settings, DeliveryStore(Enqueuer(redis), quarantine, spool=None), quarantine


def _select(quarantine: Quarantine, names: tuple[str, ...], *, everything: bool) -> list[Quarantined]:
    if bool(names) == everything:
        raise click.UsageError("Give the NAMEs that `quarantine list` prints, or --all.")
    return list(quarantine) if everything else [_find(quarantine, name) for name in names]


def _find(quarantine: Quarantine, name: str) -> Quarantined:
    item = quarantine.find(name)
    if item is None:
        raise click.ClickException(f"{name} is not in quarantine; `quarantine list` shows what is.")
    return item


def _summary(item: Quarantined) -> dict[str, str | int]:
    return {
        "name": item.name,
        "source": item.delivery.source,
        "delivery": item.delivery.id,
        "event": item.delivery.event,
        "reason": item.reason,
        "received_at": format_timestamp(item.delivery.received_at),
        "bytes": len(item.delivery.body),
    }
