"""`apitraffic-events deadletters list|show|replay|discard`"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click

from apitraffic_events.event import EventType
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli.storage import connected_redis
from receiver.cli.tables import age, columns
from receiver.cli.times import TimeType
from receiver.queue.dead_letters import Cause, DeadLetters, Undelivered, Wanted
from receiver.queue.queues import delivery_queues

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

HEADINGS: Final = ("NAME", "DIED", "AGE", "TRIES", "EFFECT", "ERROR", "KEY", "EVENT", "REASON")
WIDEST_EVENT: Final = 50
GONE: Final = "is no dead letter any more; somebody else replayed or discarded it"


@click.group("deadletters")
def command() -> None:
    """Changes that were given up: refused by the API, or out of time.

    Each keeps the API's code and words, for a year. An expired token or a used-up budget never makes one; an
    API that fails does after 72 hours.
    """


def _filters(function: CommandT) -> CommandT:
    """The options that become a `Wanted`."""
    options = (
        click.option("--source", metavar="NAME", help="Of this sender, such as github."),
        click.option("--key", metavar="PATTERN", help="Whose marker key matches this shell pattern."),
        click.option("--code", metavar="CODE", help="With this code of the API, or this HTTP status."),
        click.option("--type", type=click.Choice([kind.value for kind in EventType]), help="Of this type."),
        click.option("--cause", type=click.Choice([cause.value for cause in Cause]), help="Why they died."),
        click.option("--since", type=TimeType(), help="Which died then or later: ISO 8601 (UTC), 2h or 3d."),
        click.option("--until", type=TimeType(), help="Which died then or earlier."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _chosen(function: CommandT) -> CommandT:
    """NAME…, filters or --all."""
    function = click.option("--all", "everything", is_flag=True, help="All dead letters.")(_filters(function))
    return click.argument("names", metavar="[NAME]...", nargs=-1)(function)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one object a line.")
@_filters
def list_(*, as_json: bool, **filters: Any) -> None:
    """What was given up, the oldest first."""
    wanted = Wanted(**filters)
    with _opened() as dead_letters:
        letters = (letter for letter in dead_letters if wanted.includes(letter))
        if as_json:
            for letter in letters:
                click.echo(json.dumps(letter.as_json()))
            return
        rows = [_row(letter) for letter in letters]
    if not rows:
        click.echo(f"No dead letters{'' if wanted.is_everything else ' match'}.", err=True)
        return
    for line in columns(HEADINGS, rows):
        click.echo(line)


@command.command()
@click.argument("name")
def show(name: str) -> None:
    """Print one, the whole change and the error, as JSON. NAME is as `list` prints it."""
    with _opened() as dead_letters:
        letter = _find(dead_letters, name)
    whole: dict[str, object] = {**letter.as_json(), "change": letter.change}
    if letter.traceback:
        whole["traceback"] = letter.traceback
    click.echo(json.dumps(whole, indent=2))


@command.command()
@_chosen
def replay(names: tuple[str, ...], *, everything: bool, **filters: Any) -> None:
    """Try again, as if they had just been accepted.

    Give NAMEs as `list` prints them, or filters, or --all. What the API has already is not made twice. What
    it refuses again comes back here.
    """
    with _opened() as dead_letters:
        for letter in _select(dead_letters, names, Wanted(**filters), everything=everything):
            click.echo(f"{letter.name}  {'replayed' if dead_letters.replay(letter) else GONE}")


@command.command()
@_chosen
def discard(names: tuple[str, ...], *, everything: bool, **filters: Any) -> None:
    """Throw them away; there is no way back.

    Give NAMEs as `list` prints them, or filters, or --all.
    """
    with _opened() as dead_letters:
        for letter in _select(dead_letters, names, Wanted(**filters), everything=everything):
            click.echo(f"{letter.name}  {'discarded' if dead_letters.discard(letter) else GONE}")


@contextmanager
def _opened() -> Iterator[DeadLetters]:
    with connected_redis() as (_, redis):
        yield DeadLetters(delivery_queues(redis))


def _select(
    dead_letters: DeadLetters, names: Sequence[str], wanted: Wanted, *, everything: bool
) -> Iterable[Undelivered]:
    """All are looked up before the first is touched, so that a mistyped name changes nothing."""
    if [bool(names), not wanted.is_everything, everything].count(True) != 1:
        raise click.UsageError("Give the NAMEs that `deadletters list` prints, or filters, or --all.")
    if names:
        return [_find(dead_letters, name) for name in dict.fromkeys(names)]
    chosen = [letter for letter in dead_letters if wanted.includes(letter)]
    if not chosen:
        click.echo(f"No dead letters{'' if everything else ' match'}.", err=True)
    return chosen


def _find(dead_letters: DeadLetters, name: str) -> Undelivered:
    letter = dead_letters.find(name)
    if letter is None:
        raise click.ClickException(f"{name} is no dead letter; `deadletters list` shows what is.")
    return letter


def _row(letter: Undelivered) -> tuple[str, ...]:
    death = letter.death
    answered = " ".join(str(part) for part in (death.status, death.code) if part is not None)
    return (
        letter.name,
        format_timestamp(death.at).partition(".")[0] + "Z",
        age(now() - death.at),
        str(death.tries),
        letter.text("effect"),
        answered or death.kind,
        letter.key,
        one_line(letter.text("event", "name"), WIDEST_EVENT),
        death.message,
    )
