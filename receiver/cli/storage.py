"""The Redis of the configuration, for commands that look after what is kept in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from redis import Redis

from receiver.cli.failures import configuration_errors_in_words
from receiver.config.settings import Settings, load_settings
from receiver.datastore.address import connect
from receiver.errors import StorageUnavailable


@contextmanager
def connected_redis() -> Iterator[tuple[Settings, Redis]]:
    """Raises `click.ClickException` if Redis is not configured, or fails while it is used."""
    with configuration_errors_in_words():
        settings = load_settings()
        redis = connect(settings.redis_url)
    try:
        yield settings, redis
    except StorageUnavailable as error:
        raise click.ClickException(f"{error}. Is REDIS_URL right, and does that Redis run?") from error
    finally:
        redis.close()
