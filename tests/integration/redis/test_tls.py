"""Redis by TLS: what works, and what is said where it does not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.config.settings import Settings
from receiver.datastore.address import connect
from receiver.datastore.replies import as_text
from receiver.doctor.findings import FindingState
from receiver.doctor.storage import reachable
from receiver.web.app import create_app
from tests.support.certificates import Authority
from tests.support.github import deployment_status, post
from tests.support.programs import Program
from tests.support.redis_acl import NOT_NEEDED, PASSWORD, rule
from tests.support.redis_tls import TlsRedis, running_tls_group, running_tls_redis
from tests.support.stack import Stack
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsRedis]:
    with running_tls_redis(tmp_path_factory.mktemp("tls") / "redis", asks_clients=False) as running:
        yield running


@pytest.fixture(scope="module")
def asking_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsRedis]:
    """Takes only clients with a certificate."""
    with running_tls_redis(tmp_path_factory.mktemp("mutual") / "redis", asks_clients=True) as running:
        yield running


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of an authority that has signed nothing here."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger").certificate


def test_a_delivery_goes_all_the_way_with_certificates_on_both_sides(
    stack: Stack, asking_server: TlsRedis
) -> None:
    stack.environment["REDIS_URL"] = asking_server.url
    stack.receiver.start()
    stack.worker.start()
    assert post(stack.url, deployment_status(1)).json()["status"] == "accepted"
    wait_until(lambda: len(stack.events()) == 1, "it is delivered")
    assert stack.redis.dbsize() == 0
    with connect(asking_server.url) as redis:
        assert redis.exists("apitraffic:marker:github:deployment:1") == 1


def test_a_delivery_goes_all_the_way_through_a_sentinel_that_speaks_tls_as_the_documents_user(
    stack: Stack, tmp_path: Path
) -> None:
    name, *rights = rule()
    with (
        running_tls_group(tmp_path / "group", "markers") as group,
        connect(group.url_of(group.master)) as admin,
    ):
        admin.execute_command("ACL", "SETUSER", name, *rights, "+wait")
        wait_until(lambda: admin.info("replication")["connected_slaves"] == 1, "the replica follows")
        address = f"{name}:{PASSWORD}@127.0.0.1:{group.sentinel}/markers?ssl_ca_certs={group.authority}"
        stack.environment["REDIS_URL"] = f"rediss+sentinel://{address}"
        stack.receiver.start()
        stack.worker.start()
        assert post(stack.url, deployment_status(1)).json()["status"] == "accepted"
        wait_until(lambda: len(stack.events()) == 1, "it is delivered")
        assert admin.exists("apitraffic:marker:github:deployment:1") == 1
        entries: Any = admin.acl_log()
        assert {as_text(entry["object"]) for entry in entries} <= NOT_NEEDED
        assert "confirmed" not in stack.receiver.log() + stack.worker.log()
        assert stack.worker.stop() == stack.receiver.stop() == 0


def test_without_a_certificate_of_ours_where_none_is_asked_for(server: TlsRedis) -> None:
    with connect(server.url_with(server.authority)) as redis:
        assert reachable(redis).state is FindingState.OK


def assert_said(words: str, url: str) -> None:
    """`doctor` and `/readyz` both say this of the Redis at this URL."""
    with connect(url) as redis:
        finding = reachable(redis)
    assert finding.state is FindingState.FAILURE
    assert words in str(finding.advice)
    client = create_app(Settings.model_validate({"redis_url": url, "spool": None})).test_client()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert words in answer.get_json()["detail"]


def test_an_authority_that_is_not_the_servers(server: TlsRedis, stranger: Path) -> None:
    assert_said("?ssl_ca_certs=", server.url_with(stranger))


def test_a_name_that_is_not_in_the_certificate(server: TlsRedis) -> None:
    assert_said("as it is in the server's certificate", server.url_with(server.authority, "localhost"))


def test_a_file_that_is_not_there(server: TlsRedis, tmp_path: Path) -> None:
    assert_said("a file that REDIS_URL names is not there", server.url_with(tmp_path / "none.pem"))


def test_no_certificate_of_ours_where_one_is_asked_for(asking_server: TlsRedis) -> None:
    assert_said("ssl_certfile=", asking_server.url_with(asking_server.authority))


def test_a_client_without_tls(server: TlsRedis) -> None:
    assert_said("begin REDIS_URL with rediss://", f"redis://127.0.0.1:{server.port}/0")


def test_tls_where_none_is_spoken(server: TlsRedis, stack: Stack) -> None:
    port = stack.api.url.split(":")[2].partition("/")[0]
    assert_said("no TLS is spoken there", f"rediss://127.0.0.1:{port}/0")


def test_a_worker_says_what_to_do_and_goes_on_trying(
    server: TlsRedis, stranger: Path, stack: Stack, tmp_path: Path
) -> None:
    environment = stack.environment | {"REDIS_URL": server.url_with(stranger)}
    ready = r"trying again reason=.*ssl_ca_certs=/path(?s:.*)trying again"
    worker = Program(tmp_path / "stranger.log", environment, "worker", ready=ready).start()
    assert worker.stop() == 0
    assert "Traceback" not in worker.log()
