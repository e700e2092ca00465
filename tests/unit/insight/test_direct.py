"""What is said of the deploy before without a receiver, and how a receiver sees it."""

from apitraffic_events.event import Event
from apitraffic_events.records import EventPage, StoredEvent
from apitraffic_events.responses import read_records
from receiver.insight.annotation import without_insight
from receiver.insight.direct import previous_among, with_previous, without_previous
from tests.support.vectors import all_vectors

VECTORS = [vector for vector in all_vectors() if vector.function == "previous"]


def test_a_receiver_that_finds_such_an_event_sees_what_was_sent_without_it() -> None:
    told = [vector for vector in VECTORS if vector.expected["line"]]
    assert len(told) > 50
    for vector in told:
        own = Event.model_validate({**vector.given["own"], "description": "By alice."})
        facts = {name: fact for name, fact in vector.expected.items() if name not in ("name", "line")}
        shown = own.model_copy(
            update={
                "name": vector.expected["name"],
                "description": f"By alice.\n{vector.expected['line']}",
                "metadata": own.metadata | facts,
            }
        )
        seen, verdict = without_insight(shown)
        assert verdict is None
        assert seen == own.model_copy(update={"name": shown.name}), vector.name
        stored = StoredEvent(sid="evt_1", description=shown.description, metadata=shown.metadata)
        assert without_previous(stored) == "By alice."


def test_the_event_that_a_webhook_has_created_of_the_same_deploy_did_not_run_before_it() -> None:
    facts = {"repository": "acme/shop", "environment": "production", "status": "success", "commit": "1" * 40}
    theirs = {"sid": "evt_1", "type": "deployment", "startedAt": "2026-01-10T10:00:00Z", "metadata": facts}
    own = Event.model_validate(
        {
            "type": "deployment",
            "name": "Deploy",
            "startedAt": "2026-01-10T10:01:00Z",
            "metadata": facts | {"marker_key": "own"},
        }
    )
    page = EventPage(records=read_records(StoredEvent, [theirs]), has_more=False)
    previous = previous_among(own, page)
    assert previous is not None
    assert with_previous(own, previous, keeps_name=False).description == (
        "Again: 1111111 was deployed here 1 min earlier."
    )
    assert previous_among(own, page, found=page.records[0]) is None


def test_lines_of_a_person_stay() -> None:
    written = StoredEvent(sid="evt_1", description="Before: v0, deployed 1 h earlier.")
    assert without_previous(written) == written.description
