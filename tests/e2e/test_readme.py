"""Every command that README.md and the pages in docs/ show is run here, against all parts of the product.

What cannot be run as it stands is adapted: ports are free ones, `evt_…` is an event that exists, `body.json`
is a fixture of the sender, `show|replay` are two commands, and what runs until Ctrl-C is stopped once it is
up. Only our own commands are run, and `curl` to the receiver.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import uuid
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from apitraffic_events.timestamps import now
from receiver.cli.mcp import TOKEN_VARIABLE as MCP_TOKEN
from receiver.config.environment import VARIABLES
from receiver.config.secrets import SECRET_VARIABLES
from receiver.config.senders import preset_names
from receiver.events import Delivery
from receiver.reception.quarantine import Quarantine
from receiver.sources.source import secret_variable_of
from tests.support.certificates import Certificate, make_certificate
from tests.support.github import deployment_status, post
from tests.support.gitlab_ci_local import required
from tests.support.programs import Program, run_to_the_end
from tests.support.source_fixtures import FIXTURES, cases
from tests.support.stack import Stack, running_stack

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
OURS: Final = re.compile(
    r"([A-Z_]+=\S+ +)*(\.venv/bin/)?(?P<program>apitraffic-events|make|pip|export|curl)\b"
)
HOOKS: Final = "https://events.example.test"
SHELL: Final = re.compile(r"[|<>$&;*`]")
"""What only a shell understands. Other commands of ours start without one, and much faster."""
BODY: Final = re.compile(r"\b(?P<command>translate|send) (?P<source>[a-z-]+) body\.json")
DECLARED: Final = "betterstack"
"""The sender that docs/senders/declared.md describes."""
SIGNED: Final = {
    "github": "deployment_status__production_success.json",
    "pagerduty": "incident.acknowledged__by_ada.json",
}
"""The body that is signed by hand, of each sender for which the documents do so."""
CHOICE: Final = re.compile(r"\b\w+(?:\|\w+)+\b")
SERVICES: Final = {
    "serve": ("--host 127.0.0.1 --port 0", r"receiver listens url=(?P<url>\S+)"),
    "worker": ("", r"worker started"),
    "api": ("--port 0", r"Events API at (?P<url>\S+)"),
    "mcp --http": ("--port 0", r"mcp server listens url=(?P<url>\S+)"),
    "console": ("--port 0", r"console listens url=(?P<url>\S+)"),
    "events list --watch": ("", r"evt_\w+"),
    "tail": ("", r"accepted"),
}
"""Command that runs until it is stopped -> what is added to it, and what it says when it is up."""
KNOWN: Final = {variable.name for variable in (*VARIABLES, *SECRET_VARIABLES)} | {
    MCP_TOKEN,
    "GITHUB_TOKEN_FILE",
    *map(secret_variable_of, (*preset_names(), DECLARED)),
}
"""Variables that may be exported."""
EVENTS_SECRET: Final = "whsec_" + b64encode(bytes(range(32))).decode()
IN_CI: Final = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_RUN_ID": "27",
    "GITHUB_REF": "refs/tags/v2.3.1",
}


def blocks(language: str) -> list[str]:
    """The code blocks of all pages, those in lists too, without their indentation."""
    block = re.compile(rf"^( *)```{language}\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
    return [
        re.sub(rf"^{indentation}", "", code, flags=re.MULTILINE)
        for page in PAGES
        for indentation, code in block.findall(page.read_text(encoding="utf-8"))
    ]


def commands() -> Iterator[str]:
    """Every line after a `$`, with each of the choices that it gives, without the comment behind it."""
    for block in blocks("console"):
        for line in re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, re.MULTILINE):
            command = re.split(r"\s+#\s", line)[0].strip()
            choice = CHOICE.search(command)
            for word in choice[0].split("|") if choice else [""]:
                yield CHOICE.sub(word, command)


class GitHub(BaseHTTPRequestHandler):
    """A GitHub, and a GitLab, with one webhook that failed to deliver nothing, and a PagerDuty with none."""

    def do_GET(self) -> None:
        hook = {"id": 7, "active": True, "config": {"url": f"{HOOKS}/webhooks/github"}}
        if "/api/v4/" in self.path:
            hook = {"id": 7, "url": f"{HOOKS}/webhooks/gitlab"}
        has_none = "/deliveries" in self.path or "/events" in self.path
        found: object = [] if has_none else [hook]
        body = json.dumps({"webhook_subscriptions": []} if "/webhook_sub" in self.path else found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class Reader:
    """Who follows the README, on a machine where everything runs."""

    stack: Stack
    folder: Path
    environment: dict[str, str]
    certificate: Certificate
    declared: Path
    """An apitraffic.toml with the sender that the documents declare."""
    delivery: str
    """The id of a delivery that was accepted."""
    quarantined: list[str] = field(default_factory=list)

    def types(self, command: str) -> str:
        """What it prints; raises AssertionError where it fails."""
        adapted = self.adapted(command)
        if adapted.startswith("apitraffic-events ") and not SHELL.search(adapted):
            ended = run_to_the_end(self.folder, self.environment, *shlex.split(adapted)[1:], cwd=ROOT)
            assert ended.returncode == 0, f"{command}\n{ended.output}"
            assert "Traceback" not in ended.output
            return ended.output
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", adapted],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
        assert "Traceback" not in result.stderr
        return result.stdout

    def starts(self, command: str, service: str) -> None:
        """See it come up, and end in good order."""
        added, ready = SERVICES[service]
        words = self.adapted(command).split()
        variables = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
        arguments = words[words.index("apitraffic-events") + 1 :]
        log = self.folder / f"readme-{service.replace(' ', '')}.log"
        environment = self.environment | variables
        program = Program(log, environment, *arguments, *added.split(), ready=ready)
        try:
            program.start()
            assert program.announced is not None
            if url := program.announced.groupdict().get("url"):
                answer = requests.get(url, timeout=20, verify=str(self.certificate.path))
                assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
        finally:
            program.stop()

    def adapted(self, command: str) -> str:
        command = command.replace(".venv/bin/", "")
        if " send " in command:
            command += f" --url {self.stack.url}"
        if "evt_…" in command:
            event = {"type": "incident", "name": "Checkout is slow"}
            command = command.replace(
                "evt_…", self.stack.api.call("POST", "/events", json=event).json()["sid"]
            )
        command = BODY.sub(
            lambda found: f"{found['command']} {found['source']} {_body_of(found['source'])}", command
        )
        if signed := re.search(r"/webhooks/(github|pagerduty) --data-binary", command):
            command = command.replace("body.json", str(FIXTURES / signed[1] / SIGNED[signed[1]]))
        command = command.replace("body.json", str(_body_of(DECLARED)))
        command = command.replace(" apitraffic.toml", f" {self.declared}").replace("draft.toml", self.draft())
        command = command.replace("https://hooks.example.com", self.stack.url)
        command = command.replace("fullchain.pem", str(self.certificate.path))
        command = command.replace("privkey.pem", str(self.certificate.key))
        command = command.replace("./deploy.sh", "true").replace("receiver.env", self.draft())
        if " connect " in command:
            if " pagerduty " in command:
                command += f" --api-url {self.environment['GITHUB_API_URL']}"
            command += " --dry-run"  # tests/integration/cli/connect has more of a GitHub than there is here
        if " events check " in command:
            command += " --no-wait"
        command = command.replace("events init", f"events init --env-file {self.draft()}")
        if " trigger " in command:
            command += f" --url {self.stack.url}"
        if "gitlab redeliver" in command:
            command = command.replace(self.stack.url, HOOKS)
            command += f" --api-url {self.environment['GITHUB_API_URL']}/api/v4"
        command = re.sub(r"explain [0-9a-f-]{36}$", f"explain {self.delivery}", command)
        if re.search(r"quarantine (show|replay|discard)$", command):
            command += f" {self.quarantined.pop()}"
        return command

    def draft(self) -> str:
        """A file that is not there yet."""
        return str(self.folder / f"draft-{len(list(self.folder.glob('draft-*')))}.toml")


def _body_of(source: str) -> Path:
    case, *_ = cases(source)
    return FIXTURES / source / f"{case}.json"


def _declared(folder: Path) -> Path:
    (description,) = (block for block in blocks("toml") if f'name = "{DECLARED}"' in block)
    file = folder / "declared.toml"
    file.write_text(description)
    return file


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("readme")
    github = HTTPServer(("127.0.0.1", 0), GitHub)
    threading.Thread(target=github.serve_forever, daemon=True).start()
    with running_stack(folder) as stack:
        stack.environment |= {
            "EVENTS_WEBHOOK_SECRET": EVENTS_SECRET,
            "ANNOTATIONS_TOKEN": "a-token-for-annotations",
            "PAGERDUTY_WEBHOOK_SECRET": "a-secret-of-pagerduty",
        }
        stack.receiver.start()
        stack.worker.start()
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONUNBUFFERED": "1",
            "GITHUB_API_URL": f"http://127.0.0.1:{github.server_port}",
            "GITHUB_TOKEN": "ghp_token",
            "GITLAB_TOKEN": "glpat-token",
            "PAGERDUTY_TOKEN": "pd-token",
            MCP_TOKEN: "a-token-for-clients-of-mcp",
            "APITRAFFIC_CONSOLE_TOKEN": "the-token-of-the-console",
            **IN_CI,
            **stack.environment,
        }
        accepted = str(uuid.uuid4())
        assert post(stack.url, deployment_status(99), delivery=accepted).status_code == HTTPStatus.ACCEPTED
        reader = Reader(stack, folder, environment, make_certificate(folder), _declared(folder), accepted)
        for number in range(3):
            delivery = Delivery(
                source="github",
                id=f"kept-{number}",
                event="deployment_status",
                headers={"x-github-event": "deployment_status", "content-type": "application/json"},
                body=deployment_status(number + 1),
                received_at=now(),
            )
            Quarantine(stack.redis).keep(delivery, "was not understood")
            reader.quarantined.append(f"github:{delivery.id}")
        yield reader
    github.shutdown()
    github.server_close()


@pytest.mark.parametrize("command", dict.fromkeys(commands()))
def test_a_command(reader: Reader, command: str) -> None:
    ours = OURS.match(command)
    if ours is None:
        pytest.skip("no command of ours")
    service = next((name for name in SERVICES if f"apitraffic-events {name}" in command), None)
    if ours["program"] == "export":
        told = reader.types(f"unset {' '.join(KNOWN)}; {command}; env").splitlines()
        assert {line.partition("=")[0] for line in told} & KNOWN == set(re.findall(r"([A-Z_]+)=", command))
    elif locked := re.search(r"^pip .* -r (\S+)", command):
        assert (ROOT / locked[1]).exists()  # `make` itself installs from it
    elif ours["program"] == "pip":
        quick = "--dry-run --no-deps --no-build-isolation --quiet --disable-pip-version-check"
        reader.types(f"python -m {command} {quick}")
    elif ours["program"] == "make":
        for line in reader.types(f"make --dry-run {command.removeprefix('make ')}").splitlines():
            if "apitraffic-events" in line:
                reader.types(f"{line} --data-dir {reader.folder / 'data'}")
    elif ours["program"] == "curl":
        required("curl")
        assert json.loads(reader.types(command))["status"] == "accepted"
    elif service:
        reader.starts(command, service)
    else:
        reader.types(command)


PROGRAMS: Final = [block for block in blocks("python") if "apitraffic_events" in block]
"""The others are configuration of senders."""


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_python_program(reader: Reader, program: str) -> None:
    """A program that names no account takes it from the environment."""
    api = reader.stack.api
    if "from_env" not in program:
        for placeholder, value in {
            "EventsClient(": f'EventsClient(api_url="{api.url}", ',
            "acc_…": api.account_sid,
            'token="…"': f'token="{api.token}"',
        }.items():
            assert placeholder in program
            program = program.replace(placeholder, value)
    before = len(reader.stack.events())
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", program],
        env=reader.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert len(reader.stack.events()) > before
    assert "Workers: 4 to 8" in [event["name"] for event in reader.stack.events()]


def test_there_are_commands_to_type() -> None:
    typed = list(commands())
    assert len(typed) > 40
    assert len(PROGRAMS) == 2
    assert "apitraffic-events quarantine show" in typed
    assert any(command.startswith("curl ") and "/webhooks/events" in command for command in typed)
