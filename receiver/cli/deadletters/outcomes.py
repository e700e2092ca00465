"""What came of replayed dead letters, as far as it is known within a while."""

from collections.abc import Sequence
from time import monotonic, sleep
from typing import Final

import click
from redis import Redis

from receiver.datastore.failures import redis_required
from receiver.queue.dead_letters import DeadLetters
from receiver.queue.inspection import JobState, living_workers, states_of

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
