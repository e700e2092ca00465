"""The script inside the GitLab templates: each shell, each HTTP client, and how it keeps the token secret."""

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
    deploy_twice,
    listed,
)
from tests.support.gitlab_ci_local import TEMPLATES, required
from tests.support.gitlab_script import SCRIPT, GitLabScript
from tests.support.local_api import LocalApi

SHELLS: Final = (("dash",), ("busybox", "sh"))
WGET: Final = ("wget", "timeout")


class TestWithWget(PluginContract):
    """Without curl, GNU wget passes all scenarios."""

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


MESSAGES: Final = {
    "lines of key: value": "Faster checkout\n\nrepository: mallory/shop\nstatus: success\nteam: mallory",
    "JSON": '{"repository": "mallory/shop"}',
    "the end of a string": 'Faster", "repository": "mallory/shop", "x": "',
    "a quote": 'Say "hello" and don\'t \\ stop',
    "variables": "$CI_PROJECT_PATH ${HOME} $$",
    "hostile": MANY_LINES,
    "empty": "",
}
"""Of commits."""


@pytest.mark.parametrize("message", MESSAGES.values(), ids=list(MESSAGES))
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize(
    "metadata",
    [
        "team: checkout\nchange: $CI_COMMIT_MESSAGE\nticket: ${TICKET}",
        '{"team": "checkout", "change": "$CI_COMMIT_MESSAGE", "ticket": "${TICKET}"}',
        '{"team": "checkout", "change": $CI_COMMIT_MESSAGE, "ticket": ${TICKET}}',
    ],
    ids=["lines", "JSON", "JSON without quotes"],
)
def test_a_commit_message_in_the_metadata_is_one_value_whatever_it_holds(
    tmp_path: Path,
    api: LocalApi,
    inputs: dict[str, str],
    metadata: str,
    shell: tuple[str, ...],
    message: str,
) -> None:
    run = GitLabScript(tmp_path, shell).run(
        "event", inputs, APITRAFFIC_INPUT_METADATA=metadata, CI_COMMIT_MESSAGE=message, TICKET="OPS-7: urgent"
    )
    (event,) = listed(api)
    assert "metadata" not in run.stdout, run.stdout
    assert event["metadata"].get("change", "") == one_line(message, 1000)
    assert (event["metadata"]["team"], event["metadata"]["ticket"]) == ("checkout", "OPS-7: urgent")
    assert event["metadata"]["repository"] == "acme/shop"
    assert "status" not in event["metadata"]
    assert run.stderr == ""


def test_a_variable_that_is_the_whole_metadata_holds_its_entries(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str]
) -> None:
    job = GitLabScript(tmp_path)
    for given in ("$ENTRIES", "${ENTRIES}\n"):
        for entries in ("team: checkout\nprice: $5", '{"team": "checkout", "price": "$5"}'):
            job.run("event", inputs, APITRAFFIC_INPUT_METADATA=given, ENTRIES=entries)
    for event in listed(api):
        assert (event["metadata"]["team"], event["metadata"]["price"]) == ("checkout", "$5")
    assert len(listed(api)) == 4


def test_a_variable_without_quotes_in_json_may_be_a_number_or_a_word(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str]
) -> None:
    metadata = '{"replicas": $REPLICAS, "is_dry": ${DRY}, "version": $VERSION, "price": "$$5", "all": [$DRY]}'
    GitLabScript(tmp_path).run(
        "event", inputs, APITRAFFIC_INPUT_METADATA=metadata, REPLICAS="-4.5", DRY="true", VERSION="007"
    )
    (event,) = listed(api)
    assert event["metadata"]["replicas"] == -4.5
    assert event["metadata"]["is_dry"] is True
    assert (event["metadata"]["version"], event["metadata"]["price"]) == ("007", "$5")
    assert event["metadata"]["all"] == [True]


@pytest.mark.parametrize(
    ("metadata", "says", "left"),
    [
        ('{"team": "checkout", $KEY: 1}', "is not a JSON object", {}),
        ('{"team": "checkout"} $KEY', "is not a JSON object", {}),
        ('["checkout"]', "is not a JSON object", {}),
        ('{"a": {"b": {"c": {"d": {"e": {}}}}}}', "is nested deeper than 4 levels", {}),
        ("$KEY and more\nteam: checkout", "has a line without a colon", {"team": "checkout"}),
    ],
)
def test_what_is_wrong_with_the_metadata_is_named_and_left_out(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str], metadata: str, says: str, left: dict[str, str]
) -> None:
    run = GitLabScript(tmp_path).run("event", inputs, APITRAFFIC_INPUT_METADATA=metadata, KEY="a: b")
    (event,) = listed(api)
    assert f"ApiTraffic: the input metadata {says}; the event is sent without" in run.stdout
    assert {
        name: event["metadata"][name] for name in ("team", "a", "$KEY") if name in event["metadata"]
    } == left


def test_a_variable_of_the_job_in_small_letters_is_the_jobs(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str]
) -> None:
    metadata = "of: $name, $version, $environment, $text"
    job = {"name": "n", "version": "v", "environment": "e", "text": "t"}
    GitLabScript(tmp_path).run("event", inputs, APITRAFFIC_INPUT_METADATA=metadata, **job)
    (event,) = listed(api)
    assert event["metadata"]["of"] == "n, v, e, t"


EXPORTED: Final = "allexport:braceexpand:errexit:hashall:noclobber:noglob:nounset:pipefail:verbose:xtrace"
"""SHELLOPTS as bash exports it after `set -aeuxvfC -o pipefail; export SHELLOPTS`."""


@pytest.mark.parametrize("client", [("curl",), WGET], ids=lambda client: client[0])
def test_options_that_the_job_exports_change_nothing(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str], client: tuple[str, ...]
) -> None:
    """Where bash is `sh`, `set -e; export SHELLOPTS` would end the script at the first request that fails."""
    job = GitLabScript(tmp_path, ("bash",), client)
    api.set_faults(["POST:dropx1", "POST:status=500x1"])
    opened = job.run("open", inputs, SHELLOPTS=EXPORTED)
    assert "event created" in opened.stdout, opened.stderr
    assert opened.returncode == 0
    nowhere = {"api-url": "http://127.0.0.1:9/v1", "timeout-seconds": "1"}
    closed = job.run("close", inputs | nowhere, SHELLOPTS=EXPORTED, CI_JOB_STATUS="success")
    assert UNREACHABLE in closed.stdout
    assert closed.returncode == 0
    assert TOKEN not in opened.stdout + opened.stderr + closed.stdout + closed.stderr


@pytest.mark.parametrize(
    "lacking", [("awk",), ("tr",), ("date",), ("mktemp",), ("awk", "mktemp", "tr")], ids=" ".join
)
@pytest.mark.parametrize("on_error", ["warn", "fail", "ignore"])
@pytest.mark.parametrize("command", ["event", "open"])
def test_an_image_that_lacks_programs_is_named_once(
    tmp_path: Path,
    api: LocalApi,
    inputs: dict[str, str],
    command: str,
    on_error: str,
    lacking: tuple[str, ...],
) -> None:
    job = GitLabScript(tmp_path)
    for name in lacking:
        (Path(job.path) / name).unlink()
    run = job.run(command, inputs | {"on-error": on_error})
    (line,) = run.stdout.splitlines()
    assert f"{NOT_CONFIGURED}the image lacks {', '.join(lacking)}. Install what is missing" in line
    assert line.startswith({"warn": "\033[0;33m", "fail": "\033[0;31m", "ignore": "ApiTraffic"}[on_error])
    assert run.stderr == ""
    assert run.returncode == (1 if on_error == "fail" else 0)
    assert "APITRAFFIC_STATUS=skipped\n" in (tmp_path / "apitraffic.env").read_text()
    assert listed(api) == []


@pytest.mark.parametrize("name", ["TOKEN_VARIABLE", "RECEIVER_SECRET_VARIABLE"])
@pytest.mark.parametrize("secret", ["at_4f9aC0ffee", "s3cret value", "$(id)", "a;b"])
def test_a_secret_in_place_of_its_variables_name_is_not_shown(
    tmp_path: Path, inputs: dict[str, str], name: str, secret: str
) -> None:
    """An input with `regex` would have GitLab print the value that it refuses."""
    receiver = {"receiver-url": "https://hooks.example.com"} if name.startswith("RECEIVER") else {}
    given = {key: value for key, value in inputs.items() if key != "api-token"}
    run = GitLabScript(tmp_path).run("event", given | receiver, **{f"APITRAFFIC_INPUT_{name}": secret})
    assert "the name" in run.stdout
    assert secret not in run.stdout + run.stderr
    assert run.returncode == 0


def test_no_input_has_a_regex_that_would_print_what_it_refuses() -> None:
    for template in TEMPLATES.glob("*.yml"):
        inputs = yaml.safe_load(template.read_text().partition("\n---\n")[0])["spec"]["inputs"]
        assert not [name for name, described in inputs.items() if "regex" in described]


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


class TestWhatRanBefore:
    """tests/vectors/previous.json has the rules."""

    @pytest.fixture
    def deploy(self, api: LocalApi) -> dict[str, str]:
        deploy_twice(api)
        given = {"api-url": api.url, "api-token": TOKEN, "account-sid": api.account_sid}
        return given | {"environment": "production", "version": "v1"}

    @pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
    def test_a_rollback_says_so_from_its_beginning_to_its_end(
        self, tmp_path: Path, api: LocalApi, deploy: dict[str, str], shell: tuple[str, ...]
    ) -> None:
        script, back = GitLabScript(tmp_path, shell), {"CI_COMMIT_SHA": "1" * 40}
        script.run("open", deploy | {"description": "Ticket 7"}, **back)
        event = listed(api)[0]
        line = "Rollback to v1 from v2, deployed 2 h earlier. "
        link = f"https://gitlab.example.com/acme/shop/-/compare/{'2' * 40}...{'1' * 40}"
        assert event["name"] == "Roll back acme/shop to v1 in production"
        assert event["description"] == f"Ticket 7\n{line}{link}"
        script.run("close", deploy, CI_JOB_STATUS="failed", **back)
        event = listed(api)[0]
        assert event["name"] == "Failed rollback of acme/shop to v1 in production"
        assert event["description"].splitlines()[0].startswith("Failed after ")
        assert event["description"].splitlines()[1:] == [line + link]
        assert event["metadata"]["course"] == "rollback"
        assert event["metadata"]["previous_version"] == "v2"
        assert event["metadata"]["status"] == "failure"
        assert len(listed(api)) == 3

    def test_a_name_that_was_given_stays_and_a_long_description_is_cut(
        self, tmp_path: Path, api: LocalApi, deploy: dict[str, str]
    ) -> None:
        given = deploy | {"name": "Deploy acme/shop v1 to production", "description": "word " * 399}
        GitLabScript(tmp_path).run("open", given, CI_COMMIT_SHA="1" * 40)
        event = listed(api)[0]
        assert event["name"] == "Deploy acme/shop v1 to production"
        assert len(event["description"]) <= 2000
        assert "…\nRollback to v1 from v2, deployed " in event["description"]

    def test_an_event_that_a_webhook_has_created_keeps_its_description(
        self, tmp_path: Path, api: LocalApi, deploy: dict[str, str]
    ) -> None:
        theirs = {"repository": "acme/shop", "environment": "production", "job_id": "0", "status": "success"}
        event = {"type": "deployment", "name": "By a webhook", "description": "Kept.", "metadata": theirs}
        api.call("POST", "/events", json=event)
        GitLabScript(tmp_path).run("open", deploy | {"version": "v3"})
        (found,) = [each for each in listed(api) if each["metadata"].get("job_id") == "0"]
        assert found["description"] == "Kept."
        assert found["metadata"]["previous_version"] == "v2"

    @pytest.mark.parametrize(
        ("faults", "inputs"),
        [
            (["GET:status=500x1"], {}),
            (["GET:status=403x1"], {}),
            (["GET:commit=200x1"], {}),
            (["GET:hang=9x1"], {"timeout-seconds": "4"}),
            ([], {"previous": "false"}),
            ([], {"timeout-seconds": "3"}),
        ],
        ids=str,
    )
    def test_without_the_list_it_is_sent_as_before(
        self,
        tmp_path: Path,
        api: LocalApi,
        deploy: dict[str, str],
        faults: list[str],
        inputs: dict[str, str],
    ) -> None:
        api.set_faults(faults)
        run = GitLabScript(tmp_path).run("open", deploy | inputs)
        event = listed(api)[0]
        assert event["name"] == "Deploy acme/shop v1 to production", run.stdout
        assert event["description"] is None
        assert len(listed(api)) == 3
        assert run.stdout.count("ApiTraffic") == 1


def test_it_waits_as_long_as_the_api_asks_and_leaves_nothing_behind(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str]
) -> None:
    """The API asks for a pause of one second, which is all the time there is."""
    api.set_faults(["status=503"])
    run = GitLabScript(tmp_path).event(inputs | {"timeout-seconds": "1"})
    api.set_faults([])
    assert "tried once in " in run.log
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "apitraffic.env"}


@pytest.mark.parametrize("clients", [(), ("another wget",)], ids=["none", "busybox"])
def test_another_client_is_not_used(
    tmp_path: Path, api: LocalApi, inputs: dict[str, str], clients: tuple[str, ...]
) -> None:
    """BusyBox wget takes headers only as arguments, which everybody can see in the list of processes."""
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
