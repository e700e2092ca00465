"""Which version ran before a deploy, and whether the deploy went back."""

import itertools
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from apitraffic_events.event import Event, EventType
from receiver.insight.history import (
    Course,
    concerned_by,
    is_certain,
    is_same_version,
    previous_of,
    worth_remembering,
)
from receiver.insight.records import Record, record_of

START = datetime(2026, 1, 10, 10, 0, tzinfo=UTC)
C1, C2, C3, C4 = (digit * 40 for digit in "1234")


def deploy(minute: int, version: str | None = None, status: str = "success", **facts: Any) -> Record:
    """A deploy of acme/shop to production that ended in this minute."""
    at = START + timedelta(minutes=minute)
    metadata = {
        "repository": "acme/shop",
        "repository_url": "https://github.com/acme/shop",
        "environment": "production",
        "status": status,
        "release": version,
        "workflow": "deploy",
    } | facts
    event = Event(
        type=EventType.DEPLOYMENT,
        name=f"Deploy {version}",
        source="github_actions",
        metadata={name: fact for name, fact in metadata.items() if fact is not None},
        started_at=at,
    )
    record = record_of(event, facts.get("key", f"deploy:{minute}:{version}"))
    assert record is not None
    return record


V1, V2, V3 = deploy(0, "v1", commit=C1), deploy(10, "v2", commit=C2), deploy(20, "v3", commit=C3)


def test_the_first_deploy_has_no_predecessor() -> None:
    assert previous_of(V1, [V1]) is None
    assert previous_of(V1, [V1, V2, V3]) is None


def test_a_deploy_knows_what_ran_before_it() -> None:
    previous = previous_of(V2, [V1, V2])
    assert previous is not None
    assert (previous.version, previous.commit, previous.at) == ("v1", C1, V1.at)
    assert previous.compare_url == f"https://github.com/acme/shop/compare/{C1}...{C2}"
    assert previous.course is None


@pytest.mark.parametrize("order", [*itertools.permutations((V1, V2, V3))])
def test_the_order_in_which_they_are_remembered_makes_no_difference(order: tuple[Record, ...]) -> None:
    previous = previous_of(V3, order)
    assert previous is not None
    assert previous.key == V2.key


@pytest.mark.parametrize("status", ["failure", "error", "cancelled", "rejected", "in_progress", "partial"])
def test_what_never_succeeded_did_not_run(status: str) -> None:
    broken = deploy(10, "v2", status, commit=C2)
    previous = previous_of(V3, [V1, broken, V3])
    assert previous is not None
    assert previous.version == "v1"


def test_a_deploy_of_what_ran_before_the_current_version_is_a_rollback() -> None:
    back = deploy(30, "v1", commit=C1)
    previous = previous_of(back, [V1, V2, back])
    assert previous is not None
    assert (previous.course, previous.version, previous.version_now) == (Course.ROLLBACK, "v2", "v1")


def test_a_rollback_past_several_versions_is_one() -> None:
    back = deploy(30, "v1", commit=C1)
    previous = previous_of(back, [V1, V2, V3, back])
    assert previous is not None
    assert (previous.course, previous.version) == (Course.ROLLBACK, "v3")


def test_a_rollback_by_the_commit_alone_is_called_by_the_version_that_it_had() -> None:
    back = deploy(30, commit=C1, ref="main")
    previous = previous_of(back, [V1, V2, back])
    assert previous is not None
    assert (previous.course, previous.version_now) == (Course.ROLLBACK, "v1")


def shortened(*history: Record) -> list[Record]:
    """As it is remembered, if all were delivered in this order."""
    kept: list[Record] = []
    for record in history:
        kept.append(record)
        keys = worth_remembering(kept)
        kept = [each for each in kept if each.key in keys]
    return kept


@pytest.mark.parametrize("redeploys", [1, 25, 60])
def test_a_step_forward_is_no_rollback_however_often_a_version_was_deployed_again(redeploys: int) -> None:
    again = [deploy(100 + number, "v1", commit=C1) for number in range(redeploys)]
    forward, back = deploy(200, "v2", commit=C2), deploy(210, "v1", commit=C1)
    history = shortened(V1, V2, *again)
    previous = previous_of(forward, history)
    assert previous is not None
    assert (previous.course, previous.version, previous.at) == (None, "v1", again[-1].at)
    previous = previous_of(back, shortened(*history, forward))
    assert previous is not None
    assert (previous.course, previous.version) == (Course.ROLLBACK, "v2")


def test_a_version_that_ran_before_many_redeploys_is_still_gone_back_to() -> None:
    again = [deploy(100 + number, "v2", commit=C2) for number in range(30)]
    previous = previous_of(deploy(200, "v1", commit=C1), shortened(V1, V2, *again))
    assert previous is not None
    assert previous.course is Course.ROLLBACK


@pytest.mark.parametrize("jobs", [("deploy",), ("api", "web")])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_remembered_of_a_long_history_says_what_all_of_it_would(
    seed: int, jobs: tuple[str, ...]
) -> None:
    random = Random(seed)  # noqa: S311 - nothing is kept secret by it
    history = [
        deploy(
            minute,
            status=random.choice(("success", "success", "failure")),
            commit=f"{random.choice((1, 1, 1, 2, 2, 3, random.randint(1, 6))):040x}",
            job=random.choice(jobs),
            run_id=f"run {minute}",
        )
        for minute in range(90)
    ]
    kept = shortened(*history)
    assert len(kept) <= 20 + 2 * 6 * len(jobs)
    for number, own in enumerate(reversed(history)):
        previous = previous_of(own, kept)
        if is_certain(own, previous, kept):
            assert previous == previous_of(own, history)
        else:
            assert number > 0
    assert not is_certain(history[5], previous_of(history[5], kept), kept)


def test_no_more_than_twenty_versions_are_remembered() -> None:
    history = shortened(*(deploy(minute, commit=f"{minute:040x}") for minute in range(1, 60)))
    assert [record.at.minute for record in history] == [*range(40, 60)]


def test_going_forward_again_after_a_rollback_is_no_rollback() -> None:
    back, forward = deploy(30, "v1", commit=C1), deploy(40, "v2", commit=C2)
    previous = previous_of(forward, [V1, V2, back, forward])
    assert previous is not None
    assert (previous.course, previous.version) == (None, "v1")


def test_a_version_that_only_failed_before_is_no_rollback() -> None:
    failed = deploy(5, "v1.5", "failure", commit=C4)
    again = deploy(30, "v1.5", commit=C4)
    previous = previous_of(again, [V1, failed, V2, again])
    assert previous is not None
    assert (previous.course, previous.version) == (None, "v2")


def test_the_same_commit_once_more_is_a_redeploy() -> None:
    again = deploy(30, "v2", commit=C2)
    previous = previous_of(again, [V1, V2, again])
    assert previous is not None
    assert previous.course is Course.REDEPLOY
    assert previous.compare_url is None


def test_a_failed_rollback_is_one_and_does_not_run_afterwards() -> None:
    failed, forward = deploy(30, "v1", "failure", commit=C1), deploy(40, "v3", commit=C3)
    previous = previous_of(failed, [V1, V2, failed])
    assert previous is not None
    assert previous.course is Course.ROLLBACK
    after = previous_of(forward, [V1, V2, failed, forward])
    assert after is not None
    assert after.version == "v2"


@pytest.mark.parametrize(
    "other", [{"environment": "staging"}, {"repository": "acme/api"}, {"service": "checkout"}]
)
def test_another_environment_or_subject_is_another_history(other: dict[str, str]) -> None:
    assert previous_of(V2, [deploy(0, "v1", **other), V2]) is None


def test_the_case_of_an_environment_makes_no_difference() -> None:
    assert previous_of(V2, [deploy(0, "v1", environment="Production"), V2]) is not None


class TestSeveralTargets:
    """One repository may deploy several things to one environment."""

    def test_each_workflow_has_a_history_of_its_own(self) -> None:
        api, web = deploy(0, "v1", workflow="api"), deploy(5, "v2", workflow="web")
        own = deploy(10, "v3", workflow="api")
        previous = previous_of(own, [api, web, own])
        assert previous is not None
        assert previous.version == "v1"
        first = deploy(10, "v3", workflow="jobs")
        assert previous_of(first, [api, web, first]) is None

    def test_jobs_of_one_run_deploy_side_by_side(self) -> None:
        api, web = (deploy(0, commit=C1, run_id="7", job=job, key=job) for job in ("api", "web"))
        own = deploy(10, commit=C2, run_id="8", job="api")
        previous = previous_of(own, [api, web, own])
        assert previous is not None
        assert previous.key == "api"
        assert previous_of(web, [api, web]) is None

    @pytest.mark.parametrize("workflow", ["deploy", "Promote to production"])
    def test_jobs_that_deploy_only_what_has_changed_are_not_taken_for_each_other(self, workflow: str) -> None:
        api = deploy(0, commit=C1, run_id="7", job="api", workflow=workflow)
        web = deploy(10, commit=C2, run_id="8", job="web", workflow=workflow)
        own = deploy(20, commit=C1, run_id="9", job="api", workflow=workflow)
        previous = previous_of(own, [api, web, own])
        assert previous is not None
        assert (previous.key, previous.course) == (api.key, Course.REDEPLOY)
        assert previous_of(web, [api, web]) is None

    def test_two_deploys_of_one_run_without_jobs_say_nothing_of_each_other(self) -> None:
        one, two = (deploy(minute, commit=C1, run_id="7", key=f"d{minute}") for minute in (0, 1))
        assert previous_of(two, [one, two]) is None

    def test_a_second_attempt_of_the_same_job_is_a_redeploy(self) -> None:
        one, two = (deploy(minute, commit=C1, run_id="7", job="api", key=f"d{minute}") for minute in (0, 9))
        previous = previous_of(two, [one, two])
        assert previous is not None
        assert previous.course is Course.REDEPLOY

    def test_a_workflow_that_rolls_back_acts_for_the_one_that_deploys(self) -> None:
        back = deploy(30, "v1", commit=C1, workflow="Rollback production")
        previous = previous_of(back, [V1, V2, back])
        assert previous is not None
        assert (previous.course, previous.version) == (Course.ROLLBACK, "v2")
        forward = deploy(40, "v3", commit=C3)
        after = previous_of(forward, [V1, V2, back, forward])
        assert after is not None
        assert after.version == "v1"

    def test_among_several_it_acts_for_the_one_that_deployed_its_version(self) -> None:
        web = deploy(12, "w9", commit=C4, workflow="web")
        back = deploy(30, "v1", commit=C1, workflow="rollback")
        previous = previous_of(back, [V1, V2, web, back])
        assert previous is not None
        assert previous.version == "v2"
        unknown = deploy(30, "v0", workflow="rollback")
        assert previous_of(unknown, [V1, V2, web, unknown]) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"commit": C1}, {"commit": C1[:7]}, True),
        ({"commit": C1}, {"commit": C1[:6]}, False),
        ({"commit": C1, "release": "v1"}, {"commit": C2, "release": "v1"}, False),
        ({"release": "v1"}, {"commit": C1, "release": "v1"}, True),
        ({"ref": "v1.2.3"}, {"ref": "v1.2.3"}, True),
        ({"ref": "main"}, {"ref": "main"}, False),
        ({"release": "v1"}, {"release": "v2"}, False),
    ],
)
def test_versions_are_the_same_only_if_that_is_certain(
    one: dict[str, str], other: dict[str, str], same: bool
) -> None:
    left, right = deploy(0, **one), deploy(1, **other)
    assert is_same_version(left, right) is same
    assert is_same_version(right, left) is same


BACK = deploy(30, "v1", commit=C1)


@pytest.mark.parametrize(
    ("own", "others", "concerned"),
    [
        (V1, (V2, V3), [V2]),
        (V1, (V2, BACK), [V2, BACK]),
        (V2, (V1, V3, BACK), [V3]),
        (V3, (V1, V2), []),
        (V3, (V1, V2, BACK), [BACK]),
        (deploy(5, "v3", commit=C3), (V1, V2, V3, BACK), [V2, V3]),
        (V1, (deploy(5, "v2", "failure", commit=C2), V3), ["deploy:5:v2", V3]),
        (deploy(40, "w1", workflow="web"), (V1, V2), []),
        (
            deploy(40, "v1", commit=C1, workflow="web"),
            (V1, V2, deploy(30, "v1", commit=C1, workflow="rollback", key="back")),
            ["back"],
        ),
    ],
)
def test_others_are_concerned_if_they_may_have_to_say_something_else(
    own: Record, others: tuple[Record, ...], concerned: list[Record | str]
) -> None:
    keys = {each if isinstance(each, str) else each.key for each in concerned}
    assert keys <= {record.key for record in concerned_by(own, [own, *others])}


def test_a_deploy_that_arrives_in_order_concerns_no_other() -> None:
    assert list(concerned_by(V3, [V1, V2, V3])) == []
    assert list(concerned_by(deploy(40, "v2", commit=C2), [V1, V2, V3, BACK])) == []


@pytest.mark.parametrize("jobs", [("deploy",), ("api", "web"), (None,)])
@pytest.mark.parametrize("seed", range(25))
def test_nobody_says_something_else_who_is_not_concerned(seed: int, jobs: tuple[str | None, ...]) -> None:
    random = Random(seed)  # noqa: S311 - nothing is kept secret by it
    versions = [random.choice((C1, C2, C3)) for _ in range(8)]
    history = [
        deploy(
            minute,
            status=random.choice(("success", "success", "failure")),
            commit=version,
            key=f"d{minute}",
            job=random.choice(jobs),
            run_id=f"run {minute}",
        )
        for minute, version in enumerate(versions)
    ]
    own = random.choice(history)
    others = [record for record in history if record is not own]
    changed = {record.key for record in others if previous_of(record, others) != previous_of(record, history)}
    assert changed <= {record.key for record in concerned_by(own, history)}


@pytest.mark.parametrize("jobs", [(None,), ("api", "web"), (None, "api", "undo")])
@pytest.mark.parametrize(
    "workflows", [("deploy",), ("deploy", "web"), ("deploy", "web", "Promote"), ("deploy", "rollback")]
)
def test_nobody_is_missed_if_workflows_jobs_and_rollbacks_are_mixed(
    workflows: tuple[str, ...], jobs: tuple[str | None, ...]
) -> None:
    # Among the first sixty and these are some that were missed.
    for seed in (*range(60), 299, 347, 409, 1340, 1387, 1557, 2261):
        random = Random(seed)  # noqa: S311 - nothing is kept secret by it
        minutes = random.choice((1, 3, 10))
        history = [
            deploy(
                number * minutes,
                status=random.choice(("success", "success", "failure", "in_progress", "cancelled")),
                commit=random.choice((C1, C2, C3, C4)),
                key=f"d{number}",
                workflow=random.choice(workflows),
                job=random.choice(jobs),
                run_id=f"run {random.choice((number, number, number, number - 1, number // 2))}",
            )
            for number in range(random.randint(3, 12))
        ]
        own = random.choice(history)
        others = [record for record in history if record is not own]
        changed = {each.key for each in others if previous_of(each, others) != previous_of(each, history)}
        assert changed <= {record.key for record in concerned_by(own, history)}, f"seed {seed}"


def test_a_release_that_was_only_published_is_no_deploy() -> None:
    assert deploy(0, "v1", "published").history is None
    assert deploy(0, "v1", repository=None).history is None
    assert deploy(0).history is None
