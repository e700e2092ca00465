"""What is added to an event beyond its sender's report: lines, metadata and a word in its name.

`Insight` is what is known of one marker beyond its own changes. It is stored with the marker, and written
into the event after folding. If Redis has lost the marker, it is read back from the event.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, Self

from pydantic import Field, JsonValue

from apitraffic_events.event import Event, EventType, Model, within_limits
from apitraffic_events.text import DESCRIPTION_LIMIT, NAME_LIMIT, one_line
from apitraffic_events.timestamps import format_timestamp
from apitraffic_events.updates import append_lines
from receiver.insight.history import SHORT, Course, Previous
from receiver.insight.suspects import Mention
from receiver.insight.verdict import Verdict, Word
from receiver.wording import duration

MOST_NAMED: Final = 3
"""Changes of the configuration that a deploy names; the others are counted."""
AGAIN: Final = "again"
"""In place of a fingerprint, of which it is none."""
MOST_UNANSWERED: Final = 5
"""Updates without an answer, one after another, of which it is remembered what they may have made."""
LONGEST_NAME: Final = 120
"""Characters of another marker's name in a line."""

JUDGED: Final = {Word.WORSE: " (worse)", Word.BETTER: " (better)"}
"""What is appended to the name; nothing for other verdicts."""
VERBS: Final = {
    "Deploy ": "Roll back ",
    "Failed deploy ": "Failed rollback of ",
    "Cancelled deploy ": "Cancelled rollback of ",
    "Rejected deploy ": "Rejected rollback of ",
}
KEYS: Final = frozenset(
    {
        "previous_version",
        "previous_commit",
        "previous_deployed_at",
        "compare_url",
        "course",
        "changed_since",
        "suspects",
        "incidents_after",
        "verdict",
    }
)
"""The metadata that an insight writes."""
LINES: Final = re.compile(
    r"Before: .+, deployed .+ earlier\.( https?://\S+)?"
    r"|Rollback to .+ from .+, deployed .+ earlier\.( https?://\S+)?"
    r"|Again: .+ was deployed here .+ earlier\."
    r"|Changed since then(, among others)?: .+"
    r"|(\d.+ before|Under way then): .+"
    r"|(\d.+ later|Meanwhile) an incident began: .+"
)
VERDICT_LINE: Final = re.compile(r"\d[\w ]* after( in .+)?: .+")


def _is_unused(value: object) -> bool:
    return not value


class Said(StrEnum):
    """How much of an insight is written into the event."""

    ALL = "all"
    WITHOUT_NAMES = "without names"
    """Without the names of other markers: the API has refused an event with them."""
    NOTHING = "nothing"


class Insight(Model):
    """What is known of one marker beyond its own changes.

    `changed` are changes of the configuration since the deploy before, the latest first; at most `MOST_NAMED`
    of `changed_count`.
    """

    previous: Previous | None = None
    changed: tuple[Mention, ...] = ()
    changed_count: int = 0
    suspects: tuple[Mention, ...] = ()
    incidents: tuple[Mention, ...] = ()
    """Those that name this marker among what changed before them."""
    verdict: Verdict | None = None
    compared: Verdict | None = Field(default=None, exclude_if=_is_unused)
    """The verdict taken back because something else had happened; it returns if that is called off."""
    is_partial: bool = Field(default=False, exclude_if=_is_unused)
    """Whether there may have been more changes of the configuration than are remembered."""
    is_looked_up: bool = Field(default=False, exclude_if=_is_unused)
    """Whether the API need not be asked what was before: it was asked, or Redis knows of earlier deploys."""
    has_no_figures: bool = Field(default=False, exclude_if=_is_unused)
    """Whether there is nothing to judge the deploy by, now and later."""
    noted: str | None = Field(default=None, exclude_if=_is_unused)
    """The fingerprint of the marker's record in the timeline; if it differs, the marker has changed."""
    said: Said = Said.ALL
    is_edited: bool = Field(default=False, exclude_if=_is_unused)
    """Whether somebody has changed the event in ApiTraffic: it is read before each update from then on."""
    unanswered: tuple[Event, ...] = Field(default=(), exclude_if=_is_unused)
    """What updates without an answer may have made of the event, if others may have changed it, too."""

    def merged_with(self, other: "Insight | None") -> Self:
        """The insight of two markers that turn out to be one. What is around it has to be read again.

        A verdict `unknown` may be due to the other one, so the deploy is judged again.
        """
        known = (self, other) if other is not None else (self,)
        verdicts = (verdict for insight in known for verdict in (insight.verdict, insight.compared))
        told = (verdict for verdict in verdicts if verdict is not None and verdict.word is not Word.UNKNOWN)
        update = {"verdict": next(told, None), "compared": None, "noted": None}
        merged = self.model_copy(update=update)
        merged = merged.with_unanswered(*(event for insight in known for event in insight.unanswered))
        return merged.model_copy(update={"is_edited": any(insight.is_edited for insight in known)})

    def with_unanswered(self, *added: Event) -> Self:
        """The same, with what the event may have become since."""
        events = [event for event in self.unanswered if event not in added]
        return self.model_copy(update={"unanswered": (*events, *added)[-MOST_UNANSWERED:]})

    def to_be_noted_again(self) -> Self:
        """The same, to be computed again at the next delivery, whether the marker has changed or not."""
        return self.model_copy(update={"noted": AGAIN})

    def with_less(self) -> Self:
        """The same, but less of it is written into the event."""
        less = Said.WITHOUT_NAMES if self.said is Said.ALL else Said.NOTHING
        return self.model_copy(update={"said": less})

    def to_be_said(self) -> "Insight":
        """The part of it that is written into the event."""
        match self.said:
            case Said.ALL:
                return self
            case Said.WITHOUT_NAMES:
                nobody = {"changed": (), "suspects": (), "incidents": ()}
                return self.model_copy(update=nobody)
            case Said.NOTHING:
                return Insight()


def with_insight(event: Event, insight: Insight) -> Event:
    """The event with the insight added. A verdict is left out if the deploy's end has moved since."""
    insight = insight.to_be_said()
    verdict = insight.verdict
    if verdict is not None and verdict.ended_at != (event.ended_at or event.started_at):
        verdict = None
    lines = _lines_that_fit(event, insight, verdict)
    facts = _facts_of(insight) | ({"verdict": verdict.word.value} if verdict else {})
    name = _name_of(event, insight, verdict)
    if not lines and not facts and name == event.name:
        return event
    description = append_lines(event.description, lines) if lines else event.description
    try:
        metadata = within_limits(event.metadata | facts)
    except ValueError:
        metadata = event.metadata  # What the sender says goes first.
    return event.model_copy(update={"name": name, "description": description, "metadata": metadata})


def without_insight(event: Event) -> tuple[Event, Verdict | None]:
    """The reverse of `with_insight`: the event without its insight, and its verdict. Only what the metadata
    marks as ours is removed. A name that says "Roll back" stays.
    """
    if not KEYS & event.metadata.keys():
        return event, None
    lines = (event.description or "").splitlines()
    kept = [line for line in lines if not LINES.fullmatch(line)]
    verdict = None
    word = event.metadata.get("verdict")
    if isinstance(word, str):
        found = next((line for line in reversed(kept) if VERDICT_LINE.fullmatch(line)), None)
        ended_at = event.ended_at or event.started_at
        if found is not None and ended_at is not None and word in set(Word):
            verdict = Verdict(word=Word(str(word)), line=found, ended_at=ended_at)
            kept.remove(found)
    fields = {
        "name": bare_name(event.name),
        "description": "\n".join(kept) or None,
        "metadata": {key: value for key, value in event.metadata.items() if key not in KEYS},
    }
    return event.model_copy(update=fields), verdict


def _lines_that_fit(event: Event, insight: Insight, verdict: Verdict | None) -> list[str]:
    """The lines that there is room for below the description, of which half is always left to the sender.

    If there are too many, they lose their links, and then the last ones are left out, but never the verdict.
    """
    room = max(DESCRIPTION_LIMIT - len(event.description or "") - 1, DESCRIPTION_LIMIT // 2)
    lines = [*_lines_of(event, insight, verdict)]
    if len("\n".join(lines)) > room:
        lines = [*_lines_of(event, _without_links(insight), verdict)]
    own = verdict.line if verdict else None
    while len("\n".join(lines)) > room and (others := [line for line in lines if line != own]):
        lines.remove(others[-1])
    return lines


def _without_links(insight: Insight) -> Insight:
    """The same; other markers are only named."""
    mentions = {"changed": insight.changed, "suspects": insight.suspects, "incidents": insight.incidents}
    return insight.model_copy(
        update={
            name: tuple(mention.model_copy(update={"url": None}) for mention in of)
            for name, of in mentions.items()
        }
    )


def _lines_of(event: Event, insight: Insight, verdict: Verdict | None) -> Iterator[str]:
    if insight.previous is not None:
        yield _previous_line(event, insight.previous)
    if insight.changed:
        yield f"Changed since then{', among others' if insight.is_partial else ''}: {_named(insight)}"
    if verdict is not None:
        yield verdict.line
    for mention in insight.suspects:
        when = f"{duration(mention.apart)} before" if mention.apart else "Under way then"
        yield f"{when}: {_mentioned(mention)}"
    for mention in insight.incidents:
        when = f"{duration(mention.apart)} later" if mention.apart else "Meanwhile"
        yield f"{when} an incident began: {_mentioned(mention)}"


def _previous_line(event: Event, previous: Previous) -> str:
    version = previous.version or (previous.commit or "")[:SHORT]
    end = event.ended_at or event.started_at or previous.at
    earlier = duration(end - previous.at)
    link = f" {previous.compare_url}" if previous.compare_url else ""
    if previous.course is Course.REDEPLOY:
        return f"Again: {version} was deployed here {earlier} earlier."
    if previous.course is Course.ROLLBACK:
        return (
            f"Rollback to {_version_now(event, previous)} from {version}, deployed {earlier} earlier.{link}"
        )
    return f"Before: {version}, deployed {earlier} earlier.{link}"


def _version_now(event: Event, previous: Previous) -> str:
    commit = event.metadata.get("short_commit") or event.metadata.get("commit")
    return previous.version_now or (str(commit)[:SHORT] if commit else "an earlier version")


def _named(insight: Insight) -> str:
    named = "; ".join(_mentioned(mention) for mention in insight.changed[:MOST_NAMED])
    more = insight.changed_count - min(len(insight.changed), MOST_NAMED)
    return f"{named}; and {more} more" if more and not insight.is_partial else named


def _mentioned(mention: Mention) -> str:
    name = one_line(mention.name, LONGEST_NAME)
    return f"{name} ({mention.url})" if mention.url else name


def _facts_of(insight: Insight) -> dict[str, JsonValue]:
    facts: dict[str, JsonValue] = {}
    if (previous := insight.previous) is not None:
        facts = {
            "previous_version": previous.version,
            "previous_commit": previous.commit,
            "previous_deployed_at": format_timestamp(previous.at),
            "compare_url": previous.compare_url,
            "course": previous.course.value if previous.course else None,
        }
    facts |= {
        "changed_since": None if insight.is_partial else insight.changed_count or None,
        "suspects": _names(insight.suspects),
        "incidents_after": _names(insight.incidents),
    }
    return {name: fact for name, fact in facts.items() if fact not in (None, [])}


def _names(mentions: Iterable[Mention]) -> list[JsonValue]:
    return [one_line(mention.name, LONGEST_NAME) for mention in mentions]


def _name_of(event: Event, insight: Insight, verdict: Verdict | None) -> str:
    name = name_of(event, insight.previous)
    suffix = JUDGED.get(verdict.word, "") if verdict else ""
    return one_line(name, NAME_LIMIT - len(suffix)) + suffix if suffix else name


def bare_name(name: str) -> str:
    """The name without the word of a verdict."""
    for word in JUDGED.values():
        name = name.removesuffix(word)
    return name


def word_in(name: str) -> str:
    """The word of a verdict as it is appended to this name; empty if there is none."""
    return next((word for word in JUDGED.values() if name.endswith(word)), "")


def name_of(event: Event, previous: Previous | None) -> str:
    """The name that is shown, without the word of a verdict."""
    is_rollback = previous is not None and previous.course is Course.ROLLBACK
    return _rolled_back(event, previous) if previous is not None and is_rollback else event.name


def _rolled_back(event: Event, previous: Previous) -> str:
    """The name as senders give it to a rollback, if it is one of the names that they give to a deploy.

    A name that a route or a person chose stays: the description says it, too.
    """
    if event.type is not EventType.DEPLOYMENT:
        return event.name
    verb = next((verb for verb in VERBS if event.name.startswith(verb)), None)
    if verb is None:
        return event.name
    subject, environment = event.metadata.get("repository"), event.metadata.get("environment")
    rest = event.name.removeprefix(verb)
    place = f" to {environment}" if environment else ""
    for known in (event.metadata.get("service"), subject, event.metadata.get("job")):
        if isinstance(known, str) and rest.startswith(f"{known} ") and rest.endswith(place):
            version = rest[len(known) + 1 : len(rest) - len(place)] or _version_now(event, previous)
            if " " in version:
                break
            in_place = f" in {environment}" if environment else ""
            shown = previous.version_now or version
            return one_line(f"{VERBS[verb]}{known} to {shown}{in_place}", NAME_LIMIT)
    return event.name
