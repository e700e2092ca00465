"""The Jenkins shared library in the scenarios of all three plugins, with steps that really run."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.plugins.contract import NOT_CONFIGURED, PluginContract, Run
from tests.support.jenkins_pipeline import BuildResult, Controller

NAMES: Final = {
    "account-sid": "accountSid",
    "api-url": "apiUrl",
    "receiver-url": "receiverUrl",
    "dry-run": "dryRun",
    "on-error": "onError",
    "timeout-seconds": "timeoutSeconds",
    "started-at": "startedAt",
    "ended-at": "endedAt",
    "event-sid": "eventSid",
    "marker-key": "markerKey",
}
CREDENTIALS: Final = {"api-token": "apitraffic-api-token", "receiver-secret": "apitraffic-receiver-secret"}
BODIES: Final = {"success": "echo 'deploying'", "failure": "error 'the deploy broke'", "cancelled": "abort()"}


def as_arguments(inputs: Mapping[str, str]) -> dict[str, Any]:
    """Turns inputs with the names of the GitHub Action into arguments of a build of the harness."""
    return {
        "inputs": {NAMES.get(name, name): value for name, value in inputs.items() if name not in CREDENTIALS},
        "credentials": {
            CREDENTIALS[name]: value for name, value in inputs.items() if name in CREDENTIALS and value
        },
    }


def as_run(build: BuildResult) -> Run:
    assert build.findings == []
    assert "Scripts not permitted" not in build.log, build.log
    assert build.left == [], "files were left on the agent"
    (last,) = build.recorded[-1:] or [{}]
    outputs = {
        name: last[key]
        for name, key in (("status", "status"), ("event-sid", "sid"), ("marker-key", "markerKey"))
        if last.get(key)
    }
    if build.failure and not last:
        # A step that fails returns nothing; the message tells which status it had.
        outputs["status"] = "skipped" if build.failure.startswith(NOT_CONFIGURED) else "failed"
    return Run(build.result == "SUCCESS", build.log, outputs)


class JenkinsLibrary:
    source = "jenkins"

    def __init__(self, controller: Controller, **more: Any) -> None:
        self._controller = controller
        self._more = more

    def event(self, inputs: Mapping[str, str], commit_message: str = "Faster checkout") -> Run:
        script = "record apitrafficEvent(inputs)"
        arguments = as_arguments(inputs) | self._more
        return as_run(self._controller.build(script, commit_message=commit_message, **arguments))

    def deployment(
        self, inputs: Mapping[str, str], outcome: str = "success", commit_message: str = "Faster checkout"
    ) -> Run:
        script = f"withApitrafficDeployment(inputs) {{ {BODIES[outcome]} }}"
        arguments = as_arguments(inputs) | self._more
        return as_run(self._controller.build(script, commit_message=commit_message, **arguments))


class TestJenkinsLibrary(PluginContract):
    @pytest.fixture
    def plugin(self, controller: Controller) -> JenkinsLibrary:
        return JenkinsLibrary(controller)
