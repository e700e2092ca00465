"""What a REDIS_URL means."""

import pytest
from redis.connection import SSLConnection
from redis.sentinel import SentinelManagedSSLConnection

from apitraffic_events.errors import ConfigurationError
from receiver.datastore.address import ReplicatedPool, connect, pool_at, require_suitable_server
from receiver.datastore.replication import replicas_of
from tests.support.sentinel import redis_server


def sentinel_pool(url: str) -> ReplicatedPool:
    pool = pool_at(url)
    assert isinstance(pool, ReplicatedPool)
    return pool


def test_a_sentinel_url_names_user_hosts_service_and_database() -> None:
    pool = sentinel_pool("redis+sentinel://alice:p%40ss@one:1001,two,[::1]:3/markers/4?replicas=2")
    addresses = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(of["host"], of["port"]) for of in addresses] == [("one", 1001), ("two", 26379), ("::1", 3)]
    options = pool.connection_kwargs
    assert (options["username"], options["password"], options["db"]) == ("alice", "p@ss", 4)
    assert (pool.service_name, pool.replicas) == ("markers", 2)
    assert not any("password" in of and of["password"] for of in addresses)


def test_a_sentinel_may_have_a_password_of_its_own() -> None:
    pool = sentinel_pool("redis+sentinel://:of-redis@one?sentinel_username=bob&sentinel_password=s")
    options = pool.sentinel_manager.sentinels[0].connection_pool.connection_kwargs
    assert (options["username"], options["password"]) == ("bob", "s")
    assert (pool.service_name, pool.replicas) == ("mymaster", 1)


def test_tls_goes_to_the_sentinels_too() -> None:
    pool = sentinel_pool("rediss+sentinel://one/markers?ssl_ca_certs=/run/ca.pem")
    of_sentinel = pool.sentinel_manager.sentinels[0].connection_pool
    assert pool.connection_class is SentinelManagedSSLConnection
    assert of_sentinel.connection_class is SSLConnection
    assert of_sentinel.connection_kwargs["ssl_ca_certs"] == "/run/ca.pem"


def test_one_redis_by_tls_as_an_acl_user_needs_no_replica() -> None:
    redis = connect("rediss://alice:secret@one:6380/2?ssl_ca_certs=/run/ca.pem")
    options = redis.connection_pool.connection_kwargs
    assert redis.connection_pool.connection_class is SSLConnection
    assert (options["username"], options["password"], options["db"]) == ("alice", "secret", 2)
    assert replicas_of(redis) == 0


def test_a_cluster_is_refused_with_what_to_use_instead(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        redis_server(tmp_path_factory.mktemp("cluster"), ["cluster-enabled yes"]) as redis,
        pytest.raises(ConfigurationError, match=r"Redis Cluster.*use one Redis, or Redis Sentinel"),
    ):
        require_suitable_server(redis)
