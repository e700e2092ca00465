"""What senders were told beside what the API lists."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos.load import Ledger
from tests.chaos.markers import Marker

MOST_SHOWN: Final = 20
SHOWN: Final = (
    *("type", "name", "description", "startedAt", "endedAt"),
    *("buckets", "environments", "source", "metadata"),
)


@dataclass
class Verdict:
    """Anything in `missing`, `double`, `wrong` or `troubles` is a failure; `figures` are for the table."""

    missing: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    figures: dict[str, int | float] = field(default_factory=dict)
    broken: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return not (self.missing or self.double or self.wrong or self.troubles)

    def lines(self) -> Iterator[str]:
        rows: dict[str, int | float] = {
            **self.figures,
            "missing": len(self.missing),
            "double": len(self.double),
            "wrong": len(self.wrong),
        }
        width = max(map(len, rows))
        yield "; ".join(f"{what} {times}x" for what, times in sorted(self.broken.items()))
        yield ""
        for name, value in rows.items():
            yield (
                f"{name:<{width}}  {value:>8,}"
                if isinstance(value, int)
                else f"{name:<{width}}  {value:>8.1f}"
            )
        for title in ("missing", "double", "wrong", "troubles"):
            yield from _few(title, getattr(self, title))


def judge(
    verdict: Verdict,
    markers: Iterable[Marker],
    ledger: Ledger,
    events: Sequence[Mapping[str, Any]],
    dead_letters: Sequence[str],
) -> None:
    """Compare, and note in the verdict what does not fit."""
    dead = {letter.partition(":")[0].rpartition(" ")[2]: letter for letter in dead_letters}
    by_key: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        by_key.setdefault(str(event["metadata"].get("marker_key")), []).append(event)
    for marker in markers:
        listed = [event for key in marker.keys for event in by_key.pop(key, [])]
        right = marker.right_states(ledger.taken, ledger.uncertain)
        story = ", ".join(
            f"{said.beat.name} {said.at:%H:%M:%S} {_what_became_of(said.delivery, ledger)}"
            for said in marker.told
        )
        letter = dead.pop(marker.key, None)
        if marker.is_disliked:
            if letter is None and any(said.delivery in ledger.taken for said in marker.told):
                verdict.missing.append(f"the dead letter of {marker.key}: {story}")
            right, letter = {None}, None
        if letter is not None:
            verdict.troubles.append(f"dead letter: {letter}")
        if not listed and None not in right:
            verdict.missing.append(f"{marker.key}: {story}")
        if len(listed) > 1:
            verdict.double.append(f"{marker.key}: {[event['sid'] for event in listed]}: {story}")
        verdict.wrong += [
            f"{marker.key}: {_shown(event)}, right is {right}: {story}"
            for event in listed
            if not any(state.fits(event) for state in right if state)
        ]
    verdict.troubles += [f"dead letter: {letter}" for letter in dead.values()]
    verdict.wrong += [f"{key}: nobody sent it" for key in by_key]
    verdict.troubles += [f"answered {answer}" for answer in ledger.unexpected]


def sending_figures(planned: int, ledger: Ledger) -> dict[str, int | float]:
    answers: Counter[str] = ledger.answers
    return {
        "deliveries tried": len(ledger.tried),
        "sent, all in all": sum(answers.values()),
        "of these planned": planned,
        "answered accepted": answers["accepted"],
        "answered duplicate": answers["duplicate"],
        "answered 503": answers["503"],
        "no answer": answers["no answer"] + answers["time-out"],
        "slowest answer, s": ledger.slowest,
        "deliveries taken (2xx)": len(ledger.taken),
        "deliveries uncertain": len(ledger.uncertain),
    }


def _shown(event: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {event[name]!r}" for name in SHOWN)


def _what_became_of(delivery: str, ledger: Ledger) -> str:
    if delivery in ledger.taken:
        return f"({delivery[:8]} taken)"
    return f"({delivery[:8]} {'uncertain' if delivery in ledger.tried else 'never sent'})"


def _few(title: str, found: Sequence[str]) -> Iterator[str]:
    if found:
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for line in found[:MOST_SHOWN])
        if len(found) > MOST_SHOWN:
            yield f"  … and {len(found) - MOST_SHOWN} more"
