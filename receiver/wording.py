"""How a version and a duration are written on a chart, the same for all senders."""

import re
from datetime import timedelta
from typing import Final

HEX: Final = re.compile(r"[0-9a-f]{7,64}")
VERSION: Final = re.compile(r"(?:(?:@[^/]+/)?[^/]*[@-])?v?\d+(?:\.\d+)+(?:[-+.][0-9A-Za-z.+-]+)?")
"""What looks like a tag: v2.3.1, 2026.11, checkout-v1.4.0-rc.2, @acme/cart@3.0.0. Senders that deploy a ref
do not say whether it is a branch or a tag; one in a folder, such as release/2026.11, is usually a branch."""
RELEASE_WORD: Final = re.compile(r"(?:pre-?)?(?:release|version)(?:[\s:-]+|$)", re.IGNORECASE)


def describe_version(ref: str | None, commit: str | None) -> str:
    """What was deployed, as short as possible but unambiguous: a tag, or `branch@0123abc`."""
    short = (commit or "")[:7]
    name = re.sub(r"^refs/(heads|tags)/", "", ref or "")
    if not name or (HEX.fullmatch(name) and (commit or name).startswith(name[:7])):
        return short or name[:7]
    is_tag = (ref or "").startswith("refs/tags/")
    is_branch = (ref or "").startswith("refs/heads/")
    if is_tag or not short or (VERSION.fullmatch(name) and not is_branch):
        return name
    return f"{name}@{short}"


def describe_release(name: str | None, tag: str | None) -> str:
    """What was released, after the word "Release": its tag as it is written, and its name if that says more.

    `Release 2.3.1` of v2.3.1 is `v2.3.1`, `2.3.1 Summer` is `v2.3.1 Summer`, `Summer` is `v2.3.1: Summer`.
    """
    if not name or not tag:
        return name or tag or ""
    bare = name[found.end() :] if (found := RELEASE_WORD.match(name)) else name
    if not bare:
        return tag
    number = re.escape(re.sub(r"^v(?=\d)", "", tag))
    version = re.compile(rf"(?<![\w.])v?{number}(?![\w.-]*\w)", re.IGNORECASE)
    if version.match(bare):
        return version.sub(lambda _: tag, bare, count=1)
    if re.search(rf"(?:^|[^\w.]){re.escape(bare)}$", tag, re.IGNORECASE):
        return tag
    return version.sub(lambda _: tag, name, count=1) if version.search(name) else f"{tag}: {name}"


def duration(taken: timedelta) -> str:
    """`45 s`, `5 min 3 s`, `2 h 10 min`, `3 d 4 h`; never negative."""
    seconds = max(0, round(taken.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        parts = ((days, "d"), (hours % 24, "h"))
    elif hours:
        parts = ((hours, "h"), (minutes % 60, "min"))
    elif minutes:
        parts = ((minutes, "min"), (seconds % 60, "s"))
    else:
        return f"{seconds} s"
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount)
