"""The local Events API that the plugins under test send to, and the JVM that all Jenkins pipelines run in."""

from collections.abc import Iterator

import pytest

from tests.plugins.contract import TOKEN
from tests.support.jenkins_pipeline import Controller, running_controller
from tests.support.local_api import LocalApi, running_local_api


@pytest.fixture(scope="session")
def one_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApi]:
    with running_local_api(tmp_path_factory.mktemp("api"), token=TOKEN) as api:
        yield api


@pytest.fixture
def api(one_api: LocalApi) -> LocalApi:
    """Without events and faults."""
    one_api.set_faults([])
    one_api.remove_events()
    return one_api


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with running_controller(tmp_path_factory.mktemp("jenkins")) as running:
        yield running
