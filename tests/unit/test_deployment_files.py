"""Every file that a manifest, the compose file or a unit names is in a clone, and no secret is."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from receiver.config.environment import CONFIG_VARIABLE
from receiver.config.loading import load_settings
from tests.unit.test_container_files import tool

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
CONFIGURATIONS = sorted((ROOT / "deploy").rglob("apitraffic.toml"))


def tracked() -> set[str]:
    """What git has, or would add: a file that is ignored is in no clone."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}


def named_by_kustomize() -> set[str]:
    found = set()
    for path in KUBERNETES.rglob("kustomization.yaml"):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        maps = content.get("configMapGenerator", [])
        files = [*content.get("resources", []), *(name for each in maps for name in each["files"])]
        found |= {str((path.parent / name).relative_to(ROOT)) for name in files}
    return found


def named_by_compose() -> set[str]:
    volumes = [volume for service in COMPOSE["services"].values() for volume in service.get("volumes", [])]
    return {volume.split(":")[0].removeprefix("./") for volume in volumes if volume.startswith("./")}


def named_by_the_dockerfile() -> set[str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
    return {name for line in lines for name in line.split()[:-1]}


def test_every_file_that_is_named_is_in_a_clone() -> None:
    files = tracked()
    folders = {str(parent) for name in files for parent in Path(name).parents}
    for name in named_by_kustomize() | named_by_compose() | named_by_the_dockerfile():
        assert name in files | folders, name


def kustomized(folder: Path) -> list[dict[str, Any]]:
    built = subprocess.run(
        [tool("kubectl"), "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


def test_kubectl_builds_the_manifests_from_a_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for name in tracked():
        if name.startswith("deploy/"):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
    kinds = {each["kind"] for each in kustomized(clone / "deploy/kubernetes")}
    assert {"StatefulSet", "Deployment", "ConfigMap", "Ingress"} <= kinds

    overlay = clone / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(
        "resources: [../deploy/kubernetes]\ncomponents: [../deploy/kubernetes/tls]\n"
    )
    (receiver,) = [each for each in kustomized(overlay) if each["kind"] == "StatefulSet"]
    (container,) = receiver["spec"]["template"]["spec"]["containers"]
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert {probe["scheme"] for probe in probes} == {"HTTPS"}
    assert "APITRAFFIC_TLS_CERT" in {each["name"] for each in container["env"]}


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_example_configurations_are_right(path: Path) -> None:
    assert load_settings({CONFIG_VARIABLE: str(path)}).delivery.deployments == "point"


@pytest.mark.parametrize(
    "name", ["secrets/github_webhook_secret", "secrets/api_token", "apitraffic.toml", ".env"]
)
def test_git_ignores_what_a_user_puts_there(name: str) -> None:
    assert subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False).returncode == 0


def test_a_service_with_replicas_names_the_mode() -> None:
    """podman-compose ignores them otherwise: findings/podman-compose-replicas.sh."""
    deploys = [service["deploy"] for service in COMPOSE["services"].values() if "deploy" in service]
    assert deploys
    assert all(deploy["mode"] == "replicated" for deploy in deploys if "replicas" in deploy)


def test_secrets_of_the_compose_file_are_in_a_folder_that_git_ignores() -> None:
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("./secrets/")


@pytest.mark.parametrize("unit", sorted((ROOT / "deploy/systemd").iterdir()), ids=lambda path: path.name)
def test_a_service_finds_its_configuration_beside_its_environment(unit: Path) -> None:
    lines = unit.read_text(encoding="utf-8").splitlines()
    folder = next(line for line in lines if line.startswith("EnvironmentFile=")).partition("=")[2]
    assert f"WorkingDirectory={Path(folder).parent}" in lines
