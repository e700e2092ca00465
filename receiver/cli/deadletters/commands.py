"""`apitraffic-events deadletters list|show|replay|discard`"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click
from rich.table import Table

from apitraffic_events.event import EventType
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli import consoles
from receiver.cli.deadletters.outcomes import tell_what_came_of
from receiver.cli.stacked import stacked
from receiver.cli.storage import connected_redis
from receiver.cli.tables import age, columns
from receiver.cli.times import TimeType
from receiver.queue.dead_letters import Cause, DeadLetter, DeadLetterFilter, DeadLetters

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

HEADINGS: Final = ("NAME", "DIED", "AGE", "TRIES", "EFFECT", "ERROR", "KEY", "EVENT", "REASON")
WIDEST_EVENT: Final = 50
GONE: Final = "is no longer a dead letter; somebody else replayed or discarded it"


def _filters(function: CommandT) -> CommandT:
    """The options that become a `DeadLetterFilter`."""
    options = (
        click.option("--source", metavar="NAME", help="Only from this sender, such as github."),
        click.option(
            "--key", metavar="PATTERN", help="Only with a marker key that matches this shell pattern."
        ),
        click.option(
            "--code", metavar="CODE", help="Only with this error code of the API, or this HTTP status."
        ),
        click.option(
            "--type", type=click.Choice([kind.value for kind in EventType]), help="Only of this type."
        ),
        click.option(
            "--cause", type=click.Choice([cause.value for cause in Cause]), help="Only with this cause."
        ),
        click.option(
            "--since",
            type=TimeType(),
            help="Only given up then or later: ISO 8601 (UTC), 2h, 3d or yesterday.",
        ),
        click.option("--until", type=TimeType(), help="Only given up then or earlier."),
        click.option("--account", metavar="NAME", help="Only for this account of apitraffic.toml."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _chosen(function: CommandT) -> CommandT:
    """The arguments that choose dead letters: NAME…, filters or --all."""
    function = click.option("--all", "everything", is_flag=True, help="All dead letters.")(_filters(function))
    return click.argument("names", metavar="[NAME]...", nargs=-1)(function)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@_filters
def list_(*, as_json: bool, **filters: Any) -> None:
    """List dead letters, oldest first.

    Prints a table on a terminal. In a pipe, prints one line for each with columns two spaces apart; an empty
    column is -.
    """
    wanted = DeadLetterFilter(**filters)
    with _opened() as dead_letters:
        letters = (letter for letter in dead_letters if wanted.includes(letter))
        if as_json:
            for letter in letters:
                click.echo(json.dumps(letter.as_json()))
            return
        found = list(letters)
    has_accounts = any(letter.account is not None for letter in found)
    out = consoles.output()
    if not found:
        click.echo(f"No dead letters{'' if wanted.is_everything else ' match'}.", err=True)
    elif out.is_terminal:
        out.print(table(found))
    else:
        headings = (*HEADINGS, *(["ACCOUNT"] if has_accounts else []))
        rows = [(*_row(letter), *([letter.account or ""] if has_accounts else [])) for letter in found]
        for line in columns(headings, rows):
            click.echo(line)


@click.command()
@click.argument("name")
def show(name: str) -> None:
    """Print one dead letter as JSON, with the whole change and the error.

    NAME is what `list` prints.
    """
    with _opened() as dead_letters:
        letter = _find(dead_letters, name)
    whole: dict[str, object] = {**letter.as_json(), "change": letter.change}
    if letter.traceback:
        whole["traceback"] = letter.traceback
    click.echo(json.dumps(whole, indent=2))


@click.command()
@_chosen
@click.option(
    "--wait",
    type=click.FloatRange(min=0, max=3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for what comes of them; 0 does not wait.",
)
def replay(names: tuple[str, ...], *, everything: bool, wait: float, **filters: Any) -> None:
    """Put dead letters back into the queue.

    Choose them by NAME as `list` prints it, by filters, or with --all. They are delivered as if they had just
    been accepted: an event that the API already has is not created again, and a change that the API refuses
    again becomes a dead letter again.

    Waits for a while and says on standard error what came of them. Exits with 1 if any is dead again.
    """
    with connected_redis() as (_, redis):
        dead_letters = DeadLetters.of_all_accounts(redis)
        replayed = []
        for letter in _select(dead_letters, names, DeadLetterFilter(**filters), everything=everything):
            is_replayed = dead_letters.replay(letter)
            click.echo(f"{letter.name}  {'replayed' if is_replayed else GONE}")
            replayed += [letter.name] if is_replayed else []
        if replayed and wait > 0:
            sys.exit(1 if tell_what_came_of(replayed, redis, dead_letters, wait) else 0)


@click.command()
@_chosen
def discard(names: tuple[str, ...], *, everything: bool, **filters: Any) -> None:
    """Delete dead letters. This cannot be undone.

    Choose them by NAME as `list` prints it, by filters, or with --all.
    """
    with _opened() as dead_letters:
        for letter in _select(dead_letters, names, DeadLetterFilter(**filters), everything=everything):
            click.echo(f"{letter.name}  {'discarded' if dead_letters.discard(letter) else GONE}")


@contextmanager
def _opened() -> Iterator[DeadLetters]:
    with connected_redis() as (_, redis):
        yield DeadLetters.of_all_accounts(redis)


def _select(
    dead_letters: DeadLetters, names: Sequence[str], wanted: DeadLetterFilter, *, everything: bool
) -> Iterable[DeadLetter]:
    """The chosen dead letters. All names are looked up before anything is changed."""
    if [bool(names), not wanted.is_everything, everything].count(True) != 1:
        raise click.UsageError("Give the NAMEs that `deadletters list` prints, or filters, or --all.")
    if names:
        return [_find(dead_letters, name) for name in dict.fromkeys(names)]
    chosen = [letter for letter in dead_letters if wanted.includes(letter)]
    if not chosen:
        click.echo(f"No dead letters{'' if everything else ' match'}.", err=True)
    return chosen


def _find(dead_letters: DeadLetters, name: str) -> DeadLetter:
    letter = dead_letters.find(name)
    if letter is None:
        raise click.ClickException(f"{name} is not a dead letter; `deadletters list` shows all of them.")
    return letter


def table(letters: Iterable[DeadLetter]) -> Table:
    """As `list` shows them on a terminal."""
    return stacked(
        ["Died, UTC\nTries", "Event\nName, effect, key\nError, reason"],
        (_cells(letter) for letter in letters),
    )


def _cells(letter: DeadLetter) -> list[list[tuple[str, str]]]:
    death = letter.death
    tries = f"{age(now() - death.at)} ago, {death.attempts} {'try' if death.attempts == 1 else 'tries'}"
    event = one_line(letter.text("event", "name"), WIDEST_EVENT) or "(no name)"
    return [
        [(_died_at(letter), ""), (tries, "dim")],
        [
            (event, "bold"),
            (f"{letter.name}  {letter.text('effect')}  {letter.key}{_whose(letter)}", "dim"),
            (f"{_answered(letter)}: {death.message}", "red"),
        ],
    ]


def _whose(letter: DeadLetter) -> str:
    return "" if letter.account is None else f"  account {letter.account}"


def _died_at(letter: DeadLetter) -> str:
    return format_timestamp(letter.death.at).partition(".")[0] + "Z"


def _answered(letter: DeadLetter) -> str:
    death = letter.death
    return " ".join(str(part) for part in (death.status, death.code) if part is not None) or death.kind


def _row(letter: DeadLetter) -> tuple[str, ...]:
    death = letter.death
    return (
        letter.name,
        _died_at(letter),
        age(now() - death.at),
        str(death.attempts),
        letter.text("effect"),
        _answered(letter),
        letter.key,
        one_line(letter.text("event", "name"), WIDEST_EVENT),
        death.message,
    )
