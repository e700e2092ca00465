"""The event of a command that runs: opened beside it, closed after it, and never in its way."""

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import click

from apitraffic_events.event import EventType
from apitraffic_events.retrying import LONGEST_REQUEST, OutOfTime
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import now
from receiver.cli import consoles
from receiver.cli.events.fields import Fields
from receiver.cli.exits import LONGEST_PROBLEM, NotConfigured, Refused, WrongPlace, api_problems
from receiver.cli.run.child import Ending
from receiver.cli.run.numbering import name_of_run
from receiver.cli.run.ways import Calls, Way, way_to
from receiver.cli.waiting import Patience
from receiver.config.ci.detection import detect
from receiver.config.ci.job import CiJob
from receiver.delivery.creation import MARKER_KEY, Wanted
from receiver.wording import duration

HOPELESS: Final = (NotConfigured, Refused, WrongPlace)
"""Problems that another attempt a little later cannot solve."""
OUTCOMES: Final = {"success": "Succeeded", "failure": "Failed", "cancelled": "Cancelled"}


@dataclass(slots=True)
class Report:
    """`open` returns at once; `close` waits for it. What goes wrong is said on standard error, not raised."""

    fields: Fields
    program: str
    receiver_url: str | None
    timeout: float
    is_quiet: bool
    says_previous: bool = True
    _patience: Patience = field(default_factory=lambda: Patience(consoles.errors()))
    _is_over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _job: CiJob | None = None
    _wanted: Wanted | None = None
    _way: Way | None = None
    _problem: Exception | None = None

    def open(self) -> None:
        # A thread that waits for an answer must not keep the process alive.
        self._thread = threading.Thread(target=self._open, daemon=True)
        self._thread.start()

    def close(self, ending: Ending) -> None:
        try:
            said = self._close(ending, now())
            if not self.is_quiet:
                self.say(said)
        except Exception as error:  # noqa: BLE001 - nothing may change how the command ends
            self.say(_words(error))

    def _close(self, ending: Ending, ended_at: datetime) -> str:
        """What has been reported."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(2 * LONGEST_REQUEST)
        if self._wanted is None or self._way is None or isinstance(self._problem, HOPELESS):
            raise self._problem or TimeoutError("the event could not be opened")
        status = _status(ending)
        taken = ended_at - (self.fields.started_at or ended_at)
        outcome = replace(
            self.fields,
            status=status,
            ended_at=ended_at,
            marker_key=self._wanted.key,
            description="\n".join(
                filter(None, (_outcome(status, taken, self._job), self.fields.description))
            ),
            metadata={"exit_code": str(ending.exit_code), **self.fields.metadata},
        )
        whole = replace(self._wanted, event=outcome.wanted(self._job).event)
        with api_problems("event"), self._patience.shown():
            sid = self._way.close(whole, Calls(self.timeout, self._patience.before_retry))
        return f"ApiTraffic: {whole.event.name}: {status} after {duration(taken)}{f' ({sid})' if sid else ''}"

    def say(self, text: str) -> None:
        with suppress(OSError, ValueError):  # Nobody may read it any more.
            click.echo(one_line(text, LONGEST_PROBLEM), err=True)

    def _open(self) -> None:
        try:
            self._job = detect(os.environ)
            self._wanted = self._described()
            with api_problems("event"):
                self._way = way_to(self.receiver_url, says_previous=self.says_previous)
                self._way.open(self._wanted, Calls(self.timeout, sleep=self._pause))
        except Exception as error:  # noqa: BLE001 - said after the command
            self._problem = error

    def _described(self) -> Wanted:
        fields = self.fields
        is_deployment = fields.type == EventType.DEPLOYMENT
        if not fields.name and not (is_deployment and (self._job or fields.to or fields.version)):
            fields = self.fields = replace(fields, name=f"Run {self.program}")
        wanted = replace(fields.wanted(self._job), keeps_start=True)
        if self._job is None or fields.marker_key or not wanted.may_exist:
            return wanted
        key = name_of_run(wanted.key, self._job, os.environ)
        if key == wanted.key:
            return wanted
        # Another deployment of this job, which no webhook knows.
        metadata = wanted.event.metadata | {MARKER_KEY: key}
        event = wanted.event.model_copy(update={"metadata": metadata})
        return replace(wanted, event=event, identity=())

    def _pause(self, seconds: float) -> None:
        if self._is_over.wait(seconds):
            # Closing creates the whole event, so that opening it is no longer worth a try.
            raise OutOfTime("the command has ended")


def _status(ending: Ending) -> str:
    if ending.returncode == 0:
        return "success"
    return "cancelled" if ending.was_asked_to_stop else "failure"


def _outcome(status: str, taken: timedelta, job: CiJob | None) -> str:
    """`Succeeded after 2 min 3 s by alice.`, as the CI plugins have it (docs/ci-plugins.md)."""
    actor = job.metadata.get("actor") if job else None
    return f"{OUTCOMES[status]} after {duration(taken)}{f' by {actor}' if actor else ''}."


def _words(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        message = error.format_message()
        return message if message.startswith("ApiTraffic") else f"ApiTraffic: {message}"
    return (
        f"ApiTraffic: unexpected error, {type(error).__name__}: {error}. "
        "It has not affected the command. Please report it."
    )
