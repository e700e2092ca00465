"""Checks of the configuration that need no connection: the sources' secrets, the account's SID."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from receiver.config.secrets import SHORTEST_STRONG_SECRET, is_placeholder
from receiver.config.settings import ACCOUNT_SID_LENGTH, Settings
from receiver.doctor.findings import Finding, failure, ok, warning

LINE_BREAKS: Final = ("\n", "\r")
WRITTEN_LINE_BREAKS: Final = ("\\n", "\\r")
RANDOM: Final = "generate one with `openssl rand -hex 32`; set it here and in the sender's settings"


def sources(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """A finding for each secret that is set, and one for the sources that are off."""
    off = []
    for name, source in settings.active_sources.items():
        variables = [
            variable for variable in source.secret_variables if settings.webhook_secrets.get(variable)
        ]
        if not variables:
            off.append(name)
        for variable in variables:
            values = [secret.get_secret_value() for secret in settings.webhook_secrets[variable]]
            yield secret(f"{name}_secret", variable, values, raw_value(variable, environ))
    if len(off) == len(settings.active_sources):
        yield warning(
            "sources",
            "all are off: none has a secret here",
            "this is right on a host that only runs workers; on a receiver, set a secret, such as "
            "GITHUB_WEBHOOK_SECRET",
        )
    else:
        yield ok("sources", f"off, because no secret is set: {', '.join(off)}" if off else "all on")


def secret(check: str, variable: str, values: list[str], raw: str) -> Finding:
    """`values` are the secrets in force; `raw` is the content of the variable or its file."""
    shortest = min(len(value) for value in values)
    if any(is_placeholder(value) for value in values):
        return failure(check, f"{variable} is a placeholder that anybody can guess", RANDOM)
    if shortest < SHORTEST_STRONG_SECRET:
        return warning(
            check,
            f"{variable} has {shortest} characters; shorter than {SHORTEST_STRONG_SECRET} can be guessed",
            RANDOM,
        )
    if quoted := odd_ends(raw):
        return warning(
            check,
            f"{variable} {quoted}, which counts as part of it",
            "remove that unless the sender's settings have it too; `docker --env-file` keeps quotes",
        )
    # A variable with several secrets counts as each of its words, and as a whole.
    held = f"holds {len(values) - 1} secrets" if len(values) > 1 else f"has {shortest} characters"
    note = " (the line break at its end is ignored)" if raw.endswith(LINE_BREAKS) else ""
    return ok(check, f"{variable} {held}{note}")


def odd_ends(raw: str) -> str | None:
    """What an env file, a shell or YAML has left around a value by mistake, or `None`."""
    value = raw.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return "is in quotes"
    return "ends in a written-out line break" if value.endswith(WRITTEN_LINE_BREAKS) else None


def raw_value(variable: str, environ: Mapping[str, str]) -> str:
    """The content of the variable or its file, unchanged. `load_settings` has already read the file once."""
    path = environ.get(f"{variable}_FILE")
    if path:
        # newline="": keeps line breaks of Windows, so that they are found.
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    return environ.get(variable, "")


def account_sid(sid: str) -> Finding:
    if len(sid) != ACCOUNT_SID_LENGTH:
        return warning(
            "account_sid",
            f"{sid} is not {ACCOUNT_SID_LENGTH} characters long",
            "compare APITRAFFIC_ACCOUNT_SID with ApiTraffic's settings; it may be incomplete",
        )
    return ok("account_sid", sid)
