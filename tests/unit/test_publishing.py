"""What is published: one account in all places, one version, and actions that the Marketplace takes."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.unit.test_container_files import tool
from tests.unit.test_deployment_files import tracked

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
REPOSITORY: Final = PROJECT["urls"]["Repository"]
OWNER: Final = REPOSITORY.removeprefix("https://github.com/").partition("/")[0]
PUBLISHED: Final = [
    name
    for name in tracked()
    if not name.startswith(("tests/", "benchmarks/", "findings/"))
    and Path(name).suffix in {".md", ".toml", ".yaml", ".yml"}
]
LONGEST_DESCRIPTION: Final = 125
"""Of an action, in characters: what the Marketplace shows."""


def test_all_places_name_one_account() -> None:
    text = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in PUBLISHED)
    uses = re.findall(r"uses: ([^/\s]+)/apitraffic-", text)
    assert uses
    assert set(uses) == {OWNER}
    assert set(re.findall(r"github\.com/([^/\s\"]+)/apitraffic-", text)) == {OWNER}
    assert set(re.findall(r"ghcr\.io/([^/\s\"]+)/apitraffic-", text)) == {OWNER.lower()}
    assert "<owner>" not in text


def test_another_account_is_one_command(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for name in tracked():
        if name in PUBLISHED or name == "Makefile":
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    for command in (["git", "init", "-q"], ["git", "add", "-A"], ["make", "owner", "OWNER=acme"]):
        subprocess.run(command, cwd=clone, check=True, capture_output=True)
    assert f"{OWNER}/apitraffic-" not in "".join((clone / name).read_text() for name in PUBLISHED)
    assert (
        'Repository = "https://github.com/acme/apitraffic-events"' in (clone / "pyproject.toml").read_text()
    )
    assert list(clone.rglob("*.orig")) == []


def test_chart_manifests_and_image_have_the_version_of_the_package() -> None:
    chart = yaml.safe_load((ROOT / "deploy/helm/apitraffic-events/Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == PROJECT["version"] == version("apitraffic-events")
    manifests = (ROOT / "deploy/kubernetes/kustomization.yaml").read_text(encoding="utf-8")
    assert [image["newTag"] for image in yaml.safe_load(manifests)["images"]] == [PROJECT["version"]]
    assert f"\nARG VERSION={PROJECT['version']}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mirrors")
    subprocess.run([sys.executable, ROOT / "actions" / "mirror.py", folder], check=True)
    return folder


@pytest.mark.parametrize("name", ["event", "deployment"])
def test_the_marketplace_takes_the_mirror_of_an_action(name: str, mirrors: Path) -> None:
    home = mirrors / f"apitraffic-{name}-action"
    action = yaml.safe_load((home / "action.yml").read_text(encoding="utf-8"))
    assert len(action["description"]) <= LONGEST_DESCRIPTION
    assert set(action["branding"]) == {"icon", "color"}
    for step in {"main", "pre", "post"} & set(action["runs"]):
        assert (home / action["runs"][step]).is_file()
    assert (home / "LICENSE").is_file()
    assert not (home / ".github").exists()
    readme = (home / "README.md").read_text(encoding="utf-8")
    assert f"uses: {OWNER}/apitraffic-{name}-action@" in readme
    for path in re.findall(rf"\]\({re.escape(REPOSITORY)}/blob/main/([^)#]+)", readme):
        assert (ROOT / path).exists(), path
    assert not re.search(r"\]\((?!https?:|#)", readme)


def test_the_mirror_of_an_action_runs(mirrors: Path, tmp_path: Path) -> None:
    inputs = {
        "TYPE": "custom",
        "NAME": "A mirror",
        "DRY-RUN": "true",
        "ON-ERROR": "fail",
        "TIMEOUT-SECONDS": "5",
    }
    environment = {f"INPUT_{name}": value for name, value in inputs.items()}
    for name in ("GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"):
        (tmp_path / name).touch()
        environment[name] = str(tmp_path / name)
    program = mirrors / "apitraffic-event-action" / "event" / "main.mjs"
    ran = subprocess.run(
        [tool("node"), program],
        env={"PATH": os.environ["PATH"], "RUNNER_TEMP": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "A mirror" in (tmp_path / "GITHUB_OUTPUT").read_text()
