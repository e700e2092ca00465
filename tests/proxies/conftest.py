"""One receiver, and nginx, Caddy and HAProxy in front of it, each with the sample of deploy/proxies/."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.proxies.proxy import KINDS, Proxy, started_proxy
from tests.support.certificates import Authority
from tests.support.stack import Stack, running_stack

TOKEN = "a-token-of-the-tests-in-a-path"
PROXIES_ADDRESS = "127.0.0.1"
ALLOWED = "127.0.0.2"
"""The only client whose deliveries are taken. That it is a client is known from X-Forwarded-For only."""


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        stack.environment |= {
            "APITRAFFIC_TRUSTED_PROXIES": PROXIES_ADDRESS,
            "APITRAFFIC_ALLOWED_SENDERS": ALLOWED,
            "JENKINS_WEBHOOK_TOKEN": TOKEN,
        }
        stack.receiver.start()
        stack.worker.start()
        yield stack


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="session")
def proxies(
    stack: Stack, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Proxy]]:
    with ExitStack() as running:
        folder = tmp_path_factory.mktemp("proxies")
        yield {
            kind: running.enter_context(started_proxy(kind, folder, stack.url, authority)) for kind in KINDS
        }


@pytest.fixture(params=KINDS)
def proxy(request: pytest.FixtureRequest, proxies: dict[str, Proxy]) -> Proxy:
    return proxies[request.param]
