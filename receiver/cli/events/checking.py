"""`apitraffic-events events check`"""

import json
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

import click

from apitraffic_events.errors import ConfigurationError, EventsApiError
from apitraffic_events.event import EventType
from apitraffic_events.records import StoredEvent
from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli.events.account import AccountSession, reading_session
from receiver.cli.exits import Problem, Refused, api_problems
from receiver.cli.local_system import ACCOUNT, environment_for
from receiver.config.loading import load_what_is_right
from receiver.config.settings import Settings
from receiver.delivery.asked_events import LOOK_BACK, around_deploy, event_named
from receiver.insight.figures import NoFigures, figure_source
from receiver.insight.judging import UNTIL_FIGURES, disturbance, judged
from receiver.insight.nearby_events import told_verdict
from receiver.insight.records import DeployOutcome, Record, record_of
from receiver.insight.verdict import Thresholds, Verdict, Word, not_compared, windows_of
from receiver.wording import duration

SID_PREFIX: Final = "evt_"
WHAT_IT_TAKES: Final = "give a deployment's SID (evt_…) or its marker's key, such as github:deployment:4242"
PAUSE: Final = 3.0
"""Seconds until an event that is not there, or has not ended, is looked for again."""


class NoVerdict(Problem):
    """There is nothing to compare, or not yet."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What `--json` prints: exactly these fields (docs/cli.md).

    `verdict` is `unknown` if there was a `problem`.
    """

    verdict: str = Word.UNKNOWN.value
    line: str | None = None
    sid: str | None = None
    endedAt: str | None = None  # noqa: N815 - as the API names it
    problem: str | None = None


def check(
    context: click.Context,
    event: str,
    *,
    after: timedelta | None,
    fail_on: tuple[str, ...],
    wait: bool,
    timeout: float,
    as_lines: bool,
) -> None:
    """What `events check` does."""
    result, exit_code = CheckResult(), 1
    try:
        with api_problems():
            settings = _settings()
        with reading_session(timeout) as account:
            result = DeployCheck(account, settings, after, timeout, waits=wait).result(event)
    except Problem as problem:
        result, exit_code = CheckResult(problem=problem.message), problem.exit_code
        click.echo(problem.message, err=True)
    if as_lines:
        click.echo(json.dumps(asdict(result), ensure_ascii=False))
    elif result.line is not None:
        click.echo(f"{result.verdict}  {result.line}")
    if result.verdict in fail_on:
        context.exit(exit_code)


def _settings() -> Settings:
    """The settings, of which only the account's and those of `[verdict]` have to be right."""
    settings, mistakes = load_what_is_right(environment_for(ACCOUNT))
    wrong = [mistake for mistake in mistakes if ": verdict" in mistake]
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    return settings


class DeployCheck:
    """Looks for one event, waits for what is to be compared, and reads or makes its verdict."""

    def __init__(
        self,
        account: AccountSession,
        settings: Settings,
        after: timedelta | None,
        timeout: float,
        *,
        waits: bool,
    ) -> None:
        self._account = account
        self._settings = settings
        self._after = after
        self._length = after or timedelta(minutes=settings.verdict.after)
        self._timeout = timeout
        self._waits = waits

    def result(self, name: str) -> CheckResult:
        """Raises `Problem`."""
        stored, deploy = self._ended(name)
        verdict = told_verdict(stored, self._after)
        if verdict is None and self._wait_until(deploy.at + self._length + UNTIL_FIGURES):
            # Somebody may have judged or changed it meanwhile.
            stored, deploy = self._ended(stored.sid)
            verdict = told_verdict(stored, self._after)
        verdict = verdict or self._judged(deploy)
        return CheckResult(verdict.word.value, verdict.line, stored.sid, format_timestamp(verdict.ended_at))

    def _ended(self, name: str) -> tuple[StoredEvent, Record]:
        """The event, once it is there and over."""
        until = time.monotonic() + self._timeout
        has_said = False
        while True:
            try:
                return self._now(name)
            except _NotYet as problem:
                if not self._waits or time.monotonic() + PAUSE > until:
                    raise
                if not has_said:
                    _say(f"{problem.message}. Waiting …")
                has_said = True
            time.sleep(PAUSE)

    def _now(self, name: str) -> tuple[StoredEvent, Record]:
        stored = self._account.ask(lambda: event_named(self._account.client, name))
        if stored is None:
            takes = "" if name.startswith(SID_PREFIX) or ":" in name else f"; {WHAT_IT_TAKES}"
            raise _NotThere(f"ApiTraffic has no event {name} of the last {duration(LOOK_BACK)}{takes}")
        record = record_of(stored, stored.sid)
        if record is None or record.type is not EventType.DEPLOYMENT:
            raise NoVerdict(f"{stored.sid} is no deployment, so there is nothing to compare")
        if record.outcome is DeployOutcome.CALLED_OFF:
            raise NoVerdict(f"{stored.sid} was called off, so there is nothing to compare")
        if record.outcome is DeployOutcome.RUNNING and not record.has_ended:
            raise _NotYet(f"{stored.sid} has not ended yet")
        return stored, record

    def _wait_until(self, moment: datetime) -> bool:
        """Returns whether there was something to wait for."""
        left = (moment - now()).total_seconds()
        if left <= 0:
            return False
        when = f"{duration(self._length)} after the end of the deploy is at {format_timestamp(moment)}"
        if not self._waits:
            raise NoVerdict(f"{when}; leave out --no-wait to wait for it")
        _say(f"{when}. Waiting …")
        time.sleep(left)
        return True

    def _judged(self, deploy: Record) -> Verdict:
        section, token = self._settings.verdict, self._settings.prometheus_token
        figures = figure_source(
            self._account.client, section.prometheus, token.get_secret_value() if token else None
        )
        thresholds = Thresholds(section.errors_up, section.slower, section.fewest_requests)
        windows = windows_of(deploy.started_at, deploy.at, self._length)
        near = self._account.ask(lambda: around_deploy(self._account.client, windows))
        if (reason := disturbance(deploy, windows, near)) is not None:
            return not_compared(reason, self._length, deploy.at)

        def judge() -> Verdict:
            try:
                return judged(deploy, self._length, figures, thresholds)
            except NoFigures as error:
                if isinstance(error.__cause__, EventsApiError) and not error.is_lasting:
                    raise error.__cause__ from None  # Is tried again.
                raise NoVerdict(f"There are no figures: {error}") from error

        return self._account.ask(judge)


class _NotYet(NoVerdict):
    """It may come within seconds."""


class _NotThere(_NotYet):
    exit_code = Refused.exit_code


def _say(text: str) -> None:
    click.echo(text, err=True)
