"""When a deploy is judged, and by which figures. `receiver.insight.verdict` decides what they mean."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from structlog import get_logger

from apitraffic_events.event import EventType
from receiver.delivery.budget import RequestBudget
from receiver.delivery.markers import Marker
from receiver.insight.annotation import Insight
from receiver.insight.figures import FigureSource, NoFigures
from receiver.insight.judging import UNTIL_FIGURES, disturbance, judged
from receiver.insight.records import DeployOutcome, Record, is_shown_everywhere
from receiver.insight.timeline import Period, Timeline, around
from receiver.insight.verdict import Thresholds, Verdict, Windows, Word, not_compared, windows_of

SHARE: Final = 5
"""One part in this many of the budget is not used for requests that can wait."""
FIGURES_PAUSE: Final = timedelta(minutes=5)
"""Between the first two attempts to read figures."""
LONGEST_PAUSE: Final = timedelta(hours=1)
"""Between later ones."""
LONGEST_DEPLOY: Final = timedelta(hours=6)
"""How long another deploy may have lasted beyond the windows of one, and still be noticed in them."""
PATIENCE: Final = timedelta(hours=24)
"""For how long after a deploy's window figures are waited for."""
SHORTEST: Final = timedelta(minutes=1)
"""The shortest window that a route may ask for."""
ENDED: Final = frozenset({DeployOutcome.SUCCEEDED, DeployOutcome.FAILED})


@dataclass(frozen=True, slots=True)
class VerdictRules:
    """How deploys are judged.

    `length` is that of both windows, unless a change has its own, at most `longest`; `figures` says where to
    read them.
    """

    length: timedelta
    thresholds: Thresholds
    figures: FigureSource
    longest: timedelta = timedelta()


class Verdicts:
    """Judges the deploys of one account, each once. Without `rules` none is judged."""

    def __init__(
        self,
        timeline: Timeline,
        budget: RequestBudget,
        clock: Callable[[], datetime],
        rules: VerdictRules | None,
    ) -> None:
        self._timeline = timeline
        self._budget = budget
        self._clock = clock
        self._rules = rules
        self._has_said = False

    def due(self, record: Record, marker: Marker, insight: Insight | None) -> datetime | None:
        """When the deploy is to be judged; `None` if never, or not again."""
        length = self._length(marker)
        if length is None or record.type is not EventType.DEPLOYMENT or record.outcome not in ENDED:
            return None
        if record.is_production is False and is_shown_everywhere(record):
            # The traffic of all charts is not that of a test environment.
            return None
        if insight is not None:
            is_judged = insight.verdict is not None and insight.verdict.ended_at == record.at
            if is_judged or insight.has_no_figures:
                return None
        due = record.at + length + UNTIL_FIGURES
        return None if self._clock() > due + PATIENCE + 2 * LONGEST_PAUSE else due

    def next_look(self, record: Record, marker: Marker) -> datetime | None:
        """When to look at it next, after looking now; `None` if never."""
        due = self.due(record, marker, marker.insight)
        if due is None or due > self._clock():
            return due
        wait = timedelta(seconds=self._budget.seconds_until_share(SHARE))
        # As long again as it has waited by now: figures that are away for a day cost some thirty requests.
        pause = wait or min(self._clock() - due, LONGEST_PAUSE)
        return self._clock() + max(pause, FIGURES_PAUSE)

    def judged(self, record: Record, marker: Marker, insight: Insight) -> Insight:
        """The insight with a verdict if one is due, which takes two requests for figures. Without one if it
        has to wait, or if there are no figures. Raises `RedisError`.
        """
        if insight.verdict is not None and insight.verdict.ended_at == record.at:
            return self._corrected(record, marker, insight, insight.verdict)
        due, length = self.due(record, marker, insight), self._length(marker)
        if due is None or due > self._clock() or length is None or self._rules is None:
            return insight
        windows = windows_of(record.started_at, record.at, length)
        verdict = None
        if (reason := self._disturbance(record, windows)) is not None:
            verdict = not_compared(reason, length, record.at)
        elif self._budget.seconds_until_share(SHARE) == 0:
            try:
                verdict = judged(record, length, self._rules.figures, self._rules.thresholds)
            except NoFigures as error:
                self._say(record, error)
                if error.is_lasting:
                    return insight.model_copy(update={"has_no_figures": True})
        if verdict is None and self._clock() > due + PATIENCE:
            verdict = not_compared("there were no figures", length, record.at)
        return insight.model_copy(update={"verdict": verdict})

    @property
    def reach(self) -> timedelta:
        """How long before an incident a deploy may have ended so that its verdict uses figures of the
        incident's time.
        """
        return timedelta() if self._rules is None else 2 * max(self._rules.length, self._rules.longest)

    def periods(self, record: Record) -> tuple[Period, ...]:
        """When deploys ended that may have been judged by figures of a time in which this one was under way.

        None if it has arrived in time.
        """
        if self._rules is None:
            return ()
        longest = max(self._rules.length, self._rules.longest)
        shortest = SHORTEST if self._rules.longest else self._rules.length
        first = record.started_at - longest
        last = min(record.at + longest + LONGEST_DEPLOY, self._clock() - shortest - UNTIL_FIGURES)
        return (Period(EventType.DEPLOYMENT, first, last),) if first <= last else ()

    def disturbed(self, record: Record, near: Iterable[Record]) -> set[str]:
        """The deploys nearby that were judged before this marker arrived, which disturbs their figures."""
        if self._rules is None:
            return set()
        usual, moment = self._rules.length, self._clock()
        lengths = [
            (deploy, usual if deploy.judged_after is None else deploy.judged_after)
            for deploy in near
            if deploy.type is EventType.DEPLOYMENT
        ]
        return {
            deploy.key
            for deploy, length in lengths
            if length
            and deploy.at + length + UNTIL_FIGURES <= moment
            and disturbance(deploy, windows_of(deploy.started_at, deploy.at, length), [record])
        }

    def _corrected(self, record: Record, marker: Marker, insight: Insight, verdict: Verdict) -> Insight:
        """Withdraws a verdict if something turns out to have happened in its windows."""
        length = self._length(marker)
        if length is None or verdict.word is Word.UNKNOWN:
            return insight
        reason = self._disturbance(record, windows_of(record.started_at, record.at, length))
        if reason is None:
            return insight
        return insight.model_copy(update={"verdict": not_compared(reason, length, record.at)})

    def _length(self, marker: Marker) -> timedelta | None:
        if self._rules is None:
            return None
        own = judged_after(marker)
        return (self._rules.length if own is None else own) or None

    def _say(self, record: Record, error: NoFigures) -> None:
        """A lasting problem is logged once, and not for each deploy."""
        if not (error.is_lasting and self._has_said):
            get_logger("receiver.insight").warning("no verdict", key=record.key, reason=str(error))
        self._has_said = self._has_said or error.is_lasting

    def _disturbance(self, record: Record, windows: Windows) -> str | None:
        """What happened within the windows, in words."""
        reach = windows.after[1] - windows.before[0]
        periods = [
            period
            for type_ in (EventType.DEPLOYMENT, EventType.INCIDENT)
            for period in around(type_, record.at, reach, reach + LONGEST_DEPLOY)
        ]
        near = self._timeline.read(record, periods).near
        return disturbance(record, windows, near)


def judged_after(marker: Marker) -> timedelta | None:
    """How long after its end the deploy is judged if a route says so; zero for never."""
    own = (change.verdict_after for change in reversed(marker.changes))
    return next((length for length in own if length is not None), None)
