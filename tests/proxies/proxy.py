"""The samples of deploy/proxies/, run by the real proxies with the addresses and files of a test."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from tests.support.certificates import Authority
from tests.support.gitlab_ci_local import required
from tests.support.ports import held_ports
from tests.support.processes import started
from tests.support.waiting import wait_until

SAMPLES: Final = Path(__file__).parents[2] / "deploy" / "proxies"
KINDS: Final = ("nginx", "caddy", "haproxy")
NAMES: Final = {"nginx": "nginx.conf", "caddy": "Caddyfile", "haproxy": "haproxy.cfg"}
NGINX: Final = """daemon off; master_process off; user root; pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{}}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/nginx.conf;
}}
"""


@dataclass(frozen=True)
class Proxy:
    kind: str
    port: int
    certificate: Path
    logs: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def session(self, address: str) -> requests.Session:
        """Sends from this address of this machine, and trusts the tests' authority."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.certificate)
        session.mount("https://", From(address))
        return session

    def log(self) -> str:
        """All that it has written: of requests, of errors, to standard output."""
        return "".join(path.read_text(errors="replace") for path in self.logs.glob("*.log"))


class From(HTTPAdapter):
    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, source_address=(self._address, 0))


@contextmanager
def started_proxy(
    kind: str, folder: Path, receiver: str, authority: Authority, second: str | None = None
) -> Iterator[Proxy]:
    """It forwards to the receiver at this URL, or to the second one."""
    with held_ports(1) as (port,):
        yield from _started(kind, port, folder, receiver, authority, second)


def _started(
    kind: str, port: int, folder: Path, receiver: str, authority: Authority, second: str | None
) -> Iterator[Proxy]:
    program = required(kind)
    home = folder / f"{kind}-{port}"
    home.mkdir()
    certificate, key = authority.issue(f"{kind}-{port}")
    both = home / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    path = home / NAMES[kind]
    sample = (SAMPLES / NAMES[kind]).read_text(encoding="utf-8")
    if second is not None:
        sample = with_second(kind, sample, urlsplit(second).netloc)
    path.write_text(adapted(kind, sample, port, receiver, home, certificate, key), encoding="utf-8")
    commands: dict[str, list[str | Path]] = {
        "nginx": [program, "-p", home, "-c", home / "main.conf"],
        "caddy": [program, "run", "--config", path, "--adapter", "caddyfile"],
        "haproxy": [program, "-f", path],
    }
    (home / "main.conf").write_text(NGINX.format(folder=home))
    environment = {"HOME": str(home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    output = home / "output.log"
    with (
        output.open("wb") as log,
        started(commands[kind], env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT),
    ):
        wait_until(lambda: listens(port), lambda: f"{kind} listens:\n{output.read_text()}", 30)
        yield Proxy(kind, port, authority.certificate, home)


def adapted(
    kind: str, sample: str, port: int, receiver: str, home: Path, certificate: Path, key: Path
) -> str:
    """The sample with this test's addresses and files; each of them must have been in it."""
    changes = {"127.0.0.1:8080": urlsplit(receiver).netloc} | {
        "nginx": {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/letsencrypt/live/hooks.example.com/fullchain.pem": str(certificate),
            "/etc/letsencrypt/live/hooks.example.com/privkey.pem": str(key),
            "/var/log/nginx/": f"{home}/",
        },
        "caddy": {
            "\nhooks.example.com {": f"\nhttps://127.0.0.1:{port} {{\n\ttls {certificate} {key}",
            "\n:443 {": f"\n:{port} {{",
            "\n{\n": "\n{\n\tadmin off\n\tauto_https disable_redirects\n",
        },
        "haproxy": {
            "bind :443": f"bind 127.0.0.1:{port}",
            "/etc/haproxy/hooks.example.com.pem": f"{home}/both.pem",
        },
    }[kind]
    for old, new in changes.items():
        assert old in sample, old
        sample = sample.replace(old, new)
    return sample


def with_second(kind: str, sample: str, address: str) -> str:
    """The sample with a second receiver, as its comment says how."""
    old, new = {
        "nginx": ("# server 10.0.0.12:8080", f"server {address}"),
        "caddy": ("reverse_proxy 127.0.0.1:8080 {", f"reverse_proxy 127.0.0.1:8080 {address} {{"),
        "haproxy": ("# server receiver2 10.0.0.12:8080", f"server receiver2 {address}"),
    }[kind]
    assert old in sample
    return sample.replace(old, new)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
