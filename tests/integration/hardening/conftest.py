"""A receiver with one process and one thread, plainly and over TLS."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import make_certificate
from tests.support.programs import Program
from tests.support.stack import Stack, running_stack

SCHEMES = ["http", "https"]


@pytest.fixture(params=SCHEMES)
def one_thread(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Program]:
    """A receiver of this test's own."""
    with running(stack, tmp_path, request.param) as receiver:
        yield receiver


@pytest.fixture(scope="module", params=SCHEMES)
def shared(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Program]:
    """A receiver of all tests of a module that leave it as it was."""
    folder = tmp_path_factory.mktemp("shared")
    with running_stack(folder) as stack, running(stack, folder, request.param) as receiver:
        yield receiver


@contextmanager
def running(stack: Stack, folder: Path, scheme: str) -> Iterator[Program]:
    options: tuple[str, ...] = ()
    with pytest.MonkeyPatch.context() as patch:
        if scheme == "https":
            certificate = make_certificate(folder)
            options = certificate.options
            patch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
        receiver = stack.program(
            *("serve", "--port", "0", "--workers", "1", "--threads", "1", *options),
            ready=r"receiver listens url=(?P<url>\S+)",
        ).start()
        yield receiver
        receiver.stop()
    assert "Traceback" not in receiver.log()
