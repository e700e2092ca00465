"""The GitLab templates, included in every way that gitlab-ci-local supports; missing and wrong inputs."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.plugins.contract import TOKEN, listed
from tests.support.gitlab_ci_local import TEMPLATES, GitLabProject
from tests.support.gitlab_server import PROJECT, VERSION, serving_templates
from tests.support.local_api import LocalApi

Included = dict[str, Any]


@pytest.fixture
def project(tmp_path: Path) -> GitLabProject:
    return GitLabProject(tmp_path)


@pytest.fixture
def host(project: GitLabProject, tmp_path: Path) -> Iterator[str]:
    """A GitLab server with the project, and with another project that holds the templates."""
    templates = project.folder / "templates"
    with serving_templates(tmp_path / "gitlab", templates, project.home) as host:
        shutil.rmtree(templates)
        project.move_to(f"http://{host}/acme/shop.git")
        yield host


@pytest.fixture
def inputs(api: LocalApi) -> dict[str, Any]:
    return {"api-url": api.url, "account-sid": api.account_sid, "type": "custom", "name": "Cache cleared"}


VARIABLES = {"APITRAFFIC_API_TOKEN": TOKEN}


def remote(host: str, template: str) -> Included:
    return {"remote": f"http://{host}/{PROJECT}/-/raw/{VERSION}/templates/{template}.yml"}


def of_project(_host: str, template: str) -> Included:
    return {"project": PROJECT, "ref": VERSION, "file": f"templates/{template}.yml"}


def component(host: str, template: str) -> Included:
    return {"component": f"{host}/{PROJECT}/{template}@{VERSION}"}


def component_of_this_server(_host: str, template: str) -> Included:
    return {"component": f"$CI_SERVER_FQDN/{PROJECT}/{template}@{VERSION}"}


@pytest.mark.parametrize("include", [remote, of_project, component, component_of_this_server])
class TestFromAnotherProject:
    def test_an_event(
        self, project: GitLabProject, api: LocalApi, host: str, inputs: dict[str, Any], include: Any
    ) -> None:
        run = project.run({"include": [include(host, "event") | {"inputs": inputs}]}, VARIABLES)
        assert run.is_success, run.log
        assert [event["name"] for event in listed(api)] == ["Cache cleared"]

    def test_a_deployment(
        self, project: GitLabProject, api: LocalApi, host: str, inputs: dict[str, Any], include: Any
    ) -> None:
        given = {name: inputs[name] for name in ("api-url", "account-sid")}
        job = {"extends": ".apitraffic-deployment", "script": "true", "environment": "production"}
        pipeline = {"include": [include(host, "deployment") | {"inputs": given}], "deploy": job}
        run = project.run(pipeline, VARIABLES)
        (event,) = listed(api)
        assert run.is_success, run.log
        assert event["metadata"]["status"] == "success"


def test_a_plain_path_and_inputs_that_are_left_out(project: GitLabProject, api: LocalApi) -> None:
    """The deployment template needs no inputs. Nothing is sent, because there is no token."""
    pipeline = {
        "include": ["templates/deployment.yml"],
        "deploy": {"extends": ".apitraffic-deployment", "script": "true", "environment": "production"},
    }
    run = project.run(pipeline, {})
    assert run.is_success, run.log
    assert run.outputs["status"] == "skipped"
    assert "ApiTraffic is not configured: the variable APITRAFFIC_API_TOKEN is empty" in run.log
    assert listed(api) == []


def test_one_template_twice_in_a_pipeline(
    project: GitLabProject, api: LocalApi, inputs: dict[str, Any]
) -> None:
    again = inputs | {"job-name": "again", "name": "Cache warmed"}
    run = project.run(
        {"include": project.include("event", inputs) + project.include("event", again)}, VARIABLES
    )
    assert run.is_success, run.log
    assert sorted(event["name"] for event in listed(api)) == ["Cache cleared", "Cache warmed"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("on-error", "perhaps", "`perhaps` cannot be used because it is not in the list of allowed options"),
        ("timeout-seconds", "soon", "timeout-seconds"),
        ("dry-run", "perhaps", "dry-run"),
    ],
)
def test_a_wrong_input_is_named_before_anything_runs(
    project: GitLabProject, api: LocalApi, inputs: dict[str, Any], name: str, value: str, says: str
) -> None:
    run = project.run({"include": project.include("event", inputs | {name: value})}, VARIABLES)
    assert not run.is_success
    assert says in run.log
    assert listed(api) == []


def test_a_token_in_place_of_its_variables_name_is_refused_unseen(
    project: GitLabProject, api: LocalApi, inputs: dict[str, Any]
) -> None:
    """By the script: a `regex` of the input would have GitLab print what it refuses."""
    run = project.run({"include": project.include("event", inputs | {"token-variable": "s3cret value"})}, {})
    assert "the input token-variable is not the name of a variable" in run.log
    assert "s3cret" not in run.log
    assert listed(api) == []


def test_a_name_that_is_needed_and_left_out_is_asked_for(
    project: GitLabProject, api: LocalApi, inputs: dict[str, Any]
) -> None:
    del inputs["name"]
    run = project.run({"include": project.include("event", inputs)}, VARIABLES)
    assert "ApiTraffic: the input name is empty; say what happened" in run.log
    assert listed(api) == []


def test_the_products_image_sends_an_event_without_a_template(project: GitLabProject, api: LocalApi) -> None:
    """The job in gitlab/README.md. gitlab-ci-local sets GITLAB_CI to false, and runs here without images."""
    blocks = re.findall(r"```yaml\n(.*?)```", (TEMPLATES.parent / "README.md").read_text(), re.DOTALL)
    (job,) = (block for block in blocks if "apitraffic-events events create" in block)
    known = {"APITRAFFIC_API_URL": api.url, "APITRAFFIC_ACCOUNT_SID": api.account_sid, "GITLAB_CI": "true"}
    run = project.run(yaml.safe_load(job), VARIABLES | known)
    (event,) = listed(api)
    assert run.is_success, run.log
    assert (event["type"], event["name"]) == ("config_change", "Flags of main applied")
    assert event["source"] == "gitlab_ci"
    assert event["metadata"]["repository"] == "acme/shop"
    assert TOKEN not in run.log


def test_the_component_project_tries_its_own_components(tmp_path: Path) -> None:
    """Its pipeline includes them at its own commit, and releases only tags."""
    project = GitLabProject(tmp_path, pipeline=(TEMPLATES.parent / ".gitlab-ci.yml").read_text())
    run = project.run_own_pipeline()
    assert run.is_success, run.log
    assert run.log.count("ApiTraffic: dry run, nothing was sent.") == 3
    assert "Releasing" not in run.log
