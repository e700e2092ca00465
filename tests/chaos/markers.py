"""What a marker must show, told by hand from what its sender said: the model the product is judged by.

It knows nothing of the product's own folding. A delivery without a 2xx may or may not have been taken in, so
a marker may have several right states: one for each choice of such deliveries.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from itertools import chain, combinations
from typing import Any, Final

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
    since: datetime | None = None
    """When it says that the story began, where that is not this moment."""
    words: str = ""
    """How the description of a marker begins that this ends."""


@dataclass(frozen=True, slots=True)
class State:
    """What the API must list of a marker; of the description only how it begins."""

    started_at: str
    ended_at: str | None
    has_failed: bool
    description: str = ""

    def fits(self, event: Mapping[str, Any]) -> bool:
        return (
            event["startedAt"] == self.started_at
            and event["endedAt"] == self.ended_at
            and str(event["name"]).startswith(FAILED) is self.has_failed
            and str(event["description"] or "").startswith(self.description)
        )


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


def moment(at: datetime) -> str:
    """As the API writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def _state(told: Iterable[Said]) -> State | None:
    started_at, ended_at, has_failed, words = None, None, False, ""
    for said in sorted(told, key=lambda said: said.at):
        if said.beat is not Beat.REMARK:
            started_at = started_at or said.since or said.at
        if said.beat in ENDS and (ended_at is None or has_failed is not (said.beat is Beat.ENDS_BADLY)):
            ended_at, has_failed, words = said.at, said.beat is Beat.ENDS_BADLY, said.words
        if said.beat is Beat.FAILED_POINT:
            has_failed = True
        if said.beat is Beat.AGAIN:
            ended_at, has_failed, words = None, False, ""
    if started_at is None:
        return None
    return State(moment(started_at), moment(ended_at) if ended_at else None, has_failed, words)


def _choices(told: list[Said]) -> Iterator[tuple[Said, ...]]:
    return chain.from_iterable(combinations(told, count) for count in range(len(told) + 1))
