"""The documents tell the truth about today's code, as far as a machine can see."""

import json
import pkgutil
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.cli import COMMANDS, reference
from receiver.cli.events_table import document
from receiver.config.environment import CONFIG_VARIABLE, VARIABLES
from receiver.config.secrets import SECRET_VARIABLES
from receiver.config.senders import preset_names, read_preset
from receiver.config.verdict import VerdictSection
from receiver.mcp_server.http import PATH
from receiver.mcp_server.prompts import PROMPTS
from receiver.mcp_server.verdicts import Judge, all_tools
from receiver.routing import Match, Route
from receiver.sources import SOURCES

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.parts)
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
FILES = {
    Path(name)
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    if (ROOT / name).exists()
}
OUR_FOLDERS = {file.parts[0] for file in FILES if len(file.parts) > 1}
PYTHON_NAME = re.compile(r"(?<![\w./-])(?:apitraffic_events|receiver)(?:\.[A-Za-z_]\w*)+")


def test_the_table_of_events_is_that_of_the_code() -> None:
    assert (ROOT / "docs/events.md").read_text(encoding="utf-8") == document(), "run `make docs`"


def test_the_help_of_the_commands_is_that_of_the_code() -> None:
    written = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    assert written == reference.document(), "read what changed for users, then run `make docs`"


def test_every_command_has_its_help() -> None:
    written = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"## apitraffic-events {command}\n" in written


def prose(path: Path) -> str:
    return re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Of its headings, as GitHub makes them; the second of a name is `name-1`."""
    found: list[str] = []
    for heading in re.findall(r"^#+ +(.+?) *$", prose(path), flags=re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        repeats = sum(re.sub(r"-\d+$", "", other) == name for other in found)
        found.append(f"{name}-{repeats}" if repeats else name)
    return set(found)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set(), {ROOT / "README.md"}
    while ahead:
        page = ahead.pop().resolve()
        if page in reached:
            continue
        reached.add(page)
        targets = re.findall(r"\]\(([^)#\s]+\.md)(?:#[^)]*)?\)", prose(page))
        ahead |= {page.parent / target for target in targets if not re.match(r"[a-z]+:", target)}
    assert {path.resolve() for path in (ROOT / "docs").rglob("*.md")} <= reached


@pytest.mark.parametrize(
    "name", [CONFIG_VARIABLE, *(known.name for known in (*VARIABLES, *SECRET_VARIABLES))]
)
def test_every_variable_is_documented(name: str) -> None:
    assert f"`{name}`" in CONFIGURATION


def test_every_setting_of_a_route_is_documented() -> None:
    for setting in [*Match.model_fields, *(name for name in Route.model_fields if name != "match")]:
        assert f"`{setting}`" in CONFIGURATION


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_sender_has_its_page(name: str) -> None:
    assert f"docs/senders/{name}.md" in README
    page = (ROOT / "docs/senders" / f"{name}.md").read_text(encoding="utf-8")
    for variable in SOURCES[name].secret_variables:
        assert variable in page
    for option in set(SOURCES[name].options.model_fields) - {"events", "deployments"}:
        assert option in page


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_has_its_page_with_what_is_not_certain(name: str) -> None:
    page = (ROOT / "docs/senders" / f"{name}.md").read_text(encoding="utf-8")
    source = read_preset(name)
    assert source.secret_variables[0] in page
    assert f"/webhooks/{name}" in page
    assert source.sender is not None
    for sentence in (*source.sender.uncertain, source.sender.documentation):
        assert sentence in page
    assert f"| `{name}` | `{source.secret_variables[0]}` |" in (ROOT / "docs/senders/presets.md").read_text()


def in_backticks(path: Path) -> Iterator[str]:
    """Each `code span`; links to files have a test of their own."""
    yield from re.findall(r"`([^`\n]+)`", prose(path))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_of_ours_that_a_document_names_exists(path: Path) -> None:
    names = {file.name for file in FILES}
    for span in in_backticks(path):
        for word in span.split():
            if re.fullmatch(r"\w+\.(py|lua)", word):
                assert word in names, word
            if re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", word) and "/" in word and is_ours(word, path):
                assert any(ROOT.glob(word.rstrip("/"))) or any(path.parent.glob(word.rstrip("/"))), word


def is_ours(word: str, page: Path) -> bool:
    """Whether a path is meant to be one of this repository, from its root or from the page's own folder."""
    first = word.split("/", 1)[0]
    return first in OUR_FOLDERS or (page.parent / first).is_dir()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_python_name_of_ours_in_a_document_exists(path: Path) -> None:
    for span in in_backticks(path):
        for name in PYTHON_NAME.findall(span):
            assert pkgutil.resolve_name(name) is not None


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_in_a_document_exists(path: Path) -> None:
    targets = set(
        re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    text = path.read_text(encoding="utf-8")
    for command in re.findall(r"(?:^\$ |^|`)make ([^`\n#]+)", text, flags=re.MULTILINE):
        for target in re.findall(r"(?:^| )([a-z]+)(?= |$)", command.split("=")[0].strip()):
            assert target in targets, command


def test_make_test_runs_every_folder_that_pytest_does() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"^\t@.*/pytest (.*)", makefile, flags=re.MULTILINE)
    run = {word for command in commands for word in command.split() if word.startswith("tests/")}
    assert run >= set(configured["tool"]["pytest"]["ini_options"]["testpaths"])


def test_every_page_that_the_code_names_exists() -> None:
    text = {".py", ".lua", ".toml", ".yaml", ".yml", ".sh", ".mjs", ".groovy", ".service", ""}
    for file in FILES:
        if file.suffix in text and "fixtures" not in file.parts:
            for page in re.findall(
                r"(?<![\w/.-])docs/[\w./-]+\.md", (ROOT / file).read_text(encoding="utf-8", errors="replace")
            ):
                assert (ROOT / page).exists(), f"{file}: {page}"


def test_the_map_shows_every_package_and_module() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for there in (ROOT / "receiver").iterdir():
        if (there / "__init__.py").exists():
            assert f"| `receiver/{there.name}/` |" in contributing
        elif there.suffix == ".py" and not there.name.startswith("__"):
            assert f"`receiver/{there.name}`" in contributing


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_every_command_of_the_readme_exists() -> None:
    for command in re.findall(r"apitraffic-events ([a-z-]+)", README):
        assert command in COMMANDS


def test_every_tool_for_assistants_is_in_its_page_and_no_other() -> None:
    page = (ROOT / "docs/mcp.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z_]+)` \|", page, flags=re.MULTILINE) == [
        *(tool.name for tool in all_tools(Judge(VerdictSection()))),
        *(prompt.name for prompt in PROMPTS),
    ]


def test_what_is_to_be_copied_into_a_client_is_json_and_starts_the_server() -> None:
    page = (ROOT / "docs/mcp.md").read_text(encoding="utf-8")
    desk, team = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL))
    started = desk["mcpServers"]["apitraffic"]
    assert (started["command"], started["args"]) == ("apitraffic-events", ["mcp"])
    assert {name.removesuffix("_FILE") for name in started["env"]} <= {known.name for known in VARIABLES}
    assert team["mcpServers"]["apitraffic"]["url"].endswith(PATH)


def test_the_readme_has_no_gaps() -> None:
    assert not re.search(r"^(FIGURES|TODO|TBD)", README, flags=re.MULTILINE)
