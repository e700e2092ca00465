"""`make lint` refuses an import that the architecture does not allow (CONTRIBUTING.md)."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The packages and their contracts, to be spoiled."""
    for package in ("apitraffic_events", "receiver"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    lint = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [lint, "pyproject.toml", "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_code_as_it_is_keeps_all_contracts(checkout: Path) -> None:
    checked = lint_imports(checkout)
    assert checked.returncode == 0, checked.stdout
    assert " 0 broken." in checked.stdout


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("receiver.web.app", "rq"),
        ("receiver.reception.delivery_store", "gunicorn"),
        ("receiver.monitoring.status", "flask"),
        ("receiver.cli.up", "opentelemetry"),
        ("receiver.doctor.api", "mcp"),
        ("receiver.routing", "redis"),
        ("receiver.queue.queues", "receiver.worker.jobs"),
        ("receiver.sources.jenkins.builds", "receiver.sources.github.payload"),
        ("apitraffic_events.client", "receiver.events"),
    ],
)
def test_an_import_against_the_rules_is_refused(checkout: Path, module: str, imported: str) -> None:
    path = checkout.joinpath(*module.split(".")).with_suffix(".py")
    path.write_text(f"{path.read_text()}\n\nimport {imported}\n")
    checked = lint_imports(checkout)
    assert checked.returncode != 0
    assert f"{module} -> {imported} (l." in checked.stdout
