"""The GitLab templates, run by gitlab-ci-local: the common scenarios, and what is specific to GitLab."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from apitraffic_events.text import one_line
from tests.plugins.contract import UNREACHABLE, PluginContract, listed
from tests.support.gitlab_ci_local import TEMPLATES, GitLabProject, required
from tests.support.gitlab_script import install
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

    def test_a_commit_message_in_the_metadata_is_one_value(
        self, plugin: GitLabProject, api: LocalApi, direct: dict[str, str]
    ) -> None:
        message = 'Say "hello"\n\nrepository: mallory/shop\n{"team": "mallory"}'
        given, variables = plugin.split(direct | {"type": "custom", "name": "Cache cleared"})
        for metadata in ("team: checkout\nchange: $NOTE", '{"team": "checkout", "change": "$NOTE"}'):
            include = plugin.include("event", given | {"metadata": metadata})
            run = plugin.run({"include": include}, variables | {"NOTE": message})
            assert run.is_success, run.log
            assert "metadata" not in run.log
        events = listed(api)
        assert len(events) == 2
        for event in events:
            assert event["metadata"]["change"] == one_line(message, 1000)
            assert (event["metadata"]["team"], event["metadata"]["repository"]) == ("checkout", "acme/shop")

    def test_a_deploy_goes_on_although_it_exports_its_shells_options_and_nothing_listens(
        self, tmp_path: Path, api: LocalApi, direct: dict[str, str]
    ) -> None:
        """Where bash is `sh`, it takes `errexit` from SHELLOPTS."""
        path = install(tmp_path / "bash-as-sh", {"sh": "bash"})
        plugin = GitLabProject(tmp_path, path=f"{path}:{os.environ['PATH']}")
        given, variables = plugin.split(direct | {"api-url": "http://127.0.0.1:9/v1", "timeout-seconds": "1"})
        job = {
            "extends": ".apitraffic-deployment",
            "environment": {"name": "production"},
            "before_script": [
                "set -euo pipefail",
                "export SHELLOPTS",
                "!reference [.apitraffic-deployment, before_script]",
            ],
            "script": ["echo it is deployed"],
        }
        run = plugin.run({"include": plugin.include("deployment", given), "deploy": job}, variables)
        assert run.is_success, run.log
        assert "it is deployed" in run.log
        assert run.log.count(UNREACHABLE) == 2

    def test_a_default_before_script_is_kept_by_naming_it(
        self, plugin: GitLabProject, api: LocalApi, direct: dict[str, str]
    ) -> None:
        """As gitlab/README.md has it; without that, the template's replaces it."""
        given, variables = plugin.split(direct)
        blocks = re.findall(r"```yaml\n(.*?)```", (TEMPLATES.parent / "README.md").read_text(), re.DOTALL)
        (block,) = (block for block in blocks if "[default, before_script]" in block)
        program = plugin.folder / "prepare.sh"
        program.write_text("#!/bin/sh\necho prepared\n")
        program.chmod(0o755)
        for kept in (True, False):
            text = (
                block if kept else re.sub(r"  before_script:\n    - !reference.*\n    - !ref.*\n", "", block)
            )
            run = plugin.run_text(text, {"include": plugin.include("deployment", given)}, variables)
            assert run.is_success, run.log
            assert ("prepared" in run.log) is kept, run.log
        assert len(listed(api)) == 2

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
