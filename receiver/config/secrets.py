"""Secrets of webhooks: several in one value, and none that can be guessed or not be used."""

import re
from typing import Final

from pydantic import SecretStr

from receiver.config.environment import Variable
from receiver.sources import SOURCES, forgejo, gitea, github, gitlab, native, pagerduty
from receiver.sources.signatures import SHORTEST_STANDARD_KEY, standard_key

SECRET_VARIABLES: Final = tuple(
    Variable(name, "webhook_secrets", f"put the secret there that {source.title}'s webhook settings hold")
    for source in SOURCES.values()
    for name in source.secret_variables
)
"""The variables of all sources."""
SHORTEST_SEPARATE_SECRET: Final = 6
"""A value of several words is several secrets only if each is at least this long; else it is one phrase."""
SHORTEST_TOKEN: Final = 16
"""Characters of a secret that is sent with each request: who may try often enough guesses a shorter one."""
SHORTEST_KEY: Final = 8
"""Characters of a secret that only signs. GitHub takes any, and hooks are old: up to 15 are warned about."""
SHORTEST_STRONG_SECRET: Final = 16

ONLY_SIGN: Final = frozenset(
    {
        github.SECRET_VARIABLE,
        pagerduty.SECRET_VARIABLE,
        gitlab.SIGNING_VARIABLE,
        *gitea.GITEA.secret_variables,
        *forgejo.FORGEJO.secret_variables,
    },
)
STANDARD_WEBHOOKS: Final = frozenset({gitlab.SIGNING_VARIABLE, native.SECRET_VARIABLE})
"""Variables in which `whsec_` and base64 stand for a key."""
STANDARD_PREFIX: Final = "whsec_"
ASYMMETRIC_PREFIXES: Final = ("whpk_", "whsk_")
NEW_ONE: Final = "make one with openssl rand -hex 32, and set it here and at the sender"
NEW_STANDARD_ONE: Final = (
    f'make one with echo "{STANDARD_PREFIX}$(openssl rand -base64 32)", and set it here and at the sender'
)


PLACEHOLDER: Final = re.compile(
    r"<.*>|(secret|password|todo|example|placeholder|test|token|webhook)[-_ ]?\d*"
    r"|.*(change|replace)[-_ ]?(me|this|it)(?![a-z]).*|.*\byour[-_ ](secret|token|password).*",
    re.IGNORECASE,
)
"""What examples have in place of a secret. Long or short, anybody can guess it."""


def is_placeholder(secret: str) -> bool:
    return PLACEHOLDER.fullmatch(secret) is not None


def split_secrets(value: object) -> object:
    """All secrets in a variable's value, separated by white space or commas; the whole value comes last.

    The whole value counts too, so that a secret with a space or a comma in it works. If a part is too short
    to be a secret, only the whole value counts.
    """
    if not isinstance(value, str):
        return value
    parts = [part for part in re.split(r"[\s,]+", value) if part]
    if any(len(part) < SHORTEST_SEPARATE_SECRET for part in parts):
        parts = []
    return tuple(dict.fromkeys([*parts, value]))


def check_secrets(
    secrets: dict[str, tuple[SecretStr, ...]], standard: frozenset[str] = STANDARD_WEBHOOKS
) -> dict[str, tuple[SecretStr, ...]]:
    """The secrets by variable, as they are; raises `ValueError` with a line for each that cannot be used.

    In the variables in `standard`, `whsec_` and base64 stand for a key.
    """
    problems = [
        f"{name} {problem}"
        for name, values in secrets.items()
        if (problem := _problem_with(name, [value.get_secret_value() for value in values], standard))
    ]
    if problems:
        raise ValueError("\n".join(problems))
    return secrets


def _problem_with(name: str, values: list[str], standard: frozenset[str]) -> str | None:
    """What is wrong with a variable and what to do, without a character of the secret."""
    *parts, whole = values
    if not whole.strip(" ,\t\r\n"):
        return f"holds nothing but separators; {NEW_ONE}"
    shortest = min(len(value) for value in parts or [whole])
    needed = SHORTEST_KEY if name in ONLY_SIGN else SHORTEST_TOKEN
    if shortest < needed:
        length = f"{shortest} character{'' if shortest == 1 else 's'}"
        has = f"holds {len(parts)} secrets, one of which has {length}" if len(parts) > 1 else f"has {length}"
        return f"{has}; that can be guessed: it needs at least {needed}; {NEW_ONE}"
    if name in standard:
        if any(value.startswith(ASYMMETRIC_PREFIXES) for value in parts or [whole]):
            return (
                "is a key for asymmetric signatures (v1a), which are not supported; choose HMAC at the "
                f"sender, whose secret begins with {STANDARD_PREFIX}"
            )
        keys = [
            standard_key(value.encode("utf-8", "surrogateescape"))
            for value in parts or [whole]
            if value.startswith(STANDARD_PREFIX)
        ]
        if any(key is None for key in keys):
            return f"begins with {STANDARD_PREFIX}, and what follows is not base64; copy all of it again"
        if any(key is not None and len(key) < SHORTEST_STANDARD_KEY for key in keys):
            return (
                f"begins with {STANDARD_PREFIX}, and the key behind that has fewer than "
                f"{SHORTEST_STANDARD_KEY} bytes; {NEW_STANDARD_ONE}"
            )
    return None
