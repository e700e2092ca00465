"""Debian's Prometheus with samples of a test's own.

with running_prometheus(folder, "# TYPE requests counter\\nrequests_total 7 1764331200\\n# EOF\\n") as url:
    ...
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.support.browser import tool
from tests.support.ports import held_ports
from tests.support.processes import started
from tests.support.waiting import wait_until


@contextmanager
def running_prometheus(folder: Path, samples: str) -> Iterator[str]:
    """Gives its address. `samples` are in the OpenMetrics format, with times."""
    program = tool(shutil.which("prometheus"), "prometheus")
    (folder / "samples.txt").write_text(samples)
    (folder / "empty.yml").write_text("")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "samples.txt", "data"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    options = ["--config.file=empty.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=10y"]
    with (
        held_ports(1) as (port,),
        started(
            [program, *options, f"--web.listen-address=127.0.0.1:{port}"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ),
    ):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _is_ready(url), "Prometheus is ready", timeout=30)
        yield url


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=1).ok
    except requests.RequestException:
        return False
