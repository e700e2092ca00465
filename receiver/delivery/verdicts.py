"""When a deploy is judged, and by which figures. `receiver.insight.verdict` decides what they mean."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeGuard

from structlog import get_logger

from apitraffic_events.errors import RateLimited
from apitraffic_events.event import EventType
from receiver.delivery.budget import RequestBudget
from receiver.delivery.markers import Marker
from receiver.insight.annotation import Insight
from receiver.insight.figures import FigureSource, NoFigures
from receiver.insight.judging import UNTIL_FIGURES, disturbance, disturber, judged, what_happened
from receiver.insight.records import DeployOutcome, Record, is_shown_everywhere
from receiver.insight.suspects import LONGEST_DEPLOY, over_at
from receiver.insight.timeline import Period, Timeline, around
from receiver.insight.verdict import Thresholds, Word, not_compared, windows_of

SHARE: Final = 5
"""One part in this many of the budget is not used for requests that can wait."""
MOST_REQUESTS: Final = 4
"""What the verdict on a deploy asks of the API if nothing fails: two requests for figures, one that reads the
event, because the update would overwrite what somebody has written into it since, and the update.
"""
FIGURES_PAUSE: Final = timedelta(minutes=5)
"""Between the first two attempts to read figures."""
LONGEST_PAUSE: Final = timedelta(hours=1)
"""Between later ones."""
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
    """Judges the deploys of one account. Without `rules` none is judged.

    Figures are read once for each. If something else happened in its windows, nothing is compared until that
    is called off.
    """

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
        """The insight with a verdict if one is due, which takes two requests for figures.

        Without one if it has to wait, or if there are no figures. Raises `RedisError`, and `RateLimited` if
        these requests use the budget up.
        """
        length = self._length(marker)
        told = insight.verdict
        if told is not None and told.ended_at != record.at:
            told = None
        due = self.due(record, marker, insight)
        if length is None or (told is None and (due is None or due > self._clock())):
            return insight
        named = told.disturbed_by if told is not None else None
        if told is not None and told.word is Word.UNKNOWN and named is None:
            return insight  # Whatever else turns out to have happened, it stays so.
        other = self._disturber(record, length, named)
        if other is None:
            return self._compared(record, marker, insight, length) if told is None or named else insight
        # As it was when it was still running is so, too, unless it had ended by then.
        states = (other, *(_before(other) if other.at >= record.at else ()))
        given = [
            not_compared(what_happened(record, state), length, record.at, by=other.key) for state in states
        ]
        if told in given:
            return insight
        compared = told if told is not None and named is None else insight.compared
        return insight.model_copy(update={"verdict": given[0], "compared": compared})

    def _compared(self, record: Record, marker: Marker, insight: Insight, length: timedelta) -> Insight:
        """With a verdict by figures, now that nothing else has happened in the windows."""
        if insight.compared is not None and insight.compared.ended_at == record.at:
            return insight.model_copy(update={"verdict": insight.compared, "compared": None})
        undecided = insight.model_copy(update={"verdict": None})
        due = self.due(record, marker, undecided)
        if due is None or self._rules is None:
            return insight  # Something was called off, but figures are not asked for any more.
        verdict = None
        if self._budget.seconds_until_share(SHARE) == 0:
            try:
                verdict = judged(record, length, self._rules.figures, self._rules.thresholds)
            except NoFigures as error:
                if _says_budget_is_used_up(error.__cause__):
                    raise error.__cause__ from None
                self._say(record, error)
                if error.is_lasting:
                    return undecided.model_copy(update={"has_no_figures": True})
        if verdict is None and self._clock() > due + PATIENCE:
            verdict = not_compared("there were no figures", length, record.at)
        return undecided.model_copy(update={"verdict": verdict})

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
        last = min(over_at(record) + longest + LONGEST_DEPLOY, self._clock() - shortest - UNTIL_FIGURES)
        return (Period(EventType.DEPLOYMENT, first, last),) if first <= last else ()

    def disturbed(self, record: Record, near: Iterable[Record], *, is_known: bool) -> set[str]:
        """The deploys nearby that were judged before this marker arrived, which disturbs their figures.

        If it `is_known`, also those that may have been disturbed by what was known of it before: that it had
        not ended, or was not called off.
        """
        if self._rules is None:
            return set()
        usual, moment = self._rules.length, self._clock()
        lengths = [
            (deploy, usual if deploy.judged_after is None else deploy.judged_after)
            for deploy in near
            if deploy.type is EventType.DEPLOYMENT
        ]
        states = [record, *(_before(record) if is_known else ())]
        return {
            deploy.key
            for deploy, length in lengths
            if length
            and deploy.at + length + UNTIL_FIGURES <= moment
            and any(
                disturbance(deploy, windows_of(deploy.started_at, deploy.at, length), [state])
                for state in states
            )
        }

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

    def _disturber(self, record: Record, length: timedelta, named: str | None) -> Record | None:
        """As `disturber`, by the timeline."""
        windows = windows_of(record.started_at, record.at, length)
        reach = windows.after[1] - windows.before[0]
        periods = (
            *around(EventType.DEPLOYMENT, record.at, reach + LONGEST_DEPLOY, reach + LONGEST_DEPLOY),
            *around(EventType.INCIDENT, record.at, reach, reach),
        )
        near = self._timeline.read(record, periods).near
        return disturber(record, windows, near, named)


def _before(record: Record) -> Iterator[Record]:
    """As what the marker may have been known before."""
    if record.type is EventType.DEPLOYMENT and not record.is_running:
        began = {"outcome": DeployOutcome.RUNNING, "has_ended": False, "at": record.started_at}
        yield record.model_copy(update=began)
    if record.outcome is DeployOutcome.CALLED_OFF:
        ended = DeployOutcome.FAILED if record.type is EventType.DEPLOYMENT else None
        yield record.model_copy(update={"outcome": ended})


def _says_budget_is_used_up(error: BaseException | None) -> TypeGuard[RateLimited]:
    """Whether all other requests have to wait, too: the reference names one budget for all of them.

    If the answer itself says that requests are left, it is only figures that are refused, and no marker is to
    wait for them.
    """
    return isinstance(error, RateLimited) and (error.rate_limit is None or error.rate_limit.remaining <= 0)


def judged_after(marker: Marker) -> timedelta | None:
    """How long after its end the deploy is judged if a route says so; zero for never."""
    own = (change.verdict_after for change in reversed(marker.changes))
    return next((length for length in own if length is not None), None)
