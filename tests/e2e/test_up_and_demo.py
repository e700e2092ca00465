"""`up` and `demo` as a user runs them: real processes, real sockets, a real signal at the end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from redis import Redis

from receiver.local.data_folder import DataFolder
from receiver.local.events_api.options import LOCAL_ACCOUNT_SID
from receiver.local.plain_http import answers_ok, request
from receiver.local.redis_server import RedisServer
from receiver.local.sample_deliveries import sample_deliveries
from receiver.sources.signing import github_request
from tests.support.ports import held_ports
from tests.support.processes import started
from tests.support.waiting import wait_until

COMMAND = [sys.executable, "-m", "receiver"]
STARTED = "Ctrl-C stops"
FOUND = "Using the local system that `apitraffic-events up` runs in .apitraffic.\n"
PARTS_NOTICE = sys.platform == "linux"
"""That a killed `up` is gone: then they end too, all but Redis."""


def environment(**extra: str) -> dict[str, str]:
    """Without whatever the person who runs the tests has configured, and the width that readline exports."""
    ours = re.compile(
        r"COLUMNS|LINES|APITRAFFIC_.*|REDIS_URL.*|.*_(WEBHOOK_SECRET|WEBHOOK_TOKEN|SIGNING_TOKEN).*"
    )
    return {name: value for name, value in os.environ.items() if not ours.fullmatch(name)} | extra


def run(*arguments: str, folder: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(**extra),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@dataclass
class Up:
    """A running `apitraffic-events up` in `folder`."""

    process: subprocess.Popen[str]
    folder: Path
    port: int
    api_port: int
    lines: list[str]

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def data(self) -> DataFolder:
        return DataFolder(self.folder / ".apitraffic")

    @property
    def redis(self) -> RedisServer:
        return RedisServer(self.data.redis, Path("redis-server"))

    def secret(self, name: str) -> str:
        secret = self.data.read_secret(name)
        assert secret
        return secret

    def deliver(self) -> str:
        """Send the first sample and give its delivery id."""
        delivery = sample_deliveries(datetime.now(UTC))[0]
        headers = github_request(
            self.secret("GITHUB_WEBHOOK_SECRET"), delivery.event, delivery.body, delivery.delivery_id
        )
        url = f"http://127.0.0.1:{self.port}/webhooks/github"
        assert request("POST", url, headers=headers, body=delivery.body).status == 202
        return delivery.delivery_id

    def lists(self, delivery_id: str) -> bool:
        return any(event["metadata"].get("delivery_id") == delivery_id for event in self.events())

    def events(self) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{self.api_port}/v1/accounts/{LOCAL_ACCOUNT_SID}/events?limit=100"
        answer = request(
            "GET", url, headers={"Authorization": f"Bearer {self.secret('APITRAFFIC_API_TOKEN')}"}
        )
        assert answer.status == 200
        records: list[dict[str, Any]] = json.loads(answer.body)["records"]
        return records

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextmanager
def running_up(folder: Path, extra: Mapping[str, str] | None = None) -> Iterator[Up]:
    with (
        held_ports(3) as (port, api_port, console_port),
        started(
            [
                *COMMAND,
                "up",
                "--port",
                str(port),
                "--api-port",
                str(api_port),
                "--console-port",
                str(console_port),
            ],
            cwd=folder,
            env=environment(**(extra or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        lines: list[str] = []
        assert process.stdout
        reader = Thread(target=lines.extend, args=(process.stdout,))
        reader.start()
        try:
            wait_until(
                lambda: STARTED in "".join(lines) or process.poll() is not None, "up has started", timeout=30
            )
            assert process.poll() is None, "".join(lines)
            yield Up(process, folder, port, api_port, lines)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=30)
            reader.join()


def nobody_listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) != 0


def test_up_delivers_and_keeps_what_it_has_however_it_ends(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        assert answers_ok(f"http://127.0.0.1:{up.port}/healthz")
        delivery = up.deliver()
        wait_until(lambda: up.lists(delivery), "the delivery is listed")
        tried = re.search(r"Try it +apitraffic-events (.*)", up.output)
        assert tried is not None
        result = run(*tried[1].split(), folder=tmp_path)
        assert result.returncode == 0, result.stderr
        wait_until(lambda: up.lists(json.loads(result.stdout.splitlines()[1])["delivery"]), "what was tried")

        assert up.stop(signal.SIGINT) == 0

        assert nobody_listens(up.port)
        assert nobody_listens(up.api_port)
        assert not up.redis.answers()
        assert "Traceback" not in up.output
        assert "receiver.worker worker starting version=" in up.output
        assert str(Path(".apitraffic/secrets/GITHUB_WEBHOOK_SECRET")) in up.output
        assert up.secret("GITHUB_WEBHOOK_SECRET") not in up.output
        assert up.secret("APITRAFFIC_API_TOKEN") not in up.output

    with running_up(tmp_path) as up:
        assert up.lists(delivery)
        up.stop(signal.SIGKILL if PARTS_NOTICE else signal.SIGTERM)
        wait_until(lambda: nobody_listens(up.port) and nobody_listens(up.api_port), "its parts have ended")

    with running_up(tmp_path) as up:
        assert up.lists(delivery)
        assert up.stop(signal.SIGTERM) == 0
        assert ("stopped a Redis that an earlier run had left behind" in up.output) is PARTS_NOTICE


@pytest.mark.timeout(240)  # it runs a dozen commands one after the other
def test_what_a_running_up_means_to_others(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """One `up` for all of it: each leaves it as the next needs it."""
    with running_up(tmp_path) as up:
        for check in (
            a_second_up_is_refused,
            a_demo_beside_it_shows_nothing_in_it,
            other_commands_find_it_and_say_so,
            a_redis_that_dies_comes_back_with_its_data,
        ):
            with subtests.test(check.__name__.replace("_", " ")):
                check(up)
    ended = run("status", folder=tmp_path)
    assert ended.returncode == 3
    assert FOUND not in ended.stderr


def a_second_up_is_refused(up: Up) -> None:
    with held_ports(1) as (port,):
        second = run("up", "--port", str(port), folder=up.folder)
    assert second.returncode == 1
    assert f"in use by process {up.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr


def a_demo_beside_it_shows_nothing_in_it(up: Up) -> None:
    demo = run("demo", folder=up.folder)
    assert demo.returncode == 0, demo.stderr
    assert not up.events()


def other_commands_find_it_and_say_so(up: Up) -> None:
    payload = up.folder / "event.json"
    payload.write_text('{"type": "custom", "name": "Found"}')
    sent = run("send", "events", str(payload), folder=up.folder)
    assert sent.returncode == 0, sent.stderr
    wait_until(lambda: bool(up.events()), "the event is listed")
    for command, shown in (
        (("events", "list", "--json"), '"name": "Found"'),
        (("status", "--json"), '"state": "idle"'),
        (("quarantine", "list"), ""),
        (("deadletters", "list", "--json"), ""),
    ):
        result = run(*command, folder=up.folder)
        assert result.returncode == 0, result.stderr
        assert result.stderr.startswith(FOUND)
        assert shown in result.stdout
    report = json.loads(run("doctor", "--json", folder=up.folder).stdout)
    assert report["ok"], report
    states = {each["check"]: each["state"] for each in report["checks"]}
    assert {states[name] for name in ("redis", "api", "github_secret", "spool")} == {"ok"}

    elsewhere = run("status", folder=up.folder, REDIS_URL="redis://127.0.0.1:9")
    assert elsewhere.returncode == 5
    assert FOUND not in elsewhere.stderr


def a_redis_that_dies_comes_back_with_its_data(up: Up) -> None:
    with Redis.from_url(up.redis.url) as redis:
        redis.set("kept", "yes")
        os.kill(redis.info("server")["process_id"], signal.SIGKILL)
    wait_until(lambda: "redis was ended by SIGKILL; starting it again in 0.2 s" in up.output, "it is said")
    wait_until(up.redis.answers, "Redis answers again")
    with Redis.from_url(up.redis.url, decode_responses=True) as redis:
        assert redis.get("kept") == "yes"
    wait_until(lambda: answers_ok(f"http://127.0.0.1:{up.port}/readyz"), "the receiver is ready again")
    delivery = up.deliver()
    wait_until(lambda: up.lists(delivery), "deliveries get through again", timeout=30)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("up", "--port", str(port), folder=tmp_path)
    assert result.returncode == 1
    assert result.stderr == f"Error: port {port} is in use; choose another with --port\n"


@pytest.mark.parametrize("command", ["up", "demo"])
def test_an_address_that_this_machine_does_not_have_is_explained(tmp_path: Path, command: str) -> None:
    result = run(command, "--host", "192.0.2.1", folder=tmp_path)
    assert result.returncode == 1
    assert re.fullmatch(
        r"Error: cannot listen on 192\.0\.2\.1 port \d+ \(Cannot assign requested address\); "
        r"choose others with --host and --port\n",
        result.stderr,
    )


def test_a_wrong_configuration_is_explained(tmp_path: Path) -> None:
    result = run("up", folder=tmp_path, REDIS_URL="localhost:6379")
    assert result.returncode == 1
    assert "REDIS_URL" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_redis_that_does_not_start_is_shown_with_its_last_words(tmp_path: Path, command: str) -> None:
    program = tmp_path / "bin" / "redis-server"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'the disk is full'\nexit 1\n")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    with held_ports(2) as (port, api_port):
        ports = ("--port", str(port), "--api-port", str(api_port))
        result = run(command, *ports, folder=tmp_path, PATH=path)
    assert result.returncode == 1
    assert re.search(r"^redis +\| the disk is full$", result.stdout + result.stderr, re.MULTILINE)
    assert "Error: redis ended with exit code 1 while starting." in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def port() -> Iterator[int]:
    with held_ports(1) as (port,):
        yield port


def test_demo_shows_new_markers_each_time_and_stays_when_asked_to(tmp_path: Path, port: int) -> None:
    # A configuration that would lead the demonstration's deliveries elsewhere if it counted.
    (tmp_path / "apitraffic.toml").write_text('[[route]]\nmatch = { source = "github" }\nskip = true\n')
    arguments = ["demo", "--port", str(port), "--data-dir", "kept here"]
    configured = {"APITRAFFIC_API_URL": "http://127.0.0.1:9/v1", "APITRAFFIC_API_TOKEN": "not to be used"}

    result = run(*arguments, folder=tmp_path, **configured)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    urls = shown_by_demo(result.stdout)
    assert nobody_listens(port)

    with started(
        [*COMMAND, *arguments, "--stay"],
        cwd=tmp_path,
        env=environment(**configured),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Receiver http://"):
                break
        try:
            assert line.split()[1].rstrip(",") == f"http://127.0.0.1:{port}"
            assert answers_ok(f"http://127.0.0.1:{port}/readyz")
        finally:
            process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
        assert process.returncode == 0
        assert errors == ""
    assert nobody_listens(port)
    urls += shown_by_demo("".join(lines) + rest)
    assert len(set(urls)) == len(urls) == 6


def shown_by_demo(output: str) -> list[str]:
    """The addresses of the runs that its markers link to."""
    assert "Failed deploy acme/checkout v2.3.0 to production" in output
    assert max(map(len, output.splitlines())) <= 100
    assert re.search(
        r"Ready after \d+\.\d s, all accepted after \d+\.\d s, all listed after \d+\.\d s", output
    )
    return re.findall(r"https://github\.com/acme/checkout/actions/runs/\d+", output)
