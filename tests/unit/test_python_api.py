"""`from receiver import EventsClient, Event, EventType`: typed, and free for whoever does not use it."""

import subprocess
import sys

import pytest

import receiver
from receiver import Event, EventsApiError, EventsClient, EventType, EventUpdate, StoredEvent, api_errors
from receiver import events as events_module


def in_a_new_process(program: str) -> str:
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return result.stdout.strip()


def test_the_names_are_those_of_the_parts() -> None:
    assert Event is events_module.Event
    assert EventType("deployment") is EventType.DEPLOYMENT
    assert issubclass(api_errors.Rejected, EventsApiError)
    assert {Event, EventType, EventUpdate, EventsApiError, EventsClient, StoredEvent} == {
        getattr(receiver, name) for name in receiver.__all__
    }


def test_another_name_is_an_error_like_in_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'receiver' has no attribute 'Evnet'"):
        receiver.Evnet  # type: ignore[attr-defined]  # noqa: B018 - that mypy knows it too is the point


def test_the_package_alone_loads_no_library() -> None:
    loaded = in_a_new_process("import sys, receiver; print(*sys.modules)").split()
    assert not {"requests", "pydantic", "redis", "rq", "flask"} & set(loaded)


@pytest.mark.parametrize("name", ["EventsClient", "EventType"])
def test_each_can_be_asked_for_first(name: str) -> None:
    assert in_a_new_process(f"from receiver import {name}; print({name}.__name__)") == name


def test_the_prefix_of_rqs_keys_is_set_before_rq_is_loaded() -> None:
    assert in_a_new_process("import receiver, rq; print(rq.Queue.redis_queue_namespace_prefix)").startswith(
        "apitraffic:rq:"
    )
