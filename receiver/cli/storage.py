"""The configured Redis, for commands that work on what is kept in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from redis import Redis

from receiver.cli.failures import configuration_errors_in_words
from receiver.cli.local_system import QUEUE, environment_for
from receiver.config.loading import load_settings
from receiver.config.settings import Settings
from receiver.datastore.when_full import connect_to_drain
from receiver.errors import StorageUnavailable


@contextmanager
def connected_redis() -> Iterator[tuple[Settings, Redis]]:
    """The settings and a connection; raises `click.ClickException` if Redis is not configured or fails."""
    with configuration_errors_in_words():
        settings = load_settings(environment_for(QUEUE))
        redis = connect_to_drain(settings.redis_url)
    try:
        yield settings, redis
    except StorageUnavailable as error:
        raise click.ClickException(
            f"{str(error).rstrip('.')}. Is REDIS_URL right, and is that Redis running?"
        ) from error
    finally:
        redis.close()
