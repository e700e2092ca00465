"""Commands in an empty folder, and one real receiver for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.command import Command
from tests.support.programs import Program, stop_all
from tests.support.sender_api import OTHER_SECRET, SECRET, SIGNING_TOKEN, TOKEN, Call


@pytest.fixture(scope="session")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a receiver without a Redis; pings do not need one."""
    folder = tmp_path_factory.mktemp("receiver")
    environment = {
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "APITRAFFIC_SPOOL": str(folder / "spool.sqlite"),
        "GITHUB_WEBHOOK_SECRET": SECRET,
        "GITLAB_SIGNING_TOKEN": SIGNING_TOKEN,
        "PAGERDUTY_WEBHOOK_SECRET": SECRET,
        "JENKINS_WEBHOOK_TOKEN": SECRET,
    }
    program = Program(
        folder / "receiver.log",
        environment,
        *("serve", "--port", "0", "--workers", "1"),
        ready=r"receiver listens url=(?P<url>\S+)",
    )
    program.start()
    try:
        assert program.announced is not None
        yield program.announced["url"]
    finally:
        stop_all(program)


@pytest.fixture
def call(run: Command, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call a command, without waiting; what it prints and keeps in an error never holds a secret."""
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN", "PAGERDUTY_TOKEN", "JENKINS_API_TOKEN", "GITHUB_API_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setattr("receiver.cli.connect.flow.random_secret", lambda: SECRET)

    def invoke(*arguments: str, **variables: str) -> Result:
        result = run(*arguments, environment=variables)
        shown = [result.output]
        error: BaseException | None = result.exception
        while error is not None:
            shown.append(repr(error))
            error = error.__cause__ or error.__context__
        for secret in (SECRET, OTHER_SECRET, TOKEN, SIGNING_TOKEN):
            assert secret not in "".join(shown)
        assert result.exception is None or isinstance(result.exception, SystemExit), shown
        return result

    return invoke


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / "secrets.env"
