"""What `deadletters list`, `show`, `replay` and `discard` do."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any, Final

import click
from redis import Redis
from rich.table import Table

from apitraffic_events.text import one_line
from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli import consoles
from receiver.cli.stacked import stacked
from receiver.cli.storage import connected_redis
from receiver.cli.tables import age, columns
from receiver.datastore.failures import redis_required
from receiver.queue.dead_letters import DeadLetter, DeadLetterFilter, DeadLetters
from receiver.queue.inspection import JobState, living_workers, states_of

HEADINGS: Final = ("NAME", "DIED", "AGE", "TRIES", "EFFECT", "ERROR", "KEY", "EVENT", "REASON")
WIDEST_EVENT: Final = 50
GONE: Final = "is no longer a dead letter; somebody else replayed or discarded it"


def list_(*, as_json: bool, **filters: Any) -> None:
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


def show(name: str) -> None:
    with _opened() as dead_letters:
        letter = _find(dead_letters, name)
    whole: dict[str, object] = {**letter.as_json(), "change": letter.change}
    if letter.traceback:
        whole["traceback"] = letter.traceback
    click.echo(json.dumps(whole, indent=2))


def replay(names: tuple[str, ...], *, everything: bool, wait: float, **filters: Any) -> None:
    with connected_redis() as (_, redis):
        dead_letters = DeadLetters.of_all_accounts(redis)
        replayed = []
        for letter in _select(dead_letters, names, DeadLetterFilter(**filters), everything=everything):
            is_replayed = dead_letters.replay(letter)
            click.echo(f"{letter.name}  {'replayed' if is_replayed else GONE}")
            replayed += [letter.name] if is_replayed else []
        if replayed and wait > 0:
            sys.exit(1 if tell_what_came_of(replayed, redis, dead_letters, wait) else 0)


def discard(names: tuple[str, ...], *, everything: bool, **filters: Any) -> None:
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


INTERVAL: Final = 0.2
"""Seconds between looks."""
MOST_NAMED: Final = 10
NO_WORKER: Final = "No worker runs: they are delivered when one does (apitraffic-events worker)."
UNFINISHED: Final = (JobState.WAITING, JobState.IN_WORK)


def tell_what_came_of(names: Sequence[str], redis: Redis, dead_letters: DeadLetters, longest: float) -> int:
    """Print it on standard error; the result is how many are dead letters again.

    Waits at most `longest` seconds, and not at all if no worker runs. Raises `StorageUnavailable`.
    """
    if not _works_anybody(redis):
        click.echo(NO_WORKER, err=True)
        return 0
    ends_at = monotonic() + longest
    while True:
        states = states_of(redis, names)
        if monotonic() > ends_at or not any(state in UNFINISHED for state in states.values()):
            break
        sleep(INTERVAL)
    dead = [name for name, state in states.items() if state is JobState.DEAD]
    counts = {
        "delivered": _count(states, JobState.GONE),
        "dead letters again": len(dead),
        "to be tried again": _count(states, JobState.TO_RETRY),
        "still waiting": sum(_count(states, state) for state in UNFINISHED),
    }
    click.echo(f"{', '.join(f'{count} {what}' for what, count in counts.items() if count)}.", err=True)
    for name in dead[:MOST_NAMED]:
        letter = dead_letters.find(name)
        click.echo(f"{name}  {letter.death.message if letter else 'somebody else has it'}", err=True)
    return len(dead)


def _works_anybody(redis: Redis) -> bool:
    with redis_required():
        return bool(living_workers(redis))


def _count(states: dict[str, JobState], wanted: JobState) -> int:
    return sum(state is wanted for state in states.values())
