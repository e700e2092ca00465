"""The API against its own description; what schemathesis sends follows from the description alone."""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from werkzeug.test import TestResponse

from receiver.local.events_api.openapi import describe
from receiver.local.events_api.options import Options
from tests.support.local_api import LocalApi, running_local_api
from tests.support.properties import RANDOM_EXAMPLES

# Random ones have no seed: it counts for more than "deterministic", and they would be the same each time.
EXAMPLES: dict[str, Any] = (
    {"generation": {"max-examples": RANDOM_EXAMPLES, "database": "none"}}
    if RANDOM_EXAMPLES
    else {"seed": 1, "generation": {"max-examples": 12, "deterministic": True, "database": "none"}}
)

LAST_DAYS: Final = {"0001-01-01", "9999-12-31"}
Call = Callable[..., TestResponse]
Checked = TypeVar("Checked", bound=Callable[..., None])


@pytest.fixture(autouse=True)
def name_that_schemathesis_reads(request: pytest.FixtureRequest) -> None:
    """schemathesis 4.32 reads and writes an attribute for the test's name that pytest 9.2 no longer has."""
    request.node._nodeid = request.node.nodeid  # noqa: SLF001 - it is schemathesis that reads it


@pytest.fixture(scope="module")
def bare_description() -> schemathesis.BaseSchema:
    return described(envelope=False)


@pytest.fixture(scope="module")
def wrapping_description() -> schemathesis.BaseSchema:
    return described(envelope=True)


def described(*, envelope: bool) -> schemathesis.BaseSchema:
    options = Options(data=Path("unused"), token="unused", envelope=envelope)
    return schemathesis.openapi.from_dict(describe(options), config=schemathesis.Config.from_dict(EXAMPLES))


def for_each_operation(path: str, description: str) -> Callable[[Checked], Checked]:
    """Run a test with cases generated for each operation whose path matches, each a subtest.

    The description is a fixture, so that only the process that runs the test generates cases, and not every
    process that collects it.
    """
    schema = schemathesis.pytest.from_fixture(description).include(path_regex=path)
    decorate: Callable[[Checked], Checked] = schema.parametrize()
    return decorate


@pytest.fixture(scope="module")
def bare_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("bare")) as api:
        yield api


@pytest.fixture(scope="module")
def wrapping_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("wrapping"), "--envelope") as api:
        yield api


@for_each_operation(".*", "bare_description")
def test_description_is_true(case: schemathesis.Case[Any], bare_api: LocalApi) -> None:
    check(case, bare_api)


@for_each_operation("eventSid", "bare_description")
def test_description_is_true_of_an_event_that_exists(
    case: schemathesis.Case[Any], bare_api: LocalApi
) -> None:
    event = bare_api.call("POST", "/events", json={"type": "scale", "name": "4 to 6 nodes"}).json()
    case.path_parameters["eventSid"] = event["sid"]
    check(case, bare_api)


@for_each_operation("events", "wrapping_description")
def test_description_of_the_envelope_is_true(case: schemathesis.Case[Any], wrapping_api: LocalApi) -> None:
    check(case, wrapping_api)


def check(case: schemathesis.Case[Any], api: LocalApi) -> None:
    sending: dict[str, Any] = {
        "base_url": api.url.removesuffix("/v1"),
        "headers": {"Authorization": f"Bearer {api.token}"},
    }
    response = case.call(**sending)
    if response.status_code == HTTPStatus.REQUEST_URI_TOO_LONG:
        return  # gunicorn's answer; the API has not seen the request
    is_beyond_json_schema = only_ends_before_it_starts(response) or only_leaves_the_calendar(case, response)
    excluded: list[Any] = [positive_data_acceptance] if is_beyond_json_schema else []
    if only_its_headers_are_wrong(case):
        excluded.append(negative_data_rejection)
    case.validate_response(
        response, headers=sending["headers"], excluded_checks=excluded, transport_kwargs=sending
    )


def only_ends_before_it_starts(response: schemathesis.Response) -> bool:
    """JSON Schema has no words for the order of two fields, so the description cannot rule it out."""
    if response.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
        return False
    details = response.json()["error"]["details"]
    return [problem["field"] for problem in details] == ["endedAt"] and "before" in details[0]["message"]


def only_leaves_the_calendar(case: schemathesis.Case[Any], response: schemathesis.Response) -> bool:
    """A time on the calendar's first or last day that in UTC is outside it. JSON Schema allows it."""
    if response.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
        return False
    sent = {**(case.query or {}), **(case.body if isinstance(case.body, dict) else {})}
    details = response.json()["error"]["details"]
    return all(str(sent.get(problem["field"]))[:10] in LAST_DAYS for problem in details)


def only_its_headers_are_wrong(case: schemathesis.Case[Any]) -> bool:
    """What is generated for the headers does not arrive: every request here carries the right token."""
    components = case.meta.components if case.meta else {}
    wrong = {location for location, component in components.items() if component.mode.is_negative}
    return ParameterLocation.HEADER in wrong and wrong <= {ParameterLocation.HEADER, ParameterLocation.QUERY}


@pytest.mark.parametrize(("methods", "expected"), [(("PUT",), {"put"}), (("PATCH",), {"patch"})])
def test_update_methods_are_described(
    new_api: Callable[..., Call], methods: tuple[str, ...], expected: set[str]
) -> None:
    description: Any = new_api(update_methods=methods)("GET", "/openapi.json", below="/v1").json
    operations = description["paths"]["/v1/accounts/{accountSid}/events/{eventSid}"]
    assert set(operations) - {"parameters"} == {"get", "delete", *expected}
