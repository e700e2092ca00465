"""What is specific to Jenkins: aborts, branches, no agent, Windows, pull requests, post, freestyle jobs."""

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from receiver.events import marker_key
from receiver.sources.native import NATIVE
from receiver.sources.source import translate
from tests.plugins.contract import NOT_CONFIGURED, RECEIVER_SECRET, TOKEN, UNREACHABLE, listed, requests_made
from tests.support.jenkins_pipeline import COMMIT, LIBRARY, BuildResult, Controller
from tests.support.local_api import LocalApi
from tests.support.stack import running_stack
from tests.support.waiting import wait_until

EXAMPLES: Final = LIBRARY / "examples"


class Jobs:
    """Builds of a job whose controller knows the account, the API and the token."""

    def __init__(self, controller: Controller, api: LocalApi) -> None:
        self._controller = controller
        self._api = api

    def build(self, script: str, environment: dict[str, str] | None = None, **more: Any) -> BuildResult:
        known = {"APITRAFFIC_ACCOUNT_SID": self._api.account_sid, "APITRAFFIC_API_URL": self._api.url}
        arguments: dict[str, Any] = {"credentials": {"apitraffic-api-token": TOKEN}} | more
        built = self._controller.build(script, environment=known | (environment or {}), **arguments)
        assert "Scripts not permitted" not in built.log, built.log
        assert TOKEN not in built.log
        assert built.left == []
        return built


@pytest.fixture
def jobs(controller: Controller, api: LocalApi) -> Jobs:
    return Jobs(controller, api)


def example(name: str) -> str:
    return (EXAMPLES / f"{name}.Jenkinsfile").read_text()


@pytest.mark.parametrize(
    ("deploy", "result", "name", "status"),
    [
        ("sh 'echo deploying'", "SUCCESS", "Deploy acme/shop main@0123456 to production", "success"),
        ("error 'broken'", "FAILURE", "Failed deploy acme/shop main@0123456 to production", "failure"),
        ("abort()", "ABORTED", "Cancelled deploy acme/shop main@0123456 to production", "cancelled"),
    ],
)
def test_the_declarative_example_reports_each_result(
    jobs: Jobs, api: LocalApi, deploy: str, result: str, name: str, status: str
) -> None:
    built = jobs.build(example("declarative").replace("sh 'echo deploying'", deploy))
    (event,) = listed(api)
    assert built.result == result, built.log
    assert (event["name"], event["metadata"]["status"]) == (name, status)
    assert event["metadata"]["marker_key"] == f"jenkins:{built.url.rstrip('/')}:production"


def test_the_scripted_example_knows_the_commit_from_its_checkout(jobs: Jobs, api: LocalApi) -> None:
    git = {
        "GIT_COMMIT": "f" * 40,
        "GIT_BRANCH": "origin/release",
        "GIT_URL": "git@git.example.test:acme/cart.git",
    }
    no_git = dict.fromkeys(git, "")
    built = jobs.build(example("scripted"), environment=no_git, scm=git, node=False)
    (event,) = listed(api)
    assert built.result == "SUCCESS", built.log
    assert event["name"] == "Deploy acme/cart release@fffffff to production"
    assert f"deploying, event {event['sid']}" in built.log


def test_parallel_branches_do_not_mix(jobs: Jobs, api: LocalApi) -> None:
    built = jobs.build(example("parallel"))
    events = {event["metadata"]["environment"]: event for event in listed(api)}
    assert built.result == "SUCCESS", built.log
    assert events.keys() == {"production-eu", "production-us"}
    for environment, event in events.items():
        assert event["metadata"]["marker_key"].endswith(f":{environment}")
        assert event["endedAt"]


def test_one_branch_that_fails_does_not_fail_the_other(jobs: Jobs, api: LocalApi) -> None:
    europe = "{ sh 'echo \"$APITRAFFIC_MARKER_KEY\"' }"
    built = jobs.build(example("parallel").replace(europe, "{ error 'broken' }", 1))
    assert built.result == "FAILURE"
    outcomes = {event["metadata"]["environment"]: event["metadata"]["status"] for event in listed(api)}
    assert outcomes == {"production-eu": "failure", "production-us": "success"}, built.log


def test_several_post_conditions_in_their_order_make_one_event(jobs: Jobs, api: LocalApi) -> None:
    conditions = ("cleanup", "success", "fixed", "changed", "always")
    post = "\n".join(
        f"{name} {{ reached '{name}'; record apitrafficEvent(type: 'custom', name: 'Migrated') }}"
        for name in conditions
    )
    stages = "stages { stage('Migrate') { steps { echo 'migrating' } } }"
    built = jobs.build(f"pipeline {{ agent any\n{stages}\npost {{ {post} }} }}", previousResult="FAILURE")
    assert built.order == ["always", "changed", "fixed", "success", "cleanup"]
    assert [step["status"] for step in built.recorded] == ["created", *["updated"] * 4], built.log
    assert len(listed(api)) == 1


def test_an_abort_stays_an_abort_if_nothing_listens(jobs: Jobs) -> None:
    nowhere = {"APITRAFFIC_API_URL": "http://127.0.0.1:9/v1"}
    built = jobs.build(
        "withApitrafficDeployment(environment: 'production', timeoutSeconds: 1) { abort() }", nowhere
    )
    assert built.result == "ABORTED"
    assert UNREACHABLE in built.log


def test_a_failed_deploy_shows_its_own_error_if_its_marker_fails_too(jobs: Jobs, api: LocalApi) -> None:
    api.set_faults(["PATCH:status=422", "PUT:status=422"])
    built = jobs.build(
        "withApitrafficDeployment(environment: 'x', onError: 'fail') { error 'the deploy broke' }"
    )
    assert built.failure == "the deploy broke"


def test_it_returns_the_result_of_its_body(jobs: Jobs) -> None:
    built = jobs.build("record([value: withApitrafficDeployment(environment: 'production') { 42 }])")
    assert built.recorded == [{"value": 42}]


@pytest.mark.parametrize("sender", ["auto", "httpRequest"])
def test_without_an_agent_the_http_request_plugin_sends(jobs: Jobs, api: LocalApi, sender: str) -> None:
    script = f"record apitrafficEvent(type: 'custom', name: 'No agent', sender: '{sender}')"
    built = jobs.build(script, node=False, httpRequest=True)
    assert built.recorded[0]["status"] == "created", built.log
    assert len(listed(api)) == 1


def test_without_an_agent_and_the_plugin_it_says_what_to_do(jobs: Jobs) -> None:
    built = jobs.build("record apitrafficEvent(type: 'custom', name: 'No agent')", node=False)
    assert built.result == "SUCCESS"
    assert built.recorded[0]["status"] == "failed"
    assert "install it, or call this inside a node" in built.log


def test_windows_agents_use_powershell(jobs: Jobs, api: LocalApi) -> None:
    built = jobs.build("withApitrafficDeployment(environment: 'production') { echo 'deploying' }", unix=False)
    (event,) = listed(api)
    assert built.result == "SUCCESS"
    assert event["endedAt"], built.log


def test_a_pull_request_makes_no_marker_unless_allowed(jobs: Jobs, api: LocalApi) -> None:
    change = {"CHANGE_ID": "12", "BRANCH_NAME": "PR-12", "CHANGE_BRANCH": "feature/cart"}
    before = requests_made(api)
    assert jobs.build("record apitrafficEvent(environment: 'x')", change).recorded[0]["status"] == "skipped"
    assert requests_made(api) == before
    jobs.build("apitrafficEvent(environment: 'review/12', allowPullRequests: true)", change)
    (event,) = listed(api)
    assert event["metadata"]["pull_request"] == "12"
    assert event["metadata"]["ref"] == "feature/cart"


@pytest.mark.parametrize("folder", ["shop", "long-" * 80])
def test_a_webhooks_event_of_the_same_build_is_found(jobs: Jobs, api: LocalApi, folder: str) -> None:
    script = """
        apitrafficEvent type: 'deployment', markerKey: inputs.key, environment: 'production'
        record apitrafficEvent(environment: 'production', metadata: [team: 'checkout'])
    """
    url = f"https://jenkins.example.test/job/{folder}/7/"
    key = marker_key(f"jenkins:{url.rstrip('/')}")
    built = jobs.build(script, {"BUILD_URL": url}, inputs={"key": key})
    (event,) = listed(api)
    assert built.recorded[0]["status"] == "updated"
    assert event["metadata"]["team"] == "checkout"
    assert built.recorded[0]["markerKey"] == event["metadata"]["marker_key"] == key


def test_an_event_with_a_key_of_its_own_is_not_taken_for_the_builds(jobs: Jobs, api: LocalApi) -> None:
    script = """
        for (key in [null, 'release-7', 'release-8']) {
            record apitrafficEvent(type: 'deployment', markerKey: key, environment: 'production')
        }
    """
    built = jobs.build(script)
    assert [step["status"] for step in built.recorded] == ["created"] * 3
    assert len(listed(api)) == 3


def test_a_very_long_build_url_is_one_that_the_receiver_recognises(jobs: Jobs, api: LocalApi) -> None:
    url = f"https://jenkins.example.test/job/{'long-' * 80}/7/"
    built = jobs.build("record apitrafficEvent(environment: 'produktion-é')", {"BUILD_URL": url})
    expected = marker_key(f"jenkins:{url.rstrip('/')}:produktion-é")
    assert marker_key(built.recorded[0]["markerKey"]) == expected


def test_a_credential_that_is_missing_or_empty_is_named(jobs: Jobs) -> None:
    for credentials in ({}, {"apitraffic-api-token": " "}):
        built = jobs.build("record apitrafficEvent(environment: 'x')", credentials=credentials)
        assert built.recorded[0]["status"] == "skipped"
        assert f"{NOT_CONFIGURED}" in built.log
        assert "'apitraffic-api-token'" in built.log


def test_the_token_is_in_no_argument_and_no_file(jobs: Jobs, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    real = shutil.which("curl")
    fake = tmp_path / "curl"
    fake.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >>{seen}\ncat "$APITRAFFIC_FILE"* >>{seen} 2>&1\nexec {real} "$@"\n'
    )
    fake.chmod(0o755)
    jobs.build("apitrafficEvent(environment: 'x')", {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert "--data-binary" in seen.read_text()
    assert TOKEN not in seen.read_text()


def test_on_an_agent_without_curl_it_says_so_at_once(jobs: Jobs, tmp_path: Path) -> None:
    for tool in ("sh", "rm", "head", "cat", "tr", "sed", "grep"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    built = jobs.build("apitrafficEvent(environment: 'x')", {"PATH": str(tmp_path)})
    assert built.result == "SUCCESS"
    assert "curl is not on this agent" in built.log


@pytest.mark.parametrize(
    "rejected",
    [
        "groovy.json.JsonOutput.toJson([1, 2])",
        "new groovy.json.JsonSlurperClassic()",
        "'x'.bytes.encodeBase64()",
        "new URL('http://127.0.0.1').openConnection()",
        "'id'.execute()",
        "System.getenv('HOME')",
        "System.nanoTime()",
        "new File('/tmp')",
        "java.security.MessageDigest.getInstance('SHA-256')",
        "javax.crypto.Mac.getInstance('HmacSHA256')",
        "UUID.nameUUIDFromBytes('x'.getBytes('UTF-8'))",
        "java.time.Instant.now()",
        "java.time.Instant.ofEpochMilli(0)",
        "java.time.Duration.ofSeconds(1)",
        "java.time.ZonedDateTime.now()",
        "new Date().toInstant()",
        "Integer.toHexString(1)",
        "Integer.valueOf(1)",
        "Long.parseLong('1')",
        "2.5d.round(1)",
        "Optional.of(1)",
        "'x'.isBlank()",
        "'x'.strip()",
        "'x'.repeat(2)",
        "'x'.chars()",
        "[1].stream()",
        "[1].max()",
        "[1].withIndex()",
        "new Exception('x').getStackTrace()",
        "new Exception('x').addSuppressed(null)",
        "env.getEnvironment()",
        "currentBuild.rawBuild",
        "throw new IllegalStateException('x')",
        "throw new IllegalArgumentException('x')",
        "throw new RuntimeException('x')",
    ],
)
def test_the_sandbox_rejects_what_jenkins_rejects(controller: Controller, rejected: str) -> None:
    built = controller.build(rejected, isSandboxed=True)
    assert built.result == "FAILURE"
    assert "Scripts not permitted to use" in (built.failure or "")


@pytest.mark.parametrize(
    ("permitted", "expected"),
    [
        ("groovy.json.JsonOutput.toJson([l: [1]])", '{"l":[1]}'),
        ("new groovy.json.JsonSlurper().parseText('7')", 7),
        ("Base64.getEncoder().encodeToString('x'.getBytes('UTF-8'))", "eA=="),
        ("String.format('%08x-%s', 'Aa'.hashCode(), 'x')", "00000840-x"),
        ("new Date(0L).format('yyyy', TimeZone.getTimeZone('UTC'))", "1970"),
        ("java.time.Instant.parse('1970-01-01T00:00:01Z').getEpochSecond()", 1),
        ("new Exception('x').getMessage()", "x"),
        ("currentBuild.getBuildCauses()[0].userId", "alice"),
    ],
)
def test_the_sandbox_permits_what_the_library_needs(
    controller: Controller, permitted: str, expected: object
) -> None:
    built = controller.build(f"record([value: {permitted}])", isSandboxed=True)
    assert built.recorded == [{"value": expected}], built.log


def test_the_sources_are_ascii() -> None:
    for path in LIBRARY.rglob("*.groovy"):
        assert path.read_text("utf-8").isascii(), path


def test_the_freestyle_shell_recipe_reports_by_way_of_the_receiver(tmp_path: Path) -> None:
    names = {"": "Deploy ", "FAILURE": "Failed deploy ", "ABORTED": "Cancelled deploy "}
    with running_stack(tmp_path) as stack:
        stack.environment["EVENTS_WEBHOOK_SECRET"] = RECEIVER_SECRET
        stack.receiver.start()
        stack.worker.start()
        for result in names:
            ran = freestyle(tmp_path, stack.url, result)
            assert RECEIVER_SECRET not in ran
            assert not (tmp_path / ".apitraffic.json").exists()
        wait_until(lambda: len(stack.events()) == len(names), "listed")
        events = {event["metadata"]["marker_key"]: event for event in stack.events()}
    for result, name in names.items():
        url = f'https://jenkins.example.test/job/deploy "shop"{result}/7'
        assert events[f"jenkins:{url}:production"]["name"] == f'{name}deploy "shop" #7 to production'


def test_the_freestyle_http_request_is_an_event() -> None:
    (body,) = re.findall(r"```json\n(.*?)```", (LIBRARY / "README.md").read_text(), re.DOTALL)
    url = "https://jenkins.example.test/job/deploy/7/"
    values = {"BUILD_URL": url, "JOB_NAME": "deploy", "BUILD_NUMBER": "7"}
    expanded = re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], body)
    delivery = NATIVE.receive({}, expanded.encode(), datetime(2026, 1, 10, tzinfo=UTC))
    (change,) = translate(NATIVE, delivery, NATIVE.options()).changes
    assert change.event.name == "Deploy deploy #7"
    assert change.key == f"jenkins:{url}"


def freestyle(workspace: Path, receiver_url: str, result: str) -> str:
    """Runs the script as the build step does, with -xe. Gives the log of the build."""
    environment = {
        "PATH": os.environ["PATH"],
        "WORKSPACE": str(workspace),
        "APITRAFFIC_RECEIVER_URL": receiver_url,
        "APITRAFFIC_SECRET": RECEIVER_SECRET,
        "JOB_NAME": 'deploy "shop"',
        "BUILD_NUMBER": "7",
        "BUILD_URL": f'https://jenkins.example.test/job/deploy "shop"{result}/7/',
    } | ({"BUILD_RESULT": result, "GIT_COMMIT": COMMIT} if result else {})
    command = ["sh", "-xe", str(EXAMPLES / "freestyle.sh")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout + ran.stderr
