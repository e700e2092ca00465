"""A Redis that cannot be reached: what redis-py says of it, and what we say helps."""

from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from receiver.datastore.address import connect
from receiver.datastore.failures import explain


def words_on(url: str) -> str:
    with connect(url) as redis, pytest.raises(RedisConnectionError) as raised:
        redis.ping()
    return explain(raised.value)


def test_a_socket_that_is_not_there_is_no_matter_of_certificates(tmp_path: Path) -> None:
    said = words_on(f"unix://{tmp_path}/redis.sock")
    assert said.endswith("; no Redis has made that socket; start it, or correct the path in REDIS_URL")
    assert str(tmp_path) in said


def test_where_nobody_listens_it_says_where_and_no_number() -> None:
    assert words_on("redis://127.0.0.1:1/0") == "no connection to 127.0.0.1:1: Connection refused."
    unknown = words_on("redis://no.such.host.invalid:6379/0")
    assert unknown.startswith("no connection to no.such.host.invalid:6379: ")
    assert "Error" not in unknown
