"""All checks, in the order in which a delivery travels."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from redis import Redis
from redis.exceptions import RedisError

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import ConfigurationError
from apitraffic_events.timestamps import now
from receiver.config.account import events_client
from receiver.config.accounts import AccountSection
from receiver.config.environment import VARIABLES, config_file
from receiver.config.loading import load_what_is_right
from receiver.config.settings import Settings
from receiver.config.suspicions import suspicions
from receiver.datastore.address import connect
from receiver.datastore.failures import in_words
from receiver.doctor import api, backlog, notices, reachability, secrets, storage, verdicts
from receiver.doctor.findings import Finding, FindingState, failure, of_account, ok, warning
from receiver.errors import StorageUnavailable
from receiver.monitoring.status import read_status
from receiver.reception.spool import spool_of
from receiver.routing import DEFAULT_ACCOUNT, Route


def examine(environ: Mapping[str, str], url: str | None, posts_notice: bool = False) -> Iterator[Finding]:
    """All findings. A check that an earlier failure makes pointless is left out.

    With `posts_notice`, a sample notice is posted to people.
    """
    try:
        settings, mistakes = load_what_is_right(environ)
        file = config_file(environ)
    except ConfigurationError as error:
        settings, mistakes, file = Settings(), str(error).splitlines(), None
    for line in mistakes:
        yield failure("configuration", line, "correct it; what else is set is examined below")
    if not mistakes:
        yield ok("configuration", f"from the environment and {file or 'no apitraffic.toml'}")
    for suspicion in suspicions(settings, environ):
        yield warning(suspicion.check, suspicion.found, suspicion.advice)
    yield from secrets.sources(settings, environ)
    if url is not None:
        yield from reachability.receiver(url, settings)
    if posts_notice:
        yield notices.posted(settings)
    yield from stored(settings)
    yield from account(settings, environ)
    for name in settings.account:
        for finding in further_account(name, settings, environ):
            yield of_account(name, with_its_settings(finding, name, settings.account[name]))


def stored(settings: Settings) -> Iterator[Finding]:
    kept = spool_of(settings)
    yield storage.spool(kept)
    if settings.redis_url is None:
        yield not_set("redis", "REDIS_URL")
        return
    redis = connect(settings.redis_url)
    try:
        findings = list(in_redis(redis, settings.account, are_notices_posted=settings.notices_to is not None))
        yield from findings
        takes_writes = any(each.check == "redis_write" and each.state is FindingState.OK for each in findings)
        if takes_writes and kept is not None:
            yield from storage.spool_drain(kept)
    except RedisError as error:
        yield failure(
            "redis", f"the connection was lost during the checks; {in_words(error)}", "run this again"
        )
    finally:
        redis.close()


def in_redis(
    redis: Redis, accounts: Collection[str] = (), *, are_notices_posted: bool = True
) -> Iterator[Finding]:
    findings = list(storage.redis(redis))
    yield from findings
    if findings[0].state is FindingState.FAILURE:
        return
    try:
        status = read_status(redis)
    except StorageUnavailable as error:
        # A Redis without memory refuses even the script that reads all in one step.
        yield warning(
            "backlog",
            f"the queues cannot be read; {error}",
            "correct the problem with Redis, then run this again",
        )
        return
    yield from backlog.backlog(status, now())
    yield from backlog.unknown_accounts(status, accounts)
    yield from notices.waiting(status, are_posted=are_notices_posted)


def account(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    if settings.api_token is None:
        yield not_set("api", "APITRAFFIC_API_TOKEN")
    if settings.account_sid is None:
        yield not_set("account_sid", "APITRAFFIC_ACCOUNT_SID")
        return
    yield secrets.account_sid(settings.account_sid)
    if settings.api_token is not None:
        with events_client(settings) as client:
            raw_token = secrets.raw_value("APITRAFFIC_API_TOKEN", environ)
            own_routes = [route for route in settings.route if route.account in {None, DEFAULT_ACCOUNT}]
            yield from of_api(client, raw_token, own_routes, settings)


def further_account(name: str, settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """The same of an account that apitraffic.toml defines, and of the routes that name it."""
    section = settings.account[name]
    yield secrets.account_sid(section.sid)
    try:
        own = settings.of_account(name, environ)
        raw_token = section.raw_token(environ)
    except ConfigurationError as error:
        yield failure("api", str(error), "correct that, and restart the workers")
        return
    with events_client(own) as client:
        routes = [route for route in settings.route if route.account == name]
        yield from of_api(client, raw_token, routes, settings)


def of_api(
    client: EventsClient, raw_token: str, routes: Sequence[Route], settings: Settings
) -> Iterator[Finding]:
    """What the API says to one account, and whether it has the figures for verdicts."""
    findings = list(api.api(client, raw_token, routes))
    yield from findings
    if findings[0].state is FindingState.OK:
        yield verdicts.verdicts(client, settings.verdict, settings.prometheus_token, now())


def with_its_settings(finding: Finding, name: str, section: AccountSection) -> Finding:
    """The advice for the account of the environment's variables, with the settings of this one."""
    if finding.advice is None:
        return finding
    advice = finding.advice
    for variable, setting in {
        "APITRAFFIC_API_TOKEN": section.token_place,
        "APITRAFFIC_ACCOUNT_SID": f"the sid of [account.{name}]",
        "APITRAFFIC_API_URL": f"the api_url of [account.{name}]",
    }.items():
        advice = advice.replace(variable, setting)
    return replace(finding, advice=advice)


def not_set(check: str, variable: str) -> Finding:
    advice = next(known.advice for known in VARIABLES if known.name == variable)
    return failure(check, f"{variable} is not set", advice)
