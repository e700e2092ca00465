"""How an insight is written into an event, and seen in one again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apitraffic_events.event import METADATA_SIZE, Event, EventType
from apitraffic_events.text import DESCRIPTION_LIMIT, NAME_LIMIT
from receiver.insight.annotation import Insight, with_insight, without_insight
from receiver.insight.history import Course, Previous
from receiver.insight.suspects import Mention
from receiver.insight.verdict import Verdict, Word

AT = datetime(2026, 1, 10, 10, 0, tzinfo=UTC)
EVENT = Event(
    type=EventType.DEPLOYMENT,
    name="Deploy acme/shop v2 to production",
    description="Succeeded.",
    metadata={"repository": "acme/shop", "environment": "production", "short_commit": "2222222"},
    started_at=AT,
)


def hours(number: int) -> timedelta:
    return timedelta(hours=number)


def previous(**fields: Any) -> Previous:
    return Previous(key="deploy:1", version="v1", commit="1" * 40, at=AT - hours(2), **fields)


def mention(name: str, url: str | None = None, minutes: int = 4) -> Mention:
    return Mention(key=name, name=name, url=url, at=AT, apart=timedelta(minutes=minutes))


VERDICT = Verdict(word=Word.WORSE, line="15 min after: errors 0.3 % → 2.1 %", ended_at=AT)
FULL = Insight(
    previous=previous(compare_url="https://github.com/acme/shop/compare/1...2"),
    changed=(mention("flag a", "https://flags.test/a"), mention("flag b")),
    changed_count=5,
    suspects=(mention("Scale web"), mention("Deploy x", minutes=0)),
    incidents=(mention("#7 Slow", "https://pd.test/7"), mention("#8 Down", minutes=0)),
    verdict=VERDICT,
)


def test_nothing_known_changes_nothing() -> None:
    assert with_insight(EVENT, Insight()) is EVENT


def test_everything_that_is_known_is_a_line_and_metadata() -> None:
    event = with_insight(EVENT, FULL)
    assert event.name == "Deploy acme/shop v2 to production (worse)"
    assert (event.description or "").splitlines() == [
        "Succeeded.",
        "Before: v1, deployed 2 h earlier. https://github.com/acme/shop/compare/1...2",
        "Changed since then: flag a (https://flags.test/a); flag b; and 3 more",
        "15 min after: errors 0.3 % → 2.1 %",
        "4 min before: Scale web",
        "Under way then: Deploy x",
        "4 min later an incident began: #7 Slow (https://pd.test/7)",
        "Meanwhile an incident began: #8 Down",
    ]
    assert event.metadata == EVENT.metadata | {
        "previous_version": "v1",
        "previous_commit": "1" * 40,
        "previous_deployed_at": "2026-01-10T08:00:00.000Z",
        "compare_url": "https://github.com/acme/shop/compare/1...2",
        "changed_since": 5,
        "suspects": ["Scale web", "Deploy x"],
        "incidents_after": ["#7 Slow", "#8 Down"],
        "verdict": "worse",
    }
    unchanged = {"type", "source", "buckets", "environments", "started_at", "ended_at"}
    assert event.model_dump(include=unchanged) == EVENT.model_dump(include=unchanged)


def test_what_was_added_is_seen_again() -> None:
    shown = with_insight(EVENT, FULL)
    assert without_insight(shown) == (EVENT, VERDICT)


def test_lines_that_only_look_like_ours_stay() -> None:
    written = EVENT.model_copy(update={"description": "Before: v0, deployed 1 h earlier.\n5 min after: tea"})
    assert without_insight(written) == (written, None)


@pytest.mark.parametrize(
    ("name", "metadata", "becomes"),
    [
        ("Deploy acme/shop v1 to production", {}, "Roll back acme/shop to v1 in production"),
        ("Failed deploy acme/shop v1 to production", {}, "Failed rollback of acme/shop to v1 in production"),
        (
            "Cancelled deploy acme/shop main@1111111 to production",
            {},
            "Cancelled rollback of acme/shop to v1 in production",
        ),
        ("Deploy shop v1 to production", {"service": "shop"}, "Roll back shop to v1 in production"),
        ("Deploy deploy-shop v1", {"job": "deploy-shop", "environment": None}, "Roll back deploy-shop to v1"),
        ("Roll back acme/shop to v1 in production", {}, "Roll back acme/shop to v1 in production"),
        ("shop: v1 is out", {}, "shop: v1 is out"),
        ("Deploy the rest to production", {}, "Deploy the rest to production"),
        ("Deploy acme/shop v1 to production (unstable)", {}, "Deploy acme/shop v1 to production (unstable)"),
    ],
)
def test_the_name_of_a_rollback_says_so_if_it_is_one_that_senders_give(
    name: str, metadata: dict[str, Any], becomes: str
) -> None:
    facts = {key: fact for key, fact in (EVENT.metadata | metadata).items() if fact is not None}
    event = EVENT.model_copy(update={"name": name, "metadata": facts})
    back = previous(course=Course.ROLLBACK, version_now="v1").model_copy(update={"version": "v2"})
    shown = with_insight(event, Insight(previous=back))
    assert shown.name == becomes
    assert shown.description == "Succeeded.\nRollback to v1 from v2, deployed 2 h earlier."


def test_a_version_without_a_name_is_called_by_its_commit() -> None:
    nameless = previous().model_copy(update={"version": None})
    assert with_insight(EVENT, Insight(previous=nameless)).description == (
        "Succeeded.\nBefore: 1111111, deployed 2 h earlier."
    )


@pytest.mark.parametrize("word", [Word.SAME, Word.UNKNOWN])
def test_only_a_difference_is_a_word_in_the_name(word: Word) -> None:
    verdict = VERDICT.model_copy(update={"word": word})
    event = with_insight(EVENT, Insight(verdict=verdict))
    assert event.name == EVENT.name
    assert event.metadata["verdict"] == word.value


def test_a_verdict_on_an_end_that_has_moved_is_not_shown() -> None:
    later = EVENT.model_copy(update={"ended_at": AT + hours(1)})
    assert with_insight(later, Insight(verdict=VERDICT)) is later


def test_a_name_at_its_limit_keeps_the_word() -> None:
    long = EVENT.model_copy(update={"name": "Deploy " + "x" * (NAME_LIMIT - 7)})
    name = with_insight(long, Insight(verdict=VERDICT)).name
    assert len(name) <= NAME_LIMIT
    assert name.endswith("… (worse)")


def test_what_a_sender_says_goes_before_metadata_of_ours() -> None:
    full = EVENT.model_copy(update={"metadata": {"blob": "x" * (METADATA_SIZE - 20)}})
    event = with_insight(full, FULL)
    assert event.metadata == full.metadata
    assert "15 min after" in (event.description or "")


def test_a_long_description_is_cut_for_the_lines() -> None:
    long = EVENT.model_copy(update={"description": "word " * 399})
    description = with_insight(long, FULL).description or ""
    assert len(description) <= DESCRIPTION_LIMIT
    assert description.endswith("#8 Down")


def test_lines_that_do_not_fit_lose_their_links_and_leave_the_sender_half_of_the_room() -> None:
    link = "https://pd.test/" + "x" * 280
    flags, incidents = ([mention(f"{kind} {n}", link) for n in "123"] for kind in ("flag", "incident"))
    insight = Insight(changed=tuple(flags), changed_count=3, incidents=tuple(incidents), verdict=VERDICT)
    event = EVENT.model_copy(update={"description": "word " * 380 + "end."})
    said, *lines = (with_insight(event, insight).description or "").splitlines()
    assert len(said) > DESCRIPTION_LIMIT // 2
    assert lines == [
        "Changed since then: flag 1; flag 2; flag 3",
        VERDICT.line,
        *(f"4 min later an incident began: incident {n}" for n in "123"),
    ]


def test_the_verdict_is_the_last_line_to_go() -> None:
    names = [mention(letter * 120) for letter in "abc"]
    before = previous(compare_url="https://github.com/" + "x" * 600)
    insight = Insight(
        previous=before, changed=tuple(names), changed_count=3, incidents=tuple(names), verdict=VERDICT
    )
    event = EVENT.model_copy(update={"description": "x" * DESCRIPTION_LIMIT})
    assert (with_insight(event, insight).description or "").splitlines()[2:] == [VERDICT.line]
