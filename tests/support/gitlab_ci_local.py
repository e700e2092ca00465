"""GitLab jobs run for real by gitlab-ci-local (npm), with its shell executor, in scratch repositories.

Node 24 runs it: on Node 20, version 4.74 and later stop with an error at once.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.plugins.contract import Run
from tests.support.act import NODE_24

TEMPLATES: Final = Path(__file__).parents[2] / "gitlab" / "templates"
SECRETS: Final = {
    "api-token": "APITRAFFIC_API_TOKEN",
    "receiver-secret": "APITRAFFIC_RECEIVER_SECRET",
}
LONG_TEXTS: Final = ("name", "description", "metadata")
OUTCOMES: Final = {"success": "true", "failure": "exit 3", "cancelled": "exit 3"}


def required(tool: str) -> str:
    """The path of a tool. Skips the test if the tool is missing, or fails it if REQUIRE_TOOLS is 1."""
    path = shutil.which(tool)
    if path is None:
        reason = f"{tool} is not installed; .ci/run installs it"
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def doubled(text: str) -> str:
    """gitlab-ci-local expands the variables of a project; GitLab lets users switch that off for each."""
    return text.replace("$", "$$")


class GitLabProject:
    """A repository with the templates in it. `inputs` are named as in tests/plugins/contract.py."""

    source = "gitlab_ci"

    def __init__(self, folder: Path, path: str | None = None, pipeline: str = "") -> None:
        """`pipeline` is committed with the templates, for `run_own_pipeline`."""
        self._program = required("gitlab-ci-local")
        self._node = required(str(NODE_24 / "node"))
        self.home = folder
        self.folder = folder / "shop"
        self._path = path or os.environ["PATH"]
        (self.folder / "templates").mkdir(parents=True)
        for template in TEMPLATES.glob("*.yml"):
            shutil.copy(template, self.folder / "templates")
        (self.folder / ".gitignore").write_text(".gitlab-ci-local\n")
        (self.folder / ".gitlab-ci.yml").write_text(pipeline)
        self._git("init", "-q", "-b", "main")
        self._git("remote", "add", "origin", "git@gitlab.example.com:acme/shop.git")
        self._git("add", ".")
        self._git("commit", "-q", "-m", "Begin")

    def move_to(self, url: str) -> None:
        """Moves the project to another GitLab server."""
        self._git("remote", "set-url", "origin", url)

    def event(self, inputs: Mapping[str, str], commit_message: str = "Faster checkout") -> Run:
        given, variables = self.split(inputs)
        return self.run({"include": self.include("event", given)}, variables, commit_message)

    def deployment(
        self, inputs: Mapping[str, str], outcome: str = "success", commit_message: str = "Faster checkout"
    ) -> Run:
        given, variables = self.split(inputs)
        environment = given.pop("environment", None)
        job: dict[str, Any] = {"extends": ".apitraffic-deployment", "script": [OUTCOMES[outcome]]}
        if environment:
            job["environment"] = {"name": environment}
        if outcome == "cancelled":
            # gitlab-ci-local cannot cancel a job; this is what the runner sets in that case.
            job["after_script"] = [
                "export CI_JOB_STATUS=canceled",
                "!reference [.apitraffic-deployment, after_script]",
            ]
        return self.run(
            {"include": self.include("deployment", given), "deploy": job}, variables, commit_message
        )

    def include(self, template: str, inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [{"local": f"templates/{template}.yml", "inputs": dict(inputs)}]

    def run(
        self,
        pipeline: Mapping[str, Any],
        variables: Mapping[str, str],
        commit_message: str = "Faster checkout",
        *arguments: str,
    ) -> Run:
        self._write(pipeline, dict(variables) | {"CI_COMMIT_TITLE": commit_message.partition("\n")[0]})
        return self._run(*arguments)

    def run_text(self, text: str, pipeline: Mapping[str, Any], variables: Mapping[str, str]) -> Run:
        """The pipeline followed by YAML as it is written, for instance in documentation."""
        self._write(pipeline, variables)
        with (self.folder / ".gitlab-ci.yml").open("a") as file:
            file.write(text.replace("./deploy.sh", "echo deployed"))
        return self._run()

    def run_own_pipeline(self) -> Run:
        return self._run()

    def _run(self, *arguments: str) -> Run:
        results = self.folder / "apitraffic.env"
        results.unlink(missing_ok=True)
        finished = self._local(*arguments)
        lines = results.read_text().splitlines() if results.exists() else []
        written = dict(line.partition("=")[::2] for line in lines)
        return Run(
            is_success=finished.returncode == 0,
            log=finished.stdout + finished.stderr,
            outputs={
                name.removeprefix("APITRAFFIC_").lower().replace("_", "-"): value
                for name, value in written.items()
            },
        )

    def preview(self, pipeline: Mapping[str, Any]) -> str:
        """The YAML with everything that is included."""
        self._write(pipeline, {})
        finished = self._local("--preview")
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.partition("---\n")[2]

    def _write(self, pipeline: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        text = yaml.safe_dump(dict(pipeline), sort_keys=False, allow_unicode=True)
        text = re.sub(r"'(!reference \[.*\])'", r"\1", text)
        (self.folder / ".gitlab-ci.yml").write_text(text)
        settings = {name: doubled(value) for name, value in variables.items()}
        (self.folder / ".gitlab-ci-local-variables.yml").write_text(yaml.safe_dump(settings))

    def split(self, inputs: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
        """What a user sets as inputs, and what as variables of the project."""
        given: dict[str, Any] = {}
        variables = {variable: inputs[name] for name, variable in SECRETS.items() if name in inputs}
        for name, value in inputs.items():
            if name in SECRETS:
                continue
            if name in LONG_TEXTS:
                variable = f"EVENT_{name.upper()}"
                variables[variable], given[name] = value, f"${variable}"
            elif name == "timeout-seconds":
                given[name] = int(value)
            elif name == "dry-run":
                given[name] = value == "true"
            else:
                given[name] = value
        return given, variables

    def _local(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._node, self._program, *arguments, "--force-shell-executor", "--no-json-schema-validation"],
            cwd=self.folder,
            env={
                "PATH": self._path,
                "HOME": str(self.home),
                "TMPDIR": os.environ.get("TMPDIR", "/tmp"),  # noqa: S108 - the fallback is the system's
                # Its megabytes of JavaScript are compiled once, and not at each of some eighty starts.
                "NODE_COMPILE_CACHE": str(Path(self._program).resolve().parents[2] / ".cache/node"),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=alice", "-c", "user.email=alice@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=self.folder, check=True)
