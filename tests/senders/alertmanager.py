"""Prometheus and Alertmanager, really run, restarted and killed in between: each episode is one marker.

`python -m tests.senders.alertmanager`; needs `prometheus`, `prometheus-alertmanager` and `amtool` (Debian:
packages prometheus and prometheus-alertmanager), and takes some three minutes.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import requests

from tests.support.ports import held_ports
from tests.support.stack import Stack, running_stack

TOKEN: Final = "the-token-of-alertmanager-0123456789"
CLOSE_AFTER: Final = 20
"""Seconds; more than three repeat intervals."""
NEEDED: Final = ("prometheus", "prometheus-alertmanager", "amtool")
ALERTMANAGER: Final = """\
global: {{resolve_timeout: 10s}}
route:
  receiver: markers
  group_by: [alertname]
  group_wait: 1s
  group_interval: 2s
  repeat_interval: 4s
receivers:
  - name: markers
    webhook_configs:
      - url: {url}/webhooks/alertmanager
        http_config: {{authorization: {{credentials: {token}}}}}
"""
PROMETHEUS: Final = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{first}", "127.0.0.1:{second}"]}}]}}]
scrape_configs:
  - job_name: checkout
    static_configs: [{{targets: ["127.0.0.1:{target}"]}}]
"""
RULES: Final = """\
groups:
  - name: shop
    rules:
      - alert: CheckoutDown
        expr: up{job="checkout"} == 0
        labels: {severity: critical, service: checkout}
        annotations: {summary: "The checkout does not answer", description: "Seen on {{ $labels.instance }}."}
"""


class Service:
    """A program that is started, stopped and killed."""

    def __init__(self, folder: Path, name: str, *command: str) -> None:
        self._log = folder / f"{name}.log"
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, address: str) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until(lambda: _answers(f"http://{address}/-/ready"), f"{self._command[0]} is up", 30)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None


class Target:
    """What Prometheus looks at: it answers, or it does not."""

    def __init__(self) -> None:
        self.is_up = True
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if target.is_up else 503)
                self.end_headers()
                self.wfile.write(b"shop_orders 1\n")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def until(is_so: Callable[[], bool], what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.2)


class Rig:
    """Prometheus, two Alertmanagers that do not know each other, and the product."""

    def __init__(self, folder: Path, stack: Stack, held: list[int]) -> None:
        self.stack = stack
        self.target = Target()
        self._prometheus_port, *self.ports = held
        (folder / "alertmanager.yml").write_text(ALERTMANAGER.format(url=stack.url, token=TOKEN))
        (folder / "rules.yml").write_text(RULES)
        ports = {"first": self.ports[0], "second": self.ports[1], "target": self.target.port}
        (folder / "prometheus.yml").write_text(PROMETHEUS.format(rules=folder / "rules.yml", **ports))
        self.prometheus = Service(
            folder,
            "prometheus",
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self._prometheus_port}",
            "--rules.alert.resend-delay=1s",
        )
        self.alertmanagers = [
            Service(
                folder,
                f"alertmanager-{port}",
                "prometheus-alertmanager",
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / f'alertmanager-{port}'}",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--web.external-url=http://alertmanager-{port}.example.com",
                "--cluster.listen-address=",
            )
            for port in self.ports
        ]

    def start_prometheus(self) -> None:
        self.prometheus.start(f"127.0.0.1:{self._prometheus_port}")

    def start_alertmanager(self, number: int) -> None:
        self.alertmanagers[number].start(f"127.0.0.1:{self.ports[number]}")

    def stop(self) -> None:
        for service in (self.prometheus, *self.alertmanagers):
            service.stop(signal.SIGKILL)

    def amtool(self, *arguments: str) -> None:
        address = f"--alertmanager.url=http://127.0.0.1:{self.ports[0]}"
        subprocess.run(["amtool", address, *arguments], check=True, stdout=subprocess.DEVNULL)

    def markers(self) -> list[dict[str, Any]]:
        return sorted(self.stack.events(), key=lambda event: str(event["startedAt"]))

    def open_markers(self) -> int:
        return sum(event["endedAt"] is None for event in self.markers())

    def expect(self, all_of_them: int, open_ones: int, what: str, seconds: float = 40) -> None:
        def is_so() -> bool:
            return (len(self.markers()), self.open_markers()) == (all_of_them, open_ones)

        try:
            until(is_so, f"{what}: {all_of_them} markers, {open_ones} of them open", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {self.markers()}") from None
        print(f"ok    {what}: {all_of_them} markers, {open_ones} open", flush=True)


def fire_and_resolve(
    rig: Rig, expected: int, what: str, meanwhile: Callable[[], None] = lambda: None
) -> None:
    rig.target.is_up = False
    rig.expect(expected, 1, f"{what}: fires")
    meanwhile()
    rig.expect(expected, 1, f"{what}: still fires")
    rig.target.is_up = True
    rig.expect(expected, 0, f"{what}: is resolved")


def repeats() -> None:
    time.sleep(12)


def run(rig: Rig) -> None:
    rig.start_alertmanager(0)
    rig.start_prometheus()
    time.sleep(3)
    fire_and_resolve(rig, 1, "an episode")
    fire_and_resolve(rig, 2, "the next one, repeated three times", repeats)

    def restart_alertmanager() -> None:
        rig.alertmanagers[0].stop(signal.SIGTERM)
        rig.start_alertmanager(0)
        time.sleep(5)

    def kill_alertmanager() -> None:
        rig.alertmanagers[0].stop(signal.SIGKILL)
        rig.start_alertmanager(0)
        time.sleep(5)

    def kill_prometheus() -> None:
        rig.prometheus.stop(signal.SIGKILL)
        rig.start_prometheus()
        time.sleep(5)

    def kill_worker() -> None:
        rig.stack.worker.kill()
        time.sleep(2)
        rig.stack.worker.start()
        time.sleep(3)

    fire_and_resolve(rig, 3, "Alertmanager restarted while it fires", restart_alertmanager)
    fire_and_resolve(rig, 4, "Alertmanager killed while it fires", kill_alertmanager)
    fire_and_resolve(rig, 5, "Prometheus killed while it fires", kill_prometheus)
    fire_and_resolve(rig, 6, "the worker killed while it fires", kill_worker)

    rig.start_alertmanager(1)
    fire_and_resolve(rig, 7, "two Alertmanagers that both send everything", repeats)
    rig.alertmanagers[1].stop()

    rig.target.is_up = False
    rig.expect(8, 1, "before a silence: fires")
    rig.amtool("silence", "add", "alertname=CheckoutDown", "--duration=1h", "--comment=x", "--author=x")
    time.sleep(3)
    rig.target.is_up = True
    time.sleep(5)
    rig.expect(8, 1, "its end is silenced: still shown as open")
    rig.expect(8, 0, f"without news for {CLOSE_AFTER} s: ended as unseen", CLOSE_AFTER + 40)


@contextmanager
def product(folder: Path) -> Iterator[Stack]:
    with running_stack(folder) as stack:
        with (folder / "stack.toml").open("a") as configuration:
            configuration.write(f"[alertmanager]\nclose_after = {CLOSE_AFTER}\n")
        stack.environment["ALERTMANAGER_WEBHOOK_TOKEN"] = TOKEN
        stack.receiver.start()
        stack.worker.start()
        yield stack


def main() -> None:
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        sys.exit(f"not installed: {', '.join(missing)}")
    with (
        tempfile.TemporaryDirectory(prefix="alertmanager-") as name,
        product(Path(name)) as stack,
        held_ports(3) as ports,
    ):
        rig = Rig(Path(name), stack, ports)
        try:
            run(rig)
        finally:
            rig.stop()
        for event in rig.markers():
            print(event["startedAt"], event["endedAt"], event["name"], event["metadata"]["status"])
            print("   ", str(event["description"]).replace("\n", " | "))
        print("the receiver accepted", stack.receiver.log().count(" accepted "), "deliveries")
        assert "Traceback" not in stack.receiver.log() + stack.worker.log()


if __name__ == "__main__":
    main()
