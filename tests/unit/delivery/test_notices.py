"""What people are told, once of each end, and how it is written for a chat and for programs."""

import json
from datetime import timedelta
from typing import Any

import pytest

from apitraffic_events.event import Event
from receiver.delivery.markers import Marker
from receiver.delivery.notices import (
    Notice,
    NoticeType,
    body_of,
    failed_deploy,
    for_chat,
    paused_line,
    resumed_line,
    worse_verdict,
)
from receiver.events import is_urgent
from receiver.insight.annotation import Insight
from receiver.insight.verdict import Verdict, Word
from receiver.queue.queues import change_in, job_data_and_names, queue_name_for
from tests.support.changes import KEY, at, event

FAILED: dict[str, Any] = {
    "name": "Failed deploy acme/shop v2.3.1 to production",
    "description": "Failed after 5 min 1 s, deployed by bob.\nA line of the trail",
    "started_at": at(0),
    "ended_at": at(5),
}


def shown(status: str = "failure", metadata: dict[str, Any] | None = None, **fields: Any) -> Event:
    return event(**(FAILED | {"metadata": {"status": status} | (metadata or {})} | fields))


def told(
    after: Event | None, before: Event | None = None, minutes: float = 6, account: str | None = None
) -> Notice | None:
    return failed_deploy(before, Marker(KEY, sid="evt_1", sent=after), account, at(minutes))


LINE = "15 min after: errors 0.3 % → 2.1 %"


def verdict(word: Word, minutes: float = 25, **fields: Any) -> Notice | None:
    insight = Insight(verdict=Verdict(word=word, line=LINE, ended_at=at(5)))
    sent = shown("success", **({"name": "Deploy acme/shop v2"} | fields))
    return worse_verdict(Marker(KEY, sid="evt_1", sent=sent, insight=insight), None, at(minutes))


def notice(**fields: Any) -> Notice:
    found = told(shown(**fields))
    assert found is not None
    return found


def body(of: Notice, minutes: float = 6, *, is_whole: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body_of(of, at(minutes), is_whole=is_whole))
    return found


class TestAFailedDeploy:
    @pytest.mark.parametrize("status", ["failure", "failed", "error", "Failed"])
    def test_is_told_by_whatever_word_its_sender_has(self, status: str) -> None:
        assert told(shown(status)) is not None

    @pytest.mark.parametrize("status", ["success", "cancelled", "rejected", "in_progress", "rolled_back"])
    def test_and_no_other_outcome_is(self, status: str) -> None:
        assert told(shown(status)) is None

    @pytest.mark.parametrize("kind", ["incident", "config_change", "scale", "custom"])
    def test_nor_is_what_is_no_deploy(self, kind: str) -> None:
        assert told(shown(type=kind)) is None

    def test_nor_a_marker_that_is_not_shown(self) -> None:
        assert told(None) is None

    def test_which_was_shown_before_is_told_no_more(self) -> None:
        assert told(shown(description="more is known"), before=shown()) is None

    def test_that_succeeded_before_is_told(self) -> None:
        assert told(shown(), before=shown("success")) is not None
        assert told(shown(), before=shown("in_progress", ended_at=None)) is not None

    def test_that_fails_again_later_is_told_again(self) -> None:
        first, second = told(shown()), told(shown(ended_at=at(9)), before=shown(), minutes=10)
        assert first is not None
        assert second is not None
        assert first.id != second.id

    def test_whose_end_turns_out_to_be_earlier_is_not(self) -> None:
        """Another sender reports the same failure, late."""
        assert told(shown(ended_at=at(4)), before=shown()) is None

    def test_that_is_a_point_failed_when_it_is_drawn(self) -> None:
        assert told(shown(started_at=at(5), ended_at=None)) == told(shown())

    def test_of_long_ago_is_no_news(self) -> None:
        day = timedelta(days=1) / timedelta(minutes=1)
        assert told(shown(), minutes=5 + day) is not None
        assert told(shown(), minutes=5.1 + day) is None

    def test_is_the_same_notice_under_another_key_and_text(self) -> None:
        """Two markers have turned out to be one, which keeps the event."""
        other = failed_deploy(None, Marker("another", sid="evt_1", sent=shown(name="Failed")), None, at(6))
        assert other is not None
        assert other.id == notice().id

    def test_and_another_one_in_another_account(self) -> None:
        other = told(shown(), account="emea")
        assert other is not None
        assert other.id != notice().id

    def test_is_told_with_its_reason_and_its_link(self) -> None:
        said = notice(metadata={"url": "https://github.com/acme/shop/actions/runs/77"})
        assert said.text.splitlines() == [
            "Failed deploy acme/shop v2.3.1 to production",
            "Failed after 5 min 1 s, deployed by bob.",
            "https://github.com/acme/shop/actions/runs/77",
        ]
        assert said.at == at(5)

    def test_that_a_route_has_renamed_is_called_failed(self) -> None:
        first, *_ = notice(name="Ship acme/shop").text.splitlines()
        assert first == "Failed: Ship acme/shop"

    @pytest.mark.parametrize(
        "link", ["javascript:alert(1)", "https://x/<!channel>", "https://x/ y", 7, "ftp://x", "https://x/|y"]
    )
    def test_has_no_link_that_is_none(self, link: Any) -> None:
        assert str(link) not in notice(metadata={"url": link}).text


class TestOtherNotices:
    @pytest.mark.parametrize("name", ["Deploy acme/shop v2", "Deploy acme/shop v2 (worse)"])
    def test_a_worse_verdict(self, name: str) -> None:
        said = verdict(Word.WORSE, name=name)
        assert said is not None
        assert said.text.splitlines() == ["Deploy acme/shop v2 (worse)", LINE]
        assert said.type is NoticeType.VERDICT_WORSE
        assert said.at == at(5)

    def test_is_the_same_whatever_else_the_marker_says(self) -> None:
        one, two = verdict(Word.WORSE), verdict(Word.WORSE, description="more is known")
        assert one is not None
        assert two is not None
        assert one.id == two.id

    @pytest.mark.parametrize("word", sorted(set(Word) - {Word.WORSE}))
    def test_of_another_verdict_nobody_is_told(self, word: Word) -> None:
        assert verdict(word) is None

    def test_nor_of_one_on_an_end_that_has_moved_since_or_that_is_long_ago(self) -> None:
        assert verdict(Word.WORSE, ended_at=at(9)) is None
        days = timedelta(days=2) / timedelta(minutes=1)
        assert verdict(Word.WORSE, minutes=5 + days) is not None
        assert verdict(Word.WORSE, minutes=5.1 + days) is None

    def test_a_paused_line_is_told_once_for_each_pause_and_account(self) -> None:
        ids = [
            paused_line(account, at(minutes), reason).id
            for account, minutes, reason in (
                (None, 1, "401 expired"),
                (None, 1, "401 again"),
                (None, 2, "401 expired"),
                ("emea", 1, "401 expired"),
            )
        ]
        assert ids[0] == ids[1]
        assert len(set(ids)) == 3

    def test_it_says_why_and_what_to_do(self) -> None:
        said = paused_line("emea", at(1), "UNAUTHORIZED the token has expired").text
        assert said.startswith(
            "Markers are not delivered to ApiTraffic, account emea: UNAUTHORIZED the token"
        )
        assert "[account.emea]" in said
        assert "APITRAFFIC_API_TOKEN" in paused_line(None, at(1), "401").text

    def test_that_it_goes_on_is_told_once_whenever_that_is_noticed(self) -> None:
        said = resumed_line(None, at(1), at(13))
        assert said.text == "Markers are delivered to ApiTraffic again, after 12 min."
        assert said.id == resumed_line(None, at(1), at(14)).id
        assert said.id != resumed_line(None, at(2), at(13)).id


class TestTheJson:
    def test_for_programs_is_what_standard_webhooks_names(self) -> None:
        said = body(notice(metadata={"repository": "acme/shop", "environment": "production", "run": 7}))
        assert set(said) == {"text", "type", "timestamp", "data"}
        assert said["type"] == "deploy_failed"
        assert said["timestamp"] == "2026-01-10T10:05:00.000Z"
        assert said["data"] == {
            "key": KEY,
            "event": "evt_1",
            "name": FAILED["name"],
            "ended_at": "2026-01-10T10:05:00.000Z",
            "account": "default",
            "status": "failure",
            "repository": "acme/shop",
            "environment": "production",
        }

    def test_for_a_chat_is_text_alone(self) -> None:
        """Mattermost answers 500 to a `type` that it does not know (its issue 31786)."""
        assert body(notice(), is_whole=False) == {"text": notice().text}

    def test_of_a_late_notice_says_when_it_happened(self) -> None:
        assert "2026" not in body(notice(), minutes=20)["text"]
        assert body(notice(), minutes=21)["text"].endswith("\n(2026-01-10T10:05:00.000Z)")

    def test_is_bounded_whatever_the_marker_holds(self) -> None:
        names = ("status", "repository", "environment", "url", "ref", "actor", "job", "commit")
        metadata: dict[str, Any] = dict.fromkeys(names, '"<&' * 300) | {"status": "failure"}
        said = notice(name="<" * 200, description="&" * 2_000, metadata=metadata)
        assert len(said.text) < 1_000
        assert len(body_of(said, at(6), is_whole=True)) < 10_000
        assert Notice.of(said.as_change()).id == said.id


class TestTextFromOutside:
    def test_is_no_control_sequence_of_slack(self) -> None:
        said = body(notice(name="Failed deploy <!channel> & <https://evil.test|shop>"), is_whole=False)[
            "text"
        ]
        assert said.startswith("Failed deploy &lt;!channel&gt; &amp; &lt;https://evil.test|shop&gt;")

    @pytest.mark.parametrize("word", ["channel", "here", "everyone", "all", "Everyone"])
    def test_calls_nobody(self, word: str) -> None:
        """In Mattermost and Discord, `@all` in a webhook's text calls all who are in the room."""
        assert f"@{word}" not in for_chat(f"Failed deploy main-@{word}")

    @pytest.mark.parametrize("name", ["@acme/cart@3.0.0", "bob@example.com", "@allison", "@alloy"])
    def test_may_hold_an_at_sign(self, name: str) -> None:
        assert for_chat(name) == name

    def test_stays_on_its_line(self) -> None:
        assert len(notice(name="Failed\ndeploy\u2028x").text.splitlines()) == 2


class TestInTheQueue:
    def test_it_survives_redis_as_a_change_of_the_line_of_notices(self) -> None:
        said = notice(metadata={"url": "https://github.com/acme/shop/actions/runs/77"})
        change = said.as_change()
        data, names = job_data_and_names(change)
        assert Notice.of(change_in(data)) == said
        assert json.loads(names) == [f"notify:{said.id}"]
        assert queue_name_for(change) == "deliveries@notify"
        assert not is_urgent(change)

    def test_its_name_says_what_it_is(self) -> None:
        change = notice().as_change()
        assert change.event.name == FAILED["name"]
        assert change.delivery.source == "notify"
        assert change.delivery.event == "deploy_failed"
        assert change.delivery.id.startswith("deploy_failed-")
