"""Which episode of an alert a report belongs to, from firing to resolved: pure functions of all reports.

A sender of alerts names the alert and repeats what still is so; it does not number its episodes. Each is a
marker of its own. What is known of an alert is one set of reports, sorted by when they were heard, because
reports of firing say nothing else of when they were sent. So the order in which workers take them makes no
difference.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile, zip_longest
from typing import Final

from pydantic import JsonValue

from receiver.events import Change, Effect, marker_key
from receiver.wording import duration

GOES_ON: Final = timedelta(minutes=10)
"""How long after an end a report of firing since before it takes that back. Alertmanager takes the end of an
alert for granted if Prometheus is silent, as in a restart, and then goes on with the old start. Later, the
alert fires again, by a sender whose start is never new."""
MOST_EPISODES: Final = 10
"""Of one alert that are remembered."""
MOST_REPORTS: Final = 20
"""Of one episode that are remembered besides the first: those that say something new, and the latest."""
LAPSED: Final = "lapsed"


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode; `key` is its marker's, empty as long as it has none. `reports` are never none."""

    key: str
    reports: tuple[Change, ...]
    started_at: datetime

    @property
    def end(self) -> Change | None:
        """The first report of its end since it was last heard of as firing."""
        ends = takewhile(lambda report: report.effect is Effect.CLOSE, reversed(self.reports))
        return next(reversed([*ends]), None)

    @property
    def last(self) -> Change:
        return self.reports[-1]

    @property
    def checked_at(self) -> datetime | None:
        """When it counts as ended unseen unless there is news; `None` if it has ended, or never does."""
        if self.end is not None or self.last.lapses_after is None:
            return None
        return _heard(self.last) + self.last.lapses_after

    def changes(self, now: datetime) -> tuple[Change, ...]:
        """What its marker shows: an opening, and an end if there is one."""
        firing = [report for report in self.reports if report.effect is Effect.OPEN]
        shown = []
        if firing:
            # A repeat is nothing new for the API.
            id_of_first = {"delivery_id": firing[0].event.metadata["delivery_id"]}
            metadata: dict[str, JsonValue] = firing[-1].event.metadata | id_of_first
            update = {"started_at": self.started_at, "metadata": metadata}
            event = firing[-1].event.model_copy(update=update)
            shown.append(firing[0].model_copy(update={"event": event, "occurred_at": self.started_at}))
        if self.end is not None:
            shown.append(self._closing(self.end))
        elif (lapsed_at := self.checked_at) is not None and lapsed_at <= now:
            shown.append(self._lapsed(firing[-1]))
        return tuple(self._of_marker(change) for change in shown)

    def _closing(self, end: Change) -> Change:
        ended_at = max(end.event.ended_at or end.occurred_at, self.started_at)
        event = end.event.model_copy(update={"started_at": self.started_at, "ended_at": ended_at})
        return end.model_copy(update={"event": event, "occurred_at": ended_at})

    def _lapsed(self, last: Change) -> Change:
        """Ended unseen. All that is known of when is that it was still firing when it was last heard of."""
        heard_at = max(_heard(last), self.started_at)
        silence = duration(last.lapses_after or timedelta())
        why = (
            f"Its end was not reported: last heard of as firing at {heard_at:%Y-%m-%d %H:%M} UTC, and not "
            f"for {silence} since. It may be silenced or inhibited, or its sender gone."
        )
        update: dict[str, object] = {
            "started_at": self.started_at,
            "ended_at": heard_at,
            "description": "\n".join(line for line in (why, last.event.description) if line),
            "metadata": last.event.metadata | {"status": LAPSED},
        }
        event = last.event.model_copy(update=update)
        return last.model_copy(update={"effect": Effect.CLOSE, "event": event, "occurred_at": heard_at})

    def _of_marker(self, change: Change) -> Change:
        metadata: dict[str, JsonValue] = change.event.metadata | {"marker_key": self.key}
        event = change.event.model_copy(update={"metadata": metadata})
        return change.model_copy(update={"key": self.key, "event": event})


@dataclass(frozen=True, slots=True)
class Alert:
    """All that is known of one alert: its episodes, from the oldest, each with the key of its marker."""

    key: str
    episodes: tuple[Episode, ...]

    @property
    def reports(self) -> tuple[Change, ...]:
        """To be kept; each has the key of its episode."""
        return tuple(
            report.model_copy(update={"key": episode.key})
            for episode in self.episodes[-MOST_EPISODES:]
            for report in _without_repeats(episode)
        )

    @property
    def checked_at(self) -> datetime | None:
        """When its last episode counts as ended unseen unless there is news."""
        return self.episodes[-1].checked_at if self.episodes else None


@dataclass(frozen=True, slots=True)
class Revision:
    """What one more report makes of an alert.

    `changed` are the episodes that have to be shown anew; `gone` are the keys of markers that turn out to be
    parts of others.
    """

    alert: Alert
    changed: tuple[Episode, ...] = ()
    gone: tuple[str, ...] = ()


def with_report(key: str, known: Sequence[Change], report: Change, *, is_in_doubt: bool = False) -> Revision:
    """The alert with one more report; `known` are its `reports` as it was.

    A report from before all that is remembered changes nothing. If it `is_in_doubt` which episodes are shown,
    all are shown anew.
    """
    ordered = _in_order(known)
    if _is_forgotten(ordered, report):
        episodes = tuple(_named(key, _split(ordered)))
        return Revision(Alert(key, episodes), episodes if is_in_doubt else ())
    before = {_identity(each): each.key for each in ordered}
    episodes = tuple(_named(key, _split(_in_order((*ordered, report)))))
    changed = {
        name
        for episode in episodes
        for each in episode.reports
        for name in (episode.key, before.get(_identity(each), episode.key))
        if _identity(each) == _identity(report) or before.get(_identity(each), name) != episode.key
    }
    # One that was passed over by the next one may have ended unseen since. If the report is known already, an
    # attempt to show what it changes has failed.
    shows_all = is_in_doubt or _identity(report) in before
    unseen = {each.key for each in episodes if shows_all or (each.end is None and each != episodes[-1])}
    return Revision(
        Alert(key, episodes),
        tuple(each for each in episodes if each.key in changed | unseen),
        tuple(sorted({*before.values()} - {each.key for each in episodes})),
    )


def _is_forgotten(ordered: Sequence[Change], report: Change) -> bool:
    """Whether it was heard before all that is remembered of an alert of which not all is."""
    is_full = len({each.key for each in ordered}) >= MOST_EPISODES
    return is_full and _heard(report) < _heard(ordered[0])


def _split(ordered: Iterable[Change]) -> list[Episode]:
    episodes: list[Episode] = []
    for report in ordered:
        last = episodes[-1] if episodes else None
        if last is None or not _belongs(report, last):
            episodes.append(Episode("", (report,), _start_after(report, last)))
        elif report.effect is Effect.CLOSE and last.end is None:
            episodes = [*_ended_by(report, last, episodes[:-1])]
        else:
            episodes[-1] = _with(report, last, episodes[:-1])
    return episodes


def _ended_by(end: Change, last: Episode, earlier: list[Episode]) -> Iterable[Episode]:
    """The earlier episodes, the one that this ends, and the next one if the alert has fired again since.

    It has if its latest reports began after this end: another one of a pair said so late, or the first to
    say so was not heard of.
    """
    later = tuple(report for report in last.reports if _start(report) > _ended(end))
    first = tuple(report for report in last.reports if report not in later)
    before = _end_of(earlier[-1]) if earlier else None
    if first:
        yield from (*earlier, _with(end, replace(last, reports=first), earlier))
    elif before is not None and _start(end) <= before:
        yield from (*earlier[:-1], _with(end, earlier[-1], earlier[:-1]))
    else:
        yield from (*earlier, Episode("", (end,), _start(end)))
    if later:
        yield Episode("", later, min(map(_start, later)) if first else last.started_at)


def _with(report: Change, last: Episode, earlier: Sequence[Episode]) -> Episode:
    """Of several starts the earliest counts, unless it is from the time of an episode before."""
    before = _end_of(earlier[-1]) if earlier else None
    is_its_own = before is None or _start(report) > before
    start = min(last.started_at, _start(report)) if is_its_own else last.started_at
    return replace(last, reports=(*last.reports, report), started_at=start)


def _belongs(report: Change, last: Episode) -> bool:
    """Whether the report is of the episode before it, and of no new one."""
    if last.end is None:
        was_unseen = last.checked_at is not None and last.checked_at < _heard(report)
        is_new = was_unseen and _start(report) > _heard(last.last)
        return not is_new
    if _start(report) > _ended(last.end):
        return False
    return report.effect is Effect.CLOSE or _heard(report) - _heard(last.end) <= GOES_ON


def _start_after(report: Change, last: Episode | None) -> datetime:
    """Its start, or when it was heard of if that is in the episode before: some senders have one start."""
    if last is None:
        return _start(report)
    ended_at = _end_of(last) or _heard(last.last)
    if _start(report) > ended_at:
        return _start(report)
    return _heard(report) if report.effect is Effect.OPEN else max(ended_at, _start(report))


def _end_of(episode: Episode) -> datetime | None:
    return _ended(episode.end) if episode.end is not None else None


def _named(key: str, episodes: Iterable[Episode]) -> Iterable[Episode]:
    """Each keeps the name that its first report has; one without any gets a name from its start."""
    taken: set[str] = set()
    for episode in episodes:
        names = (each.key for each in episode.reports if each.key not in {key, *taken})
        new = f"{key}@{episode.started_at:%Y%m%dT%H%M%S}{episode.started_at.microsecond // 1000:03d}Z"
        while new in taken:
            new += "+"
        name = next(names, marker_key(new))
        taken.add(name)
        yield replace(episode, key=name)


def _without_repeats(episode: Episode) -> tuple[Change, ...]:
    """Without reports of firing that only repeat the one before; the first has the episode's start."""
    kept: list[Change] = []
    for report, following in zip_longest(episode.reports, episode.reports[1:]):
        before = kept[-1] if kept else None
        if before is None or following is None or not _says_same(before, report, following):
            kept.append(report)
    first, *others = kept
    event = first.event.model_copy(update={"started_at": episode.started_at})
    return (first.model_copy(update={"event": event}), *others[-MOST_REPORTS:])


def _says_same(*reports: Change) -> bool:
    return len({(report.effect, _start(report)) for report in reports}) == 1


def _in_order(reports: Iterable[Change]) -> tuple[Change, ...]:
    """Sorted by when they were heard, each once; of two of the same the first counts, which has a name."""
    once: dict[tuple[str, str, Effect], Change] = {}
    for report in reports:
        once.setdefault(_identity(report), report)
    return tuple(
        sorted(once.values(), key=lambda each: (_heard(each), each.effect is Effect.CLOSE, each.delivery.id))
    )


def _identity(report: Change) -> tuple[str, str, Effect]:
    return report.delivery.source, report.delivery.id, report.effect


def _heard(report: Change) -> datetime:
    return report.heard_at or report.occurred_at


def _start(report: Change) -> datetime:
    return report.event.started_at or report.occurred_at


def _ended(report: Change) -> datetime:
    return report.event.ended_at or report.occurred_at
