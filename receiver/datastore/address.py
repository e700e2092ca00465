"""From a REDIS_URL to a client: one server, or the master that Redis Sentinel names, with or without TLS."""

from typing import Any, Final
from urllib.parse import unquote, urlsplit

from redis import ConnectionPool, Redis
from redis.backoff import ConstantBackoff
from redis.connection import SSLConnection, parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from apitraffic_events.errors import ConfigurationError

PLAIN_SCHEMES: Final = ("redis://", "rediss://", "unix://")
SENTINEL_SCHEMES: Final = ("redis+sentinel://", "rediss+sentinel://")
SENTINEL_PORT: Final = 26_379
DEFAULT_SERVICE: Final = "mymaster"
OLDEST_REDIS: Final = (6, 2)
CONNECT_TIMEOUT: Final = 1.0
COMMAND_TIMEOUT: Final = 3.0
"""Seconds; a sender waits 5 to 10 s for its answer, so Redis has to answer well before that."""
SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")


class ReplicatedPool(SentinelConnectionPool):
    """Connections to the current master; `replicas` have to confirm what must not be lost at a fail-over."""

    def __init__(self, service_name: str, sentinel: Sentinel, *, replicas: int = 1, **options: Any) -> None:
        super().__init__(service_name, sentinel, **options)  # type: ignore[no-untyped-call]  # no types there
        self.replicas = replicas


def pool_at(url: str, **options: Any) -> ConnectionPool:
    """A pool for this URL that connects when first used; `options` are redis-py's.

    `redis+sentinel://user:password@host:port,host:port/service/database?replicas=1`, `rediss+sentinel://` for
    TLS to the sentinels and to the servers; all but one host may be left out. Raises `ValueError` or
    `TypeError`, whose words may hold part of a password.
    """
    if not url.startswith(SENTINEL_SCHEMES):
        return ConnectionPool.from_url(url, **options)
    # Not by urlsplit: since Python 3.13 it lets an IPv6 address be the only host.
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    netloc, _, path = place.partition("/")
    userinfo, at, hosts = netloc.rpartition("@")
    service, _, database = path.strip("/").partition("/")
    plain = scheme.removesuffix("+sentinel")
    parsed: dict[str, Any] = {
        **parse_url(f"{plain}://{userinfo}{at}server/{int(database or 0)}?{query}"),  # type: ignore[no-untyped-call]  # no types there
        **options,
    }
    del parsed["host"]
    with_tls = parsed.pop("connection_class", None) is SSLConnection
    replicas = int(parsed.pop("replicas", 1))
    if replicas < 0:
        raise ValueError("replicas is negative")
    of_sentinels = {name: value for name, value in parsed.items() if name.startswith(("socket_", "ssl_"))}
    if with_tls:
        of_sentinels["ssl"] = parsed["ssl"] = True
    for name in SENTINEL_OPTIONS:
        if name in parsed:
            of_sentinels[name.removeprefix("sentinel_")] = parsed.pop(name)
    sentinel = Sentinel([_address(host) for host in hosts.split(",")], sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]  # no types there
    return ReplicatedPool(unquote(service) or DEFAULT_SERVICE, sentinel, replicas=replicas, **parsed)


def _address(host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    if not parts.hostname:
        raise ValueError("a sentinel's host is missing")
    return parts.hostname, parts.port or SENTINEL_PORT


def require_suitable_server(redis: Redis) -> None:
    """Raises `ConfigurationError` if this server cannot do what is needed.

    Older servers cannot move a job from one list to another, so a worker that dies would take it along. A
    cluster keeps the keys that one atomic step needs on several servers: RQ's own, and those of our scripts.
    """
    try:
        server = redis.info("server")
    except ResponseError:
        # An access list may forbid INFO, which proves nothing.
        return
    version = str(server["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_REDIS:
        raise ConfigurationError(f"REDIS_URL is a Redis {version}; 6.2 or newer is needed")
    if server.get("redis_mode") == "cluster":
        raise ConfigurationError(
            "REDIS_URL is a Redis Cluster, on which neither RQ nor the receiver's atomic steps work: their "
            "keys lie on several servers; use one Redis, or Redis Sentinel for fail-over (redis+sentinel://…)"
        )


def connect(url: str | None, *, command_timeout: float = COMMAND_TIMEOUT) -> Redis:
    """A client for the Redis at this URL; it connects when first used.

    A command is tried once more on a fresh connection, since an idle one may have been closed; all that is
    sent this way may be sent twice. Raises `ConfigurationError` if no URL is configured.
    """
    if url is None:
        raise ConfigurationError(
            "REDIS_URL is not set; point it at a Redis, for example redis://localhost:6379/0, "
            "or run `apitraffic-events up`, which brings its own"
        )
    pool = pool_at(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=command_timeout,
        retry=Retry(ConstantBackoff(0.05), 1, supported_errors=(RedisConnectionError,)),
        health_check_interval=30,
    )
    return Redis.from_pool(pool)
