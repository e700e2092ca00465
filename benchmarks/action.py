"""What the GitHub Action adds to a job: an event sent to the local Events API, start of node included."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from tests.support.local_api import running_local_api

ACTIONS: Final = Path(__file__).parents[1] / "actions"
ROUNDS: Final = 20
PERCENTILE: Final = 0.95
TOKEN: Final = "local-api-token"  # noqa: S105 - of an API that lives as long as this


def main() -> None:
    if shutil.which("node") is None:
        sys.exit("node is not installed; this figure needs node 20 or newer")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    with (
        tempfile.TemporaryDirectory(prefix="apitraffic-bench-") as name,
        running_local_api(Path(name), token=TOKEN) as api,
    ):
        inputs = {"api-url": api.url, "api-token": TOKEN, "account-sid": api.account_sid}
        runner = {f"INPUT_{key.upper()}": value for key, value in inputs.items()}
        runner |= {"PATH": os.environ["PATH"], "GITHUB_REPOSITORY": "acme/shop", "GITHUB_RUN_ID": "1"}
        named = {"INPUT_ENVIRONMENT": "production"}
        print(f"GitHub Action on node {version}, one process each, {ROUNDS} times:")
        show("node that does nothing", ["node", "--eval", "0"], runner)
        show("event, a point", ["node", str(ACTIONS / "event/main.mjs")], runner)
        opening = ["node", str(ACTIONS / "deployment/main.mjs")]
        show("deployment, looked up and opened", opening, runner | named)
        show("deployment, closed", ["node", str(ACTIONS / "deployment/post.mjs")], runner | named)


def show(title: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
    times = sorted(_milliseconds(command, environment) for _ in range(ROUNDS))
    slow = times[int(len(times) * PERCENTILE)]
    print(f"  {title:34} p50 {median(times):5.0f} ms   p95 {slow:5.0f} ms")


def _milliseconds(command: Sequence[str], environment: Mapping[str, str]) -> float:
    began_at = time.perf_counter()
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True)
    if "::warning" in done.stdout:
        sys.exit(f"the action did not send its event:\n{done.stdout}")
    return (time.perf_counter() - began_at) * 1000


if __name__ == "__main__":
    main()
