"""What GitLab's deliveries mean where no fixture says it: names, ids, junk, options, and several together."""

import json
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from pydantic import ValidationError

from apitraffic_events.event import Event
from receiver.delivery.folding import fold, is_called_off
from receiver.events import Change
from receiver.sources.gitlab import GITLAB
from receiver.sources.gitlab.hook import Options
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.signing import SENDERS
from receiver.sources.source import translate
from tests.support.gitlab import DELIVERY_ID, RECEIVED_AT, delivery_of, hook_name, options_of, received
from tests.support.source_fixtures import body_of

TEMPLATE = "the body has no object_kind"


def change(case: str, mode: str = "point", delivery_id: str = "guid", **values: Any) -> Change:
    """The change that a fixture becomes with other values: `object_attributes__id=7`."""
    payload = json.loads(body_of("gitlab", case))
    for path, value in values.items():
        *parents, last = path.split("__")
        place = payload
        for parent in parents:
            place = place[parent]
        place[last] = value
    event = case.partition("__")[0]
    delivery = delivery_of(event, json.dumps(payload).encode(), delivery_id)
    (made,) = translate(GITLAB, delivery, options_of(case, mode)).changes
    return made


def folded(*changes: Change) -> Event:
    """What they add up to, whatever order they arrive in."""
    results = [fold(order) for order in permutations(changes)]
    assert all(result == results[0] for result in results)
    assert results[0] is not None
    return results[0]


def at(hour: int, minute: int, second: int = 0, millisecond: int = 0) -> datetime:
    return datetime(2026, 1, 10, hour, minute, second, millisecond * 1000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("case", "is_undated"),
    [
        ("feature_flag__on", True),
        ("tag_push__created", True),
        ("deployment__no_time", True),
        ("deployment__production_success", False),
        ("release__create", False),
    ],
)
def test_a_change_says_whether_its_time_is_when_it_was_received(case: str, *, is_undated: bool) -> None:
    assert change(case).is_undated is is_undated


class TestEventNames:
    @pytest.mark.parametrize(
        ("kind", "event"),
        [
            ("deployment", "deployment"),
            ("build", "build"),
            ("work_item", "issue"),
            ("issue", "issue"),
            ("not_yet_invented", "not_yet_invented"),
        ],
    )
    def test_the_body_says_what_it_is(self, kind: str, event: str) -> None:
        body = json.dumps({"object_kind": kind}).encode()
        assert delivery_of("push", body).event == event

    @pytest.mark.parametrize(
        ("hook", "event"),
        [
            ("Deployment Hook", "deployment"),
            ("Job Hook", "build"),
            ("Tag Push Hook", "tag_push"),
            ("Feature Flag Hook", "feature_flag"),
            ("Issue Hook", "issue"),
            ("Confidential Issue Hook", "issue"),
            ("Work Item Hook", "issue"),
            ("Confidential Work Item Hook", "issue"),
            ("Confidential Note Hook", "note"),
            ("Resource Access Token Hook", "access_token"),
            ("Resource Deploy Token Hook", "deploy_token"),
            ("System Hook", "system"),
            ("deployment", "deployment"),
            ("", ""),
            ("\x00\u202e", ""),
        ],
    )
    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"object_kind": 7}', b"\xff", b"[" * 100_000])
    def test_where_it_does_not_the_header_does(self, hook: str, event: str, body: bytes) -> None:
        assert delivery_of("", body, x_gitlab_event=hook).event == event

    def test_without_any_header_it_is_read_all_the_same(self) -> None:
        body = body_of("gitlab", "deployment__production_success")
        assert GITLAB.receive({}, body, RECEIVED_AT).event == "deployment"
        assert GITLAB.receive({}, b"", RECEIVED_AT).event == ""

    def test_an_endless_name_is_cut(self) -> None:
        assert len(delivery_of("", b"", x_gitlab_event="x" * 10_000).event) == 100


class TestDeliveryIds:
    def id_of(self, body: bytes = b"{}", hook: str = "Push Hook", **headers: str) -> str:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return GITLAB.receive({"x-gitlab-event": hook} | given, body, RECEIVED_AT).id

    def test_the_webhook_id_comes_first_and_then_the_idempotency_key(self) -> None:
        assert self.id_of(webhook_id="one", idempotency_key="two") == "one"
        assert self.id_of(idempotency_key="two") == "two"
        assert self.id_of(webhook_id="", idempotency_key="two") == "two"

    def test_what_is_new_on_every_request_is_no_id(self) -> None:
        found = self.id_of(x_gitlab_webhook_uuid="new", x_gitlab_event_uuid="new", webhook_timestamp="7")
        assert found == self.id_of()

    def test_on_older_servers_the_event_and_the_body_identify_it(self) -> None:
        assert self.id_of() == self.id_of()
        assert self.id_of().startswith("sha256-")
        assert len({self.id_of(), self.id_of(b"[]"), self.id_of(hook="Job Hook")}) == 3

    @pytest.mark.parametrize("given", ["x" * 201, "é", "a\nb", "\x1b[2J"])
    def test_an_id_that_is_not_sane_is_none(self, given: str) -> None:
        assert self.id_of(webhook_id=given) == self.id_of()


class TestWhatIsOn:
    def test_without_configuration(self) -> None:
        assert GITLAB.default_events == ("deployment", "release", "feature_flag", "issue")

    @pytest.mark.parametrize("event", ["pipeline__success", "build__success", "tag_push__created"])
    def test_the_rest_has_to_be_asked_for(self, event: str) -> None:
        kind = event.partition("__")[0]
        with pytest.raises(Ignored, match=rf"event '{kind}' is off; name it in \[gitlab\] events"):
            translate(GITLAB, received(event), Options())
        assert translate(GITLAB, received(event), Options(events=(kind,))).changes

    def test_work_items_are_asked_for_as_issues(self) -> None:
        assert translate(GITLAB, received("issue__incident_open"), Options(events=("issue",))).changes

    def test_an_unknown_setting_is_refused(self) -> None:
        with pytest.raises(ValidationError):
            Options.model_validate({"vulnerability_severity": "grave"})
        with pytest.raises(ValidationError):
            Options.model_validate({"pipelines": ["main"]})

    def test_labels_may_be_no_reason_at_all(self) -> None:
        case = "issue__incident_of_older_server"
        with pytest.raises(Ignored, match=r"\(which is empty\)"):
            translate(GITLAB, received(case), Options(incident_labels=()))


class TestJunk:
    @pytest.mark.parametrize("hook", ["Deployment Hook", "", "Release Hook"])
    @pytest.mark.parametrize(
        "body", [b"", b" ", b"{", b"\xff\xfe\x00", b'{"a": \xed\xa0\x80}', b"[" * 100_000, b"9" * 100_000]
    )
    def test_what_is_no_json_is_kept(self, hook: str, body: bytes) -> None:
        with pytest.raises(Untranslatable):
            translate(GITLAB, delivery_of("", body, x_gitlab_event=hook), Options())

    @pytest.mark.parametrize("hook", ["Deployment Hook", "", "Release Hook"])
    @pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'"text"', b"7", b'{"object_kind": null}'])
    def test_what_a_template_made_is_ignored_with_advice(self, hook: str, body: bytes) -> None:
        with pytest.raises(Ignored, match=f"{TEMPLATE}.*remove the custom template"):
            translate(GITLAB, delivery_of("", body, x_gitlab_event=hook), Options())

    @pytest.mark.parametrize("event", ["push", "note", "merge_request", "not_yet_invented", "Deployment"])
    def test_every_other_event_is_ignored_whatever_its_body(self, event: str) -> None:
        for body in (b"", b"{}", b"\xff", json.dumps({"object_kind": event}).encode()):
            for options in (Options(), Options(events=("*",))):
                delivery = delivery_of(event, body)
                if delivery.event != event:
                    continue
                with pytest.raises(Ignored, match=f"'{event}' is not one that becomes a marker"):
                    translate(GITLAB, delivery, options)

    @pytest.mark.parametrize(
        ("case", "path"),
        [
            ("deployment__production_success", "status"),
            ("deployment__production_success", "project.path_with_namespace"),
            ("pipeline__success", "object_attributes.status"),
            ("pipeline__success", "object_attributes.id"),
            ("build__success", "build_status"),
            ("build__success", "build_id"),
            ("release__create", "action"),
            ("release__create", "tag"),
            ("tag_push__created", "ref"),
            ("tag_push__created", "before"),
            ("tag_push__created", "after"),
            ("feature_flag__on", "object_attributes.name"),
            ("feature_flag__on", "object_attributes.active"),
            ("issue__incident_open", "object_attributes.id"),
            ("issue__incident_open", "object_attributes.title"),
            ("vulnerability__detected", "object_attributes.url"),
            ("vulnerability__detected", "object_attributes.title"),
            ("vulnerability__detected", "object_attributes.state"),
            ("access_token__of_a_project", "object_attributes.expires_at"),
            ("access_token__of_a_project", "object_attributes.id"),
            ("access_token__of_a_project", "object_attributes.name"),
        ],
    )
    @pytest.mark.parametrize("value", [None, [], {}, "", "\x00\x1b"])
    def test_what_is_indispensable_is_named_when_it_is_missing(
        self, case: str, path: str, value: object
    ) -> None:
        values: dict[str, Any] = {path.replace(".", "__"): value}
        with pytest.raises(Untranslatable, match=f"^{path} is missing from the payload$"):
            change(case, **values)

    def test_a_deployment_without_any_id_names_the_one_it_wants(self) -> None:
        with pytest.raises(Untranslatable, match="deployment_id is missing"):
            change("deployment__production_success", deployment_id=None, deployable_id=None)

    def test_an_incident_without_action_or_state_names_the_action(self) -> None:
        with pytest.raises(Untranslatable, match=r"object_attributes\.action is missing"):
            change("issue__incident_open", object_attributes__action=None, object_attributes__state=None)

    @pytest.mark.parametrize("word", ["SUCCESS", "Success", "succeeded", "cancelled"])
    def test_only_gitlabs_own_words_are_states(self, word: str) -> None:
        with pytest.raises(Ignored, match=f"deployment status '{word}' is not known here"):
            change("deployment__production_success", status=word)


class TestKeys:
    def test_the_marker_of_a_deployment_is_the_same_in_every_state(self) -> None:
        names = ("running", "success", "failed", "canceled", "rejected")
        keys = {change(f"deployment__production_{name}", "span").key for name in names}
        assert keys == {"gitlab:gitlab.example.test:deployment:15"}

    def test_the_same_ids_of_two_instances_are_two_markers(self) -> None:
        body = body_of("gitlab", "deployment__production_success")
        options = Options(deployments="point")
        keys = set()
        for instance in ("https://gitlab.com", "https://gitlab.example.test/", "http://[::1]:8080"):
            delivery = delivery_of("deployment", body, x_gitlab_instance=instance)
            keys.add(translate(GITLAB, delivery, options).changes[0].key)
        assert keys == {
            "gitlab:gitlab.com:deployment:15",
            "gitlab:gitlab.example.test:deployment:15",
            "gitlab:[::1]:8080:deployment:15",
        }

    @pytest.mark.parametrize("instance", ["", "gitlab.com", "ftp://gitlab.com", "https://", "https:///x"])
    def test_an_address_that_is_none_gives_way_to_the_projects(self, instance: str) -> None:
        body = body_of("gitlab", "deployment__production_success")
        delivery = delivery_of("deployment", body, x_gitlab_instance=instance)
        (made,) = translate(GITLAB, delivery, Options(deployments="point")).changes
        assert made.key == "gitlab:gitlab.example.test:deployment:15"

    def test_a_password_in_an_address_gets_nowhere(self) -> None:
        body = body_of("gitlab", "deployment__production_success")
        delivery = delivery_of("deployment", body, x_gitlab_instance="https://me:hunter2@gitlab.com/")
        (made,) = translate(GITLAB, delivery, Options(deployments="point")).changes
        assert made.key == "gitlab:gitlab.com:deployment:15"
        assert "hunter2" not in made.model_dump_json()

    def test_a_project_hook_and_a_group_hook_mean_the_same_marker(self) -> None:
        one = change("deployment__production_success", delivery_id="of the project hook")
        two = change("deployment__production_success", delivery_id="of the group hook")
        assert one.key == two.key

    def test_each_switch_of_a_flag_is_a_marker_of_its_own(self) -> None:
        assert (
            change("feature_flag__on", delivery_id="1").key != change("feature_flag__on", delivery_id="2").key
        )

    def test_a_token_is_warned_of_once(self) -> None:
        case = "access_token__of_a_project"
        assert change(case, delivery_id="60 days").key == change(case, delivery_id="7 days").key


class TestTimes:
    @pytest.mark.parametrize(
        ("written", "epoch"),
        [
            ("2021-04-28 21:50:00 +0200", 1619639400),
            ("2016-08-12 15:23:28 UTC", 1471015408),
            ("2025-05-21T16:06:02.869Z", 1747843562.869),
            ("2020-10-31T14:58:32+11:00", 1604116712),
            ("2021-02-23T02:41:37Z", 1614048097),
        ],
    )
    def test_every_format_of_the_sheet_is_read(self, written: str, epoch: float) -> None:
        made = change("deployment__production_success", status_changed_at=written)
        assert made.occurred_at.timestamp() == epoch
        assert made.event.started_at == made.occurred_at

    @pytest.mark.parametrize("value", [-1, 1e308, float("nan"), True, "303", None, 10**400])
    def test_a_duration_that_is_none_is_left_out(self, value: object) -> None:
        made = change("pipeline__success", object_attributes__duration=value)
        assert made.event.description == "Succeeded, started by alice."


class TestTraps:
    """Several deliveries of one marker, in every order of arrival."""

    @pytest.mark.parametrize("mode", ["point", "span"])
    def test_the_test_button_does_not_move_what_is_finished(self, mode: str) -> None:
        real = change("deployment__production_success", mode, "real")
        test = change("deployment__test_button_restamped", mode, "test")
        assert test.occurred_at == at(11, 59, 59, 869)
        marker = folded(real, test)
        expected = {"point": (at(10, 5), None), "span": (at(10, 5), at(10, 5))}
        assert (marker.started_at, marker.ended_at) == expected[mode]

    def test_the_test_button_does_not_move_a_whole_span(self) -> None:
        started = change("deployment__production_running", "span", "1")
        real = change("deployment__production_success", "span", "2")
        test = change("deployment__test_button_restamped", "span", "3")
        marker = folded(started, real, test)
        assert (marker.started_at, marker.ended_at) == (at(10, 0), at(10, 5))

    def test_a_phantom_cancellation_makes_no_marker(self) -> None:
        assert fold([change("deployment__production_canceled", "span")]) is None
        assert fold([change("pipeline__canceled_before_it_ran", "span")]) is None
        assert fold([change("build__canceled_before_it_ran", "span")]) is None

    def test_a_cancellation_ends_what_was_running(self) -> None:
        started = change("deployment__production_running", "span", "1")
        canceled = change("deployment__production_canceled", "span", "2")
        marker = folded(started, canceled)
        assert (marker.started_at, marker.ended_at) == (at(10, 0), at(10, 5))
        assert marker.name == "Cancelled deploy acme/shop main@279484c to production"
        assert marker.description == "Cancelled, deployed by alice."

    def test_a_cancellation_does_not_touch_what_is_finished(self) -> None:
        done = change(
            "deployment__production_success", "span", "1", status_changed_at="2026-01-10 10:04:00 UTC"
        )
        canceled = change("deployment__production_canceled", "span", "2")
        marker = folded(done, canceled)
        assert (marker.name, marker.ended_at) == ("Deploy acme/shop main@279484c to production", at(10, 4))

    def test_a_deploy_whose_start_was_never_heard_of_is_complete(self) -> None:
        marker = folded(change("deployment__production_failed", "span"))
        assert (marker.started_at, marker.ended_at) == (at(10, 5), at(10, 5))

    def test_a_job_knows_its_start_by_itself(self) -> None:
        marker = folded(change("build__success", "span"))
        assert (marker.started_at, marker.ended_at) == (at(10, 0), at(10, 5))

    def test_the_id_of_a_jobs_commit_is_its_pipelines(self) -> None:
        made = change("build__pipeline_id_in_the_commit")
        assert made.event.metadata["run_id"] == "2366"
        assert made.event.metadata["commit"] == "279484c09fbe69ededfced8c1bb6e6d24616b468"

    def test_a_span_goes_on_when_the_pipeline_does(self) -> None:
        started = change("pipeline__running", "span", "1")
        failed = change("pipeline__failed", "span", "2")
        again = change("pipeline__running_again", "span", "3")
        done = change(
            "pipeline__success", "span", "4", object_attributes__finished_at="2026-01-10 10:20:00 UTC"
        )
        assert folded(started, failed).ended_at == at(10, 5, 30)
        assert folded(started, failed, again).ended_at is None
        marker = folded(started, failed, again, done)
        assert (marker.started_at, marker.ended_at) == (at(10, 0), at(10, 20))
        assert marker.name == "Pipeline #31 acme/shop main@279484c"

    def test_a_pipeline_that_runs_again_is_another_point(self) -> None:
        failed = change("pipeline__failed")
        done = change("pipeline__success", object_attributes__finished_at="2026-01-10 10:20:00 UTC")
        repeated = change("pipeline__success", object_attributes__finished_at="2026-01-10T10:20:00.869Z")
        assert failed.key != done.key == repeated.key

    def test_an_incident_is_opened_closed_reopened_and_closed_again(self) -> None:
        opened = change("issue__incident_open", delivery_id="1")
        closed = change("issue__incident_close", delivery_id="2")
        reopened = change("issue__incident_reopen", delivery_id="3")
        again = change(
            "issue__incident_close", delivery_id="4", object_attributes__closed_at="2026-01-10 11:50:00 UTC"
        )
        assert folded(opened, closed).ended_at == at(11, 30)
        assert folded(opened, closed, reopened).ended_at is None
        marker = folded(opened, closed, reopened, again)
        assert (marker.started_at, marker.ended_at) == (at(10, 0), at(11, 50))

    def test_an_incident_closed_before_it_was_opened_is_one_closed_marker(self) -> None:
        marker = folded(change("issue__incident_close"))
        assert (marker.started_at, marker.ended_at) == (at(10, 0), at(11, 30))
        assert marker.description == "Closed after 1 h 30 min by alice."

    def test_an_update_of_an_incident_makes_no_marker(self) -> None:
        assert fold([change("issue__incident_title_changed")]) is None

    def test_an_update_of_an_incident_refreshes_its_name_and_leaves_a_trail(self) -> None:
        opened = change("issue__incident_open", delivery_id="1")
        worse = change("issue__incident_severity_changed", delivery_id="2")
        marker = folded(opened, worse)
        assert marker.name == "#23 Checkout down (high)"
        assert marker.description == "Opened by alice.\n11:40 UTC alice: severity is now high"
        assert marker.metadata["severity"] == "high"

    def test_a_label_opens_an_incident_and_its_removal_ends_it(self) -> None:
        added = change("issue__label_added", delivery_id="1")
        removed = change(
            "issue__label_removed", delivery_id="2", object_attributes__updated_at="2026-01-10 11:50:00 UTC"
        )
        assert (folded(added).started_at, folded(added).ended_at) == (at(11, 40), None)
        assert folded(added, removed).ended_at == at(11, 50)
        assert fold([removed]) is None

    def test_a_vulnerability_that_is_found_again_is_open_again(self) -> None:
        found = change("vulnerability__detected", delivery_id="1")
        dismissed = change(
            "vulnerability__dismissed",
            delivery_id="2",
            object_attributes__updated_at="2026-01-10T11:00:00.000Z",
        )
        again = change("vulnerability__detected_again", delivery_id="3")
        assert folded(found, dismissed).ended_at == at(11, 0)
        assert folded(found, dismissed, again).ended_at is None

    def test_a_vulnerability_linked_to_an_issue_stays_one_open_marker(self) -> None:
        found = change("vulnerability__detected", delivery_id="1")
        linked = change("vulnerability__confirmed", delivery_id="2")
        marker = folded(found, linked)
        assert (marker.started_at, marker.ended_at) == (at(10, 0, 0, 869), None)

    def test_a_release_reported_again_by_the_test_button_is_the_same(self) -> None:
        real = change("release__create", delivery_id="1")
        test = change("release__create", delivery_id="2", released_at="2026-01-10T10:00:00.123Z")
        assert real.key == test.key
        assert folded(real, test).started_at == at(10, 0)


JOB_STATES = ("running", "success", "failed", "canceled")
SECONDS = {"running": "10:00:00", "success": "10:05:00", "failed": "10:05:00", "canceled": "10:05:00"}


def of_deploy(hook: str, state: str, mode: str, late: int = 0) -> Change:
    """What a Deployment or Job hook of one job says; `late` are seconds by which its time is later."""
    if hook == "build":
        return change(f"build__{state}", mode, f"build {state}")
    hour, minute, second = SECONDS[state].split(":")
    moment = f"2026-01-10 {hour}:{minute}:{int(second) + late:02} UTC"
    return change(f"deployment__production_{state}", mode, f"deployment {state}", status_changed_at=moment)


class TestDeploymentAndJobHooksOfOneDeploy:
    """One marker by the job's id; tests/integration/delivery/test_gitlab_deploys.py has Redis and the API."""

    def test_they_have_the_name_of_the_job_in_common(self) -> None:
        deployment, job = of_deploy("deployment", "success", "span"), of_deploy("build", "success", "span")
        assert set(deployment.names) & set(job.names) == {job.key}

    @pytest.mark.parametrize("late", [0, 1])
    @pytest.mark.parametrize("end", ["success", "failed", "canceled"])
    @pytest.mark.parametrize(
        "openings", [("deployment", "build"), ("build",), ("deployment",), ()], ids="-".join
    )
    def test_a_span_begins_and_ends_with_its_job_whatever_arrives_first(
        self, openings: tuple[str, ...], end: str, late: int
    ) -> None:
        starts = [of_deploy(hook, "running", "span", late) for hook in openings]
        ends = [of_deploy(hook, end, "span", late) for hook in ("deployment", "build")]
        marker = folded(*starts, *ends)
        is_told_late = openings == ("deployment",)
        assert marker.started_at == at(10, 0, late if is_told_late else 0)
        assert marker.ended_at == at(10, 5)
        assert {"deployment_id", "job", "run_id"} <= set(marker.metadata)

    def test_without_any_opening_the_words_agree_with_the_span(self) -> None:
        ends = [of_deploy(hook, "success", "span") for hook in ("deployment", "build")]
        assert folded(*ends).description == "Succeeded after 5 min, deployed by alice."
        opened = of_deploy("deployment", "running", "span", late=3)
        assert folded(opened, *ends).description == "Succeeded after 4 min 57 s, deployed by alice."

    def test_a_span_without_a_job_hook_begins_when_the_deployment_ran(self) -> None:
        marker = folded(*(of_deploy("deployment", state, "span") for state in ("running", "failed")))
        assert (marker.started_at, marker.ended_at) == (at(10, 0), at(10, 5))

    @pytest.mark.parametrize("late", [0, 1])
    @pytest.mark.parametrize("end", ["success", "failed"])
    def test_a_point_is_where_the_job_ended(self, end: str, late: int) -> None:
        marker = folded(*(of_deploy(hook, end, "point", late) for hook in ("deployment", "build")))
        assert (marker.started_at, marker.ended_at) == (at(10, 5), None)
        assert marker.description is not None
        assert " after 5 min, " in marker.description

    @pytest.mark.parametrize("mode", ["point", "span"])
    def test_a_failure_that_gitlab_reports_goes_over_the_success_of_a_plugin(self, mode: str) -> None:
        """The plugin runs in `after_script`: what fails after it, such as an upload, it cannot know."""
        told = of_deploy("build", "success", "span")
        plugin = told.model_copy(
            update={
                "occurred_at": at(10, 4, 58),
                "is_authoritative": False,
                "delivery": told.delivery.model_copy(update={"source": "events"}),
            }
        )
        marker = folded(plugin, of_deploy("deployment", "failed", mode))
        assert marker.name == "Failed deploy acme/shop main@279484c to production"
        assert (marker.started_at, marker.ended_at) == (at(10, 0), at(10, 5))

    @pytest.mark.parametrize(("word", "state"), [("failure", "failed"), ("cancelled", "canceled")])
    def test_the_same_outcome_in_a_plugins_word_moves_nothing(self, word: str, state: str) -> None:
        told = of_deploy("build", state, "span")
        metadata = told.event.metadata | {"status": word}
        plugin = told.model_copy(
            update={
                "occurred_at": at(10, 4, 58),
                "event": told.event.model_copy(update={"metadata": metadata, "ended_at": at(10, 4, 58)}),
                "delivery": told.delivery.model_copy(update={"source": "events"}),
            }
        )
        assert folded(plugin, of_deploy("build", state, "span")).ended_at == at(10, 4, 58)


MODES = ("point", "span")


@pytest.mark.parametrize("mode", MODES)
class TestRejectedDeploys:
    """Nothing was deployed, so there is no marker, in whatever order it is told."""

    def failed(self, mode: str, second: str = "10:05:00") -> Change:
        moment = f"2026-01-10 {second} UTC"
        return change("deployment__production_failed", mode, "failed", status_changed_at=moment)

    def none(self, *changes: Change) -> bool:
        return all(fold(order) is None for order in permutations(changes))

    @pytest.mark.parametrize("case", ["production_rejected", "rejected_without_approval"])
    def test_a_rejection_makes_no_marker(self, mode: str, case: str) -> None:
        assert self.none(change(f"deployment__{case}", mode))

    @pytest.mark.parametrize("second", ["10:05:00", "10:05:01", "10:07:00"])
    @pytest.mark.parametrize("case", ["production_rejected", "rejected_without_approval"])
    def test_nor_does_the_failure_that_gitlab_reports_after_it(
        self, mode: str, case: str, second: str
    ) -> None:
        rejected = change(f"deployment__{case}", mode, "rejected")
        assert self.none(rejected, self.failed(mode, second))
        assert is_called_off([rejected])

    def test_the_time_of_the_approval_counts_where_it_is_earlier(self, mode: str) -> None:
        """The rejection's own time is taken when the hook is made, which may be after the failure's."""
        rejected = change("deployment__production_rejected", mode, "rejected")
        assert self.none(rejected, self.failed(mode, "10:04:59"))

    def test_nor_does_its_job_which_never_began(self, mode: str) -> None:
        job = change("build__failed_before_it_ran", mode, "job")
        rejected = change("deployment__production_rejected", mode, "rejected")
        assert self.none(job)
        assert self.none(job, self.failed(mode))
        assert self.none(job, self.failed(mode), rejected)

    def test_a_job_that_says_nothing_of_its_start_may_have_run(self, mode: str) -> None:
        payload = json.loads(body_of("gitlab", "build__failed_before_it_ran"))
        del payload["build_started_at"], payload["build_started_at_iso"]
        delivery = delivery_of("build", json.dumps(payload).encode())
        (made,) = translate(GITLAB, delivery, options_of("build__failed", mode)).changes
        assert folded(made).name == "Failed deploy acme/shop main@279484c to production"

    @pytest.mark.parametrize("case", ["deployment__production_rejected", "build__failed_before_it_ran"])
    def test_a_span_that_is_open_ends_as_rejected(self, mode: str, case: str) -> None:
        started = change("deployment__production_running", "span", "1")
        marker = folded(started, change(case, mode, "2"), self.failed(mode))
        assert marker.name == "Rejected deploy acme/shop main@279484c to production"
        assert marker.started_at == at(10, 0)
        assert marker.ended_at in {at(10, 5), at(10, 5, 0, 12)}
        assert marker.description is not None
        assert "deployed by" not in marker.description

    def test_a_failure_without_a_rejection_is_a_failed_deploy(self, mode: str) -> None:
        assert folded(self.failed(mode)).name == "Failed deploy acme/shop main@279484c to production"


def test_confidential_incidents_are_told_apart() -> None:
    made = change("issue__incident_confidential")
    assert made.event.metadata["confidential"] is True


def test_a_page_that_would_be_too_long_is_left_out() -> None:
    made = change("tag_push__created", ref="refs/tags/" + "é" * 300)
    assert "url" not in made.event.metadata


@pytest.mark.parametrize("case", ["deployment__least_of_fields", "issue__work_item_of_a_group"])
def test_a_saved_body_that_is_sent_again_is_of_the_instance_that_sent_it(case: str) -> None:
    body = body_of("gitlab", case)
    headers = SENDERS["gitlab"].headers("a-token", hook_name(case.partition("__")[0]), body, DELIVERY_ID)
    sent = GITLAB.receive({name.lower(): value for name, value in headers.items()}, body, RECEIVED_AT)
    (change,), (real,) = (
        translate(GITLAB, delivery, Options()).changes for delivery in (sent, received(case))
    )
    assert change.key == real.key
    assert change.key.split(":")[1] in {"gitlab.acme.test", "gitlab.example.test"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"project": []}', b'{"project": {"web_url": 7}}', b"\xff"]
)
def test_a_body_that_names_no_instance_is_sent_without_one(body: bytes) -> None:
    assert "X-Gitlab-Instance" not in SENDERS["gitlab"].headers("a-token", "Push Hook", body, DELIVERY_ID)


def test_a_vulnerability_of_a_renamed_project_is_still_the_same() -> None:
    detected = change("vulnerability__detected")
    url = json.loads(body_of("gitlab", "vulnerability__resolved"))["object_attributes"]["url"]
    resolved = change("vulnerability__resolved", object_attributes__url=url.replace("/shop/", "/store/"))
    assert resolved.key == detected.key
    assert detected.former_keys[0].startswith("gitlab:gitlab.example.test:vuln:https://")
