"""The GitLab templates, run by gitlab-ci-local: what all plugins do, and what only GitLab has."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from receiver.events import one_line
from tests.plugins.contract import HOSTILE, MANY_LINES, NOT_CONFIGURED, TOKEN, PluginContract, listed
from tests.support.gitlab_ci_local import TEMPLATES, GitLabProject, required
from tests.support.local_api import LocalApi, running_local_api

SCRIPT: Final = TEMPLATES.parent / "apitraffic.sh"


class TestGitLabTemplate(PluginContract):
    @pytest.fixture
    def plugin(self, tmp_path: Path) -> GitLabProject:
        return GitLabProject(tmp_path)

    def test_the_events_of_a_pipeline_are_one(
        self, plugin: GitLabProject, api: LocalApi, direct: dict[str, str]
    ) -> None:
        """Two jobs around it, for those who cannot touch the one that deploys."""
        given, variables = plugin.split(direct | {"environment": "production"})
        names = ("opened", "succeeded", "failed")
        jobs = {f"marker-{name}": {"extends": f".apitraffic-pipeline-{name}"} for name in names}
        pipeline = {"include": plugin.include("deployment", given), "deploy": {"script": ["true"]}, **jobs}
        run = plugin.run(pipeline, variables)
        (event,) = listed(api)
        assert run.is_success, run.log
        assert event["metadata"]["status"] == "success"
        assert event["endedAt"] is not None
        assert ":pipeline:" in event["metadata"]["marker_key"]

    def test_an_included_name_that_is_not_known_is_refused_before_anything_runs(
        self, plugin: GitLabProject, direct: dict[str, str]
    ) -> None:
        run = plugin.event(direct | {"on-error": "perhaps"})
        assert not run.is_success
        assert "not in the list of allowed options" in run.log

    def test_the_yaml_is_what_gitlab_reads(
        self, plugin: GitLabProject, direct: dict[str, str], tmp_path: Path
    ) -> None:
        checker = required("check-jsonschema")
        given, _ = plugin.split(direct | {"type": "custom", "name": "x"})
        includes = plugin.include("event", given) + plugin.include("deployment", {})
        expanded = tmp_path / "expanded.yml"
        expanded.write_text(
            plugin.preview(
                {"include": includes, "deploy": {"extends": ".apitraffic-deployment", "script": "true"}}
            )
        )
        subprocess.run([checker, "--builtin-schema", "vendor.gitlab-ci", expanded], check=True)


SHELLS: Final = (("dash",), ("busybox", "sh"))


def run_script(
    folder: Path, api: LocalApi, shell: tuple[str, ...], programs: tuple[str, ...], **inputs: str
) -> subprocess.CompletedProcess[str]:
    """The script under this shell, where of all HTTP clients only these are installed."""
    path = folder / "bin"
    path.mkdir()
    for name in ("mktemp", "rm", "date", "tr", "od", "tail", "sed", "cat", "sleep", "grep", "cut", *programs):
        (path / name).symlink_to(required(name))
    for applet in ("awk", "sh") if shell[0] == "busybox" else ():
        (path / applet).symlink_to(required("busybox"))
    if shell[0] != "busybox":
        (path / "awk").symlink_to(required("awk"))
    environment = {
        "PATH": str(path),
        "CI_PROJECT_DIR": str(folder),
        "CI_COMMIT_TITLE": HOSTILE,
        "APITRAFFIC_API_TOKEN": TOKEN,
        "APITRAFFIC_ACCOUNT_SID": api.account_sid,
        "APITRAFFIC_INPUT_API_URL": api.url,
        "APITRAFFIC_INPUT_TYPE": "custom",
        "APITRAFFIC_INPUT_NAME": "$CI_COMMIT_TITLE",
        **inputs,
    }
    return subprocess.run(
        [required(shell[0]), *shell[1:], "-s", "--", "event"],
        input=SCRIPT.read_text(),
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


class TestScript:
    @pytest.fixture(scope="class")
    @classmethod
    def one_api(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
        with running_local_api(tmp_path_factory.mktemp("api"), token=TOKEN) as api:
            yield api

    @pytest.fixture
    def api(self, one_api: LocalApi) -> LocalApi:
        for event in listed(one_api):
            one_api.call("DELETE", f"/events/{event['sid']}")
        return one_api

    @pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
    def test_it_runs_in_each_shell(self, tmp_path: Path, api: LocalApi, shell: tuple[str, ...]) -> None:
        metadata = json.dumps({"note": MANY_LINES, "list": [1, {"a": None}], "number": -1.5e3})
        run = run_script(tmp_path, api, shell, ("curl",), APITRAFFIC_INPUT_METADATA="$NOTES", NOTES=metadata)
        (event,) = listed(api)
        assert event["name"] == one_line(HOSTILE, 200), run.stderr
        assert event["metadata"]["note"] == one_line(MANY_LINES, 1000)
        assert event["metadata"]["list"] == [1, {"a": None}]
        assert run.stderr == ""

    def test_a_lost_answer_is_looked_up_in_a_long_list(self, tmp_path: Path, api: LocalApi) -> None:
        for number in range(101):
            api.call(
                "POST", "/events", json={"type": "custom", "name": f"{number}", "metadata": {"t": HOSTILE}}
            )
        api.set_faults(["POST:dropx1"])
        run = run_script(tmp_path, api, ("busybox", "sh"), ("curl",))
        assert "APITRAFFIC_STATUS=created" in (tmp_path / "apitraffic.env").read_text(), run.stdout
        records = [api.call("GET", f"/events?limit=100&page={page}").json()["records"] for page in (1, 2)]
        assert sum(map(len, records)) == 102

    def test_nothing_but_curl_is_used(self, tmp_path: Path, api: LocalApi) -> None:
        run = run_script(tmp_path, api, ("dash",), ("true",))
        assert NOT_CONFIGURED in run.stdout
        assert "the image has no curl" in run.stdout
        assert run.returncode == 0

    def test_the_token_is_in_no_argument(self, tmp_path: Path, api: LocalApi) -> None:
        spy = tmp_path / "spy"
        spy.mkdir()
        (spy / "curl").write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" >>{tmp_path}/arguments\nexec {required("curl")} "$@"\n'
        )
        (spy / "curl").chmod(0o755)
        run_script(tmp_path, api, ("dash",), (), PATH=f"{spy}:{tmp_path / 'bin'}")
        assert len(listed(api)) == 1
        assert TOKEN not in (tmp_path / "arguments").read_text()

    def test_a_trace_does_not_show_the_token(self, tmp_path: Path, api: LocalApi) -> None:
        run = run_script(tmp_path, api, ("dash", "-x"), ("curl",))
        assert len(listed(api)) == 1
        assert TOKEN not in run.stdout + run.stderr

    def test_the_templates_hold_it(self) -> None:
        for template in TEMPLATES.glob("*.yml"):
            fragments = yaml.compose(template.read_text().partition("\n---\n")[2])
            assert SCRIPT.read_text() in scalars(fragments), f"{template.name}: run `make gitlab`"

    def test_shellcheck_finds_nothing(self) -> None:
        subprocess.run([required("shellcheck"), SCRIPT], check=True)


def scalars(node: yaml.Node | None) -> str:
    """All text in this YAML, in one piece."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.MappingNode):
        return "\n".join(scalars(value) for _, value in node.value)
    if isinstance(node, yaml.SequenceNode):
        return "\n".join(scalars(value) for value in node.value)
    return ""
