"""A Redis user that may do no more than docs/deployment.md says."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import requests

from receiver.datastore.acl import NEEDED, RightsMissing, missing_rights, name_of, require_rights
from receiver.datastore.address import connect
from receiver.datastore.replies import as_text
from receiver.local.redis_data import ServerVersion
from receiver.local.redis_server import find_redis_server
from receiver.queue.dead_letters import DeadLetters
from receiver.queue.queues import delivery_queues
from tests.support.command import Command
from tests.support.github import deployment_status, post
from tests.support.programs import Program
from tests.support.redis_acl import NOT_NEEDED, PASSWORD, rule
from tests.support.stack import Stack
from tests.support.waiting import wait_until

NEWEST_WITHOUT_THE_QUESTION = 6


def url_of_user(redis_url: str, *more: str) -> str:
    """Let the user of the document be, changed by these words; the URL with which to be it."""
    name, *rights = rule()
    with connect(redis_url) as redis:
        redis.execute_command("ACL", "SETUSER", name, "reset", *rights, *more)
    return redis_url.replace("unix://", f"unix://{name}:{PASSWORD}@")


def run_as_user(stack: Stack, *more: str) -> str:
    url = url_of_user(stack.redis_process.url, *more)
    stack.environment["REDIS_URL"] = url
    return url


def refused(stack: Stack) -> set[str]:
    """The commands, keys and channels that Redis has not let somebody use."""
    entries: Any = stack.redis.acl_log()
    return {as_text(entry["object"]) for entry in entries}


@pytest.fixture
def can_be_asked() -> None:
    server = ServerVersion.of(find_redis_server())
    if server.version[0] <= NEWEST_WITHOUT_THE_QUESTION:
        reason = f"{server} cannot be asked what a user may do; apt-get install redis-server"
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


def test_the_rule_in_the_document_has_what_the_code_asks_for_and_no_more() -> None:
    rights = {word for word in rule() if word.startswith("+")}
    assert rights == {"+eval", *(f"+{name_of(needed)}" for needed in NEEDED)}


def test_with_that_rule_everything_works(stack: Stack, tmp_path: Path) -> None:
    url = run_as_user(stack)
    stack.receiver.start()
    stack.worker.start()
    stack.api.set_faults(["POST:status=400"])
    assert post(stack.url, deployment_status(0)).json()["status"] == "accepted"
    wait_until(DeadLetters(delivery_queues(stack.redis)).count, "one is refused")
    stack.api.set_faults(["POST:status=503x1"])
    for number in (1, 2):
        assert post(stack.url, deployment_status(number)).json()["status"] == "accepted"
    assert post(stack.url, deployment_status(0, "in_progress")).ok
    assert post(stack.url, b'"broken', event="deployment_status").json()["status"] == "quarantined"
    wait_until(lambda: len(stack.events()) == 2 and stack.is_idle(), "all but one are delivered")

    run = Command(tmp_path)
    environment = {"APITRAFFIC_CONFIG": "", **stack.environment}
    for words in (
        ("status",),
        ("deadletters", "list"),
        ("deadletters", "replay", "--all"),
        ("quarantine", "list"),
        ("quarantine", "discard", "--all"),
    ):
        result = run(*words, environment=environment)
        assert result.exit_code == 0, (words, result.output)
    wait_until(lambda: len(stack.events()) == 3 and stack.is_idle(), "the dead letter too")
    assert stack.worker.stop() == 0
    assert "apitraffic_queue_depth" in requests.get(f"{stack.url}/metrics", timeout=10).text
    with connect(url) as redis:
        assert missing_rights(redis) == ()
    assert refused(stack) <= NOT_NEEDED
    for log in (stack.receiver.log(), stack.worker.log()):
        assert "permission" not in log
        assert PASSWORD not in log


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (["-lpop", "-client|setname"], ("+client|setname", "+lpop")),
        (["-eval"], ("+eval",)),
        (["resetkeys", "~other:*"], ("~apitraffic:*",)),
        (["resetchannels"], ("+subscribe &apitraffic:*",)),
    ],
)
@pytest.mark.usefixtures("can_be_asked")
def test_what_a_user_lacks_is_named(redis_url: str, change: list[str], missing: tuple[str, ...]) -> None:
    with connect(url_of_user(redis_url, *change)) as redis:
        assert missing_rights(redis) == missing
        with pytest.raises(RightsMissing, match=re.escape(missing[0])):
            require_rights(redis)


@pytest.mark.usefixtures("can_be_asked")
def test_a_worker_ends_and_a_receiver_spools_where_a_right_is_missing(stack: Stack, tmp_path: Path) -> None:
    run_as_user(stack, "-rpush", "-lpop")
    worker = Program(tmp_path / "w.log", stack.environment, "worker", ready=r"lacks \+lpop \+rpush")
    assert worker.start().wait() == 1
    stack.receiver.start()
    assert "Redis will refuse us" in stack.receiver.log()
    assert post(stack.url, deployment_status(1)).status_code == 202
    assert "give the user in REDIS_URL that right" in stack.receiver.log()
    for log in (worker.log(), stack.receiver.log()):
        assert "Traceback" not in log


def test_a_wrong_password(stack: Stack, tmp_path: Path) -> None:
    run_as_user(stack)
    stack.environment["REDIS_URL"] = stack.environment["REDIS_URL"].replace(PASSWORD, "a-wrong-one")
    ready = "trying again reason=.*correct the user name and password"
    worker = Program(tmp_path / "w.log", stack.environment, "worker", ready=ready).start()
    assert worker.stop() == 0
    assert "a-wrong-one" not in worker.log()
    assert "Traceback" not in worker.log()
