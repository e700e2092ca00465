"""What the container is made with is well made; `make container` builds and runs it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from receiver.cli import main
from receiver.config.environment import VARIABLES

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
MANIFESTS = sorted(path for path in KUBERNETES.glob("*.yaml") if path.name != "kustomization.yaml")


UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())


def tool(name: str) -> str:
    """Its path; a test that lacks it is skipped, or fails where REQUIRE_TOOLS=1."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = shutil.which(name, path=path)
    if found is None:
        reason = f"{name} is not installed; make tools or .ci/run installs it"
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def output_of(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    assert output_of(tool("hadolint"), ROOT / "Dockerfile") == (0, "")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_kubernetes_takes_the_manifests(path: Path) -> None:
    assert output_of(tool("kubernetes-validate"), "--strict", "--quiet", path) == (0, "")


def test_the_kustomization_names_all_manifests() -> None:
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))
    assert sorted(kustomization["resources"]) == [path.name for path in MANIFESTS]


@pytest.mark.parametrize("component", ["receiver", "worker"])
def test_every_pod_is_confined(component: str) -> None:
    manifests = yaml.safe_load_all((KUBERNETES / f"{component}.yaml").read_text(encoding="utf-8"))
    pod = next(manifests)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    secrets = {one["name"] for one in container["env"]} & {variable.name for variable in VARIABLES}
    assert not any(name.endswith(("TOKEN", "SECRET")) for name in secrets)


@pytest.mark.parametrize("component", ["receiver", "worker"])
def test_the_command_line_has_what_the_pods_call(component: str) -> None:
    manifests = yaml.safe_load_all((KUBERNETES / f"{component}.yaml").read_text(encoding="utf-8"))
    (container,) = next(manifests)["spec"]["template"]["spec"]["containers"]
    command, *options = container["args"]
    help_text = CliRunner().invoke(main, [command, "--help"]).output
    assert all(option in help_text for option in options if option.startswith("--"))


def test_compose_takes_the_file() -> None:
    check = (tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml")
    assert output_of(*check)[0] == 0, output_of(*check)[1]


def test_the_base_image_is_pinned() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^ARG PYTHON_DIGEST=sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert "\nARG BASE=python:${PYTHON_TAG}@${PYTHON_DIGEST}\n" in text
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}


def test_what_the_image_holds_is_what_is_tested() -> None:
    def versions(lock: str) -> set[tuple[str, str]]:
        return set(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE))

    in_image = versions("requirements-image.lock")
    assert {"flask", "pyjwt", "opentelemetry-sdk"} <= {name for name, _ in in_image}
    assert in_image <= versions("requirements-dev.lock")


def test_every_service_of_ours_is_confined() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    ours = {name: one for name, one in compose["services"].items() if one["image"] == "apitraffic-events"}
    assert set(ours) == {"receiver", "worker", "api"}
    for service in ours.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "/tmp" in service["tmpfs"]  # noqa: S108 - of the container
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        # What is mounted nowhere else would get a volume without a name from the image.
        mounted = {*service["tmpfs"], *(volume.partition(":")[2] for volume in service.get("volumes", ()))}
        assert "/var/lib/apitraffic" in mounted


def test_redis_keeps_what_it_has() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    command = " ".join(compose["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_little_that_a_service_could_harm(unit: Path) -> None:
    """Exposure in tenths, of 100: below 20 is what systemd calls OK."""
    assess = (tool("systemd-analyze"), "security", "--offline=true", "--threshold=20", unit)
    assert output_of(*assess)[0] == 0, output_of(*assess)[1]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_understands_the_unit(unit: Path) -> None:
    _, complaints = output_of(tool("systemd-analyze"), "verify", unit)
    absent_here = "apitraffic-events is not executable: No such file or directory"
    assert [line for line in complaints.splitlines() if absent_here not in line] == []
