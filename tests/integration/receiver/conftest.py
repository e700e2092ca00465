"""One receiver under gunicorn for all tests of the HTTP contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A receiver that takes deliveries; no worker delivers them."""
    folder: Path = tmp_path_factory.mktemp("served")
    with running_stack(folder) as stack:
        stack.receiver.start()
        yield stack
