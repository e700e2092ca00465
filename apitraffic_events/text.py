"""Text from outside, made safe and short."""

import re
from typing import Final

NAME_LIMIT: Final = 200
"""Characters."""
DESCRIPTION_LIMIT: Final = 2_000
METADATA_TEXT_LIMIT: Final = 1_000

INVISIBLE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]+"
)
"""What must not reach a chart, a log line or a terminal: control characters, line and paragraph separators,
marks that change the direction of text, zero-width spaces, and lone surrogates (JSON may hold them, UTF-8 may
not). Joiners stay: emoji and several scripts are written with them."""


class CleanLine(str):
    """Text on one line without invisible characters, which need not be cleaned again.

    What `one_line` and `whole_line` return is of this type. What is made of it (a slice, an f-string) is not.
    """

    __slots__ = ()


def one_line(text: str, limit: int) -> str:
    """Make text safe and short.

    Invisible characters become spaces. Text over the limit is cut at a word and ends in `…`.
    """
    if len(text) <= limit and text.isprintable() and "  " not in text and text == text.strip():
        return CleanLine(text)
    line = _without_invisible(text[: limit * 4])
    if len(line) <= limit:
        return CleanLine(line)
    cut = line[: limit - 1]
    at_word = cut.rpartition(" ")[0] if line[limit - 1] != " " else cut
    return CleanLine((at_word if len(at_word) > limit // 2 else cut).rstrip(" ,;:-(") + "…")


def whole_line(text: str) -> CleanLine:
    """As `one_line`, but never cut."""
    return text if isinstance(text, CleanLine) else CleanLine(_without_invisible(text))


def is_clean_line(text: str, limit: int) -> bool:
    """Whether `one_line` has made this text already, and would not cut it now."""
    return isinstance(text, CleanLine) and len(text) <= limit


def paragraphs(text: str) -> str:
    """As `one_line`, for text that keeps its line breaks; at most `DESCRIPTION_LIMIT` characters."""
    lines = text[: DESCRIPTION_LIMIT * 4].splitlines()
    joined = "\n".join(map(_without_invisible, lines)).strip()
    return joined if len(joined) <= DESCRIPTION_LIMIT else joined[: DESCRIPTION_LIMIT - 1].rstrip() + "…"


def _without_invisible(text: str) -> str:
    return " ".join(INVISIBLE.sub(" ", text).split())
