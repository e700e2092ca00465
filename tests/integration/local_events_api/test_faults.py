import random
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from receiver.local.events_api.faults import Effect, Fault, Faults, FaultSyntaxError, Kind, parse
from tests.support.waiting import wait_until

Call = Callable[..., TestResponse]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("latency=0.2", Fault(Kind.LATENCY, 0.2)),
        ("status=500@0.2", Fault(Kind.STATUS, 500, share=0.2)),
        ("status=429x3", Fault(Kind.STATUS, 429, times=3)),
        ("drop@0.1", Fault(Kind.DROP, share=0.1)),
        ("dropx1", Fault(Kind.DROP, times=1)),
        ("POST:dropx1", Fault(Kind.DROP, times=1, method="POST")),
        ("refuse", Fault(Kind.REFUSE)),
        ("hang", Fault(Kind.HANG, 60)),
        ("POST:commit=500x1", Fault(Kind.COMMIT, 500, times=1, method="POST")),
        ("commit=200", Fault(Kind.COMMIT, 200)),
        ("POST:late=3@0.5", Fault(Kind.LATE, 3, share=0.5, method="POST")),
        ("lag=2.5", Fault(Kind.LAG, 2.5)),
        ("renamed", Fault(Kind.RENAMED)),
        ("unfiltered", Fault(Kind.UNFILTERED)),
        ("metrics=403", Fault(Kind.METRICS, 403)),
        ("waf", Fault(Kind.WAF)),
        ("PATCH:hang=0.5@0.25x12", Fault(Kind.HANG, 0.5, share=0.25, times=12, method="PATCH")),
    ],
)
def test_grammar(text: str, fault: Fault) -> None:
    assert parse(text) == fault
    assert parse(str(fault)) == fault


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "does not read"),
        ("explode", "the kind 'explode' is none of latency, status, refuse, drop, hang"),
        ("latency", "latency needs a value"),
        ("latency=", "the value '' is not a number"),
        ("latency=-1", "the value '-1' is not a number"),
        ("latency=0", "must be above 0"),
        ("latency=1e3", "the value '1e3' is not a number"),
        ("hang=0", "must be above 0"),
        ("status", "status needs a value"),
        ("status=200", "from 400 to 511"),
        ("status=499", "from 400 to 511"),
        ("status=500.5", "from 400 to 511"),
        ("drop=1", "drop takes no value"),
        ("waf=1", "waf takes no value"),
        ("commit=201", "200 or one from 400 to 511"),
        ("metrics=200", "from 400 to 511"),
        ("late", "late needs a value"),
        ("refuse=1", "refuse takes no value"),
        ("drop@0", "above 0 and at most 1"),
        ("drop@1.1", "above 0 and at most 1"),
        ("drop@20%", "the share '20%' is not a number"),
        ("dropx0", "must be 1 or more"),
        ("dropx", "the kind 'dropx' is none of"),
        ("dropx1@0.5", "does not read"),
        ("post:drop", "the method 'post' is none of GET, POST"),
        (":drop", "the method '' is none of"),
        ("drop, hang", "does not read"),
        ("dropx٣", "does not read"),
    ],
)
def test_grammar_says_what_is_wrong_and_gives_an_example(text: str, problem: str) -> None:
    with pytest.raises(FaultSyntaxError) as caught:
        parse(text)
    assert problem in str(caught.value)
    assert "for example latency=0.2" in str(caught.value)


def drawn(faults: Faults, methods: str) -> list[str]:
    effects = [faults.effect_on(method) for method in methods.split()]
    return [effect.fault.kind if effect.fault else "" for effect in effects]


def test_counted_fault_ends_and_others_wait_for_their_turn() -> None:
    faults = Faults([parse("dropx2"), parse("POST:status=500x1")])
    assert drawn(faults, "GET POST GET POST POST") == ["drop", "drop", "", "status", ""]
    assert faults.as_text() == []


def test_fault_of_a_method_leaves_the_others_alone() -> None:
    faults = Faults([parse("POST:dropx1")])
    assert drawn(faults, "GET DELETE PUT PATCH POST") == ["", "", "", "", "drop"]


def test_delays_add_up() -> None:
    faults = Faults([parse("latency=0.5"), parse("hangx1"), parse("latency=0.25x1")])
    assert faults.effect_on("GET") == Effect(0.75, Fault(Kind.HANG, 60, times=1))
    assert faults.effect_on("GET") == Effect(0.5)


def test_share() -> None:
    faults = Faults([parse("drop@0.25")], random.Random(1).random)  # noqa: S311 - no secret
    outcomes = [faults.effect_on("GET").fault is not None for _ in range(4_000)]
    assert 900 < sum(outcomes) < 1_100


def test_share_of_a_counted_fault_uses_up_only_what_happens() -> None:
    draws = iter([0.9, 0.1, 0.9, 0.1, 0.1])
    faults = Faults([parse("drop@0.5x2")], lambda: next(draws))
    assert drawn(faults, "GET GET GET GET GET") == ["", "drop", "", "drop", ""]


@pytest.mark.parametrize(
    ("status", "code", "retry_after"),
    [
        (400, "VALIDATION_ERROR", None),
        (401, "INVALID_TOKEN", None),
        (403, "VALIDATION_ERROR", None),
        (404, "RESOURCE_NOT_FOUND", None),
        (422, "VALIDATION_ERROR", None),
        (429, "RATE_LIMIT_EXCEEDED", "1"),
        (500, "INTERNAL_ERROR", None),
        (503, "INTERNAL_ERROR", "1"),
    ],
)
def test_injected_status(
    new_api: Callable[..., Call], status: int, code: str, retry_after: str | None
) -> None:
    call = new_api(faults=(parse(f"POST:status={status}x1"),))
    response = call("POST", "/events", json={"type": "custom", "name": "x"})
    assert response.status_code == status
    assert isinstance(response.json, dict)
    assert response.json["error"]["code"] == code
    assert response.headers.get("Retry-After") == retry_after
    assert "X-RateLimit-Remaining" in response.headers
    listed: Any = call("GET", "/events").json
    assert listed["records"] == []
    assert call("POST", "/events", json={"type": "custom", "name": "x"}).status_code == 201


def names(call: Call, **query: str) -> list[str]:
    listed: Any = call("GET", "/events", query_string=query).json
    return [record["name"] for record in listed["records"]]


@pytest.mark.parametrize("status", [200, 500, 503])
def test_what_is_committed_may_be_answered_by_anything(new_api: Callable[..., Call], status: int) -> None:
    call = new_api(faults=(parse(f"POST:commit={status}x1"),))
    response = call("POST", "/events", json={"type": "custom", "name": "x"})
    assert (response.status_code, response.mimetype) == (status, "text/html")
    assert names(call) == ["x"]


def test_what_was_answered_with_500_may_be_carried_out_later(new_api: Callable[..., Call]) -> None:
    call = new_api(faults=(parse("POST:late=0.2x1"),))
    assert call("POST", "/events", json={"type": "custom", "name": "x"}).status_code == 500
    assert names(call) == []
    wait_until(lambda: names(call) == ["x"], "the late event")


def test_a_list_may_lag_behind(new_api: Callable[..., Call]) -> None:
    call = new_api(faults=(parse("lag=0.5"),))
    assert call("POST", "/events", json={"type": "custom", "name": "x"}).status_code == 201
    assert names(call) == []
    wait_until(lambda: names(call) == ["x"], "the list to catch up")


def test_filters_may_have_other_names(new_api: Callable[..., Call]) -> None:
    call = new_api(faults=(parse("renamed"),))
    for kind in ("scale", "custom"):
        call("POST", "/events", json={"type": kind, "name": kind, "startedAt": "2026-01-10T10:00:00Z"})
    assert names(call, type="scale", startDate="2027-01-01T00:00:00Z") == ["custom", "scale"]
    assert names(call, event_type="scale") == ["scale"]
    assert names(call, start_date="2027-01-01T00:00:00Z") == []


def test_filters_may_not_be_there(new_api: Callable[..., Call]) -> None:
    call = new_api(faults=(parse("unfiltered"),))
    call("POST", "/events", json={"type": "custom", "name": "x"})
    assert names(call, type="scale", event_type="scale") == ["x"]


def test_metrics_may_be_forbidden_while_events_are_not(new_api: Callable[..., Call]) -> None:
    call = new_api(faults=(parse("metrics=403"),))
    refused = call("GET", "/metrics/summary")
    assert refused.status_code == 403
    assert "metrics:read" in refused.json["error"]["message"]  # type: ignore[index]
    assert call("GET", "/metrics/throughput").status_code == 403
    assert names(call) == []


def test_a_firewall_may_dislike_some_words(new_api: Callable[..., Call]) -> None:
    call = new_api(faults=(parse("waf"),), fault_control=True)
    refused = call("POST", "/events", json={"type": "custom", "name": "x'; DROP TABLE users"})
    assert (refused.status_code, refused.mimetype) == (403, "text/html")
    assert call("POST", "/events", json={"type": "custom", "name": "x"}).status_code == 201
    assert names(call) == ["x"]
    assert call("GET", "/_requests", below="").json == {"POST": {"waf": 1, "201": 1}, "GET": {"200": 1}}


def test_faults_spare_what_is_not_the_account(new_api: Callable[..., Call]) -> None:
    call = new_api(faults=(parse("status=500"),), fault_control=True)
    assert call("GET", "/healthz", below="").status_code == 200
    assert call("GET", "/_faults", below="").json == ["status=500"]
    assert call("GET", "/events").status_code == 500


def test_control_replaces_faults_and_counts_requests(new_api: Callable[..., Call]) -> None:
    call = new_api(faults=(parse("status=500"),), fault_control=True)
    assert call("GET", "/_requests", below="").json == {}
    assert call("GET", "/events").status_code == 500
    written = call("PUT", "/_faults", below="", json=["GET:status=404x2", "latency=0.001"])
    assert written.json == ["GET:status=404x2", "latency=0.001"]
    assert call("GET", "/events").status_code == 404
    assert call("GET", "/_faults", below="").json == ["GET:status=404x1", "latency=0.001"]
    assert call("PUT", "/_faults", below="", json=[]).json == []
    assert call("GET", "/events").status_code == 200
    assert call("POST", "/events", json={}).status_code == 422
    assert call("GET", "/_requests", below="").json == {
        "GET": {"500": 1, "404": 1, "200": 1},
        "POST": {"422": 1},
    }


@pytest.mark.parametrize("body", [{"drop": 1}, "drop", [1], ["drop", "explode"]])
def test_control_refuses_what_is_not_a_list_of_faults(new_api: Callable[..., Call], body: object) -> None:
    call = new_api(faults=(parse("status=500"),), fault_control=True)
    response = call("PUT", "/_faults", below="", json=body)
    assert response.status_code == 422
    assert isinstance(response.json, dict)
    assert "latency=0.2" in response.json["error"]["message"]
    assert call("GET", "/_faults", below="").json == ["status=500"]
