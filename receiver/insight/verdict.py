"""Whether an API did better or worse after a deploy: two windows of figures, compared. Pure.

The line states what was measured. The word judges it by thresholds that the user sets, and is `unknown` if a
missing figure could change it.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from apitraffic_events.event import Instant, Model
from apitraffic_events.text import one_line
from receiver.events import Remark
from receiver.insight import amounts
from receiver.wording import duration

LONGEST_PLACE: Final = 60
LONGEST_REASON: Final = 200
ESTIMATED: Final = 1.05
"""Prometheus extrapolates counts, so that errors may come out slightly above the requests they are among."""
TOLERANCE: Final = 1e-9
"""For thresholds that are met exactly, which floats may miss."""


class Word(StrEnum):
    """What the metadata of a marker says in `verdict`."""

    WORSE = "worse"
    SAME = "same"
    BETTER = "better"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Figures:
    """The traffic of one window; `None` for what the source of figures does not say.

    `requests` and `errors` are counts and `mean_ms` is the mean response time in milliseconds. `error_kind`
    says what counts as an error: two kinds are not compared.
    """

    requests: float | None
    errors: float | None
    mean_ms: float | None
    error_kind: str = ""

    @property
    def error_percent(self) -> float | None:
        """Errors of a hundred requests; `None` without requests, or if the counts contradict each other."""
        if not self.requests or self.errors is None or not 0 <= self.errors <= self.requests * ESTIMATED:
            return None
        return min(100.0, 100 * self.errors / self.requests)

    @property
    def response_ms(self) -> float | None:
        return self.mean_ms if self.mean_ms is not None and self.mean_ms >= 0 else None


@dataclass(frozen=True, slots=True)
class Windows:
    """The two periods that are compared, each from its start up to but not including its end."""

    before: tuple[datetime, datetime]
    after: tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The smallest differences that make the word `worse` or `better`.

    `errors_up` is in percentage points, `slower` in percent of the mean response time. A window with fewer
    than `fewest_requests` is not compared.
    """

    errors_up: float
    slower: float
    fewest_requests: int


class Verdict(Model):
    """What is written into a marker. `ended_at` is the end of the deploy that it is about."""

    word: Word
    line: Remark
    ended_at: Instant


def windows_of(started_at: datetime | None, ended_at: datetime, length: timedelta) -> Windows:
    """The window before ends where the deploy began, the one after begins where it ended.

    What happened during the deploy is in neither. Without a start the deploy counts as a moment.
    """
    began = min(started_at or ended_at, ended_at)
    return Windows((began - length, began), (ended_at, ended_at + length))


def judge(
    before: Figures,
    after: Figures,
    length: timedelta,
    thresholds: Thresholds,
    ended_at: datetime,
    *,
    place: str | None = None,
) -> Verdict:
    """Compare two windows of this length. `place` names what was compared, if that is not all of the scope.

    `worse` if the share of errors rose by `errors_up` or the mean response by `slower`. `better` if the
    windows the other way round would be worse, and this way round they are not.
    """
    begin = _beginning(length, place)
    if before.requests is None or after.requests is None:
        return _verdict(Word.UNKNOWN, f"{begin}: not compared, the number of requests is missing", ended_at)
    # With a threshold of 0, too: nothing can be said of no requests.
    if min(before.requests, after.requests) < max(1, thresholds.fewest_requests):
        said = f"{amounts.requests(after.requests)} ({amounts.count(before.requests)} before)"
        return _verdict(Word.UNKNOWN, f"{begin}: {said}: too little traffic to compare", ended_at)
    word = _word(before, after, thresholds)
    said = ", ".join(_parts(before, after))
    if word is Word.UNKNOWN:
        said += ": not enough to compare"
    return _verdict(word, f"{begin}: {said}", ended_at)


def not_compared(reason: str, length: timedelta, ended_at: datetime, *, place: str | None = None) -> Verdict:
    """The verdict `unknown`, with the reason, such as `acme/api was deployed 4 min later`."""
    line = f"{_beginning(length, place)}: not compared, {one_line(reason, LONGEST_REASON)}"
    return _verdict(Word.UNKNOWN, line, ended_at)


def _verdict(word: Word, line: str, ended_at: datetime) -> Verdict:
    return Verdict(word=word, line=line, ended_at=ended_at)


def _beginning(length: timedelta, place: str | None) -> str:
    where = f" in {one_line(place, LONGEST_PLACE)}" if place else ""
    return f"{duration(length)} after{where}"


def _word(before: Figures, after: Figures, thresholds: Thresholds) -> Word:
    if _is_worse(before, after, thresholds):
        return Word.WORSE
    if _errors(before, after) is None or _responses(before, after) is None:
        return Word.UNKNOWN  # The figure that is missing might say that it is worse.
    return Word.BETTER if _is_worse(after, before, thresholds) else Word.SAME


def _is_worse(before: Figures, after: Figures, thresholds: Thresholds) -> bool:
    errors, responses = _errors(before, after), _responses(before, after)
    return (errors is not None and _is_up(errors, errors[0] + thresholds.errors_up)) or (
        responses is not None and _is_up(responses, responses[0] * (1 + thresholds.slower / 100))
    )


def _is_up(change: tuple[float, float], threshold: float) -> bool:
    """Whether it rose at all, and to the threshold."""
    before, after = change
    return after > before and (after >= threshold or math.isclose(after, threshold, rel_tol=TOLERANCE))


def _errors(before: Figures, after: Figures) -> tuple[float, float] | None:
    if before.error_kind != after.error_kind:
        return None
    return _both(before.error_percent, after.error_percent)


def _responses(before: Figures, after: Figures) -> tuple[float, float] | None:
    return _both(before.response_ms, after.response_ms)


def _both(before: float | None, after: float | None) -> tuple[float, float] | None:
    return None if before is None or after is None else (before, after)


def _parts(before: Figures, after: Figures) -> list[str]:
    """What is known of the three figures, and which is missing."""
    errors, responses = _errors(before, after), _responses(before, after)
    return [
        f"errors {amounts.percent_change(*errors)}" if errors else "errors missing",
        f"mean response {amounts.time_change(*responses)}" if responses else "mean response missing",
        _traffic(before.requests or 0, after.requests or 0),
    ]


def _traffic(before: float, after: float) -> str:
    """The requests of the window after; of both, if one has less than half of the other's."""
    if min(before, after) * 2 < max(before, after):
        return f"{amounts.count(before)} → {amounts.requests(after)}"
    return amounts.requests(after)
