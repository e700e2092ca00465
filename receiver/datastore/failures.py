"""What the errors of Redis mean: its own words, and what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from receiver.errors import StorageUnavailable

UNREACHABLE: Final = (RedisConnectionError, RedisTimeoutError)
"""Errors that end when Redis is reachable again. An error reply, such as a key of the wrong type, may not."""
WHOLE_RULE: Final = "docs/deployment.md has the whole rule"

NUMBERED: Final = re.compile(r"^Error (?:-?\d+ )?connecting to (\S+)\. (.*)", re.DOTALL)
"""How redis-py says that there is no connection."""
OUR_CERTIFICATE: Final = "?ssl_certfile=/path/client.pem&ssl_keyfile=/path/client.key"

ADVICE: Final = (
    (
        r"(Hostname|IP address) mismatch",
        "write the server's name in REDIS_URL as it is in the server's certificate",
    ),
    (r"certificate has expired", "renew the server's certificate"),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "name the authority that signed the server's certificate: rediss://…?ssl_ca_certs=/path/ca.pem",
    ),
    (
        r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE",
        "no TLS is spoken there; give the port for TLS, or, if none is wanted, begin REDIS_URL with redis://",
    ),
    (
        r"EOF occurred in violation of protocol|CERTIFICATE_REQUIRED|ALERT_",
        f"if the server wants a client certificate, name it: {OUR_CERTIFICATE}",
    ),
    (
        r"connecting to (?:unix:)?/\S+ No such file",
        "no Redis has made that socket; start it, or correct the path in REDIS_URL",
    ),
    (
        r"connecting to \S+ No such file",
        "a file that REDIS_URL names is not there: ssl_ca_certs, ssl_certfile or ssl_keyfile",
    ),
    (
        r"reset by peer|closed by server",
        f"if the server takes only TLS, begin REDIS_URL with rediss://; a certificate: {OUR_CERTIFICATE}",
    ),
    (
        r"no permissions|can't run this command|can't access at least one",
        f"give the user in REDIS_URL that right; {WHOLE_RULE}",
    ),
    (
        r"invalid username-password|already authenticated|[Aa]uthentication required",
        "correct the user name and password in REDIS_URL",
    ),
)
"""Patterns of messages of redis-py, OpenSSL and Redis, and what to do; the first match counts."""


def advice_on(error: RedisError) -> str | None:
    words = str(error)
    return next((advice for pattern, advice in ADVICE if re.search(pattern, words)), None)


def in_words(error: RedisError) -> str:
    """What happened: redis-py's message, without the number of the system's error."""
    return NUMBERED.sub(r"no connection to \1: \2", str(error))


def explain(error: RedisError) -> str:
    """What happened, and what to do if that is known."""
    advice = advice_on(error)
    return f"{in_words(error)}; {advice}" if advice else in_words(error)


@contextmanager
def redis_required() -> Iterator[None]:
    """Raises `StorageUnavailable`, which says what happened and what to do, if Redis fails in this block."""
    try:
        yield
    except RedisError as error:
        raise StorageUnavailable(f"Redis: {explain(error)}") from error
