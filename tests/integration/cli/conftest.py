"""Commands with an environment that holds nothing but what the test says."""

from pathlib import Path

import pytest

from receiver.config.environment import CONFIG_VARIABLE, VARIABLES
from receiver.config.secrets import SECRET_VARIABLES
from tests.support.command import Command


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Call a command in an empty folder: `run("config", REDIS_URL="…")`."""
    names = [variable.name for variable in (*VARIABLES, *SECRET_VARIABLES)]
    for name in [CONFIG_VARIABLE, *names]:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return Command(tmp_path)
