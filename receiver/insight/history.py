"""Which version ran before a deploy, and whether the deploy went back to an earlier one.

Pure functions of the deploys that are remembered of one subject in one environment. If the answer is not
certain, there is none: a repository may deploy several things to one environment, each with a workflow of its
own.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

from apitraffic_events.event import Instant, Model
from receiver.insight.compare import compare_url
from receiver.insight.records import DeployOutcome, Record

GOES_BACK: Final = re.compile(r"roll.?back|revert|restore|undo|promote|redeploy", re.IGNORECASE)
"""In the name of a workflow that redeploys what other workflows have deployed before."""
SHORT: Final = 7
"""Characters of a commit that identify it."""


class Course(StrEnum):
    """Where a deploy goes, compared with what ran before it."""

    ROLLBACK = "rollback"
    """Back to what ran before the version that ran until then."""
    REDEPLOY = "redeploy"
    """The version that ran already."""


class Previous(Model):
    """What ran before a deploy."""

    key: str
    version: str | None = None
    commit: str | None = None
    at: Instant
    """When its deploy ended."""
    compare_url: str | None = None
    course: Course | None = None
    version_now: str | None = None
    """How the version that is deployed was called when it was deployed before."""


def previous_of(own: Record, history: Iterable[Record]) -> Previous | None:
    """What ran before this deploy; `None` if that is not known.

    `history` is what is remembered of the same subject and environment, in any order, and may contain the
    deploy itself. Only deploys that succeeded count as having run.
    """
    name, moment = own.history, _order(own)
    others = [record for record in history if record.key != own.key and record.history == name]
    earlier = sorted(
        (
            record
            for record in _of_same_target(own, others)
            if record.outcome is DeployOutcome.SUCCEEDED and _order(record) < moment
        ),
        key=_order,
    )
    if not earlier:
        return None
    last = earlier[-1]
    course = None
    before = [record for record in earlier if is_same_version(record, own)]
    if is_same_version(last, own):
        course = Course.REDEPLOY
    elif before and _order(before[0]) < _order(_first_of(last, earlier)):
        course = Course.ROLLBACK
    return Previous(
        key=last.key,
        version=last.version,
        commit=last.commit,
        at=last.at,
        compare_url=compare_url(own.repository_url, own.source, last.commit, own.commit),
        course=course,
        version_now=before[-1].version if before else None,
    )


def concerned_by(own: Record, history: Iterable[Record]) -> Iterator[Record]:
    """The other deploys whose `previous_of` may change because of this one. It may return too many: to find
    out exactly would take longer than to look at them again.
    """
    others = sorted((record for record in history if record.key != own.key), key=_order)
    if _may_tell_targets_apart(own, others):
        yield from others
        return
    # It may have counted with an earlier end.
    later = [record for record in others if record.at >= own.started_at]
    concerned = {record.key for record in _until_replaced(own, later)}
    # They may act for this one's workflow.
    concerned |= {record.key for record in others if _goes_back(record) and is_same_version(record, own)}
    if _is_first_of_its_version(own, others):
        concerned |= _of_that_version(own, later)
    yield from (record for record in others if record.key in concerned)


def _may_tell_targets_apart(own: Record, others: Sequence[Record]) -> bool:
    """Whether this deploy may show that one target was several, or that others deploy for it."""
    if own.run_id is not None and any(record.run_id == own.run_id for record in others):
        return True
    is_new = own.track not in {record.track for record in others}
    return _goes_back(own) or (is_new and any(map(_goes_back, others)))


def _until_replaced(own: Record, later: Sequence[Record]) -> Iterator[Record]:
    """The deploys after this one up to the next that succeeded and may have replaced it."""
    for record in later:
        yield record
        may_replace = (
            record.track == own.track and None not in {record.job, own.job} and record.job == own.job
        )
        if may_replace and record.outcome is DeployOutcome.SUCCEEDED and _order(record) > _order(own):
            return


def _is_first_of_its_version(own: Record, others: Iterable[Record]) -> bool:
    return not any(
        is_same_version(record, own)
        and record.outcome is DeployOutcome.SUCCEEDED
        and record.at < own.started_at
        for record in others
    )


def _of_that_version(own: Record, later: Sequence[Record]) -> set[str]:
    """Those that deploy the version, and those that replace it."""
    concerned: set[str] = set()
    was_replaced = True
    for record in later:
        is_same = is_same_version(record, own)
        if is_same or not was_replaced:
            concerned.add(record.key)
        if record.outcome is DeployOutcome.SUCCEEDED:
            was_replaced = not is_same
    return concerned


def is_same_version(one: Record, other: Record) -> bool:
    """Whether both certainly deploy the same thing."""
    if one.commit and other.commit:
        length = min(len(one.commit), len(other.commit))
        return length >= SHORT and one.commit[:length] == other.commit[:length]
    return one.version is not None and one.version == other.version and one.is_exact and other.is_exact


def _first_of(version: Record, earlier: Sequence[Record]) -> Record:
    return next(record for record in earlier if is_same_version(record, version) or record is version)


def _of_same_target(own: Record, others: Sequence[Record]) -> list[Record]:
    """Those of the others that replaced what this one replaces.

    Each job of a workflow is one target. A deploy that does not name its job may be of any of them. A
    workflow that goes back acts for the others; if there are several of those, for the one that has deployed
    its version.
    """
    tracks = {record.track for record in (own, *others) if not _goes_back(record)}
    if len(tracks) <= 1:
        return _of_same_job(own, others)
    if _goes_back(own):
        candidates = {
            record.track for record in others if not _goes_back(record) and is_same_version(record, own)
        }
        if len(candidates) != 1:
            return []
        (track,) = candidates
    else:
        track = own.track
    deployed = [record for record in others if record.track == track and not _goes_back(record)]
    back = [
        record
        for record in others
        if _goes_back(record) and any(is_same_version(record, one) for one in (own, *deployed))
    ]
    return _of_same_job(own, [*deployed, *back])


def _of_same_job(own: Record, others: Sequence[Record]) -> list[Record]:
    """Without the deploys of other jobs, which may run beside this one or whenever they have something to
    deploy.
    """
    runs: dict[str, set[str | None]] = {}
    for record in (own, *others):
        if record.run_id is not None and not _goes_back(record):
            runs.setdefault(record.run_id, set()).add(record.job)
    beside = {job for jobs in runs.values() if own.job in jobs for job in jobs} - {own.job}
    if _goes_back(own) and any(len(jobs) > 1 for jobs in runs.values()):
        return []
    return [
        record
        for record in others
        if record.job not in beside and not _is_unclear(record, own) and not _is_another_job(record, own)
    ]


def _is_another_job(record: Record, own: Record) -> bool:
    """Whether each is known to be of a job of its own. One that goes back acts for others."""
    is_other = None not in {record.job, own.job} and record.job != own.job
    return is_other and _goes_back(record) is _goes_back(own)


def _is_unclear(record: Record, own: Record) -> bool:
    """Whether one run made both, and does not say by which of its jobs."""
    return own.run_id is not None and own.run_id == record.run_id and own.job is None


def _goes_back(record: Record) -> bool:
    return any(GOES_BACK.search(name) is not None for name in (record.track, record.job, record.task) if name)


def _order(record: Record) -> tuple[object, ...]:
    return record.at, record.started_at, record.key
