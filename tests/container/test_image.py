"""The image holds what it needs and nothing more, and works with nothing to write to but its volume."""

import json
import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.container.conftest import REPOSITORY, REVISION
from tests.container.podman import Podman
from tests.support.waiting import wait_until

SECRET = "a-secret-of-the-container-tests"
ASK = (
    "import sys, urllib.request as u; print(u.urlopen(f'http://127.0.0.1:8080{sys.argv[1]}').read().decode())"
)


@pytest.fixture(scope="module")
def receiver(podman: Podman, image: str) -> Iterator[str]:
    yield from running(podman, image, "receiver")


@pytest.fixture
def another(podman: Podman, image: str) -> Iterator[str]:
    yield from running(podman, image, "another")


def running(podman: Podman, image: str, name: str) -> Iterator[str]:
    """The image's own command. There is no Redis: its spool has to take what comes."""
    podman.start(name, image, REDIS_URL="redis://127.0.0.1:1/0", GITHUB_WEBHOOK_SECRET=SECRET)
    ask = ("exec", name, "python3", "-c", ASK, "/healthz")
    try:
        wait_until(lambda: podman.attempt(*ask).returncode == 0, "the receiver answers")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{podman('logs', name)}") from None
    yield name
    podman("rm", "--force", "--volumes", name)


def ready(podman: Podman, receiver: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(podman("exec", receiver, "python3", "-c", ASK, "/readyz"))
    return found


def test_it_is_ready_without_redis_for_it_has_its_volume(podman: Podman, receiver: str) -> None:
    assert ready(podman, receiver) == {"status": "ready", "storage": "spool", "spooled": 0}


def test_it_accepts_a_signed_delivery(podman: Podman, receiver: str) -> None:
    release = json.dumps(
        {
            "action": "published",
            "release": {"id": 1, "tag_name": "v1", "published_at": "2026-01-10T10:00:00Z"},
            "repository": {"full_name": "acme/shop"},
        }
    )
    send = 'printf %s "$0" | apitraffic-events send github - --event release'
    assert "202" in podman("exec", receiver, "sh", "-c", send, release)
    assert ready(podman, receiver)["spooled"] == 1


def test_its_health_check_passes(podman: Podman, receiver: str) -> None:
    podman("healthcheck", "run", receiver)


def test_it_is_nobody_in_particular(podman: Podman, receiver: str) -> None:
    assert podman("exec", receiver, "sh", "-c", "echo $(id -u) $(id -g)").strip() == "10001 10001"


def test_its_root_file_system_is_read_only(podman: Podman, receiver: str) -> None:
    for folder in ("/", "/opt/apitraffic", "/etc"):
        assert "Read-only file system" in podman.attempt("exec", receiver, "mkdir", f"{folder}/made").stderr


def test_its_volume_is_its_own_and_its_program_is_not(podman: Podman, receiver: str) -> None:
    assert (
        podman("exec", receiver, "stat", "-c", "%u %g %a", "/var/lib/apitraffic").strip() == "10001 10001 700"
    )
    changeable = [
        "find",
        "/opt/apitraffic",
        "(",
        "-user",
        "10001",
        "-o",
        "-perm",
        "-o+w",
        ")",
        "!",
        "-type",
        "l",
    ]
    assert podman("exec", receiver, *changeable) == ""


@pytest.mark.parametrize("tool", ["pip", "pip3", "cc", "gcc", "g++", "clang", "ld", "make"])
def test_it_has_nothing_to_install_or_compile_with(podman: Podman, receiver: str, tool: str) -> None:
    assert podman("exec", receiver, "sh", "-c", f"command -v {tool} || echo none") == "none\n"


@pytest.mark.parametrize("python", ["sys.executable", "sys._base_executable"], ids=["its own", "the base's"])
def test_no_python_in_it_has_pip(podman: Podman, receiver: str, python: str) -> None:
    ask = f"import os, sys; os.execv({python}, [{python}, '-m', 'pip', '--version'])"
    assert "No module named pip" in podman.attempt("exec", receiver, "python3", "-c", ask).stderr


def test_one_image_is_worker_and_command_line_too(podman: Podman, receiver: str) -> None:
    assert podman("exec", receiver, "apitraffic-events", "--version").startswith("apitraffic-events")
    assert "Deliver accepted changes to the Events API" in podman(
        "exec", receiver, "apitraffic-events", "worker", "--help"
    )


@pytest.mark.parametrize(
    "module", ["jwt", "cryptography", "opentelemetry.sdk", "opentelemetry.exporter.otlp"]
)
def test_it_can_sign_in_as_a_github_app_and_trace(podman: Podman, receiver: str, module: str) -> None:
    podman("exec", receiver, "python3", "-c", f"import {module}")


def test_what_built_it_is_not_in_it(podman: Podman, receiver: str) -> None:
    ask = "import importlib.metadata as m; print(*sorted(d.name.lower() for d in m.distributions()))"
    installed = set(podman("exec", receiver, "python3", "-c", ask).split())
    lock = (REPOSITORY / "requirements-image.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9_.-]+)==", lock, re.MULTILINE))
    assert "flask" in installed
    assert {name.replace("_", "-") for name in installed} <= {*locked, "apitraffic-events"}


def test_it_ends_by_itself_when_told_to(podman: Podman, another: str) -> None:
    podman("stop", "--time", "25", another)
    assert podman("inspect", "--format", "{{.State.ExitCode}}", another).strip() == "0"


def test_its_labels_say_what_it_is(podman: Podman, image: str) -> None:
    labels = json.loads(podman("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    said = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    assert said["title"] == "apitraffic-events"
    assert said["licenses"] == "MIT"
    assert said["version"] == version
    assert said["revision"] == REVISION
