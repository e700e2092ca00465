"""Dashboard and alerts ask for metrics that there are, and Prometheus accepts the rules."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "deploy/observability"
RECEIVER = Path(__file__).parents[2] / "receiver"
SOURCES = [RECEIVER / "observability/metrics.py", RECEIVER / "monitoring/backlog.py"]


def known() -> set[str]:
    text = "".join(path.read_text() for path in SOURCES)
    counted = set(re.findall(r'(?:Counter|Histogram)\(\s*"(apitraffic_\w+)"', text))
    asked = {f"apitraffic_{name}" for name in re.findall(r'(?:yield |_plain|\()\s*\(?"(\w+)", "[A-Z1]', text)}
    suffixed = {f"{name}{suffix}" for name in counted for suffix in ("_total", "_bucket", "_count", "_sum")}
    return suffixed | asked


def used(text: str) -> set[str]:
    return set(re.findall(r"\bapitraffic_\w+", text))


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    dashboard = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) >= 18
    assert not set().union(*map(used, expressions)) - known()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_prometheus_understands_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    panels = json.loads((FOLDER / "grafana-dashboard.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    # Grafana puts a duration there. Recording rules are what promtool reads expressions from; JSON is YAML.
    asked = [expression.replace("$__rate_interval", "5m") for expression in expressions]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "expressions.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", str(file))


def test_the_alerts_ask_for_metrics_that_there_are() -> None:
    rules = (FOLDER / "alerts.yaml").read_text()
    assert len(used(rules)) >= 10
    assert not used(rules) - known()


@pytest.mark.parametrize(
    "command", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts.test.yaml")]
)
def test_prometheus_accepts_the_alerts_and_they_fire_when_they_should(command: tuple[str, ...]) -> None:
    promtool(*command)


def promtool(*words: str) -> str:
    if shutil.which("promtool") is None and not os.environ.get("REQUIRE_TOOLS"):
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run(["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
