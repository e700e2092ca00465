"""What a marker must show, told by hand from what its sender said: the model the product is judged by.

It knows nothing of the product's own folding. A delivery without a 2xx may or may not have been taken in, so
a marker may have several right states: one for each choice of such deliveries.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from itertools import chain, combinations
from types import MappingProxyType
from typing import Any, Final

ANYWHERE: Final = ("*",)
"""Of buckets or environments, as a tuple of SIDs."""


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
POINTS: Final = (Beat.POINT, Beat.FAILED_POINT)
STAND_INS: Final[Mapping[str, Any]] = MappingProxyType(
    {"type": "custom", "source": "manual", "buckets": ANYWHERE, "environments": ANYWHERE}
)
"""What is shown of a marker that was only ever ended, of which nobody has said more."""


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
    shows: Mapping[str, Any] = field(default_factory=dict)
    """What it says of the fields `SAID`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What it says in metadata."""


@dataclass(frozen=True, slots=True)
class State:
    """What the API must list of a marker; of the description only how it begins."""

    started_at: str
    ended_at: str | None
    description: str = ""
    shows: tuple[tuple[str, Any], ...] = ()
    facts: tuple[tuple[str, Any], ...] = ()

    def fits(self, event: Mapping[str, Any]) -> bool:
        return (
            event["startedAt"] == self.started_at
            and event["endedAt"] == self.ended_at
            and str(event["description"] or "").startswith(self.description)
            and all(_frozen_list(event[name]) == value for name, value in self.shows)
            and all(event["metadata"].get(name) == value for name, value in self.facts)
        )


@dataclass(frozen=True, slots=True)
class Marker:
    key: str
    told: tuple[Said, ...]
    other_keys: tuple[str, ...] = ()
    """Under which it may be listed as well: a deployment has an id, and is of a run."""
    is_disliked: bool = False
    """Whether a firewall refuses its words: it is never listed, and becomes a dead letter."""

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key, *self.other_keys)

    def right_states(self, taken: Collection[str], perhaps: Collection[str]) -> set[State | None]:
        """All that may be listed where these were taken in, and those perhaps; `None` stands for no event."""
        certain = [said for said in self.told if said.delivery in taken]
        open_questions = [said for said in self.told if said.delivery in perhaps]
        return {_state(self.key, [*certain, *others]) for others in _choices(open_questions)}


def moment(at: datetime) -> str:
    """As the API writes it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def _state(key: str, told: Iterable[Said]) -> State | None:
    started_at, ended_at, has_failed, words = None, None, False, ""
    has_point = False
    shows: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    for said in sorted(told, key=lambda said: said.at):
        if said.beat is Beat.REMARK:
            continue
        started_at = started_at or said.since or said.at
        fails = said.beat in {Beat.ENDS_BADLY, Beat.FAILED_POINT}
        if said.beat in ENDS:
            decides = ended_at is None or has_failed is not fails
        elif said.beat in POINTS:
            decides = not has_point or has_failed is not fails
        else:
            decides = said.beat is Beat.AGAIN or ended_at is None
        shows = {**shows, **said.shows} if decides else {**said.shows, **shows}
        facts = {**facts, **said.facts} if decides else {**said.facts, **facts}
        if said.beat in ENDS and decides:
            ended_at, has_failed, words = said.at, fails, said.words
        if said.beat in POINTS and decides:
            has_point, has_failed = True, fails
        if said.beat is Beat.AGAIN:
            ended_at, has_failed, words = None, False, ""
    if started_at is None:
        return None
    shows = {**STAND_INS, "name": f"{key} (its start was not heard of)", **shows}
    return State(
        moment(started_at), moment(ended_at) if ended_at else None, words, _frozen(shows), _frozen(facts)
    )


def _frozen_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _frozen(values: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(values.items()))


def _choices(told: list[Said]) -> Iterator[tuple[Said, ...]]:
    return chain.from_iterable(combinations(told, count) for count in range(len(told) + 1))
