"""An apitraffic.toml to begin with: all settings with their defaults and meanings, commented out."""

import textwrap
from collections.abc import Iterator
from typing import Any, Final

from receiver.config.schema import schema_of_file
from receiver.config.senders import preset_names
from receiver.config.toml import as_toml

WIDTH: Final = 100
HEAD: Final = """\
# Settings of apitraffic-events: https://toml.io, and docs/configuration.md for what they do together.
# Each line below that begins with `#` and a setting shows the default, or an example if there is none.
# Remove the `#` to change it.
# Tokens and secrets belong in environment variables, not here.
"""
ACCOUNTS: Final = """\
# Further accounts in ApiTraffic, for routes with account = "emea".
#[account.emea]
#sid = "acc_emea"
#token_file = "/run/secrets/apitraffic-emea"
#api_url = "https://api.apitraffic.io/v1"
"""
PROMETHEUS: Final = """\
# A Prometheus that has the figures for verdicts in place of ApiTraffic.
#[verdict.prometheus]
#url = "http://prometheus:9090"
#requests = "sum(increase(http_requests_total[$window]))"
#errors = "sum(increase(http_requests_total{code=~'5..'}[$window])) or vector(0)"
#mean_response = "sum(rate(http_seconds_sum[$window])) / sum(rate(http_seconds_count[$window]))"
"""
ROUTES: Final = """\
# Where markers appear. The first route that matches decides, for each setting that it has.
#[[route]]
#match = { source = "github", repository = "acme/checkout", environment = "prod*" }
#buckets = ["Checkout API"]
#
#[[route]]
#match = { environment = "review/*" }
#skip = true
#
#[[route]]
#match = { environment = "staging" }
#verdict = false
"""


def template() -> str:
    """The text of the file. With every `#` before a setting removed, it is valid."""
    tables: dict[str, Any] = schema_of_file()["properties"]
    for name in preset_names():  # Most people need none of them.
        del tables[name]
    sections = [section for name, table in tables.items() if (section := "\n".join(_table(name, table)))]
    return "\n\n".join([HEAD.rstrip(), *sections, PROMETHEUS.rstrip(), ACCOUNTS.rstrip(), ROUTES])


def _table(name: str, table: dict[str, Any]) -> Iterator[str]:
    settings = [
        line for setting, about in table.get("properties", {}).items() for line in _setting(setting, about)
    ]
    if settings:
        yield f"[{name}]"
        yield from settings


def _setting(name: str, about: dict[str, Any]) -> Iterator[str]:
    default = about.get("default")
    if default is None:
        default = next(iter(about.get("examples", about.get("enum", []))), None)
    if default is None:
        default = ["*"] if about.get("type") == "array" else None
    if default is None:
        return
    if text := about.get("description"):
        yield from textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
    yield from _assigned(name, default)


def _assigned(name: str, value: object) -> Iterator[str]:
    line = f"#{name} = {as_toml(value)}"
    if len(line) <= WIDTH or not isinstance(value, list):
        yield line
        return
    yield f"#{name} = ["
    yield from (f"#    {as_toml(item)}," for item in value)
    yield "#]"
