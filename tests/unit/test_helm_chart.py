"""What Helm makes of the chart: the pods of the Kustomize base, alerts and dashboard, all of it valid."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.unit.test_container_files import output_of, tool

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy" / "helm" / "apitraffic-events"
KUBERNETES: Final = ROOT / "deploy" / "kubernetes"
OBSERVABILITY: Final = ROOT / "deploy" / "observability"
OF_THE_OPERATOR: Final = {"PodMonitor", "PrometheusRule"}


def rendered(*settings: str) -> list[dict[str, Any]]:
    options = [option for setting in settings for option in ("--set", setting)]
    made = subprocess.run(
        [tool("helm"), "template", "apitraffic-events", CHART, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return [each for each in yaml.safe_load_all(made.stdout) if each]


def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By the container's name; without what the chart's names and values make different."""
    found = {}
    for each in documents:
        if each["kind"] in {"StatefulSet", "Deployment"}:
            pod = each["spec"]["template"]["spec"]
            pod.pop("topologySpreadConstraints", None)
            (container,) = pod["containers"]
            for name in ("image", "imagePullPolicy"):
                container.pop(name, None)
            found[container["name"]] = pod
    return found


def test_helm_finds_nothing_wrong() -> None:
    code, said = output_of(tool("helm"), "lint", "--strict", CHART)
    assert code == 0, said


@pytest.mark.parametrize("on", ["true", "false"])
def test_kubernetes_takes_what_is_rendered(on: str, tmp_path: Path) -> None:
    switches = ["monitoring.podMonitor", "monitoring.alerts", "monitoring.dashboard", "ingress.enabled"]
    switches += ["receiver.autoscaling.enabled", "networkPolicy.enabled"]
    documents = rendered(*(f"{switch}={on}" for switch in switches), "receiver.spool.storageClass=fast")
    path = tmp_path / "rendered.yaml"
    path.write_text(yaml.safe_dump_all([each for each in documents if each["kind"] not in OF_THE_OPERATOR]))
    assert output_of(tool("kubernetes-validate"), "--strict", "--quiet", path) == (0, "")


def test_its_pods_are_those_of_the_kustomize_base() -> None:
    base = [
        each
        for name in ("receiver.yaml", "worker.yaml")
        for each in yaml.safe_load_all((KUBERNETES / name).read_text(encoding="utf-8"))
    ]
    ours, theirs = pods(rendered()), pods(base)
    for container in (pod["containers"][0] for pod in (*ours.values(), *theirs.values())):
        container["env"] = sorted(container["env"], key=lambda one: str(one["name"]))
    assert ours == theirs


def test_every_senders_secret_is_a_file() -> None:
    receiver = pods(rendered("senderSecrets={pagerduty_webhook_secret,gitlab_webhook_token}"))["receiver"]
    environment = {one["name"]: one["value"] for one in receiver["containers"][0]["env"]}
    assert environment["GITLAB_WEBHOOK_TOKEN_FILE"] == "/run/secrets/apitraffic/gitlab_webhook_token"
    assert "PAGERDUTY_WEBHOOK_SECRET_FILE" in environment
    assert "GITHUB_WEBHOOK_SECRET_FILE" not in environment


def test_alerts_and_dashboard_are_those_of_deploy_observability() -> None:
    documents = {
        each["kind"]: each for each in rendered("monitoring.alerts=true", "monitoring.dashboard=true")
    }
    assert documents["PrometheusRule"]["spec"] == yaml.safe_load((OBSERVABILITY / "alerts.yaml").read_text())
    dashboard = json.loads((OBSERVABILITY / "grafana-dashboard.json").read_text())
    assert json.loads(documents["ConfigMap"]["data"]["apitraffic-events.json"]) == dashboard


@pytest.mark.parametrize(
    "setting",
    [
        "receiver.replica=3",
        "environment.GITHUB_WEBHOOK_SECRET=x",
        "senderSecrets={GITHUB}",
        "existingSecret=",
    ],
)
def test_a_wrong_value_is_refused(setting: str) -> None:
    code, said = output_of(tool("helm"), "template", "x", CHART, "--set", setting)
    assert code != 0
    assert "values" in said
