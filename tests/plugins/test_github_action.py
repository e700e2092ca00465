"""The GitHub Actions in real workflows, run by act on this machine without containers."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.plugins.contract import TOKEN, PluginContract, listed
from tests.support.act import ACT, NODE_24, NODES, PATH, TOOLS, GitHubAction, need
from tests.support.local_api import LocalApi, running_local_api
from tests.support.programs import REPOSITORY

WORKFLOWS: Final = (".github/workflows/ci.yml", ".github/workflows/release.yml")
ACTIONS: Final = ("actions/event/action.yml", "actions/deployment/action.yml")


@pytest.fixture
def plugin(tmp_path: Path) -> GitHubAction:
    need(ACT, "node", "git")
    return GitHubAction(tmp_path)


class TestGitHubAction(PluginContract):
    @pytest.fixture
    def plugin(self, plugin: GitHubAction) -> GitHubAction:
        return plugin

    def test_a_deployment_left_open_is_closed_by_another_job(
        self, plugin: GitHubAction, api: LocalApi, direct: dict[str, str]
    ) -> None:
        opened = plugin.deployment(direct | {"environment": "production", "close": "false"})
        assert listed(api)[0]["endedAt"] is None
        closed = plugin.deployment(direct | {"event-sid": opened.outputs["event-sid"]}, "failure")
        (event,) = listed(api)
        assert not closed.is_success
        assert event["endedAt"] is not None
        assert event["metadata"]["status"] == "failure"
        assert event["metadata"]["environment"] == "production"

    def test_a_deployment_cancelled_while_it_opens_is_closed(
        self, plugin: GitHubAction, api: LocalApi, direct: dict[str, str]
    ) -> None:
        api.set_faults(["POST:hang=2x1"])
        step = plugin.step("deployment", direct)
        run = plugin.run(step, "cancelled", is_time_to_cancel=lambda: bool(listed(api)))
        (event,) = listed(api)
        assert event["metadata"]["status"] == "cancelled", run.log
        assert event["endedAt"] is not None

    def test_the_webhooks_event_of_the_same_run_is_updated(
        self, plugin: GitHubAction, api: LocalApi, direct: dict[str, str]
    ) -> None:
        facts = {"repository": "acme/shop", "run_id": "1", "run_attempt": "1", "environment": "production"}
        body = {"type": "deployment", "name": "By the webhook", "metadata": facts | {"deployment_id": "7"}}
        api.call("POST", "/events", json=body)
        run = plugin.deployment(direct | {"environment": "production"})
        (event,) = listed(api)
        assert run.outputs["status"] == "updated", run.log
        assert event["metadata"]["deployment_id"] == "7"
        assert event["metadata"]["status"] == "success"


@pytest.mark.parametrize("action", ["event", "deployment"])
def test_an_action_runs_from_a_release_of_this_repository(tmp_path: Path, api: LocalApi, action: str) -> None:
    """`uses: owner/repository/actions/event@v1`: a runner checks out all of the repository."""
    need(ACT, "node", "git")
    release = tmp_path / "release"
    shutil.copytree(REPOSITORY / "actions", release / "actions")
    product = "acme/apitraffic-events"
    used = GitHubAction(
        tmp_path,
        uses=f"{product}/actions/{{}}@v1",
        copied={},
        options=("--local-repository", f"{product}@v1={release}"),
    )
    run = used.run(used.step(action, direct_to(api)), "success")
    (event,) = listed(api)
    assert run.is_success, run.log
    assert event["metadata"]["status"] == "success"


@pytest.mark.parametrize("action", ["event", "deployment"])
def test_an_action_that_is_copied_runs_with_lib_beside_it(tmp_path: Path, api: LocalApi, action: str) -> None:
    """As actions/README.md says: two folders, and nothing else of this repository."""
    need(ACT, "node", "git")
    folders = (action, "lib")
    copied = {f"actions/{folder}": f".github/actions/apitraffic/{folder}" for folder in folders}
    used = GitHubAction(tmp_path, uses="./.github/actions/apitraffic/{}", copied=copied)
    run = used.run(used.step(action, direct_to(api)), "success")
    (event,) = listed(api)
    assert run.is_success, run.log
    assert event["metadata"]["status"] == "success"


def direct_to(api: LocalApi) -> dict[str, str]:
    """Inputs that send a deployment straight to the API."""
    reached = {"api-url": api.url, "api-token": TOKEN, "account-sid": api.account_sid}
    return reached | {"environment": "production"}


def alone(folder: Path, path: str = PATH, **inputs: str) -> list[str]:
    """The output of the event action without a runner, which would mask and interpret it."""
    need("node")
    named = {f"INPUT_{name.upper().replace('_', '-')}": value for name, value in inputs.items()}
    printed = subprocess.run(
        [shutil.which("node", path=path) or "node", str(REPOSITORY / "actions/event/main.mjs")],
        env={"PATH": path, "GITHUB_STEP_SUMMARY": str(folder / "summary.md"), **named},
        capture_output=True,
        text=True,
        check=True,
    )
    return (printed.stdout + printed.stderr).splitlines()


def test_the_token_is_only_in_the_line_that_masks_it(tmp_path: Path) -> None:
    api = {"api_token": TOKEN, "api_url": "http://127.0.0.1:9", "account_sid": "acc_1"}
    lines = alone(tmp_path, timeout_seconds="0.2", **api)
    assert [line for line in lines if TOKEN in line] == [f"::add-mask::{TOKEN}"]
    assert TOKEN not in (tmp_path / "summary.md").read_text()


def test_the_runner_obeys_no_commands_but_those_of_the_action(tmp_path: Path) -> None:
    hostile = "::error::pwned ##[add-mask]x"
    lines = alone(tmp_path, dry_run="true", name=hostile, description=f"a\n{hostile}", metadata=hostile)
    commands = [line.strip() for line in lines if line.strip().startswith("::")]
    assert {line.split("::")[1].split()[0] for line in commands} == {"group", "endgroup", "warning"}
    assert not any("##[" in line for line in lines)


@pytest.mark.parametrize("path", NODES.values(), ids=NODES)
def test_the_unit_tests_pass_on_each_node(path: str) -> None:
    need("node", NODE_24 / "node")
    tests = sorted(str(path) for path in (REPOSITORY / "actions/tests").glob("*.test.mjs"))
    node = shutil.which("node", path=path) or "node"
    done = subprocess.run([node, "--test", *tests], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_runs_on_node_24_too(tmp_path: Path) -> None:
    need(NODE_24 / "node")
    with running_local_api(tmp_path, token=TOKEN) as api:
        reached = {"api_url": api.url, "api_token": TOKEN, "account_sid": api.account_sid}
        lines = alone(tmp_path, NODES["node 24"], environment="production", **reached)
        (event,) = listed(api)
    assert event["name"] == "Deploy to production", lines


def test_workflows_and_actions_match_the_schemas_of_github() -> None:
    checker = TOOLS / "check-jsonschema"
    need(checker)
    bot = [".github/dependabot.yml"]
    checked = {"github-workflows": WORKFLOWS, "github-actions": ACTIONS, "dependabot": bot}
    for schema, files in checked.items():
        command = [str(checker), "--builtin-schema", f"vendor.{schema}", *files]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", ACTIONS)
def test_the_descriptions_are_short_enough_for_the_marketplace(path: str) -> None:
    action = yaml.safe_load((REPOSITORY / path).read_text())
    named = [*action["inputs"].values(), *action["outputs"].values(), action]
    assert all(0 < len(each["description"]) < 125 for each in named)
    assert action["branding"].keys() == {"icon", "color"}


@pytest.mark.parametrize("name", ["event", "deployment"])
def test_the_readme_has_every_input_and_output_as_action_yml_says(name: str) -> None:
    action = yaml.safe_load((REPOSITORY / f"actions/{name}/action.yml").read_text())
    rows = (REPOSITORY / f"actions/{name}/README.md").read_text().splitlines()
    described = []
    for each, its in action["inputs"].items():
        default = f"`{its['default']}`" if its["default"] else ""
        described.append(f"| `{each}` | {default} | {its['description']} |")
    for each, its in action["outputs"].items():
        described.append(f"| `{each}` | {its['description']} |")
    assert [row for row in described if row not in rows] == []
