from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

Call = Callable[..., TestResponse]

CHECKOUT = "bkt_checkout0000000000000000000"
PAYMENTS = "bkt_payments0000000000000000000"


def add(call: Call, name: str, started_at: str, **fields: object) -> None:
    event = {"type": "deployment", "name": name, "startedAt": started_at, **fields}
    assert call("POST", "/events", json=event).status_code == 201


def listed(call: Call, **query: str | int) -> tuple[list[str], bool]:
    response = call("GET", "/events", query_string=query)
    assert response.status_code == 200, response.text
    body: Any = response.json
    assert set(body) == {"hasMore", "records"}
    return [record["name"] for record in body["records"]], body["hasMore"]


@pytest.fixture
def filled(call: Call) -> Call:
    add(call, "noon", "2026-01-10T12:00:00Z", type="incident", buckets=[CHECKOUT], environments=["env123"])
    add(call, "morning", "2026-01-10T08:00:00Z", type="scale", buckets=[PAYMENTS], environments=["env456"])
    add(call, "evening", "2026-01-10T20:00:00+00:00", buckets=[CHECKOUT, PAYMENTS], environments=["env456"])
    add(call, "everywhere", "2026-01-10T13:00:00Z")
    return call


def test_newest_start_comes_first(filled: Call) -> None:
    assert listed(filled) == (["evening", "everywhere", "noon", "morning"], False)


def test_of_equal_starts_the_last_created_comes_first(call: Call) -> None:
    for name in ("first", "second", "third"):
        add(call, name, "2026-01-10T12:00:00Z")
    assert listed(call) == (["third", "second", "first"], False)


def test_changed_start_changes_the_order(filled: Call) -> None:
    body: Any = filled("GET", "/events", query_string={"type": "scale"}).json
    filled("PATCH", f"/events/{body['records'][0]['sid']}", json={"startedAt": "2027-01-01T00:00:00Z"})
    assert listed(filled)[0] == ["morning", "evening", "everywhere", "noon"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"type": "incident"}, ["noon"]),
        ({"type": "deployment"}, ["evening", "everywhere"]),
        ({"type": "custom"}, []),
        ({"startDate": "2026-01-10T12:00:00.000Z"}, ["evening", "everywhere", "noon"]),
        ({"startDate": "2026-01-10T12:00:00.001Z"}, ["evening", "everywhere"]),
        ({"endDate": "2026-01-10T12:00:00Z"}, ["noon", "morning"]),
        ({"endDate": "2026-01-10T11:59:59.999Z"}, ["morning"]),
        (
            {"startDate": "2026-01-10T14:00:00+02:00", "endDate": "2026-01-10T08:00:00-05:00"},
            ["everywhere", "noon"],
        ),
        ({"startDate": "2026-01-11T00:00:00Z", "endDate": "2026-01-10T00:00:00Z"}, []),
        ({"bucketSid": CHECKOUT}, ["evening", "everywhere", "noon"]),
        ({"bucketSid": PAYMENTS}, ["evening", "everywhere", "morning"]),
        ({"bucketSid": "bkt_unknown"}, ["everywhere"]),
        ({"environmentSid": "env123"}, ["everywhere", "noon"]),
        ({"environmentSid": "env456", "bucketSid": CHECKOUT}, ["evening", "everywhere"]),
        ({"environmentSid": "env456", "type": "scale"}, ["morning"]),
        ({"noSuchParameter": "x"}, ["evening", "everywhere", "noon", "morning"]),
    ],
)
def test_filters(filled: Call, query: dict[str, str], names: list[str]) -> None:
    assert listed(filled, **query) == (names, False)


def test_pages(call: Call) -> None:
    for number in range(7):
        add(call, str(number), f"2026-01-10T12:00:0{number}Z")
    assert listed(call, limit=3) == (["6", "5", "4"], True)
    assert listed(call, limit=3, page=2) == (["3", "2", "1"], True)
    assert listed(call, limit=3, page=3) == (["0"], False)
    assert listed(call, limit=3, page=4) == ([], False)
    assert listed(call, limit=7) == (["6", "5", "4", "3", "2", "1", "0"], False)
    assert listed(call, limit=6, page=1)[1] is True
    assert listed(call, limit=1, page=1_000_000) == ([], False)


def test_page_has_25_events_by_default_and_100_at_most(call: Call) -> None:
    for number in range(101):
        add(call, str(number), "2026-01-10T12:00:00Z")
    names, more = listed(call)
    assert (len(names), more) == (25, True)
    names, more = listed(call, limit=100)
    assert (len(names), more) == (100, True)
    assert listed(call, limit=100, page=2) == (["0"], False)


@pytest.mark.parametrize("path", ["/buckets", "/environments"])
def test_other_lists_have_pages_too(call: Call, path: str) -> None:
    seen = []
    for page, expect_more in ((1, True), (2, False)):
        body: Any = call("GET", path, query_string={"limit": 2, "page": page}).json
        assert body["hasMore"] is expect_more
        seen += [record["sid"] for record in body["records"]]
    assert len(set(seen)) == 3
    assert call("GET", path, query_string={"limit": "0"}).status_code == 422


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("limit", value) for value in ("0", "-1", "101", "1.5", "ten", "", "+5", " 5", "٣", "9" * 5000)],
        *[("page", value) for value in ("0", "-1", "1.5", "one", "", "1000001", "9" * 30)],
        ("type", "deploy"),
        ("type", ""),
        ("startDate", "yesterday"),
        ("startDate", "2026-01-10"),
        ("startDate", "1767312000"),
        ("endDate", "2026-01-10T12:00:00"),
        ("endDate", "2026-02-30T12:00:00Z"),
        ("endDate", "2026-01-10T12:00:00 02:00"),
        ("endDate", "0001-01-01T00:00:00+14:00"),
        ("endDate", ""),
    ],
)
def test_bad_parameters_are_named(call: Call, field: str, value: str) -> None:
    response = call("GET", "/events", query_string={field: value})
    assert response.status_code == 422
    body: Any = response.json
    assert body["error"]["code"] == "VALIDATION_ERROR"
    assert [problem["field"] for problem in body["error"]["details"]] == [field]
