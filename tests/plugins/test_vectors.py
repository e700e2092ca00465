"""tests/vectors/*.json in Python, in GitLab's shell script and in Groovy.

In JavaScript it is actions/tests/vectors.test.mjs that runs them.
"""

import json
import random
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import ServerFailed
from apitraffic_events.event import Event, EventType
from apitraffic_events.records import EventPage, StoredEvent
from apitraffic_events.responses import failure_of, rate_limit_of, read_records
from apitraffic_events.retrying import Retrier
from apitraffic_events.text import one_line, paragraphs
from receiver.cli.events.fields import Fields
from receiver.config.ci.detection import detect
from receiver.config.ci.github import github_job_instance
from receiver.config.ci.job import CiJob
from receiver.events import marker_key
from receiver.insight.direct import is_of_a_history, previous_among, with_previous
from receiver.wording import describe_version, duration
from tests.support.gitlab_ci_local import required
from tests.support.gitlab_script import SCRIPT, GitLabScript
from tests.support.jenkins_pipeline import HARNESS, Controller
from tests.support.vectors import LANGUAGES, VECTORS, Vector, all_vectors, exemptions, vectors_for

Given = Mapping[str, Any]


class TestPython:
    @pytest.mark.parametrize("vector", vectors_for("python"), ids=str)
    def test_a_vector(self, vector: Vector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(random, "uniform", lambda _shortest, longest: longest)
        if "now" in vector.given:
            moment = datetime.fromtimestamp(vector.given["now"], tz=UTC)
            for module in ("responses", "retrying"):
                monkeypatch.setattr(f"apitraffic_events.{module}.now", lambda: moment)
        vector.check(PYTHON[vector.function](vector.given))


def _version(given: Given) -> str:
    return _job(given["tag"], given["branch"], given["commit"]).version()


def _job(tag: str = "", branch: str = "", commit: str = "", repository: str = "acme/shop") -> CiJob:
    job = detect(
        {
            "GITLAB_CI": "true",
            "CI_PROJECT_PATH": repository,
            "CI_COMMIT_TAG": tag,
            "CI_COMMIT_REF_NAME": tag or branch,
            "CI_COMMIT_SHA": commit,
        }
    )
    assert job is not None
    return job


def _deployment_name(given: Given) -> str:
    fields = Fields(
        type="deployment",
        name=None,
        description=None,
        source=None,
        metadata={},
        buckets=(),
        environments=(),
        started_at=None,
        ended_at=None,
        to=given["environment"],
        version=given["version"],
        status=given["status"],
        marker_key=None,
    )
    return fields.wanted(_job(repository=given["repository"])).event.name


def _job_key(given: Given) -> str:
    job = detect(given["variables"])
    assert job is not None
    key, _ = job.marker_key(EventType(given["type"]), given["environment"])
    return key


def _pauses(error: Exception, failures: int) -> list[float]:
    """How long a call pauses that fails so often and then succeeds."""
    slept: list[float] = []
    left = [error] * failures

    def ask() -> None:
        if left:
            raise left.pop()

    client = EventsClient(account_sid="acc_1", token="t", api_url="http://127.0.0.1:9/v1")
    with client:
        Retrier(client, seconds=10**9, clock=lambda: 0.0, sleep=slept.append).call(ask)
    return slept


def _previous(given: Given) -> dict[str, object]:
    """What a plugin says of the deploy before: its name, its line, and its metadata."""
    own = Event.model_validate(given["own"])
    page = EventPage(
        records=read_records(StoredEvent, list(given["listed"].values())), has_more=given["has_more"]
    )
    previous = previous_among(own, page) if is_of_a_history(own) else None
    told = with_previous(own, previous, keeps_name=given["is_named"])
    added = {name: fact for name, fact in told.metadata.items() if name not in own.metadata}
    return {"name": told.name, "line": told.description or "", **added}


def _longest_pause(given: Given) -> float:
    return _pauses(ServerFailed("down", status=503), given["failures"])[-1]


def _asked_pause(given: Given) -> float | None:
    response = requests.Response()
    response.status_code = given["status"]
    response.headers.update(given["headers"])
    error = failure_of(response, None, rate_limit_of(response.headers))
    (asked,) = _pauses(error, 1)
    # Without being asked, the pause before the second attempt is the shortest of all.
    return None if asked == _longest_pause({"failures": 1}) else asked


PYTHON: Final[Mapping[str, Callable[[Given], object]]] = {
    "one_line": lambda given: one_line(given["text"], given["limit"]),
    "paragraphs": lambda given: paragraphs(given["text"]),
    "marker_key": lambda given: marker_key(given["text"]),
    "version": _version,
    "version_of_ref": lambda given: describe_version(given["ref"], given["commit"]),
    "deployment_name": _deployment_name,
    "duration": lambda given: duration(timedelta(seconds=given["seconds"])),
    "previous": _previous,
    "longest_pause": _longest_pause,
    "asked_pause": _asked_pause,
    "github_job_key": _job_key,
    "github_job_instance": lambda given: github_job_instance(given["variables"], given["host"]),
    "gitlab_job_key": _job_key,
    "jenkins_job_key": _job_key,
}


class TestShell:
    @pytest.fixture(params=[("dash", "mawk"), ("busybox", "busybox")], ids=" with ".join)
    def shell(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        shell, awk = request.param
        return required(shell), required(awk)

    @pytest.mark.parametrize("vector", vectors_for("shell", apart_from="previous"), ids=str)
    def test_a_vector(self, vector: Vector, shell: tuple[str, str], tmp_path: Path) -> None:
        result = SHELL[vector.function](ShellFunctions(tmp_path, *shell), vector.given)
        vector.check(result)

    def test_what_ran_before(self, shell: tuple[str, str], tmp_path: Path) -> None:
        """All vectors in one process, because the script is long to start."""
        vectors = [vector for vector in vectors_for("shell") if vector.function == "previous"]
        functions = ShellFunctions(tmp_path, *shell)
        for number, vector in enumerate(vectors):
            page = {"records": list(vector.given["listed"].values()), "hasMore": vector.given["has_more"]}
            (tmp_path / f"{number}.own").write_text(json.dumps(vector.given["own"]))
            (tmp_path / f"{number}.page").write_text(json.dumps(page))
        each = 'ran_before "$own" "${own%own}page" >"${own%own}told"'
        functions.run(f'for own in "$1"/*.own; do {each}; done', tmp_path)
        for number, vector in enumerate(vectors):
            rows = (tmp_path / f"{number}.told").read_text().splitlines()
            told = {name: json.loads(value) for name, value in (row.split("\t") for row in rows)}
            name = vector.given["own"]["name"]
            result = {
                "line": "",
                **told,
                "name": name if vector.given["is_named"] else told.get("name", name),
            }
            assert result == vector.expected, vector.name


class ShellFunctions:
    """The functions of the script, called by themselves: all that is before its last part."""

    def __init__(self, folder: Path, shell: str, awk: str) -> None:
        self._command = [shell, "sh"] if shell.endswith("busybox") else [shell]
        self.folder = folder
        (folder / "programs").mkdir()
        (folder / "programs" / "awk").symlink_to(awk)
        self._functions, _, _ = SCRIPT.read_text().partition("\ncommand=${1:-} scope=${2:-}\n")

    def run(self, call: str, *arguments: object) -> str:
        finished = subprocess.run(
            [*self._command, "-c", f"{self._functions}\n{call}", "apitraffic", *map(str, arguments)],
            env={"PATH": f"{self.folder}/programs:/usr/bin:/bin"},
            capture_output=True,
            check=True,
        )
        return finished.stdout.decode().removesuffix("\n")

    def awk(self, function: str, *arguments: object) -> str:
        """Of the library in the script; texts come by ENVIRON, as they do there."""
        names = [f"ARGUMENT_{number}" for number in range(len(arguments))]
        given = " ".join(f'{name}="${{{number}}}"' for number, name in enumerate(names, 1))
        values = ", ".join(f'ENVIRON["{name}"]' for name in names)
        program = f"\"$LIBRARY\"'BEGIN {{ print {function}({values}) }}'"
        return self.run(f"{given} awk {program} </dev/null", *arguments)


def _asked_by_shell(functions: ShellFunctions, given: Given) -> float | None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in given["headers"].items())
    head = functions.folder / "head"
    head.write_text(f"HTTP/1.1 {given['status']}\r\n{lines}\r\n")
    asked = functions.run('asked_pause "$1" "$2" "$3"', given["status"], given["now"], head)
    return float(asked) if asked else None


def _key_by_shell(functions: ShellFunctions, given: Given) -> str:
    """What a whole run of the script writes for later jobs."""
    inputs = {"type": given["type"], "name": "x", "environment": given["environment"], "dry-run": "true"}
    GitLabScript(functions.folder).run("event", inputs, **given["variables"])
    lines = (functions.folder / "apitraffic.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)["APITRAFFIC_MARKER_KEY"]


SHELL: Final[Mapping[str, Callable[[ShellFunctions, Given], object]]] = {
    "one_line": lambda shell, given: shell.awk("one_line", given["text"], given["limit"]),
    "paragraphs": lambda shell, given: shell.awk("paragraphs", given["text"]),
    "marker_key": lambda shell, given: shell.run('marker_key "$1"', given["text"]),
    "version": lambda shell, given: shell.awk("version_of", given["tag"], given["branch"], given["commit"]),
    "deployment_name": lambda shell, given: shell.awk(
        "deployment_name", given["status"], given["repository"], given["version"], given["environment"]
    ),
    "outcome": lambda shell, given: shell.awk(
        "outcome_of", given["status"], given["seconds"], given["actor"]
    ),
    "duration": lambda shell, given: shell.awk("took", given["seconds"]),
    "longest_pause": lambda shell, given: float(shell.run('longest_pause "$1"', given["failures"])),
    "asked_pause": _asked_by_shell,
    "gitlab_job_key": _key_by_shell,
}


@pytest.fixture(scope="module")
def answers(controller: Controller) -> dict[str, Any]:
    """What the Jenkins library makes of all vectors, in one build."""
    script = (HARNESS / "vectors.groovy").read_text()
    built = controller.build(script, inputs={"folder": str(VECTORS)})
    assert built.result == "SUCCESS", built.log
    recorded: dict[str, Any] = built.recorded[0]
    return recorded


class TestGroovy:
    @pytest.mark.parametrize("vector", vectors_for("groovy"), ids=str)
    def test_a_vector(self, vector: Vector, answers: dict[str, Any]) -> None:
        vector.check(answers["results"][vector.id])

    def test_what_is_listed_as_not_implemented_is_not(self, answers: dict[str, Any]) -> None:
        assert exempt("groovy") & set(answers["functions"]) == set()


def exempt(language: str) -> set[str]:
    """The functions that it does not have at all."""
    return {each.function for each in exemptions() if each.language == language and not each.vectors}


@pytest.mark.parametrize(("language", "functions"), [("python", PYTHON), ("shell", SHELL)])
def test_what_is_listed_as_not_implemented_is_not(language: str, functions: Mapping[str, object]) -> None:
    assert exempt(language) & functions.keys() == set()


def test_what_a_language_does_not_implement_has_a_reason() -> None:
    known = {(vector.function, vector.name) for vector in all_vectors()}
    for exemption in exemptions():
        assert exemption.language in LANGUAGES
        assert exemption.function in {function for function, _ in known}
        assert {(exemption.function, name) for name in exemption.vectors} <= known
        assert exemption.reason.endswith(".")


def test_names_are_unique_in_their_file() -> None:
    names = [vector.id for vector in all_vectors()]
    assert len(names) == len(set(names))
