"""`make lint` refuses an import that the architecture does not allow (CONTRIBUTING.md)."""

import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
LONGEST_CHAIN = 12
"""Packages, each importing from the next; a reader has to know all below the one that is changed."""
HOMES = {
    "rq": {"queue", "worker"},
    "gunicorn": {"serving"},
    "flask": {"web", "console"},
    "mcp": {"mcp_server"},
    "requests": {"cli", "console", "doctor", "observability", "senders_api", "worker"},
}
"""Engine -> the parts of `receiver` that may import it."""
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


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
        ("receiver.cli.up.running", "opentelemetry"),
        ("receiver.doctor.api", "mcp"),
        ("receiver.errors", "rq"),
        ("receiver.events", "flask"),
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


def names_in(folder: Path) -> set[str]:
    """Its modules and packages."""
    packages = {each.parent.name for each in folder.glob("*/__init__.py")}
    return packages | {each.stem for each in folder.glob("*.py")} - {"__init__"}


@pytest.mark.parametrize("engine", HOMES)
def test_a_contract_keeps_an_engine_out_of_everything_but_its_home(engine: str) -> None:
    """Also out of a package that is new: nobody has to remember to add it."""
    (contract,) = [each for each in CONTRACTS if each.get("forbidden_modules") == [engine]]
    kept_out = {name.removeprefix("receiver.") for name in contract["source_modules"]}
    assert kept_out == names_in(ROOT / "receiver") - HOMES[engine]


def test_no_sender_is_left_out_of_the_contract_that_keeps_them_apart() -> None:
    (contract,) = [each for each in CONTRACTS if each["type"] == "independence"]
    sources = ROOT / "receiver/sources"
    senders = {each.parent.name for each in sources.glob("*/__init__.py")} - {
        "forges"
    }  # Gitea and Forgejo share it
    assert set(contract["modules"]) == {f"receiver.sources.{name}" for name in senders}


def package_of(module: str) -> str:
    """The client library is one package; the receiver is the packages and modules in it."""
    root, _, rest = module.partition(".")
    return root if root == "apitraffic_events" else f"{root}.{rest.partition('.')[0]}"


@cache
def packages_below() -> dict[str, set[str]]:
    """Package -> the packages that it imports from."""
    graph = grimp.build_graph("receiver", "apitraffic_events", cache_dir=None)
    below: dict[str, set[str]] = {}
    for module in graph.modules:
        imported = {package_of(each) for each in graph.find_modules_directly_imported_by(module)}
        below.setdefault(package_of(module), set()).update(imported - {package_of(module)})
    return below


def test_the_map_for_contributors_has_all_packages_each_above_what_it_imports() -> None:
    rows = re.findall(
        r"^\| (`(?:receiver|apitraffic_events)/.*?) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE
    )
    names = [re.findall(r"`([^`]+)`", row) for row in rows]
    shown = [[name.rstrip("/").removesuffix(".py").replace("/", ".") for name in row] for row in names]
    place = {name: number for number, row in enumerate(shown) for name in row if name.count(".") <= 1}
    below = packages_below()
    assert set(place) == set(below) - {"receiver.", "receiver.__main__", "receiver.jobs"}
    assert [
        (package, imported)
        for package, number in place.items()
        for imported in below[package]
        if place[imported] <= number
    ] == []


def test_no_chain_of_packages_is_too_long() -> None:
    below = packages_below()

    @cache
    def longest_from(package: str) -> tuple[str, ...]:
        return (package, *max(map(longest_from, below[package]), key=len, default=()))

    longest = max(map(longest_from, below), key=len)
    assert len(longest) <= LONGEST_CHAIN, " -> ".join(longest)
