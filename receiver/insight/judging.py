"""Judges a deploy by the figures before and after it, and by what else happened then."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from apitraffic_events.event import EVERYWHERE, EventType
from receiver.insight.figures import FigureSource
from receiver.insight.records import Record
from receiver.insight.suspects import disturbances
from receiver.insight.verdict import Thresholds, Verdict, Windows, judge, windows_of
from receiver.wording import duration

UNTIL_FIGURES: Final = timedelta(minutes=1)
"""How far the figures may be behind the traffic."""


def disturbance(deploy: Record, windows: Windows, near: Iterable[Record]) -> str | None:
    """Why the windows cannot be compared: what else happened in them, in words; `None` if nothing did."""
    found = disturbances(deploy, (windows.before, windows.after), near)
    if not found:
        return None
    (other, *_others) = found
    apart = other.at - deploy.at
    when = f"{duration(abs(apart))} {'later' if apart >= timedelta() else 'earlier'}"
    if other.type is EventType.INCIDENT:
        return f"an incident began {when}"
    return f"{other.subject or 'something else'} was deployed {when}"


def judged(deploy: Record, length: timedelta, figures: FigureSource, thresholds: Thresholds) -> Verdict:
    """Read the figures of both windows and compare them. Raises `NoFigures`."""
    windows = windows_of(deploy.started_at, deploy.at, length)
    bucket, environment, place = _scope_of(deploy)
    before = figures.figures(*windows.before, bucket, environment)
    after = figures.figures(*windows.after, bucket, environment)
    return judge(before, after, length, thresholds, deploy.at, place=place)


def _scope_of(deploy: Record) -> tuple[str | None, str | None, str | None]:
    """The bucket and the environment whose figures count, and what they are called if there are several."""
    bucket = None if tuple(deploy.buckets) == EVERYWHERE else deploy.buckets[0]
    environment = None if tuple(deploy.environments) == EVERYWHERE else deploy.environments[0]
    several = len(deploy.buckets) > 1 or len(deploy.environments) > 1
    return bucket, environment, " ".join(filter(None, (bucket, environment))) if several else None
