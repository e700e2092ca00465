"""Prometheus scrapes a receiver and a worker, and finds what the dashboard and the alerts ask for."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import pytest
import requests
import yaml

from tests.support.github import deployment_status, post
from tests.support.gitlab_ci_local import required
from tests.support.ports import held_ports
from tests.support.programs import REPOSITORY
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

FOLDER: Final = REPOSITORY / "deploy/observability"
SCRAPES: Final = 5
"""A rate takes two of them."""


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **parameters: str) -> Any:
        answer = requests.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=10).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def series(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def has_scraped(self, targets: int) -> bool:
        try:
            enough = self.series(f'count_over_time(up{{job="apitraffic"}}[1h]) >= {SCRAPES}')
            return len(enough) == targets
        except requests.ConnectionError:
            return False


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("observed")) as stack:
        yield stack


@pytest.fixture(scope="module")
def ports() -> Iterator[list[int]]:
    with held_ports(2) as ports:
        yield ports


@pytest.fixture(scope="module")
def prometheus(
    stack: Stack, ports: list[int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Scrapes while deliveries are accepted, refused, retried and given up."""
    folder = tmp_path_factory.mktemp("prometheus")
    of_worker, port = ports
    stack.receiver.start()
    stack.worker = stack.program("worker", "--metrics-port", str(of_worker), ready="worker started")
    stack.worker.start()
    targets = [stack.url.removeprefix("http://"), f"127.0.0.1:{of_worker}"]
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(FOLDER / "alerts.yaml")],
        "scrape_configs": [{"job_name": "apitraffic", "static_configs": [{"targets": targets}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    options = (f"--web.listen-address=127.0.0.1:{port}", f"--storage.tsdb.path={folder}/data")
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [required("prometheus"), f"--config.file={folder}/prometheus.yml", *options],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        running = Prometheus(port)
        send_something_of_each_kind(stack)
        wait_until(lambda: running.has_scraped(len(targets)), "Prometheus has scraped", 60)
        yield running
    finally:
        process.terminate()
        process.wait(30)


def send_something_of_each_kind(stack: Stack) -> None:
    stack.api.set_faults(["POST:status=400x1"])
    assert post(stack.url, deployment_status(1)).status_code == 202
    wait_until(stack.is_idle, "a dead letter")
    stack.api.set_faults(["POST:status=503x1"])
    assert post(stack.url, deployment_status(2)).status_code == 202
    assert post(stack.url, deployment_status(3)).status_code == 202
    assert post(stack.url, deployment_status(4), secret="not the secret").status_code == 401
    assert post(stack.url, b'{"broken": ', event="deployment_status").json()["status"] == "quarantined"
    wait_until(lambda: len(stack.events()) == 2 and stack.is_idle(), "the others are shown", 30)


def panels() -> list[tuple[str, str]]:
    dashboard = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    return [
        (panel["title"], target["expr"].replace("$__rate_interval", "5m"))
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


@pytest.mark.parametrize(("title", "expression"), panels())
def test_each_panel_shows_something(prometheus: Prometheus, title: str, expression: str) -> None:
    assert prometheus.series(expression), title


def test_each_alert_asks_for_metrics_that_are_scraped(prometheus: Prometheus) -> None:
    asked = set(re.findall(r"\bapitraffic_\w+", (FOLDER / "alerts.yaml").read_text()))
    assert {name for name in asked if not prometheus.series(f'{{__name__="{name}"}}')} == set()


def test_the_alerts_are_evaluated_and_notice_what_happened(prometheus: Prometheus) -> None:
    def rules() -> dict[str, dict[str, Any]]:
        (group,) = prometheus.ask("rules")["groups"]
        return {rule["name"]: rule for rule in group["rules"]}

    wait_until(lambda: all(rule["health"] == "ok" for rule in rules().values()), "all are evaluated", 30)
    states = {name: rule["state"] for name, rule in rules().items()}
    noticed = {name for name, state in states.items() if state != "inactive"}
    assert noticed == {"ApitrafficDeadLetters", "ApitrafficQuarantine"}


def test_prometheus_finds_nothing_to_say_about_the_metrics(stack: Stack) -> None:
    """Their names, units and help texts."""
    metrics = requests.get(f"{stack.url}/metrics", timeout=10).text
    checked = subprocess.run(
        [required("promtool"), "check", "metrics"], input=metrics, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
