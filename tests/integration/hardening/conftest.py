"""A receiver with one process and one thread, plainly and over TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import make_certificate
from tests.support.programs import Program
from tests.support.stack import Stack


@pytest.fixture(params=["http", "https"])
def one_thread(
    stack: Stack, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Program]:
    options: tuple[str, ...] = ()
    if request.param == "https":
        certificate = make_certificate(tmp_path)
        options = certificate.options
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.path))
    receiver = stack.program(
        *("serve", "--port", "0", "--workers", "1", "--threads", "1", *options),
        ready=r"receiver listens url=(?P<url>\S+)",
    ).start()
    yield receiver
    receiver.stop()
    assert "Traceback" not in receiver.log()
