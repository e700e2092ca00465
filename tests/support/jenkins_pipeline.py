"""A small Jenkins: one JVM that runs many pipelines with our shared library (tests/plugins/jenkins).

Its steps really run, and the library runs in a sandbox with Jenkins' own whitelist.
"""

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

REPOSITORY: Final = Path(__file__).parents[2]
LIBRARY: Final = REPOSITORY / "jenkins"
HARNESS: Final = REPOSITORY / "tests" / "plugins" / "jenkins"
JARS: Final = Path("/usr/share/java")
COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
BUILDS: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class BuildResult:
    """`recorded` is what `record step()` was given, `left` what lies in the agent's temporary folder.

    `calls` is how many calls of the library the sandbox checked.
    """

    result: str
    failure: str | None
    log: str
    recorded: list[dict[str, Any]]
    order: list[str]
    left: list[str]
    findings: list[str] = field(default_factory=list)
    calls: int = 0
    url: str = ""


class Controller:
    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder

    def build(
        self,
        script: str,
        inputs: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
        commit_message: str = "Faster checkout",
        **more: Any,
    ) -> BuildResult:
        """Run a pipeline as the next build of shop/deploy-checkout. `more` goes to Build.groovy as it is."""
        number = next(BUILDS)
        url = f"https://jenkins.example.test/job/shop/job/deploy-checkout/{number}/"
        request = {
            "script": script,
            "inputs": inputs or {},
            "env": {
                "PATH": os.environ["PATH"],
                "JOB_NAME": "shop/deploy-checkout",
                "BUILD_NUMBER": str(number),
                "BUILD_URL": url,
                "RUN_DISPLAY_URL": f"{url}display/redirect",
                "NODE_NAME": "agent-1",
                "GIT_COMMIT": COMMIT,
                "GIT_BRANCH": "origin/main",
                "GIT_URL": "https://git.example.test/acme/shop.git",
            }
            | (environment or {}),
            "credentials": {},
            "causes": [{"_class": "hudson.model.Cause$UserIdCause", "userId": "alice", "userName": "alice"}],
            "changes": [{"commitId": COMMIT, "msg": commit_message}],
            "scm": {},
            "workspace": str(self._folder / str(number)),
            "node": True,
            "unix": True,
            "httpRequest": False,
        } | more
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the harness ended: {(self._folder / 'harness.log').read_text()}"
        return BuildResult(**json.loads(answer), url=url)


@contextmanager
def running_controller(folder: Path) -> Iterator[Controller]:
    """Skips the test without Java or Groovy 2.4, or fails it if REQUIRE_TOOLS is 1."""
    jar = next(iter(sorted(JARS.glob("groovy-all-2.4*.jar"))), None)
    if jar is None or shutil.which("java") is None:
        reason = "Groovy 2.4 and Java are needed (apt-get install groovy)"
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    # It lives for a minute or two and has little to do: a second compiler and parallel collectors cost more.
    quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    command = ["java", *quick, "-cp", f"{jar}:{HARNESS}", "groovy.ui.GroovyMain"]
    with (folder / "harness.log").open("w") as log:
        process = subprocess.Popen(
            [*command, str(HARNESS / "Harness.groovy"), str(LIBRARY), str(HARNESS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first == "ready\n", (folder / "harness.log").read_text()
            yield Controller(process, folder)
        finally:
            process.kill()
