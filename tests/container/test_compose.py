"""compose.yaml, run as docs/deployment.md says, by podman-compose in a network of its own.

Skipped without podman-compose (PyPI). podman also needs its plugin for names: aardvark-dns, or with CNI, as
in Debian 12, the packages golang-github-containernetworking-plugin-dnsname and dnsmasq-base.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.container.podman import Podman
from tests.support.github import deployment_status
from tests.support.programs import REPOSITORY
from tests.support.waiting import wait_until

NETWORK: Final = "apitraffic-compose"
ACCOUNT: Final = "acc_local0000000000000000000000"
SECONDS: Final = 240.0
LIMITS: Final = "--ulimit=nofile=4096:4096 --ulimit=nproc=4096:4096"
SECRETS: Final = {"github_webhook_secret": "0123456789abcdef" * 4, "api_token": "a-token-of-the-compose-test"}
UID: Final = 10001
LIST: Final = f"""
import pathlib, urllib.request
token = pathlib.Path("/run/secrets/api_token").read_text()
url = "http://api:8081/v1/accounts/{ACCOUNT}/events"
request = urllib.request.Request(url, headers={{"Authorization": "Bearer " + token}})
print(urllib.request.urlopen(request).read().decode())
"""


class Compose:
    """podman-compose in a folder with compose.yaml and what it mounts, and nothing else of the repository."""

    def __init__(self, podman: Podman, folder: Path) -> None:
        self._folder = folder
        program = folder / "podman"
        # Not `ip netns exec`, which has mounts of its own: podman would not find the networks it has made.
        command = [
            "nsenter",
            f"--net=/run/netns/{NETWORK}",
            *podman.command,
            "--network-config-dir",
            f"{folder}/net",
        ]
        program.write_text(f'#!/bin/sh\nexec {" ".join(command)} "$@"\n')
        program.chmod(0o755)
        self._podman = str(program)

    def __call__(self, *words: str) -> str:
        done = self.attempt(*words)
        assert done.returncode == 0, f"podman-compose {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def attempt(self, *words: str) -> subprocess.CompletedProcess[str]:
        options = ["--podman-path", self._podman, "--podman-run-args", LIMITS, "--profile", "local"]
        return subprocess.run(
            ["podman-compose", *options, *words],
            cwd=self._folder,
            env={**os.environ, "APITRAFFIC_API_URL": "http://api:8081/v1", "APITRAFFIC_ACCOUNT_SID": ACCOUNT},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def inside(self, service: str, *words: str) -> str:
        return self("exec", "-T", service, *words)


@pytest.fixture(scope="module")
def compose(podman: Podman, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    if shutil.which("podman-compose") is None:
        pytest.skip("podman-compose is not installed; see above")
    folder = tmp_path_factory.mktemp("compose")
    for name in ("compose.yaml", "deploy/apitraffic.toml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text((REPOSITORY / name).read_text())
        (folder / name).chmod(0o644)
    (folder / "secrets").mkdir()
    for name, value in SECRETS.items():
        (folder / "secrets" / name).write_text(value)
        os.chown(folder / "secrets" / name, UID, UID)
        (folder / "secrets" / name).chmod(0o400)
    podman.make_redis("docker.io/library/redis:7-bookworm")
    subprocess.run(["ip", "netns", "add", NETWORK], check=True)
    subprocess.run(["ip", "-n", NETWORK, "link", "set", "lo", "up"], check=True)
    try:
        running = Compose(podman, folder)
        running("up", "--detach", "--no-build")
        yield running
        running("down", "--volumes")
    finally:
        subprocess.run(["ip", "netns", "del", NETWORK], check=True)


def test_a_signed_delivery_becomes_an_event(compose: Compose) -> None:
    send = 'printf %s "$0" | apitraffic-events send github - --event deployment_status'
    wait_until(lambda: "redis" in ready(compose), "the receiver reaches Redis", 60)
    assert '"accepted"' in compose.inside("receiver", "sh", "-c", send, deployment_status(1).decode())
    try:
        wait_until(lambda: len(events(compose)) == 1, "a worker has delivered it", 120)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{compose('logs', 'worker')}") from None
    (event,) = events(compose)
    assert event["metadata"]["repository"] == "acme/checkout"


def test_both_workers_run(compose: Compose) -> None:
    wait_until(lambda: len(workers(compose)) == 2, "both workers have registered", 60)


def workers(compose: Compose) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(
        compose.inside("receiver", "apitraffic-events", "status", "--json")
    )["workers"]
    return found


def ready(compose: Compose) -> str:
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/readyz').read().decode())"
    return compose.attempt("exec", "-T", "receiver", "python3", "-c", ask).stdout


def events(compose: Compose) -> list[dict[str, dict[str, str]]]:
    found: list[dict[str, dict[str, str]]] = json.loads(compose.inside("api", "python3", "-c", LIST))[
        "records"
    ]
    return found
