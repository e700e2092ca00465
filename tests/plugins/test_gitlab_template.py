"""The GitLab templates, run by gitlab-ci-local: the common scenarios, and what is specific to GitLab."""

import subprocess
from pathlib import Path

import pytest

from tests.plugins.contract import PluginContract, listed
from tests.support.gitlab_ci_local import GitLabProject, required
from tests.support.local_api import LocalApi


class TestGitLabTemplate(PluginContract):
    @pytest.fixture
    def plugin(self, tmp_path: Path) -> GitLabProject:
        return GitLabProject(tmp_path)

    def test_the_events_of_a_pipeline_are_one(
        self, plugin: GitLabProject, api: LocalApi, direct: dict[str, str]
    ) -> None:
        """Jobs around the pipeline, for those who cannot change the job that deploys."""
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
