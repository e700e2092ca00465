"""What a marker must show, told by hand from what its sender said: the model the product is judged by.

It knows nothing of the product's own folding. A delivery without a 2xx may or may not have been taken in, so
a marker may have several right states: one for each choice of such deliveries.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from itertools import chain, combinations
from typing import Final

FAILED: Final = "Failed "
"""How the names of failed deploys begin, whoever sends them."""


class Beat(Enum):
    """What one delivery says of a marker."""

    BEGINS = auto()
    GOES_ON = auto()
    """News that know the whole story: they stand for a beginning that nobody heard of."""
    REMARK = auto()
    """Knows too little to make a marker by itself."""
    ENDS_WELL = auto()
    ENDS_BADLY = auto()
    AGAIN = auto()
    """What had ended goes on."""
    POINT = auto()
    """Has no end; a second one of the same marker changes nothing."""
    FAILED_POINT = auto()


ENDS: Final = (Beat.ENDS_WELL, Beat.ENDS_BADLY)


@dataclass(frozen=True, slots=True)
class Said:
    """One beat: when, by the sender's clock, and in which delivery."""

    delivery: str
    beat: Beat
    at: datetime


@dataclass(frozen=True, slots=True)
class State:
    """What the API must list of a marker."""

    ended_at: str | None
    has_failed: bool


@dataclass(frozen=True, slots=True)
class Marker:
    key: str
    told: tuple[Said, ...]
    other_keys: tuple[str, ...] = ()
    """Under which it may be listed as well: a deployment has an id, and is of a run."""

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key, *self.other_keys)

    def right_states(self, taken: Collection[str], perhaps: Collection[str]) -> set[State | None]:
        """All that may be listed where these were taken in, and those perhaps; `None` stands for no event."""
        certain = [said for said in self.told if said.delivery in taken]
        open_questions = [said for said in self.told if said.delivery in perhaps]
        return {_state([*certain, *others]) for others in _choices(open_questions)}


def state_of(event: dict[str, object]) -> State:
    """What the API lists, in the model's words."""
    ended_at = event.get("endedAt")
    return State(str(ended_at) if ended_at else None, str(event["name"]).startswith(FAILED))


def moment(at: datetime) -> str:
    """As the API writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def _state(told: Iterable[Said]) -> State | None:
    exists, ended_at, has_failed = False, None, False
    for said in sorted(told, key=lambda said: said.at):
        exists = exists or said.beat is not Beat.REMARK
        if said.beat in ENDS and ended_at is None:
            ended_at, has_failed = said.at, said.beat is Beat.ENDS_BADLY
        if said.beat is Beat.FAILED_POINT:
            has_failed = True
        if said.beat is Beat.AGAIN:
            ended_at, has_failed = None, False
    return State(moment(ended_at) if ended_at else None, has_failed) if exists else None


def _choices(told: list[Said]) -> Iterator[tuple[Said, ...]]:
    return chain.from_iterable(combinations(told, count) for count in range(len(told) + 1))
