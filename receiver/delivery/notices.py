"""What people are told, and the JSON that says it. Pure functions."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self

from pydantic import JsonValue

from apitraffic_events.event import Event, EventType
from apitraffic_events.text import NAME_LIMIT, one_line
from apitraffic_events.timestamps import format_timestamp
from receiver.config.accounts import NOTIFY
from receiver.config.notify import NoticeKind
from receiver.delivery.markers import Marker
from receiver.delivery.outcomes import FAILURES
from receiver.delivery.retries import what_to_check
from receiver.events import Change, DeliveryReference, Effect
from receiver.insight.annotation import JUDGED
from receiver.insight.verdict import Word
from receiver.routing import DEFAULT_ACCOUNT
from receiver.wording import duration

NEWS: Final = timedelta(days=1)
"""Nothing is posted about what ended longer ago: its sender has sent it again, or Redis had forgotten it."""
LATEST_VERDICT: Final = timedelta(days=2)
"""After the end of a deploy: figures are waited for, a day at most."""
LATE: Final = timedelta(minutes=15)
"""A notice that is posted so long after what it is about says when that was."""
LONGEST_LINE: Final = 300
LONGEST_REASON: Final = 500
FACTS: Final = (
    *("status", "repository", "environment", "service", "job", "ref", "commit", "release", "actor"),
    *("deployment_id", "run_id", "run_url", "url", "verdict"),
)
"""Metadata of a marker that a notice repeats, if it is text."""
LINKS: Final = ("url", "run_url", "repository_url")
LINK: Final = re.compile(r"https?://[^\s<>|]{1,500}")
FOR_EVERYBODY: Final = re.compile(r"@(?=channel|here|everyone|all\b)", re.IGNORECASE)
"""How chats address everybody in a room; a branch may have such a name."""
WORD_JOINER: Final = "\u2060"


class NoticeType(StrEnum):
    """`type` in the JSON."""

    DEPLOY_FAILED = "deploy_failed"
    VERDICT_WORSE = "verdict_worse"
    PAUSED = "paused"
    RESUMED = "resumed"
    TEST = "test"


KINDS: Final[Mapping[NoticeType, NoticeKind]] = {
    NoticeType.DEPLOY_FAILED: NoticeKind.DEPLOY_FAILED,
    NoticeType.VERDICT_WORSE: NoticeKind.VERDICT_WORSE,
    NoticeType.PAUSED: NoticeKind.PAUSED,
    NoticeType.RESUMED: NoticeKind.PAUSED,
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people.

    `text` is plain text on a few lines; the first is a summary. `at` is when it happened. Notices with the
    same `id` are posted once. `facts` are for programs.
    """

    type: NoticeType
    text: str
    at: datetime
    id: str
    facts: Mapping[str, JsonValue]

    @classmethod
    def about(
        cls, subject: tuple[str, ...], type_: NoticeType, text: str, at: datetime, facts: dict[str, JsonValue]
    ) -> Self:
        """`subject` says what it is about, and of which end, so that the next one has another `id`."""
        whole = "\n".join((type_, *subject))
        return cls(type_, text, at, f"{type_}-{hashlib.sha256(whole.encode()).hexdigest()[:32]}", facts)

    def as_change(self) -> Change:
        """As it waits in the queue of notices, where it is shown, retried and given up like a change."""
        return Change(
            key=f"{NOTIFY}:{self.id}",
            effect=Effect.POINT,
            occurred_at=self.at,
            event=Event(
                type=EventType.CUSTOM,
                name=one_line(self.text.partition("\n")[0], NAME_LIMIT),
                description=self.text,
                metadata=dict(self.facts),
            ),
            account=NOTIFY,
            delivery=DeliveryReference(source=NOTIFY, id=self.id, event=self.type),
        )

    @classmethod
    def of(cls, change: Change) -> Self:
        """The notice that waits as this change."""
        event, reference = change.event, change.delivery
        text = event.description or event.name
        return cls(NoticeType(reference.event), text, change.occurred_at, reference.id, event.metadata)


def news_of(before: Event | None, marker: Marker, account: str | None, moment: datetime) -> Iterator[Notice]:
    """The notices about a marker that has been delivered and showed `before` until then."""
    for notice in (failed_deploy(before, marker, account, moment), worse_verdict(marker, account, moment)):
        if notice is not None:
            yield notice


def failed_deploy(
    before: Event | None, marker: Marker, account: str | None, moment: datetime
) -> Notice | None:
    """Of a marker that shows a failed deploy now and did not show that failure `before`.

    A later failure of the same deploy, run again, is another one. `None` if there is no failure, or if it was
    too long ago.
    """
    ended_at, told = _failed_at(marker.sent), _failed_at(before)
    if marker.sent is None or ended_at is None or (told is not None and ended_at <= told):
        return None
    if moment - ended_at > NEWS:
        return None
    name = marker.sent.name
    first = name if "fail" in name.lower() else f"Failed: {name}"
    return _of_marker(NoticeType.DEPLOY_FAILED, first, _summary(marker.sent), ended_at, marker, account)


def worse_verdict(marker: Marker, account: str | None, moment: datetime) -> Notice | None:
    """Of a deploy that has made things worse, by the verdict on the end that its marker shows.

    Returned whenever the marker is delivered, because the worker that judged it may have died before it
    queued the notice.
    """
    verdict = marker.insight.verdict if marker.insight is not None else None
    if marker.sent is None or verdict is None or verdict.word is not Word.WORSE:
        return None
    ended_at = marker.sent.ended_at or marker.sent.started_at
    if verdict.ended_at != ended_at or moment - verdict.ended_at > LATEST_VERDICT:
        return None
    first = marker.sent.name.removesuffix(JUDGED[Word.WORSE]) + JUDGED[Word.WORSE]
    return _of_marker(NoticeType.VERDICT_WORSE, first, verdict.line, verdict.ended_at, marker, account)


def paused_line(account: str | None, since: datetime, reason: str) -> Notice:
    """That the API has refused the token or the account since then."""
    said = one_line(reason, LONGEST_REASON)
    text = (
        f"Markers are not delivered to ApiTraffic{_whose(account)}: {said}\nPlease {what_to_check(account)}."
    )
    facts: dict[str, JsonValue] = {"account": account or DEFAULT_ACCOUNT, "reason": said}
    return Notice.about((account or "", format_timestamp(since)), NoticeType.PAUSED, text, since, facts)


def resumed_line(account: str | None, since: datetime, moment: datetime) -> Notice:
    """That delivery, which was paused since then, goes on."""
    length = duration(moment - since)
    text = f"Markers are delivered to ApiTraffic{_whose(account)} again, after {length}."
    facts: dict[str, JsonValue] = {
        "account": account or DEFAULT_ACCOUNT,
        "paused_at": format_timestamp(since),
    }
    return Notice.about((account or "", format_timestamp(since)), NoticeType.RESUMED, text, moment, facts)


def sample_notice(moment: datetime) -> Notice:
    """For a person who wants to see whether notices arrive."""
    text = "This is a test of apitraffic-events. Notices arrive here."
    return Notice.about((format_timestamp(moment),), NoticeType.TEST, text, moment, {})


def body_of(notice: Notice, moment: datetime, *, is_whole: bool) -> bytes:
    """What is posted at this moment.

    `is_whole` is for programs: `type`, `timestamp` and `data` as the specification of Standard Webhooks names
    them. A chat gets `text` alone, because Mattermost fails if it is told a `type` that it does not know.
    """
    text = notice.text
    if moment - notice.at > LATE:
        text = f"{text}\n({format_timestamp(notice.at)})"
    body: dict[str, Any] = {"text": for_chat(text)}
    if is_whole:
        body |= {"type": notice.type, "timestamp": format_timestamp(notice.at), "data": dict(notice.facts)}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def for_chat(text: str) -> str:
    """The text with what Slack takes for control sequences escaped, and no call to a whole room in it.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return FOR_EVERYBODY.sub(f"@{WORD_JOINER}", escaped)


def _of_marker(
    type_: NoticeType, first: str, second: str, ended_at: datetime, marker: Marker, account: str | None
) -> Notice:
    metadata = marker.sent.metadata if marker.sent else {}
    lines = (one_line(first, LONGEST_LINE), one_line(second, LONGEST_LINE), _link(metadata))
    text = "\n".join(line for line in lines if line)
    facts = {
        "key": marker.key,
        "event": marker.sid,
        "name": marker.sent.name if marker.sent else None,
        "ended_at": format_timestamp(ended_at),
        "account": account or DEFAULT_ACCOUNT,
        **{name: metadata.get(name) for name in FACTS},
    }
    texts = {name: one_line(value, LONGEST_LINE) for name, value in facts.items() if isinstance(value, str)}
    # Not by its key: markers may turn out to be one, which keeps the SID of one of them.
    subject = (account or "", marker.sid or marker.key, format_timestamp(ended_at))
    return Notice.about(subject, type_, text, ended_at, dict(texts))


def _failed_at(event: Event | None) -> datetime | None:
    """When the deploy that this event shows failed; `None` if it is none, or has not."""
    if event is None or event.type is not EventType.DEPLOYMENT:
        return None
    status = event.metadata.get("status")
    if not isinstance(status, str) or status.lower() not in FAILURES:
        return None
    return event.ended_at or event.started_at


def _summary(event: Event) -> str:
    """The first line of its description: after how long it failed, and who deployed."""
    return next(iter((event.description or "").splitlines()), "")


def _link(metadata: Mapping[str, JsonValue]) -> str:
    links = (value for name in LINKS if isinstance(value := metadata.get(name), str))
    return next((link for link in links if LINK.fullmatch(link)), "")


def _whose(account: str | None) -> str:
    return "" if account is None else f", account {account}"
