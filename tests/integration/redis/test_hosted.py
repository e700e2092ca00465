"""A Redis as hosting providers run it: without AOF, and without the commands they keep to themselves."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.datastore.address import connect
from tests.support.command import Command
from tests.support.github import deployment_status, post
from tests.support.sentinel import redis_server
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

KEPT_FOR_THEMSELVES = (
    *(
        "ACL",
        "BGREWRITEAOF",
        "BGSAVE",
        "CLUSTER",
        "CONFIG",
        "DEBUG",
        "FAILOVER",
        "MIGRATE",
        "MODULE",
        "MONITOR",
    ),
    *("PSYNC", "REPLICAOF", "SAVE", "SHUTDOWN", "SLAVEOF", "SYNC"),
)
"""What ElastiCache, Memorystore or Azure refuse, each some of it; to a client, it is an unknown command."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    (tmp_path / "hosted").mkdir()
    settings = [*(f'rename-command {name} ""' for name in KEPT_FOR_THEMSELVES), "appendonly no", 'save ""']
    with redis_server(tmp_path / "hosted", settings) as hosted, running_stack(tmp_path) as stack:
        stack.environment["REDIS_URL"] = (
            f"redis://127.0.0.1:{hosted.connection_pool.connection_kwargs['port']}"
        )
        stack.redis.close()
        stack.redis = connect(stack.environment["REDIS_URL"])
        yield stack


def test_a_delivery_goes_all_the_way_and_doctor_says_what_it_can(stack: Stack, tmp_path: Path) -> None:
    stack.receiver.start()
    stack.worker.start()
    assert post(stack.url, deployment_status(0)).json()["status"] == "accepted"
    wait_until(lambda: len(stack.events()) == 1 and stack.is_idle(), "the marker is shown")
    assert "Traceback" not in stack.receiver.log() + stack.worker.log()
    errors = [line for line in stack.receiver.log().splitlines() if " error " in line]
    assert all("the append-only file is off" in line for line in errors), errors

    environment = {"APITRAFFIC_CONFIG": "", **stack.environment}
    result = Command(tmp_path)("doctor", "--json", environment=environment)
    findings = {found["check"]: found for found in json.loads(result.stdout)["checks"]}
    assert "with your provider" in findings["redis_persistence"]["advice"]
    assert [findings[name]["state"] for name in ("redis", "redis_write", "redis_memory")] == ["ok"] * 3
    assert "redis_rights" not in findings
