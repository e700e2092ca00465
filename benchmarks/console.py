"""The console in Chromium: 5,000 markers over seven days, on figures of one minute from a real Prometheus.

`python -m benchmarks.console`, on Linux with Chromium and Prometheus. Wall times depend on what else the
machine does, so it says how busy that is, and gives processor times besides.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Final

from playwright.sync_api import Page

from benchmarks.processes import BenchmarkError
from receiver.local.events_api.store import Store
from receiver.local.events_api.timestamps import format_timestamp
from receiver.local.plain_http import answers_ok
from receiver.local.stack import free_port
from tests.support.browser import chromium
from tests.support.local_api import LocalApi, running_local_api
from tests.support.processes import started
from tests.support.programs import Program
from tests.support.waiting import wait_until

MARKERS: Final = 5_000
DAYS: Final = 7
ROUNDS: Final = 7
PANS: Final = 5
STEPS: Final = 60
QUERIES: Final = """[charts]
prometheus = "{url}"
throughput = "sum(rate(requests_total[5m]))"
response_time = "sum(rate(seconds_total[5m])) / sum(rate(requests_total[5m]))"
"""
TYPES: Final = ("deployment", "deployment", "deployment", "incident", "config_change", "scale", "custom")
PAGE_WITH_SCRIPTS: Final = """() => performance.getEntriesByType('resource')
    .concat(performance.getEntriesByType('navigation'))
    .filter((one) => !one.name.includes('.json'))
    .reduce((sum, one) => sum + one.encodedBodySize, 0)"""
DATA: Final = """() => performance.getEntriesByType('resource')
    .filter((one) => one.name.includes('.json'))
    .reduce((sum, one) => sum + one.encodedBodySize, 0)"""
COUNT_FRAMES: Final = """() => {
    window.frames = [];
    const note = (at) => { window.frames.push(at); requestAnimationFrame(note); };
    requestAnimationFrame(note);
}"""


@dataclass(frozen=True, slots=True)
class Load:
    """One load of the page. Milliseconds, and bytes as they are sent."""

    drawn: float
    server_cpu: float
    page: int
    data: int


def main() -> None:
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        sys.exit("prometheus is not installed (apt-get install prometheus)")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; {MARKERS} markers, {DAYS} days")
    with (
        tempfile.TemporaryDirectory(prefix="apitraffic-bench-") as name,
        running_local_api(Path(name)) as api,
        prometheus(Path(name)) as url,
    ):
        fill(api)
        with console(Path(name), api, url) as program, chromium() as browser:
            base = program.announced["url"] if program.announced else ""
            page = browser.new_context(base_url=base, viewport={"width": 1400, "height": 900}).new_page()
            first = load(page, program)
            print(
                f"first load, all read from the API: {first.drawn:.0f} ms, {first.server_cpu:.0f} ms of CPU"
            )
            loads = [load(page, program) for _ in range(ROUNDS)]
            print(
                f"drawn after {min(one.drawn for one in loads):.0f} ms at best, "
                f"{median(one.drawn for one in loads):.0f} ms in the middle of {ROUNDS} (wanted: 1,000)"
            )
            print(f"server: {median(one.server_cpu for one in loads):.0f} ms of CPU a load (wanted: 60)")
            print(f"page with scripts: {first.page / 1024:.0f} kB compressed (wanted: 150)")
            print(f"its data: {first.data / 1024:.0f} kB compressed")
            rates = [pan(page) for _ in range(PANS)]
            print(f"panning: {max(rates):.0f} frames a second at best, {median(rates):.0f} in the middle")
            print(f"of our own work, a frame takes {frame_work(page):.1f} ms")
    print(f"load {os.getloadavg()[0]:.1f} afterwards")


def fill(api: LocalApi) -> None:
    """Into the API's own file, which it reads at each request."""
    now = datetime.now(UTC)
    with closing(Store(api.data)) as store:
        for number in range(MARKERS):
            started_at = now - timedelta(days=DAYS) * (number / MARKERS)
            kind = TYPES[number % len(TYPES)]
            lasts = timedelta(minutes=20) if kind == "incident" else None
            fields = {
                "type": kind,
                "name": f"Deploy acme/service-{number % 40} v2.{number} to production",
                "description": None,
                "source": "github_actions",
                "metadata": {
                    "repository": f"acme/service-{number % 40}",
                    "environment": "production",
                    "status": "failure" if number % 11 == 0 else "success",
                    "commit": f"{number:040x}",
                    "actor": "alice",
                    "url": f"https://github.com/acme/service-{number % 40}/actions/runs/{number}",
                    "marker_key": f"github:deployment:{number}",
                },
                "buckets": ["*"],
                "environments": ["*"],
                "startedAt": format_timestamp(started_at),
                "endedAt": format_timestamp(started_at + lasts) if lasts else None,
            }
            store.create(api.account_sid, fields)


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    now = datetime.now(UTC)
    lines = []
    for name, each in (("requests", 900), ("seconds", 45)):
        lines.append(f"# TYPE {name} counter")
        total = 0.0
        for minute in range(DAYS * 1440 + 30):
            total += each * (1 + 0.4 * (minute // 7 % 5) / 5)
            at = now - timedelta(minutes=DAYS * 1440 + 29 - minute)
            lines.append(f"{name}_total {total:.1f} {at.timestamp():.0f}")
    (folder / "samples.txt").write_text("\n".join([*lines, "# EOF\n"]))
    (folder / "empty.yml").write_text("")
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "samples.txt", "data"]
    subprocess.run(blocks, cwd=folder, check=True, capture_output=True)
    port = free_port("127.0.0.1")
    program = ["prometheus", "--config.file=empty.yml", "--storage.tsdb.path=data"]
    with started(
        [*program, f"--web.listen-address=127.0.0.1:{port}"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers_ok(f"{url}/-/ready"), "Prometheus is ready", timeout=30)
        yield url


@contextmanager
def console(folder: Path, api: LocalApi, prometheus_url: str) -> Iterator[Program]:
    configuration = folder / "apitraffic.toml"
    configuration.write_text(QUERIES.format(url=prometheus_url))
    environment = {
        "APITRAFFIC_CONFIG": str(configuration),
        "APITRAFFIC_API_URL": api.url,
        "APITRAFFIC_API_TOKEN": api.token,
        "APITRAFFIC_ACCOUNT_SID": api.account_sid,
    }
    ready = r"console listens url=(?P<url>\S+)"
    program = Program(folder / "console.log", environment, "console", "--port", "0", ready=ready).start()
    try:
        yield program
    finally:
        program.stop()


def load(page: Page, program: Program) -> Load:
    before = cpu_of(program)
    page.goto("/?range=7d")
    page.wait_for_selector("#charts[data-drawn=yes]", timeout=60_000)
    drawn = float(page.evaluate("performance.getEntriesByName('drawn')[0].startTime"))
    if page.locator(".flag").count() == 0:
        raise BenchmarkError("no marker was drawn")
    size, data = int(page.evaluate(PAGE_WITH_SCRIPTS)), int(page.evaluate(DATA))
    return Load(drawn, cpu_of(program) - before, size, data)


def cpu_of(program: Program) -> float:
    """Milliseconds, of the process and those that it has started."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
            fields = stat.read_text().rpartition(")")[2].split()
            group, user, system = int(fields[2]), int(fields[11]), int(fields[12])
            ticks += user + system if group == program.pid else 0
    return ticks / os.sysconf("SC_CLK_TCK") * 1000


def pan(page: Page) -> float:
    """Frames a second while the chart is moved with the mouse."""
    box = page.locator("#throughput .u-over").bounding_box()
    if box is None:
        raise BenchmarkError("no chart was drawn")
    page.evaluate(COUNT_FRAMES)
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 300, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 900, box["y"] + 50, steps=STEPS)
    frames: list[float] = page.evaluate("window.frames")
    page.mouse.up()
    page.keyboard.up("Shift")
    seconds = (frames[-1] - frames[0]) / 1000
    return (len(frames) - 1) / seconds


def frame_work(page: Page) -> float:
    """Milliseconds of script for one frame, at best: what is left of it is the browser's."""
    page.goto("/?range=7d")
    page.wait_for_selector("#charts[data-drawn=yes]", timeout=60_000)
    return float(
        page.evaluate(
            """async () => {
                const times = [];
                for (let turn = 0; turn < 40; turn++) {
                    const event = new WheelEvent('wheel', { deltaX: 3, bubbles: true, cancelable: true });
                    document.getElementById('throughput').dispatchEvent(event);
                    await new Promise((done) => requestAnimationFrame(done));
                    const measured = performance.getEntriesByName('frame').at(-1);
                    if (measured) times.push(measured.duration);
                }
                return Math.min(...times);
            }"""
        )
    )


if __name__ == "__main__":
    main()
