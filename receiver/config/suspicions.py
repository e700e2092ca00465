"""Settings that are valid but probably not what was meant: misspelt names, patterns without a match. Pure.

`doctor` and `config` show them, and the receiver and the worker log them when they start.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final

from apitraffic_events.event import EventType
from receiver.config.environment import CONFIG_VARIABLE, VARIABLES
from receiver.config.notify import NotifySection, is_readable_on_the_way
from receiver.config.secrets import SECRET_VARIABLES
from receiver.config.settings import Settings
from receiver.routing import PLACEHOLDER, Match, Route
from receiver.sources import SOURCES
from receiver.sources.source import Source, secret_variable_of

FURTHER_VARIABLES: Final = (
    *(CONFIG_VARIABLE, "APITRAFFIC_TLS_CERT", "APITRAFFIC_TLS_KEY"),
    *("APITRAFFIC_LOCAL_API_TOKEN", "APITRAFFIC_MCP_TOKEN"),
    *("GITHUB_TOKEN", "GITLAB_TOKEN", "PAGERDUTY_TOKEN", "JENKINS_API_TOKEN", "JENKINS_URL", "JENKINS_USER"),
)
FILE: Final = "_FILE"
OUR_PREFIX: Final = "APITRAFFIC"
WORDS_OF_SECRETS: Final = frozenset(
    {"WEBHOOK", "WEBHOOKS", "HOOK", "SECRET", "TOKEN", "KEY", "SIGNING", "SIGNATURE"}
)
WORDS_OF_WEBHOOKS: Final = frozenset({"WEBHOOK", "WEBHOOKS", "HOOK", "SECRET", "SIGNING", "SIGNATURE"})
"""One of which a name must have: a mere token or key is one for the sender's API."""
ALIKE: Final = 0.85
ALIKE_AND_SAME_SENDER: Final = 0.7
"""As difflib measures it, for names that begin with the same word: GITLAB_WEBHOOK_SECRET."""
ALMOST_THE_SAME: Final = 0.9
"""`repositry` is; `team` beside `teams` is not."""
FACTS: Final = frozenset(
    (
        *("action", "actor", "advisory", "approver", "assignees", "changed", "check_run_id", "commit"),
        *("commit_message", "confidential", "cve", "delivery_id", "deployment_id", "enforcement"),
        *("environment", "environment_tier", "environment_url", "escalation_policy", "escalation_status"),
        *("event", "expires_at", "failed_jobs", "feature_flag", "group", "incident_id", "incident_number"),
        *("incident_type", "issue_type", "job", "job_id", "labels", "manifest", "marker_key"),
        *("merged_into", "merged_into_number", "merged_into_title", "merged_into_url", "organization"),
        *("package", "package_type", "pipeline", "prerelease", "production", "publicly_leaked"),
        *("pull_request", "ref", "release", "release_id", "replicas", "repository", "repository_url"),
        *("run_attempt", "run_id", "run_number", "run_url", "scanner", "secret_type", "service"),
        *("service_id", "service_url", "setting", "severity", "short_commit", "source", "status", "task"),
        *("teams", "ticket", "token_id", "trigger", "type", "urgency", "url", "workflow"),
    )
)
"""Metadata keys of these senders' events, and what else a template may name."""
SENDERS_OF_FACTS: Final = frozenset({"github", "gitlab", "jenkins", "pagerduty"})


@dataclass(frozen=True, slots=True)
class Suspicion:
    """`check` is the finding's name in `doctor`; the other two say what was found, and what to do."""

    check: str
    found: str
    advice: str

    def __str__(self) -> str:
        return f"{self.found}; {self.advice}"


def suspicions(settings: Settings, environ: Mapping[str, str]) -> Iterator[Suspicion]:
    declared = {secret_variable_of(name): name for name in settings.senders if name not in SOURCES}
    yield from empty_secrets(environ, declared)
    tokens = [account.token_variable for account in settings.account.values() if account.token_variable]
    yield from misspelt_variables(environ, [*declared, *tokens])
    for source in settings.active_sources.values():
        yield from unknown_events(source, settings.options_for(source).events or ())
    for number, route in enumerate(settings.route, start=1):
        yield from in_route(number, route, settings)
    yield from unused_accounts(settings)
    yield from about_notices(settings)


def empty_secrets(environ: Mapping[str, str], declared: dict[str, str]) -> Iterator[Suspicion]:
    titles = {name: source.title for source in SOURCES.values() for name in source.secret_variables}
    for name, title in (titles | declared).items():
        if name in environ and not environ[name].strip() and not environ.get(f"{name}_FILE"):
            yield Suspicion(
                "variables",
                f"{name} is set and empty, which counts as not set",
                f"put {title}'s secret there, or unset it",
            )


def misspelt_variables(environ: Mapping[str, str], declared: Iterable[str]) -> Iterator[Suspicion]:
    """Variables that are almost ours, by their names alone."""
    ours = [variable.name for variable in (*VARIABLES, *SECRET_VARIABLES)]
    own = [name + end for name in ours for end in ("", FILE)]
    known = [*own, *(name + end for name in declared for end in ("", FILE))]
    for name in sorted(
        environ.keys() - {*known, *FURTHER_VARIABLES, *(f"{name}{FILE}" for name in FURTHER_VARIABLES)}
    ):
        meant = meant_by(name, own, known)
        if meant is None:
            continue
        if not environ.get(meant):
            yield Suspicion(
                "variables",
                f"{name} is not read",
                f"did you mean {meant}? If another program reads it, ignore this",
            )
        elif SequenceMatcher(None, name, meant).ratio() >= ALMOST_THE_SAME:
            yield Suspicion(
                "variables",
                f"{name} is not read, but {meant} is, which is set too",
                "remove the one that is misspelt. If another program reads it, ignore this",
            )


def meant_by(name: str, own: Sequence[str], known: Sequence[str]) -> str | None:
    """Which of our variables was most likely meant by this one; `None` if it is another program's."""
    same = [each for each in own if each.partition("_")[0] == name.partition("_")[0] and "_" in name]
    close = [
        *get_close_matches(name, same, n=1, cutoff=ALIKE_AND_SAME_SENDER),
        *get_close_matches(name, known, n=1, cutoff=ALIKE),
    ]
    if close and is_of_a_kind(name, close[0]):
        return close[0]
    sender, *words = name.removesuffix(FILE).split("_")
    if (sender == OUR_PREFIX or is_secret_of_webhook(words)) and words:
        rest = [each for each in same if each.endswith(FILE) is name.endswith(FILE)]
        # Of our own names those that have all its words, of a sender's any: all are secrets.
        fitting = [each for each in rest if sender != OUR_PREFIX or {*words} <= {*each.split("_")}]
        return max(fitting, key=lambda each: len({*words} & {*each.split("_")}), default=None)
    return None


def is_secret_of_webhook(words: Sequence[str]) -> bool:
    """PAGERDUTY_SECRET is; PAGERDUTY_TOKEN and PAGERDUTY_API_KEY are other programs' own."""
    return {*words} <= WORDS_OF_SECRETS and bool({*words} & WORDS_OF_WEBHOOKS)


def is_of_a_kind(name: str, meant: str) -> bool:
    """Of our prefix, or of as many words: GITHUB_TOKEN and GITLAB_PROJECT_TOKEN are other programs' own."""
    return name.startswith(f"{OUR_PREFIX}_") or name.count("_") == meant.count("_")


def unknown_events(source: Source[Any], patterns: Iterable[str]) -> Iterator[Suspicion]:
    known = events_of([source])
    for pattern in patterns:
        if not is_among(pattern, known):
            yield Suspicion(
                "event_names",
                f"[{source.name}] events has {pattern!r}, which is no event of {source.title}",
                f"{_meant(pattern, known)}docs/events.md lists them",
            )


def events_of(sources: Iterable[Source[Any]]) -> frozenset[str]:
    return frozenset(
        name
        for source in sources
        for name in (*source.default_events, *(feature.event for feature in source.features))
    )


def unused_accounts(settings: Settings) -> Iterator[Suspicion]:
    named = {route.account for route in settings.route}
    for account in settings.account:
        if account not in named:
            yield Suspicion(
                "routes",
                f"no route names the account {account!r}, so nothing is sent to it",
                f'write account = "{account}" in a [[route]], or remove [account.{account}]',
            )


def about_notices(settings: Settings) -> Iterator[Suspicion]:
    if settings.notices_to is None:
        if settings.notify_secret is not None or settings.notify != NotifySection():
            yield Suspicion(
                "notify",
                "no notices are posted: there is no address to post them to",
                "set APITRAFFIC_NOTIFY_URL, or remove [notify] and APITRAFFIC_NOTIFY_SECRET",
            )
    elif is_readable_on_the_way(settings.notices_to):
        yield Suspicion(
            "notify",
            "notices are posted without TLS, so others can read them and the address",
            "write an address that begins with https://",
        )


def is_among(pattern: str, known: Iterable[str]) -> bool:
    """Declared senders may know their events by patterns too; what both match is not worked out."""
    return any(fnmatchcase(name, pattern) or fnmatchcase(pattern, name) for name in known)


def in_route(number: int, route: Route, settings: Settings) -> Iterator[Suspicion]:
    where = f"route {number} in apitraffic.toml"
    if not route.settings():
        yield Suspicion("routes", f"{where} sets nothing", "give it buckets, skip or another setting")
    for name, patterns, known in matched_words(route.match, settings):
        for pattern in patterns:
            if not is_among(pattern, known):
                yield Suspicion(
                    "routes",
                    f"{where} matches {name} {pattern!r}, and there is no such {name}",
                    f"{_meant(pattern, known)}there are {', '.join(sorted(known))}"
                    if name != "event"
                    else f"{_meant(pattern, known)}docs/events.md lists them",
                )
    yield from unknown_facts(where, route, settings)


def matched_words(match: Match, settings: Settings) -> Iterator[tuple[str, tuple[str, ...], frozenset[str]]]:
    """What a route matches of which all words are known: its name, patterns, and the words."""
    yield "source", match.source or (), frozenset(settings.senders)
    yield "type", match.type or (), frozenset(kind.value for kind in EventType)
    yield (
        "event",
        match.event or (),
        events_of(sources_of(match, settings)) or events_of(settings.active_sources.values()),
    )


def sources_of(match: Match, settings: Settings) -> list[Source[Any]]:
    """Those a route is for; presets without a secret only if the route names them."""
    if not match.source:
        return list(settings.active_sources.values())
    return [
        settings.senders[name]
        for name in settings.senders
        if any(fnmatchcase(name, pattern) for pattern in match.source)
    ]


def unknown_facts(where: str, route: Route, settings: Settings) -> Iterator[Suspicion]:
    """Names in templates. Your own events may bring any, so of these only what looks misspelt is named."""
    templates = [*filter(None, [route.name]), *(route.metadata or {}).values()]
    for name in dict.fromkeys(name for template in templates for name in PLACEHOLDER.findall(template)):
        is_sure = {source.name for source in sources_of(route.match, settings)} <= SENDERS_OF_FACTS
        meant = _meant(name, FACTS, ALIKE_AND_SAME_SENDER if is_sure else ALMOST_THE_SAME)
        if name not in FACTS and (meant or is_sure):
            yield Suspicion(
                "routes",
                f"{where} has {{{name}}}, which no sender gives",
                f"{meant}it is left out of the text",
            )


def _meant(word: str, known: Iterable[str], alike: float = ALIKE_AND_SAME_SENDER) -> str:
    close = get_close_matches(word.lower(), known, n=1, cutoff=alike)
    return f"did you mean {close[0]}? Otherwise " if close else ""
