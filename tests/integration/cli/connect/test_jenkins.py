"""`connect jenkins` against a server that behaves as Jenkins does, and a real receiver."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import Result

from tests.support.sender_api import (
    SECRET,
    TOKEN,
    Answer,
    Call,
    Request,
    SenderServer,
    sender_server,
)

JOB = "/job/shop/job/deploy/config.xml"
STORE = "/credentials/store/system/domain/_"
PIPELINE = """\
<?xml version='1.1' encoding='UTF-8'?>
<flow-definition plugin="workflow-job@1571">
  <description>Größe &amp; more</description>
  <properties>
    <com.tikal.hudson.plugins.notification.HudsonNotificationProperty plugin="notification@1.18">
      <endpoints>
        <com.tikal.hudson.plugins.notification.Endpoint>
          <urlInfo><urlOrId>https://chat.example.com/hook</urlOrId><urlType>PUBLIC</urlType></urlInfo>
        </com.tikal.hudson.plugins.notification.Endpoint>
      </endpoints>
    </com.tikal.hudson.plugins.notification.HudsonNotificationProperty>
  </properties>
</flow-definition>"""
ENDPOINT = ".//com.tikal.hudson.plugins.notification.Endpoint"


@dataclass
class Jenkins:
    config: str = PIPELINE
    credentials: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Id -> description and secret."""
    has_plugin: bool = True

    def __call__(self, request: Request) -> Answer:
        if request.headers["Authorization"] != f"Basic {b64encode(f'ada:{TOKEN}'.encode()).decode()}":
            return 401, None
        match request.method, request.path:
            case "GET", p if p == JOB:
                return 200, self.config
            case "POST", p if p == JOB:
                self.config = request.text if self.has_plugin else self.config
                return 200, None
            case "POST", p if p.startswith(STORE):
                assert request.headers["Content-Type"] == "application/xml; charset=utf-8"
                given = ET.fromstring(request.text)  # noqa: S314 - of this test
                texts = [given.findtext(name) or "" for name in ("id", "description", "secret")]
                self.credentials[texts[0]] = (texts[1], texts[2])
                return 200, None
            case "GET", p if p.startswith(f"{STORE}/credential/") and p.split("/")[7] in self.credentials:
                return 200, {"description": self.credentials[p.split("/")[7]][0]}
        return 404, None

    def endpoints(self) -> list[tuple[str | None, ...]]:
        names = ("urlInfo/urlOrId", "urlInfo/urlType", "format", "event", "loglines")
        root = ET.fromstring(self.config.partition("?>")[2])  # noqa: S314 - of this test
        return [tuple(found.findtext(name) for name in names) for found in root.iterfind(ENDPOINT)]


OURS = ("apitraffic-events", "SECRET", "JSON", "all", "0")
THEIRS = ("https://chat.example.com/hook", "PUBLIC", None, None, None)


@pytest.fixture
def jenkins() -> Jenkins:
    return Jenkins()


@pytest.fixture
def server(jenkins: Jenkins) -> Iterator[SenderServer]:
    with sender_server(jenkins) as server:
        yield server


@pytest.fixture
def connect(call: Call, server: SenderServer, receiver: str, env_file: Path) -> Call:
    def invoke(*arguments: str, command: str = "connect", job: str = "shop/deploy") -> Result:
        server.requests.clear()
        options = ["--url", receiver, "--jenkins-url", server.url, "--user", "ada"]
        if command == "connect":
            options += ["--wait", "0", "--env-file", str(env_file)]
        return call(command, "jenkins", job, *options, *arguments, JENKINS_API_TOKEN=TOKEN)

    return invoke


def writes(server: SenderServer) -> list[tuple[str, str]]:
    return [(each.method, each.path) for each in server.requests if each.method != "GET"]


def test_the_url_becomes_a_credential_and_the_job_gets_an_endpoint(
    connect: Call, server: SenderServer, jenkins: Jenkins, receiver: str, env_file: Path
) -> None:
    result = connect()
    assert result.exit_code == 0, result.output
    url = f"{receiver}/webhooks/jenkins"
    assert env_file.read_text() == f"JENKINS_WEBHOOK_TOKEN={SECRET}\n"
    assert jenkins.credentials == {
        "apitraffic-events": (f"ApiTraffic event markers, {url}", f"{url}/{SECRET}")
    }
    assert writes(server) == [("POST", f"{STORE}/createCredentials"), ("POST", JOB)]
    assert jenkins.endpoints() == [THEIRS, OURS]
    assert "Größe &amp; more" in jenkins.config
    assert SECRET not in jenkins.config
    assert "this sender has none; its next delivery will show that it works" in result.output


def test_a_second_run_changes_nothing(connect: Call, server: SenderServer, env_file: Path) -> None:
    connect()
    before = env_file.read_bytes()
    assert connect().exit_code == 0
    assert writes(server) == []
    assert env_file.read_bytes() == before


def test_a_further_job_uses_the_same_credential(
    connect: Call, server: SenderServer, jenkins: Jenkins
) -> None:
    connect()
    jenkins.config = PIPELINE
    assert connect().exit_code == 0
    assert writes(server) == [("POST", JOB)]
    assert jenkins.endpoints() == [THEIRS, OURS]


def test_disconnecting_removes_our_endpoint_alone(
    connect: Call, server: SenderServer, jenkins: Jenkins
) -> None:
    connect()
    assert connect(command="disconnect").exit_code == 0
    assert writes(server) == [("POST", JOB)]
    assert jenkins.endpoints() == [THEIRS]
    assert list(jenkins.credentials) == ["apitraffic-events"]
    again = connect(command="disconnect")
    assert (again.exit_code, writes(server)) == (0, [])


def test_a_credential_of_somebody_else_is_left_alone(
    connect: Call, server: SenderServer, jenkins: Jenkins
) -> None:
    jenkins.credentials["apitraffic-events"] = ("Ada's own", "x")
    result = connect()
    assert (result.exit_code, writes(server)) == (1, [])
    assert "choose another id with --credential" in result.output
    assert connect("--credential", "events-2").exit_code == 0


def test_an_endpoint_with_other_settings_is_corrected(
    connect: Call, server: SenderServer, jenkins: Jenkins
) -> None:
    connect()
    jenkins.config = jenkins.config.replace("<format>JSON", "<format>XML")
    result = connect()
    assert result.exit_code == 0
    assert "changed: format is XML" in result.output
    assert (writes(server), jenkins.endpoints()) == ([("POST", JOB)], [THEIRS, OURS])


def test_without_the_plugin_it_says_so(connect: Call, jenkins: Jenkins) -> None:
    jenkins.has_plugin = False
    result = connect()
    assert result.exit_code == 1
    assert "is the Notification plugin installed and enabled?" in result.output


def test_a_multibranch_project_is_explained(connect: Call, jenkins: Jenkins) -> None:
    name = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
    jenkins.config = f"<{name}/>"
    result = connect()
    assert result.exit_code == 1
    assert "get their settings from the Jenkinsfile" in result.output


def test_a_dry_run_only_reads(connect: Call, server: SenderServer, env_file: Path) -> None:
    assert connect("--dry-run").exit_code == 0
    assert (writes(server), env_file.exists()) == ([], False)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, 4, "Job/Configure"),
        (401, 4, "does not accept the token"),
        (404, 1, "Jenkins finds nothing there"),
    ],
)
def test_what_jenkins_refuses_is_explained(
    connect: Call, server: SenderServer, status: int, code: int, words: str
) -> None:
    server.fault["POST"] = (status, f"<html>{SECRET}</html>")
    result = connect()
    assert (result.exit_code, words in result.output) == (code, True), result.output
