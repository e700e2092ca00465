"""The Events API over HTTP: what is asked, what is understood, and which error says what."""

import json
import re
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st
from responses import matchers

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import (
    EventsApiError,
    NotFound,
    RateLimit,
    RateLimited,
    Rejected,
    ServerFailed,
    Unauthorised,
    Unreachable,
)
from apitraffic_events.event import Event
from apitraffic_events.records import EventUpdate
from apitraffic_events.responses import failure_of
from tests.support.properties import any_text, json_values, reproducible

TOKEN = "tok_hunter2"
ANY_URL = re.compile(".*")
BASE = "https://api.test/v1"
ACCOUNT = f"{BASE}/accounts/acc_1"
EVENTS = f"{ACCOUNT}/events"
STORED: dict[str, Any] = {
    "sid": "evt_1",
    "accountSid": "acc_1",
    "type": "deployment",
    "name": "v2.3.1 production release",
    "description": None,
    "source": "github_actions",
    "metadata": {"marker_key": "k"},
    "buckets": ["*"],
    "environments": ["env123"],
    "startedAt": "2026-01-10T10:00:00.000Z",
    "endedAt": None,
    "createdAt": "2026-01-10T10:00:01.000Z",
}
EVENT = Event.model_validate(
    {"type": "deployment", "name": "v2.3.1", "startedAt": "2026-01-10T10:00:00Z", "metadata": {"ref": "main"}}
)
CALLS = {
    "create": lambda client: client.create_event(EVENT),
    "get": lambda client: client.get_event("evt_1"),
    "update": lambda client: client.update_event("evt_1", EventUpdate(name="x")),
    "delete": lambda client: client.delete_event("evt_1"),
    "list": lambda client: client.list_events(),
    "buckets": lambda client: client.list_buckets(),
    "environments": lambda client: client.list_environments(),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=True) as mock:
        yield mock


@pytest.fixture
def client() -> Iterator[EventsClient]:
    with EventsClient(api_url=BASE, account_sid="acc_1", token=TOKEN) as made:
        yield made


def page(*sids: str, has_more: bool | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"records": [STORED | {"sid": sid} for sid in sids]}
    return found if has_more is None else found | {"hasMore": has_more}


def refusal(code: str = "VALIDATION_ERROR", message: str = "name is too long", **more: Any) -> dict[str, Any]:
    return {"success": False, "error": {"code": code, "message": message, **more}}


def failing(http: responses.RequestsMock, client: EventsClient, **answer: Any) -> EventsApiError:
    """The error of a call that is answered so."""
    http.get(f"{EVENTS}/evt_1", **answer)
    with pytest.raises(EventsApiError) as caught:
        client.get_event("evt_1")
    assert_silent_on_the_token(caught.value)
    return caught.value


def assert_silent_on_the_token(error: BaseException) -> None:
    shown = f"{error} {error!r} {vars(error)} {''.join(traceback.format_exception(error))}"
    assert "hunter2" not in shown


class TestRequests:
    def test_creating_posts_the_event(self, http: responses.RequestsMock, client: EventsClient) -> None:
        body = {
            "type": "deployment",
            "name": "v2.3.1",
            "metadata": {"ref": "main"},
            "buckets": ["*"],
            "environments": ["*"],
            "startedAt": "2026-01-10T10:00:00.000Z",
        }
        http.post(EVENTS, json=STORED, status=201, match=[matchers.json_params_matcher(body)])
        stored = client.create_event(EVENT)
        assert stored.sid == "evt_1"
        assert stored.account_sid == "acc_1"
        assert stored.name == "v2.3.1 production release"
        assert stored.description is None
        assert stored.environments == ("env123",)
        assert stored.started_at == datetime(2026, 1, 10, 10, tzinfo=UTC)
        assert stored.created_at == datetime(2026, 1, 10, 10, 0, 1, tzinfo=UTC)
        assert stored.ended_at is stored.updated_at is None

    def test_getting_asks_for_the_sid(self, http: responses.RequestsMock, client: EventsClient) -> None:
        http.get(f"{EVENTS}/evt_1", json=STORED, match=[matchers.query_param_matcher({})])
        assert client.get_event("evt_1").type == "deployment"

    def test_updating_sends_only_what_is_set(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        body = {"endedAt": None, "description": "Resolved"}
        http.patch(f"{EVENTS}/evt_1", json=STORED, match=[matchers.json_params_matcher(body)])
        client.update_event("evt_1", EventUpdate(ended_at=None, description="Resolved"))

    @pytest.mark.parametrize(
        "answer",
        [
            {"json": {"sid": "evt_1", "deleted": True}},
            {"json": {"success": True, "data": {"id": "evt_1", "deleted": True}}},
            {"status": 204},
        ],
        ids=["bare", "wrapped", "no content"],
    )
    def test_deleting_is_done_however_it_is_confirmed(
        self, http: responses.RequestsMock, client: EventsClient, answer: dict[str, Any]
    ) -> None:
        http.delete(f"{EVENTS}/evt_1", **answer)
        client.delete_event("evt_1")

    def test_listing_asks_with_the_apis_own_parameters(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        query = {
            "type": "incident",
            "startDate": "2026-01-10T10:00:00.000Z",
            "endDate": "2026-01-10T11:00:00.000Z",
            "bucketSid": "bkt_1",
            "environmentSid": "env123",
            "limit": "25",
            "page": "3",
        }
        listed = STORED | {"type": "incident", "buckets": ["bkt_1"]}
        answer = {"records": [listed], "hasMore": True}
        http.get(EVENTS, json=answer, match=[matchers.query_param_matcher(query)])
        found = client.list_events(
            type="incident",
            started_from=datetime(2026, 1, 10, 10, tzinfo=UTC),
            started_to=datetime(2026, 1, 10, 11, tzinfo=UTC),
            bucket="bkt_1",
            environment="env123",
            limit=25,
            page=3,
        )
        assert [event.sid for event in found.records] == ["evt_1"]
        assert found.has_more

    def test_what_is_not_filtered_is_not_sent(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        query = {"limit": "100", "page": "1"}
        http.get(EVENTS, json=page(), match=[matchers.query_param_matcher(query)])
        assert client.list_events().records == ()

    @pytest.mark.parametrize("kind", ["buckets", "environments"])
    def test_buckets_and_environments_are_all_listed(
        self, http: responses.RequestsMock, client: EventsClient, kind: str
    ) -> None:
        for number, has_more in ((1, True), (2, False)):
            query = {"limit": "100", "page": str(number)}
            record = {"sid": f"s{number}", "name": f"Name {number}", "verifySslCerts": True}
            http.get(
                f"{ACCOUNT}/{kind}",
                json={"records": [record], "hasMore": has_more},
                match=[matchers.query_param_matcher(query)],
            )
        found = client.list_buckets() if kind == "buckets" else client.list_environments()
        assert [(record.sid, record.name) for record in found] == [("s1", "Name 1"), ("s2", "Name 2")]

    @every_call
    def test_every_request_says_who_asks_and_expects_json(
        self, http: responses.RequestsMock, client: EventsClient, call: Any
    ) -> None:
        headers = {
            "Authorization": f"Bearer {TOKEN}",
            "Accept": "application/json",
            "User-Agent": f"apitraffic-events/{version('apitraffic-events')}",
        }
        for method in ("GET", "POST", "PATCH", "DELETE"):
            http.add(
                method,
                ANY_URL,
                json=STORED | page(),
                match=[matchers.header_matcher(headers)],
            )
        call(client)
        sent = http.calls[0].request
        if sent.body:
            assert sent.headers["Content-Type"] == "application/json"
        assert "hunter2" not in str(sent.url)
        http.assert_all_requests_are_fired = False

    def test_the_hosts_netrc_does_not_replace_the_token(
        self,
        http: responses.RequestsMock,
        client: EventsClient,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine api.test login somebody password else\n")
        monkeypatch.setenv("NETRC", str(netrc))
        http.get(
            f"{EVENTS}/evt_1",
            json=STORED,
            match=[matchers.header_matcher({"Authorization": f"Bearer {TOKEN}"})],
        )
        client.get_event("evt_1")

    def test_neither_does_a_password_in_the_url(self, http: responses.RequestsMock) -> None:
        http.get(
            ANY_URL,
            json=STORED,
            match=[matchers.header_matcher({"Authorization": f"Bearer {TOKEN}"})],
        )
        url = BASE.replace("//", "//somebody:else@", 1)
        with EventsClient(api_url=url, account_sid="acc_1", token=TOKEN) as client:
            client.get_event("evt_1")

    @pytest.mark.parametrize("url", [BASE, f"{BASE}/", f"{BASE}//"])
    def test_a_slash_after_the_base_url_does_no_harm(self, http: responses.RequestsMock, url: str) -> None:
        http.get(f"{EVENTS}/evt_1", json=STORED)
        with EventsClient(api_url=url, account_sid="acc_1", token=TOKEN) as client:
            client.get_event("evt_1")

    @pytest.mark.parametrize(
        ("sid", "quoted"),
        [
            ("evt/../../buckets", "evt%2F..%2F..%2Fbuckets"),
            ("evt?type=x", "evt%3Ftype%3Dx"),
            ("evt#1", "evt%231"),
            ("evt 1", "evt%201"),
            ("é", "%C3%A9"),
        ],
    )
    def test_no_sid_leaves_its_place_in_the_path(
        self, http: responses.RequestsMock, client: EventsClient, sid: str, quoted: str
    ) -> None:
        for method in ("GET", "PATCH", "DELETE"):
            http.add(method, f"{EVENTS}/{quoted}", json=STORED)
        client.get_event(sid)
        client.update_event(sid, EventUpdate(name="x"))
        client.delete_event(sid)
        assert {str(call.request.url) for call in http.calls} == {f"{EVENTS}/{quoted}"}

    @pytest.mark.parametrize(
        "token", ["tok_hunter2\n", "tok_hunter2\r\nX-Evil: 1", "tok hunter2", "tök_hunter2", "hunter2\x00"]
    )
    def test_a_token_that_cannot_be_one_is_refused_and_not_shown(self, token: str) -> None:
        with pytest.raises(ValueError, match="no token has") as caught:
            EventsClient(api_url=BASE, account_sid="acc_1", token=token)
        assert_silent_on_the_token(caught.value)


class TestAnswers:
    @pytest.mark.parametrize(
        "answer",
        [STORED, {"success": True, "data": STORED}, {"success": True, "data": STORED, "meta": None}],
        ids=["bare", "wrapped", "wrapped with null meta"],
    )
    def test_a_record_is_read_in_either_shape(
        self, http: responses.RequestsMock, client: EventsClient, answer: dict[str, Any]
    ) -> None:
        http.get(f"{EVENTS}/evt_1", json=answer)
        assert client.get_event("evt_1").metadata == {"marker_key": "k"}

    @pytest.mark.parametrize(
        ("answer", "has_more"),
        [
            (page("evt_1", has_more=True), True),
            (page("evt_1", has_more=False), False),
            (page("evt_1"), False),
            ({"success": True, "data": page("evt_1", has_more=True), "meta": {}}, True),
            ({"success": True, "data": page("evt_1"), "meta": {"hasMore": True}}, True),
            ({"success": True, "data": [STORED], "meta": {"hasMore": True}}, True),
            ({"success": True, "data": [STORED]}, False),
            ([STORED], False),
        ],
    )
    def test_a_list_is_read_in_every_shape(
        self, http: responses.RequestsMock, client: EventsClient, answer: Any, has_more: bool
    ) -> None:
        http.get(EVENTS, json=answer)
        found = client.list_events()
        assert [event.sid for event in found.records] == ["evt_1"]
        assert found.has_more is has_more

    def test_fields_that_are_new_missing_or_null_do_no_harm(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        sparse = {
            "sid": "evt_1",
            "type": "a_new_type",
            "colour": "red",
            "metadata": None,
            "buckets": None,
            "name": None,
        }
        http.get(EVENTS, json={"records": [sparse, STORED]})
        first, second = client.list_events().records
        assert (first.type, first.metadata, first.buckets, first.name) == ("a_new_type", {}, ("*",), "")
        assert second.sid == "evt_1"

    @pytest.mark.parametrize(
        ("odd", "read"),
        [
            ({"startedAt": "soon"}, ("started_at", None)),
            ({"endedAt": {"at": 7}}, ("ended_at", None)),
            ({"createdAt": []}, ("created_at", None)),
            ({"metadata": [7]}, ("metadata", {})),
            ({"buckets": "all"}, ("buckets", ("*",))),
            ({"environments": [None, 7]}, ("environments", ("*",))),
            ({"type": 7}, ("type", "")),
            ({"name": ["a"]}, ("name", "")),
            ({"description": 7}, ("description", None)),
        ],
    )
    def test_a_field_of_another_type_makes_no_event_unreadable(
        self,
        http: responses.RequestsMock,
        client: EventsClient,
        odd: dict[str, Any],
        read: tuple[str, object],
    ) -> None:
        http.get(EVENTS, json={"records": [STORED | odd, STORED | {"sid": "evt_2"}]})
        first, second = client.list_events().records
        assert getattr(first, read[0]) == read[1]
        assert first.as_event().name
        assert second.sid == "evt_2"

    def test_an_item_without_a_sid_does_not_hide_the_others(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        http.get(EVENTS, json={"records": [7, {"name": "x"}, STORED]})
        assert [event.sid for event in client.list_events().records] == ["evt_1"]

    @pytest.mark.parametrize(
        "answer",
        [
            [],
            {},
            "text",
            7,
            {"success": True, "data": None},
            {"success": True},
            STORED | {"sid": None},
        ],
    )
    def test_an_answer_that_is_no_event_is_a_failure_of_the_server(
        self, http: responses.RequestsMock, client: EventsClient, answer: Any
    ) -> None:
        assert isinstance(failing(http, client, json=answer), ServerFailed)

    @pytest.mark.parametrize(
        "answer",
        [{}, "text", {"records": {}}, {"records": None}, {"success": True, "data": "x"}, {"records": [7]}],
    )
    def test_an_answer_that_is_no_list_is_a_failure_of_the_server(
        self, http: responses.RequestsMock, client: EventsClient, answer: Any
    ) -> None:
        http.get(EVENTS, json=answer)
        with pytest.raises(ServerFailed):
            client.list_events()

    @pytest.mark.parametrize(
        "body", ["", "<html>It works!</html>", "{", "null", "\ufeff", "[" * 100_000, b"\xff\xfe"]
    )
    def test_an_answer_that_is_not_json_is_a_failure_of_the_server(
        self, http: responses.RequestsMock, client: EventsClient, body: str | bytes
    ) -> None:
        error = failing(http, client, body=body, content_type="text/html")
        assert isinstance(error, ServerFailed)
        assert error.status == 200

    def test_no_content_where_an_event_was_due_is_a_failure_of_the_server(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        assert isinstance(failing(http, client, status=204), ServerFailed)


class TestUpdateMethod:
    UPDATE = EventUpdate(name="x")
    URL = f"{EVENTS}/evt_1"

    def methods(self, http: responses.RequestsMock) -> list[str | None]:
        return [call.request.method for call in http.calls]

    @pytest.mark.parametrize("status", [404, 405, 501])
    def test_where_patch_is_not_known_put_is_tried_and_remembered(
        self, http: responses.RequestsMock, client: EventsClient, status: int
    ) -> None:
        http.patch(self.URL, status=status)
        http.put(self.URL, json=STORED)
        client.update_event("evt_1", self.UPDATE)
        client.update_event("evt_1", self.UPDATE)
        assert self.methods(http) == ["PATCH", "PUT", "PUT"]
        assert json.loads(http.calls[1].request.body or "") == {"name": "x"}

    def test_where_patch_is_known_put_is_never_tried(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        http.patch(self.URL, json=STORED)
        client.update_event("evt_1", self.UPDATE)
        client.update_event("evt_1", self.UPDATE)
        assert self.methods(http) == ["PATCH", "PATCH"]

    def test_an_api_that_learns_the_other_method_is_followed(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        http.patch(self.URL, status=405)
        http.put(self.URL, json=STORED)
        client.update_event("evt_1", self.UPDATE)
        http.replace("PUT", self.URL, status=405)
        http.replace("PATCH", self.URL, json=STORED)
        client.update_event("evt_1", self.UPDATE)
        assert self.methods(http) == ["PATCH", "PUT", "PUT", "PATCH"]

    @pytest.mark.parametrize(
        ("patch", "put"),
        [
            ({"status": 404, "json": refusal("RESOURCE_NOT_FOUND", "no such event")}, {"status": 404}),
            ({"status": 404}, {"status": 404, "json": refusal("RESOURCE_NOT_FOUND", "no such event")}),
            ({"status": 405}, {"status": 404, "json": refusal("RESOURCE_NOT_FOUND", "no such event")}),
            ({"status": 404, "json": refusal("RESOURCE_NOT_FOUND", "no such event")}, {"status": 405}),
            ({"status": 404, "json": refusal("RESOURCE_NOT_FOUND", "no such event")},) * 2,
        ],
    )
    def test_an_event_that_is_gone_is_not_found_whichever_method_says_so(
        self, http: responses.RequestsMock, client: EventsClient, patch: dict[str, Any], put: dict[str, Any]
    ) -> None:
        http.patch(self.URL, **patch)
        http.put(self.URL, **put)
        with pytest.raises(NotFound) as caught:
            client.update_event("evt_1", self.UPDATE)
        assert (caught.value.code, caught.value.message) == ("RESOURCE_NOT_FOUND", "no such event")

    @pytest.mark.parametrize(("patch", "put"), [(404, 404), (404, 405), (405, 404)])
    def test_not_found_without_the_apis_words_is_not_found_still(
        self, http: responses.RequestsMock, client: EventsClient, patch: int, put: int
    ) -> None:
        http.patch(self.URL, status=patch)
        http.put(self.URL, status=put)
        with pytest.raises(NotFound) as caught:
            client.update_event("evt_1", self.UPDATE)
        assert caught.value.code is None

    @pytest.mark.parametrize(
        ("status", "kind"), [(400, Rejected), (401, Unauthorised), (429, RateLimited), (500, ServerFailed)]
    )
    def test_another_failure_is_no_reason_to_try_the_other_method(
        self, http: responses.RequestsMock, client: EventsClient, status: int, kind: type[EventsApiError]
    ) -> None:
        http.patch(self.URL, status=status)
        with pytest.raises(kind):
            client.update_event("evt_1", self.UPDATE)

    @pytest.mark.parametrize(("status", "kind"), [(422, Rejected), (429, RateLimited), (503, ServerFailed)])
    def test_a_failure_of_the_other_method_counts(
        self, http: responses.RequestsMock, client: EventsClient, status: int, kind: type[EventsApiError]
    ) -> None:
        http.patch(self.URL, status=405)
        http.put(self.URL, status=status)
        with pytest.raises(kind):
            client.update_event("evt_1", self.UPDATE)


class TestFailures:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, Rejected),
            (401, Unauthorised),
            (402, Rejected),
            (403, Unauthorised),
            (404, NotFound),
            (405, Rejected),
            (408, ServerFailed),
            (409, Rejected),
            (410, NotFound),
            (413, Rejected),
            (415, Rejected),
            (422, Rejected),
            (425, ServerFailed),
            (429, RateLimited),
            (500, ServerFailed),
            (501, ServerFailed),
            (502, ServerFailed),
            (503, ServerFailed),
            (504, ServerFailed),
            (599, ServerFailed),
        ],
    )
    @pytest.mark.parametrize("body", [refusal(), None], ids=["with the API's words", "without"])
    def test_a_status_is_one_kind_of_error_with_or_without_the_apis_words(
        self,
        http: responses.RequestsMock,
        client: EventsClient,
        status: int,
        kind: type[EventsApiError],
        body: Any,
    ) -> None:
        error = failing(http, client, status=status, json=body)
        assert type(error) is kind
        assert error.status == status
        if body:
            assert (error.code, error.message) == ("VALIDATION_ERROR", "name is too long")
            assert str(error) == "VALIDATION_ERROR name is too long"
        else:
            assert error.code is None
            assert error.message.startswith(f"HTTP {status}")

    def test_details_are_part_of_the_message(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        error = failing(http, client, status=422, json=refusal(details={"field": "name"}))
        assert error.message == "name is too long: {'field': 'name'}"

    @pytest.mark.parametrize(
        "body",
        [
            {"error": "text"},
            {"error": None},
            {"error": []},
            {"error": {"code": 7, "message": None}},
            [],
            "text",
            None,
            7,
        ],
    )
    def test_words_in_another_shape_do_no_harm(
        self, http: responses.RequestsMock, client: EventsClient, body: Any
    ) -> None:
        error = failing(http, client, status=400, json=body)
        assert (type(error), error.code, error.message) == (Rejected, None, "HTTP 400 Bad Request")

    def test_hostile_words_are_made_safe(self, http: responses.RequestsMock, client: EventsClient) -> None:
        error = failing(http, client, status=400, json=refusal(message="a\n\x1b[2Jb" + "c" * 10_000))
        assert error.message.startswith("a [2Jbc")
        assert len(error.message) <= 500

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed_with_the_token_but_refused(
        self, http: responses.RequestsMock, client: EventsClient, status: int
    ) -> None:
        error = failing(http, client, status=status, headers={"Location": "https://evil.test/"})
        assert type(error) is Rejected
        assert error.message == "the API redirects elsewhere; check APITRAFFIC_API_URL"
        assert len(http.calls) == 1

    def test_a_connection_that_takes_too_long_was_not_made(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        error = failing(http, client, body=requests.ConnectTimeout("late"))
        assert isinstance(error, Unreachable)
        assert error.was_sent is False
        assert ACCOUNT in error.message

    @pytest.mark.parametrize(
        "exception",
        [
            requests.ReadTimeout("late"),
            requests.ConnectionError("reset"),
            requests.exceptions.ChunkedEncodingError("cut"),
            requests.exceptions.ContentDecodingError("junk"),
            requests.exceptions.SSLError("bad certificate"),
            requests.ConnectionError(),
        ],
    )
    def test_what_may_have_arrived_counts_as_sent(
        self, http: responses.RequestsMock, client: EventsClient, exception: Exception
    ) -> None:
        error = failing(http, client, body=exception)
        assert isinstance(error, Unreachable)
        assert error.was_sent is True
        assert error.message
        assert (error.status, error.code) == (None, None)

    @every_call
    def test_every_call_says_its_failures_the_same_way(
        self, http: responses.RequestsMock, client: EventsClient, call: Any
    ) -> None:
        for method in ("GET", "POST", "PATCH", "DELETE"):
            http.add(
                method,
                ANY_URL,
                status=401,
                json=refusal("INVALID_TOKEN", "expired"),
            )
        with pytest.raises(Unauthorised, match="INVALID_TOKEN expired") as caught:
            call(client)
        assert_silent_on_the_token(caught.value)
        http.assert_all_requests_are_fired = False


class TestRateLimit:
    HEADERS = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "1768039200"}  # noqa: RUF012
    BUDGET = RateLimit(1000, 7, datetime(2026, 1, 10, 10, tzinfo=UTC))

    def test_nothing_is_known_before_the_first_answer(self, client: EventsClient) -> None:
        assert client.rate_limit is None

    def test_the_last_answer_says_what_is_left(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        http.get(f"{EVENTS}/evt_1", json=STORED, headers=self.HEADERS)
        client.get_event("evt_1")
        assert client.rate_limit == self.BUDGET

    def test_a_failure_says_it_too(self, http: responses.RequestsMock, client: EventsClient) -> None:
        error = failing(http, client, status=500, headers=self.HEADERS)
        assert error.rate_limit == client.rate_limit == self.BUDGET

    def test_an_answer_without_the_headers_leaves_what_was_known(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        http.get(EVENTS, json=page(), headers=self.HEADERS)
        client.list_events()
        error = failing(http, client, status=429)
        assert client.rate_limit == self.BUDGET
        assert error.rate_limit is None  # an old window's end says nothing about this refusal

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-RateLimit-Reset": "soon"},
            {"X-RateLimit-Limit": ""},
            {"X-RateLimit-Remaining": "7.5"},
            {"X-RateLimit-Reset": "9" * 30},
            {"X-RateLimit-Reset": "9" * 5000},
        ],
    )
    def test_headers_that_make_no_sense_count_as_none(
        self, http: responses.RequestsMock, client: EventsClient, headers: dict[str, str]
    ) -> None:
        http.get(f"{EVENTS}/evt_1", json=STORED, headers=self.HEADERS | headers)
        client.get_event("evt_1")
        assert client.rate_limit is None

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("37", 37),
            ("0", 0),
            (" 5 ", 5),
            (None, None),
            ("", None),
            ("-1", None),
            ("soon", None),
            ("1.5", None),
            ("²", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
            ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ],
    )
    def test_retry_after_is_read_in_both_forms(self, value: str | None, seconds: float | None) -> None:
        answer = requests.Response()
        answer.status_code = 429
        if value is not None:
            answer.headers["Retry-After"] = value
        error = failure_of(answer, None, None)
        assert isinstance(error, RateLimited)
        assert error.retry_after == seconds

    def test_retry_after_as_a_date_is_the_time_until_then(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        later = datetime.now(UTC) + timedelta(minutes=5)
        error = failing(
            http, client, status=429, headers={"Retry-After": format_datetime(later, usegmt=True)}
        )
        assert isinstance(error, RateLimited)
        assert error.retry_after == pytest.approx(300, abs=5)


def always_the_same(http: responses.RequestsMock, url: str, answer: dict[str, Any]) -> None:
    def respond(_: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        assert len(http.calls) < 10, "it goes on for ever"
        return 200, {}, json.dumps(answer)

    http.add_callback("GET", url, respond)


class TestPaging:
    def serve(self, http: responses.RequestsMock, *pages: dict[str, Any]) -> None:
        for number, answer in enumerate(pages, 1):
            query = matchers.query_param_matcher({"page": str(number)}, strict_match=False)
            http.get(EVENTS, json=answer, match=[query])

    def sids(self, client: EventsClient) -> list[str]:
        return [event.sid for event in client.iter_events()]

    def test_pages_follow_each_other_until_there_is_no_more(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        self.serve(http, page("a", "b", has_more=True), page("c", has_more=True), page("d", has_more=False))
        assert self.sids(client) == ["a", "b", "c", "d"]

    def test_a_list_that_does_not_say_whether_there_is_more_ends(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        self.serve(http, page("a"))
        assert self.sids(client) == ["a"]

    def test_an_event_that_moves_to_the_next_page_comes_once(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        self.serve(http, page("a", "b", has_more=True), page("b", "c"))
        assert self.sids(client) == ["a", "b", "c"]

    def test_an_api_that_ignores_the_page_number_is_asked_twice_and_not_for_ever(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        always_the_same(http, EVENTS, page("a", "b", has_more=True))
        assert self.sids(client) == ["a", "b"]
        assert len(http.calls) == 2

    def test_an_empty_page_that_claims_more_is_the_last(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        self.serve(http, page(has_more=True))
        assert self.sids(client) == []

    @pytest.mark.parametrize("kind", ["buckets", "environments"])
    def test_other_lists_do_not_go_on_for_ever_either(
        self, http: responses.RequestsMock, client: EventsClient, kind: str
    ) -> None:
        answer = {"records": [{"sid": "s1", "name": "One"}], "hasMore": True}
        always_the_same(http, f"{ACCOUNT}/{kind}", answer)
        found = client.list_buckets() if kind == "buckets" else client.list_environments()
        assert [record.sid for record in found] == ["s1"]

    def test_pages_are_fetched_as_they_are_needed(
        self, http: responses.RequestsMock, client: EventsClient
    ) -> None:
        http.get(EVENTS, json=page("a", has_more=True))
        assert next(client.iter_events()).sid == "a"
        assert len(http.calls) == 1

    def test_every_page_has_the_same_filter(self, http: responses.RequestsMock, client: EventsClient) -> None:
        for number in ("1", "2"):
            query = {"type": "incident", "bucketSid": "bkt_1", "limit": "100", "page": number}
            answer = {"records": [STORED | {"sid": number, "type": "incident"}], "hasMore": True}
            http.get(EVENTS, json=answer, match=[matchers.query_param_matcher(query)])
        found = client.iter_events(type="incident", bucket="bkt_1")
        assert [next(found).sid, next(found).sid] == ["1", "2"]


def result_of(client: EventsClient) -> object:
    try:
        return client.get_event("evt_1")
    except EventsApiError as error:
        return error


@reproducible
@given(st.integers(200, 599).filter(lambda status: status not in range(300, 400)), json_values, any_text)
def test_whatever_the_api_answers_it_is_a_record_or_an_events_api_error(
    status: int, content: Any, retry_after: str
) -> None:
    header = retry_after.encode("ascii", "ignore").decode().translate({10: None, 13: None})
    with (
        responses.RequestsMock() as http,
        EventsClient(api_url=BASE, account_sid="acc_1", token=TOKEN) as client,
    ):
        http.get(f"{EVENTS}/evt_1", status=status, json=content, headers={"Retry-After": header})
        found = result_of(client)
    if isinstance(found, EventsApiError):
        assert_silent_on_the_token(found)
        assert len(found.message) <= 500
        found.message.encode("utf-8")
