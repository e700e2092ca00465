"""What Jenkins' deliveries mean where no fixture says it: junk, options, repetitions, odd values."""

import json
from copy import deepcopy
from typing import Any

import pytest

from receiver.delivery.folding import fold
from receiver.events import Change, Delivery
from receiver.sources.jenkins import JENKINS
from receiver.sources.jenkins.options import Options
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.source import translate
from tests.support.jenkins import RECEIVED_AT, received
from tests.support.source_fixtures import body_of

COMPLETED: dict[str, Any] = json.loads(body_of("jenkins", "completed__success"))
ABSENT = object()


def delivery(body: bytes, **headers: str) -> Delivery:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JENKINS.receive(named, body, RECEIVED_AT)


def with_value(path: str, value: object, payload: dict[str, Any] = COMPLETED) -> dict[str, Any]:
    changed = deepcopy(payload)
    *parents, last = path.split(".")
    place = changed
    for parent in parents:
        place = place[parent]
    if value is ABSENT:
        place.pop(last, None)
    else:
        place[last] = value
    return changed


def completed(path: str = "build.log", value: object = "", **options: Any) -> Change:
    """The change that the sample becomes with another value at this path."""
    body = json.dumps(with_value(path, value)).encode()
    (change,) = translate(JENKINS, delivery(body), Options(**options)).changes
    return change


def of_fixture(case: str, mode: str) -> Change:
    (change,) = translate(JENKINS, received(case), Options.model_validate({"deployments": mode})).changes
    return change


@pytest.mark.parametrize("mode", ["point", "span"])
@pytest.mark.parametrize("later", ["finalized__success", "job.finalized__success"])
@pytest.mark.parametrize("is_first_to_come", [True, False])
def test_what_is_completed_is_not_moved_by_what_is_finalized(
    mode: str, later: str, is_first_to_come: bool
) -> None:
    end, repeated = of_fixture("completed__success", mode), of_fixture(later, mode)
    assert repeated.key == end.key
    event = fold([repeated, end] if is_first_to_come else [end, repeated])
    assert event is not None
    assert event.model_copy(update={"metadata": {}}) == end.event.model_copy(update={"metadata": {}})
    assert event.metadata.items() >= end.event.metadata.items()


@pytest.mark.parametrize("mode", ["point", "span"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_build_that_is_finalized_with_another_result_has_that_result(mode: str, order: int) -> None:
    ends = [of_fixture(case, mode) for case in ("completed__success", "finalized__failure")]
    event = fold(ends[::order])
    assert event is not None
    assert event.name == ends[1].event.name
    assert event.metadata["status"] == "failure"


@pytest.mark.parametrize("mode", ["point", "span"])
@pytest.mark.parametrize("results", [("SUCCESS", "FAILURE"), ("FAILURE", "SUCCESS")])
@pytest.mark.parametrize("order", [1, -1])
def test_what_is_finalized_within_the_same_millisecond_comes_after_what_is_completed(
    mode: str, results: tuple[str, str], order: int
) -> None:
    changes: list[Change] = []
    for phase, result in zip(("COMPLETED", "FINALIZED"), results, strict=True):
        body = with_value("build.status", result, with_value("build.phase", phase))
        options = Options.model_validate({"deployments": mode})
        changes += translate(JENKINS, delivery(json.dumps(body).encode()), options).changes
    event = fold(changes[::order])
    assert event is not None
    assert event.metadata["status"] == results[1].lower()


def test_environments_that_differ_only_at_their_end_have_names_of_their_own() -> None:
    names = {
        completed("build.parameters", {"ENVIRONMENT": "production " * 100 + last}).names for last in "ab"
    }
    assert len({alias for _, alias in names}) == 2


def test_a_build_reports_its_deployment_indirectly_however_it_ends() -> None:
    for case in ("started__production", "completed__success", "finalized__failure"):
        assert of_fixture(case, "span").is_indirect


@pytest.mark.parametrize("order", [1, -1])
def test_a_span_goes_from_start_to_end_whichever_comes_first(order: int) -> None:
    changes = [of_fixture("started__production", "span"), of_fixture("completed__failure", "span")]
    event = fold(changes[::order])
    assert event is not None
    assert event.name == "Failed deploy shop/deploy-checkout 2.3.1 to production"
    assert event.metadata["status"] == "failure"
    assert event.to_api()["startedAt"] == "2026-01-10T10:00:00.123Z"
    assert event.to_api()["endedAt"] == "2026-01-10T10:02:20.123Z"


def test_the_same_build_has_one_key_whichever_plugin_tells_of_it() -> None:
    keys = {of_fixture(case, "span").key for case in ("started__production", "job.failed__failure")}
    assert keys == {"jenkins:https://jenkins.example.test/job/shop/job/deploy-checkout/42"}


def test_the_same_phase_sent_again_is_the_same_delivery() -> None:
    first, again = (
        delivery(json.dumps(COMPLETED).encode()),
        delivery(json.dumps(COMPLETED, indent=1).encode()),
    )
    assert first.id == again.id
    assert first.id.startswith("sha256-")


def test_other_phases_and_other_builds_are_other_deliveries() -> None:
    cases = ["started__production", "completed__success", "finalized__success", "job.completed__success"]
    ids = [received(case).id for case in cases]
    other = with_value("build.full_url", "https://jenkins.example.test/job/shop/job/deploy-checkout/43/")
    ids.append(delivery(json.dumps(other).encode()).id)
    assert len(set(ids)) == len(ids)


def test_what_tells_of_no_build_is_known_by_its_body() -> None:
    first, again, other = (delivery(body).id for body in (b"{}", b"{}", b"[]"))
    assert first == again != other


@pytest.mark.parametrize(
    ("jobs", "is_deploy"),
    [
        (("*deploy*",), True),
        (("*DEPLOY*",), True),
        (("shop/deploy-checkout",), True),
        (("Shop/*",), True),
        (("deploy-checkout",), False),
        (("*release*",), False),
        (("nothing", "*checkout"), True),
        ((), False),
    ],
)
def test_patterns_say_which_jobs_deploy(jobs: tuple[str, ...], is_deploy: bool) -> None:
    if is_deploy:
        assert completed(jobs=jobs).effect == "point"
    else:
        with pytest.raises(
            Ignored, match=r"'shop/deploy-checkout' is not one that deploys.*\[jenkins\] jobs"
        ):
            completed(jobs=jobs)


@pytest.mark.parametrize("name", ["Deploy", "app-DEPLOY-prod", "Release", "team/app/release/2.3"])
def test_by_default_deploys_are_known_by_their_name(name: str) -> None:
    url = "".join(f"job/{part}/" for part in name.split("/"))
    assert completed("url", url).event.metadata["job"] == name


def test_the_parameters_are_those_that_the_configuration_names() -> None:
    change = completed(
        "build.parameters",
        {"ENVIRONMENT": "a", "where": "prod", "app.version": "7.1", "VERSION": "b"},
        environment_parameters=("nowhere", "WHERE"),
        version_parameters=("App.Version",),
    )
    assert change.event.name == "Deploy shop/deploy-checkout 7.1 to prod"


@pytest.mark.parametrize("value", [None, [], "ENVIRONMENT=x", {"ENVIRONMENT": 7}, {"ENVIRONMENT": None}, {}])
def test_parameters_of_another_form_are_none(value: object) -> None:
    change = completed("build.parameters", value)
    assert change.event.name == "Deploy shop/deploy-checkout main@0123456"
    assert "environment" not in change.event.metadata


def test_a_configured_list_of_events_leaves_out_the_others() -> None:
    with pytest.raises(Ignored, match=r"'completed' is off; name it in \[jenkins\] events"):
        completed(events=("finalized",))
    assert completed(events=("comp*",)).effect == "point"


@pytest.mark.parametrize("events", [None, ("*",)])
def test_a_job_configuration_is_never_kept_however_it_comes(events: tuple[str, ...] | None) -> None:
    """What is ignored is forgotten; what is untranslatable would be kept as it came."""
    body = body_of("jenkins", "job.created__config_file")
    for headers in ({}, {"ce_type": "org.jenkinsci.job.created"}, {"ce_type": "org.jenkinsci.job.updated"}):
        with pytest.raises(Ignored):
            translate(JENKINS, delivery(body, **headers), Options(events=events))
    with pytest.raises(Ignored):
        translate(JENKINS, delivery(body[:-5], ce_type="org.jenkinsci.job.created"), Options(events=events))


@pytest.mark.parametrize(
    "kind", ["org.jenkinsci.node.online", "org.jenkinsci.queue.left", "com.example.build"]
)
def test_other_cloud_events_are_ignored_also_where_all_events_are_on(kind: str) -> None:
    for body in (b"", b"{", b"{}"):
        with pytest.raises(Ignored, match="is not one that becomes a marker"):
            translate(JENKINS, delivery(body, ce_type=kind), Options(events=("*",)))


@pytest.mark.parametrize("phase", ["NONE", "PAUSED", "Völlig neu"])
def test_a_phase_that_is_not_known_is_ignored_with_its_name(phase: str) -> None:
    with pytest.raises(Ignored, match=f"'{phase.lower()}' is not one that becomes a marker"):
        completed("build.phase", phase)


@pytest.mark.parametrize("body", [b"<job><name>app</name></job>", b"\n <?xml version='1.0'?><job/>"])
def test_xml_is_answered_with_what_to_choose_instead(body: bytes) -> None:
    with pytest.raises(Untranslatable, match="choose JSON"):
        translate(JENKINS, delivery(body), Options())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b"[" * 100_000, b"9" * 5_000])
def test_an_unreadable_body_is_untranslatable(body: bytes) -> None:
    with pytest.raises(Untranslatable, match="JSON"):
        translate(JENKINS, delivery(body), Options())


@pytest.mark.parametrize("value", [ABSENT, None, "", 7, True, [], {}, "\x00"])
def test_without_a_phase_it_asks_which_plugin_it_is(value: object) -> None:
    with pytest.raises(Untranslatable, match=r"build\.phase is missing .* is it the Notification"):
        completed("build.phase", value)


@pytest.mark.parametrize("value", [ABSENT, None, "", 7, True, [], {}])
def test_an_end_without_a_result_is_no_end_yet(value: object) -> None:
    with pytest.raises(Ignored, match=r"^the build has no result yet: build\.status is missing"):
        completed("build.status", value)


@pytest.mark.parametrize("mode", ["point", "span"])
def test_the_result_counts_that_comes_after_an_end_without_one(mode: str) -> None:
    early, result = received("completed__no_result_yet"), received("completed__result_after_it")
    assert early.id != result.id
    options = Options.model_validate({"deployments": mode})
    with pytest.raises(Ignored):
        translate(JENKINS, early, options)
    (change,) = translate(JENKINS, result, options).changes
    assert change.event.name == "Deploy shop/deploy-checkout 2.4.0 to production"


def test_a_second_end_with_another_result_is_another_delivery() -> None:
    success, failure = (
        delivery(json.dumps(with_value("build.status", result)).encode()) for result in ("SUCCESS", "FAILURE")
    )
    assert success.id != failure.id


def test_cells_of_a_multi_configuration_project_are_two_markers_with_their_own_outcome() -> None:
    cells = [of_fixture(f"job.completed__matrix_cell_{region}", "point") for region in ("eu", "us")]
    assert len({name for cell in cells for name in cell.names}) == 4
    assert [cell.event.name.partition(" deploy-shop/")[0] for cell in cells] == ["Deploy", "Failed deploy"]


@pytest.mark.parametrize(
    ("jobs", "is_deploy"),
    [
        (("deploy-shop",), True),
        (("DEPLOY-SHOP",), True),
        (("deploy-shop/region=EU*",), True),
        (("deploy-shop/REGION=us*",), False),
        (("shop",), False),
    ],
)
def test_a_pattern_names_a_multi_configuration_project_or_its_cells(
    jobs: tuple[str, ...], is_deploy: bool
) -> None:
    cell = received("job.completed__matrix_cell_eu")
    if is_deploy:
        assert translate(JENKINS, cell, Options(jobs=jobs)).changes
    else:
        with pytest.raises(Ignored, match="is not one that deploys"):
            translate(JENKINS, cell, Options(jobs=jobs))


@pytest.mark.parametrize("name", ["PR-12", "MR-12", "PR-12-head", "PR-12-merge"])
def test_builds_of_pull_requests_are_ignored_unless_asked_for(name: str) -> None:
    payload = json.loads(body_of("jenkins", "completed__pull_request"))
    body = json.dumps(payload).replace("PR-12", name).encode()
    with pytest.raises(Ignored, match=r"builds a pull request; .*pull_requests = true"):
        translate(JENKINS, delivery(body), Options())
    (change,) = translate(JENKINS, delivery(body), Options(pull_requests=True)).changes
    assert change.event.metadata["pull_request"] == "12"
    assert change.event.name == f"Deploy shop-deploy/{name} #3"


@pytest.mark.parametrize("job", ["PR-12", "deploy/PR-team", "deploy/PR-1/nightly", "deploy/pr-12"])
def test_another_job_that_is_called_nearly_so_is_none(job: str) -> None:
    path = "job/" + "/job/".join(job.split("/"))
    payload = json.loads(body_of("jenkins", "completed__pull_request"))
    payload["url"] = payload["build"]["url"] = f"{path}/"
    payload["build"]["full_url"] = f"https://jenkins.example.test/{path}/3/"
    (change,) = translate(JENKINS, delivery(json.dumps(payload).encode()), Options(jobs=("*",))).changes
    assert "pull_request" not in change.event.metadata


def test_without_a_name_or_address_a_build_is_untranslatable() -> None:
    body = b'{"build": {"phase": "COMPLETED", "status": "SUCCESS", "number": 7}}'
    with pytest.raises(Untranslatable, match="url is missing from the payload, and name too"):
        translate(JENKINS, delivery(body), Options())


def test_without_a_number_a_build_without_a_full_url_is_untranslatable() -> None:
    payload = with_value("build.full_url", ABSENT, with_value("build.number", ABSENT))
    with pytest.raises(Untranslatable, match=r"build\.full_url is missing .* build\.number"):
        translate(JENKINS, delivery(json.dumps(payload).encode()), Options())


@pytest.mark.parametrize(
    "value", [ABSENT, None, 0, -1, True, "1768039340123", "yesterday", 10**30, 10**400, [], {}]
)
def test_a_time_that_is_none_is_the_time_it_came(value: object) -> None:
    change = completed("build.timestamp", value)
    assert change.occurred_at == change.event.started_at == RECEIVED_AT


@pytest.mark.parametrize("value", [ABSENT, None, 0, -1, True, "140000", 1.5, 10**30, 10**400, [], {}])
def test_a_duration_that_is_none_is_not_told(value: object) -> None:
    change = completed("build.duration", value, deployments="span")
    assert change.event.started_at == change.event.ended_at
    assert change.event.description == "Succeeded in build #42."


@pytest.mark.parametrize(
    "summary",
    [
        {"failed": 3},
        {"failed": 3, "total": 2},
        {"failed": -1, "total": 2},
        {"failed": True, "total": 2},
        [],
        7,
    ],
)
def test_odd_test_results_are_not_told(summary: object) -> None:
    assert "tests" not in (completed("build.test_summary", summary).event.description or "")


def test_two_builds_at_endless_addresses_stay_two() -> None:
    addresses = ["https://jenkins.example.test/" + "job/deploy/" * 200 + f"{number}/" for number in (7, 8)]
    first, second = (completed("build.full_url", address) for address in addresses)
    assert first.key != second.key
    assert first.event.metadata["marker_key"] == first.key
    assert "url" not in first.event.metadata


def test_credentials_in_an_address_are_in_nothing_that_is_sent() -> None:
    change = completed("build.full_url", "https://ada:hunter2@jenkins.example.test/job/deploy/7/")
    assert change.key == "jenkins:https://jenkins.example.test/job/deploy/7"
    assert change.event.metadata["url"] == "https://jenkins.example.test/job/deploy/7/"
    assert "hunter2" not in change.model_dump_json()


@pytest.mark.parametrize(
    ("clone_url", "repository", "page"),
    [
        ("https://github.com/acme/shop", "acme/shop", "https://github.com/acme/shop"),
        ("https://github.com/acme/shop.git/", "acme/shop", "https://github.com/acme/shop"),
        ("https://gitlab.example.test/a/b/c.git", "a/b/c", "https://gitlab.example.test/a/b/c"),
        ("http://x-token:hunter2@git.example.test:8080/a/b", "a/b", "http://git.example.test:8080/a/b"),
        ("git@github.com:acme/shop.git", "acme/shop", None),
        ("git@git.example.test:/srv/shop.git", "srv/shop", None),
        ("ssh://git@git.example.test/acme/shop.git", "acme/shop", None),
        ("file:///srv/git/shop.git", None, None),
        ("C:\\git\\shop", None, None),
        ("https://git.example.test/", None, None),
        ("https://github.com/acme/" + "s" * 600, None, None),
        ("javascript:alert(1)", None, None),
    ],
)
def test_a_repository_is_known_by_its_clone_url(
    clone_url: str, repository: str | None, page: str | None
) -> None:
    metadata = completed("build.scm.url", clone_url).event.metadata
    assert metadata.get("repository") == repository
    assert metadata.get("repository_url") == page


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("job/deploy/", "deploy"),
        ("job/deploy", "deploy"),
        ("job/a/job/deploy/", "a/deploy"),
        ("job/job/job/deploy/", "job/deploy"),
        ("job/a%20b/job/deploy/", "a b/deploy"),
        ("job/deploy/job/fix%252F%2523%252012/", "deploy/fix/# 12"),
        ("job/deploy/job/%ff/", "deploy/\ufffd"),
        ("/jenkins/job/deploy/", "deploy"),
        ("https://example.test/ci/job/a/job/deploy/", "a/deploy"),
        ("view/all/", "deploy-checkout"),
        ("", "deploy-checkout"),
    ],
)
def test_a_jobs_name_has_its_folders(url: str, name: str) -> None:
    payload = with_value("build.url", ABSENT, with_value("build.full_url", ABSENT))
    payload["url"] = url
    payload["name"] = "deploy-checkout"
    (change,) = translate(JENKINS, delivery(json.dumps(payload).encode()), Options()).changes
    assert change.event.metadata["job"] == name


@pytest.mark.parametrize("checked", ["true", "false", "True", "no"])
def test_a_checkbox_is_no_version(checked: str) -> None:
    parameters = {"RELEASE": checked, "ENVIRONMENT": "production"}
    change = completed("build.parameters", parameters)
    assert checked not in change.event.name.split()
    assert "release" not in change.event.metadata
