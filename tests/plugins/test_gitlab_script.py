"""The script inside the GitLab templates: in each shell, with each HTTP client, and what it keeps secret."""

import json
import stat
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from apitraffic_events.text import one_line
from tests.plugins.contract import (
    HOSTILE,
    MANY_LINES,
    NOT_CONFIGURED,
    TOKEN,
    UNREACHABLE,
    PluginContract,
    listed,
)
from tests.support.gitlab_ci_local import TEMPLATES, required
from tests.support.gitlab_script import SCRIPT, GitLabScript
from tests.support.local_api import LocalApi

SHELLS: Final = (("dash",), ("busybox", "sh"))
WGET: Final = ("wget", "timeout")


class TestWithWget(PluginContract):
    """GNU wget, where there is no curl, does all that the plugins do."""

    @pytest.fixture
    def plugin(self, tmp_path: Path) -> GitLabScript:
        return GitLabScript(tmp_path, clients=WGET)


@pytest.fixture
def inputs(api: LocalApi) -> dict[str, str]:
    given = {"api-url": api.url, "api-token": TOKEN, "account-sid": api.account_sid}
    return given | {"type": "custom", "name": HOSTILE}


@pytest.mark.parametrize("client", [("curl",), WGET, ("wget",)], ids=" ".join)
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_it_runs_in_each_shell_with_each_client(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str], shell: tuple[str, ...], client: tuple[str, ...]
) -> None:
    metadata = json.dumps({"note": MANY_LINES, "list": [1, {"a": None}], "number": -1.5e3})
    run = GitLabScript(tmp_path, shell, client).run("event", inputs | {"metadata": metadata})
    (event,) = listed(api)
    assert event["name"] == one_line(HOSTILE, 200), run.stderr
    assert event["metadata"]["note"] == one_line(MANY_LINES, 1000)
    assert event["metadata"]["list"] == [1, {"a": None}]
    assert run.stderr == ""


def test_an_input_may_name_variables_whose_text_stays_text(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str]
) -> None:
    del inputs["name"]
    GitLabScript(tmp_path).run(
        "event", inputs, APITRAFFIC_INPUT_NAME="$$5: ${CI_COMMIT_TITLE}", CI_COMMIT_TITLE="$HOME"
    )
    (event,) = listed(api)
    assert event["name"] == "$5: $HOME"


def test_a_lost_answer_is_looked_up_in_a_long_list(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str]
) -> None:
    for number in range(101):
        api.call("POST", "/events", json={"type": "custom", "name": f"{number}", "metadata": {"t": HOSTILE}})
    api.set_faults(["POST:dropx1"])
    run = GitLabScript(tmp_path, ("busybox", "sh")).event(inputs)
    assert run.outputs["status"] == "created", run.log
    records = [api.call("GET", f"/events?limit=100&page={page}").json()["records"] for page in (1, 2)]
    assert sum(map(len, records)) == 102


@pytest.mark.parametrize("client", [("curl",), WGET, ("wget",)], ids=" ".join)
def test_an_api_that_hangs_is_not_waited_for(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str], client: tuple[str, ...]
) -> None:
    api.set_faults(["hangx1"])
    run = GitLabScript(tmp_path, clients=client).event(inputs | {"timeout-seconds": "1"})
    api.set_faults([])
    assert run.outputs["status"] == "failed"
    assert UNREACHABLE in run.log


def test_it_waits_as_long_as_the_api_asks_and_leaves_nothing_behind(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str]
) -> None:
    """The API asks for a second, which is more than there is."""
    api.set_faults(["status=503"])
    run = GitLabScript(tmp_path).event(inputs | {"timeout-seconds": "1"})
    api.set_faults([])
    assert "tried once in " in run.log
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "apitraffic.env"}


@pytest.mark.parametrize("clients", [(), ("another wget",)], ids=["none", "busybox"])
def test_another_client_is_not_used(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str], clients: tuple[str, ...]
) -> None:
    """BusyBox' wget takes a header only as an argument, which everybody can read who lists processes."""
    job = GitLabScript(tmp_path, clients=())
    if clients:
        (Path(job.path) / "wget").symlink_to(required("busybox"))
    run = job.run("event", inputs)
    assert f"{NOT_CONFIGURED}the image has neither curl nor GNU wget 1." in run.stdout
    assert run.returncode == 0
    assert run.stderr == ""
    assert listed(api) == []


@pytest.mark.parametrize("client", [("curl",), WGET], ids=lambda client: client[0])
def test_the_token_is_in_no_argument(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str], client: tuple[str, ...]
) -> None:
    job = GitLabScript(tmp_path, clients=client)
    spy = tmp_path / "spy"
    spy.mkdir()
    for name in client:
        program = (
            f'#!{required("sh")}\nprintf "%s\\n" "$@" >>{tmp_path}/arguments\nexec {required(name)} "$@"\n'
        )
        (spy / name).write_text(program)
        (spy / name).chmod(0o755)
    job.path = f"{spy}:{job.path}"
    job.run("event", inputs)
    assert len(listed(api)) == 1
    arguments = (tmp_path / "arguments").read_text()
    assert api.url in arguments
    assert TOKEN not in arguments


def test_the_file_that_wget_reads_the_token_from_is_private_and_short_lived(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str]
) -> None:
    job = GitLabScript(tmp_path, clients=WGET)
    (tmp_path / "work").mkdir()
    (Path(job.path) / "wget").unlink()
    (Path(job.path) / "wget").write_text(
        f'#!{required("sh")}\n[ "$1" = --version ] || cp -pR {tmp_path}/work {tmp_path}/seen\n'
        f'exec {required("wget")} "$@"\n'
    )
    (Path(job.path) / "wget").chmod(0o755)
    (Path(job.path) / "cp").symlink_to(required("cp"))
    job.run("event", inputs, TMPDIR=str(tmp_path / "work"))
    assert len(listed(api)) == 1
    (config,) = (tmp_path / "seen").glob("*/wgetrc")
    assert TOKEN in config.read_text()
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("client", [("curl",), WGET], ids=lambda client: client[0])
def test_a_trace_does_not_show_the_token(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str], client: tuple[str, ...]
) -> None:
    run = GitLabScript(tmp_path, ("dash", "-x"), client).run("event", inputs)
    assert len(listed(api)) == 1
    assert TOKEN not in run.stdout + run.stderr


def test_the_templates_hold_it() -> None:
    for template in TEMPLATES.glob("*.yml"):
        fragments = yaml.compose(template.read_text().partition("\n---\n")[2])
        assert SCRIPT.read_text() in scalars(fragments), f"{template.name}: run `make gitlab`"


def test_shellcheck_finds_nothing() -> None:
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
