"""`from apitraffic_events import EventsClient, Event, EventType`: typed, and loaded on first use."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import apitraffic_events
import receiver
from apitraffic_events import (
    ConfigurationError,
    Event,
    EventsApiError,
    EventsClient,
    EventType,
    EventUpdate,
    StoredEvent,
)
from apitraffic_events import errors as api_errors
from apitraffic_events import event as event_module

ACCOUNT = {"APITRAFFIC_ACCOUNT_SID": "acc_1", "APITRAFFIC_API_TOKEN": "token-of-a-test"}


def in_a_new_process(program: str, folder: Path | None = None) -> str:
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=as_found(),
    )
    return result.stdout.strip()


def as_found() -> dict[str, str]:
    """The environment without what importing the receiver sets in it."""
    return {name: value for name, value in os.environ.items() if name != "RQ_KEY_PREFIX"}


def test_the_names_are_those_of_the_parts() -> None:
    assert Event is event_module.Event
    assert EventType("deployment") is EventType.DEPLOYMENT
    assert issubclass(api_errors.Rejected, EventsApiError)
    assert {Event, EventType, EventUpdate, EventsApiError, EventsClient, StoredEvent, ConfigurationError} == {
        getattr(apitraffic_events, name) for name in apitraffic_events.__all__ if name != "__version__"
    }


def test_the_version_is_the_distributions() -> None:
    assert apitraffic_events.__version__ == version("apitraffic-events")


@pytest.mark.parametrize("module", ["apitraffic_events", "receiver"])
def test_another_name_is_an_error_like_in_any_module(module: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'Evnet'"):
        getattr(sys.modules[module], "Evnet")  # noqa: B009 - mypy would refuse the plain form, which is the point


def test_the_package_alone_loads_no_library() -> None:
    loaded = in_a_new_process("import sys, apitraffic_events; print(*sys.modules)").split()
    assert not {"requests", "pydantic", "redis", "rq", "flask"} & set(loaded)


@pytest.mark.parametrize("name", ["EventsClient", "EventType"])
def test_each_can_be_asked_for_first(name: str) -> None:
    assert in_a_new_process(f"from apitraffic_events import {name}; print({name}.__name__)") == name


def test_it_needs_neither_the_receiver_nor_what_the_receiver_needs() -> None:
    program = (
        "import sys, apitraffic_events as library\n"
        "[getattr(library, name) for name in library.__all__]\n"
        "print(*sys.modules)"
    )
    loaded = in_a_new_process(program).split()
    assert "requests" in loaded
    assert not {"receiver", "flask", "redis", "rq", "structlog"} & set(loaded)


def test_it_works_in_a_project_that_has_its_own_folder_receiver(tmp_path: Path) -> None:
    (tmp_path / "receiver").mkdir()
    (tmp_path / "receiver" / "__init__.py").write_text("raise SystemExit('not this one')\n")
    program = "from apitraffic_events import EventsClient, Event, EventType; print(EventsClient.__name__)"
    assert in_a_new_process(program, tmp_path) == "EventsClient"


class TestFromEnv:
    def test_the_account_comes_from_the_environment_and_the_url_has_a_default(self) -> None:
        with EventsClient.from_env(ACCOUNT) as client:
            assert client.account_url == "https://api.apitraffic.io/v1/accounts/acc_1"

    def test_a_variable_may_name_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("token-of-a-test\n")
        environ = {
            "APITRAFFIC_ACCOUNT_SID": "acc_1",
            "APITRAFFIC_API_TOKEN_FILE": str(tmp_path / "token"),
            "APITRAFFIC_API_URL": "http://127.0.0.1:8081/v1/",
        }
        with EventsClient.from_env(environ) as client:
            assert client.account_url == "http://127.0.0.1:8081/v1/accounts/acc_1"

    @pytest.mark.parametrize("missing", list(ACCOUNT))
    def test_what_is_missing_is_named(self, missing: str) -> None:
        environ = {name: value for name, value in ACCOUNT.items() if name != missing}
        with pytest.raises(ConfigurationError, match=f"{missing} is not set; copy it from"):
            EventsClient.from_env(environ)

    def test_a_token_that_cannot_be_one_is_refused_and_not_shown(self) -> None:
        with pytest.raises(ConfigurationError, match="APITRAFFIC_API_TOKEN") as caught:
            EventsClient.from_env(ACCOUNT | {"APITRAFFIC_API_TOKEN": "two words"})
        assert "two words" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["Event", "EventType", "EventUpdate", "EventsApiError", "EventsClient", "StoredEvent"]
)
def test_the_old_home_of_a_name_still_has_it_and_warns(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"import {name} from apitraffic_events"):
        assert getattr(receiver, name) is getattr(apitraffic_events, name)


@pytest.mark.parametrize("package", ["receiver.queue", "receiver.worker.worker", "receiver.jobs"])
def test_the_prefix_of_rqs_keys_is_set_before_rq_is_loaded(package: str) -> None:
    program = f"import {package}, rq; print(rq.Queue.redis_queue_namespace_prefix)"
    assert in_a_new_process(program).startswith("apitraffic:rq:")


def test_an_rq_that_was_loaded_before_with_other_keys_is_refused() -> None:
    """Its queues would be others than those of the receiver."""
    program = """
import rq
try:
    import receiver.queue
except ImportError as error:
    print(error)
"""
    assert in_a_new_process(program) == (
        "rq was imported before receiver.queue and uses the keys rq:* instead of apitraffic:rq:*; "
        "import receiver.queue first, or start this process with RQ_KEY_PREFIX=apitraffic:rq"
    )


def test_one_that_was_loaded_before_with_our_keys_is_not() -> None:
    program = (
        "import os; os.environ['RQ_KEY_PREFIX'] = 'apitraffic:rq'; import rq, receiver.queue; print('fine')"
    )
    assert in_a_new_process(program) == "fine"
