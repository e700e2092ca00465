"""What the receiver and the worker log when they start, so that nobody finds out by a missing marker."""

import os
from threading import Thread
from typing import Final

from redis import Redis
from redis.exceptions import RedisError, ResponseError
from structlog import get_logger

from apitraffic_events import __version__
from apitraffic_events.errors import EventsApiError, RateLimited, Unauthorised
from receiver.config.account import events_client
from receiver.config.settings import Settings
from receiver.config.suspicions import suspicions
from receiver.datastore.acl import RightsMissing, require_rights
from receiver.datastore.address import connect, require_suitable_server
from receiver.datastore.failures import advice_on, in_words
from receiver.delivery.budget import RequestBudget
from receiver.doctor.findings import FindingState
from receiver.doctor.storage import left_by_others, persistence, setting
from receiver.errors import StorageUnavailable
from receiver.reception.spool import spool_of

LONGEST_ANSWER: Final = 5.0
"""Seconds for which the API's answer is waited for."""


def log_start(settings: Settings, event: str = "starting", logger: str = "receiver") -> None:
    """Which version starts, and settings that are valid and probably mistakes."""
    get_logger(logger).info(event, version=__version__)
    for suspicion in suspicions(settings, os.environ):
        get_logger("receiver").warning(suspicion.found, advice=suspicion.advice)


def examine_redis(settings: Settings) -> None:
    """Whether it is there, suits, grants what is needed and keeps what it is given.

    The receiver starts nevertheless: the spool keeps what Redis does not take. Raises `ConfigurationError` if
    no Redis is configured, or one that can never work.
    """
    with connect(settings.redis_url) as redis:
        try:
            require_suitable_server(redis)
            require_rights(redis)
            _examine_persistence(redis)
        except RightsMissing as error:
            get_logger("receiver").error("Redis will refuse us", reason=str(error))
        except RedisError as error:
            advice = advice_on(error) or "start it, or correct REDIS_URL"
            until_then = "deliveries go to the spool" if settings.spool else "senders get 503"
            get_logger("receiver").error(
                "Redis cannot be reached", reason=in_words(error), until_then=until_then, advice=advice
            )


def examine_spool(settings: Settings) -> None:
    """Whether what waits in the spool is this receiver's to deliver."""
    spool = spool_of(settings)
    try:
        of_others = spool.of_others() if spool else 0
    except StorageUnavailable:
        return  # The first look at the spool logs it, and /readyz says so.
    if spool and of_others:
        found, advice = left_by_others(spool.path, of_others)
        get_logger("receiver").warning(found, advice=advice)


def _examine_persistence(redis: Redis) -> None:
    try:
        found = persistence(redis.info("persistence"), setting(redis, "appendfsync"))
    except ResponseError:
        return  # An access list may forbid INFO.
    if found.state is FindingState.FAILURE:
        get_logger("receiver").error(found.found, advice=found.advice)


def examine_token(settings: Settings, account: str | None = None) -> None:
    """Ask the API, meanwhile, whether it takes the token; else only the first delivery would show it.

    `account` is the name that apitraffic.toml has for it.
    """
    Thread(target=ask_the_api, args=(settings, account), name="examine-token", daemon=True).start()


def ask_the_api(settings: Settings, account: str | None = None) -> None:
    """Log what the API says to this account's token; nothing if it takes it.

    The request counts for the budget that all workers share, and is not made if that is used up.
    """
    what_to_check = (
        "APITRAFFIC_API_TOKEN and APITRAFFIC_ACCOUNT_SID"
        if account is None
        else f"the token and the sid of [account.{account}]"
    )
    try:
        with connect(settings.redis_url) as redis:
            budget = RequestBudget(redis, account=account)
            own = settings.of_account(account)
            with events_client(own, budget) as client, budget.delivering(is_urgent=False):
                client.wait_at_most(LONGEST_ANSWER)
                client.list_events(limit=1)
    except (RateLimited, RedisError):
        return  # The worker finds that out by itself.
    except Unauthorised as error:
        get_logger("receiver.worker").error(
            "the API refuses the token or the account: nothing is delivered until that is corrected",
            reason=f"{error.status} {error}",
            advice=f"check {what_to_check}; `doctor` says more",
            account=account,
        )
    except EventsApiError as error:
        get_logger("receiver.worker").warning(
            "the API does not answer as expected; deliveries will be tried again",
            reason=str(error),
            account=account,
        )
