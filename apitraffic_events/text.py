"""Text from outside, made safe and short."""

import re
from typing import Final

NAME_LIMIT: Final = 200


DESCRIPTION_LIMIT: Final = 2_000


METADATA_TEXT_LIMIT: Final = 1_000


INVISIBLE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]+"
)
"""What must not reach a chart, a log line or a terminal: control characters, line and paragraph separators,
marks that turn the direction of text, spaces of no width, and halves of surrogate pairs (JSON may hold them,
UTF-8 may not). Joiners stay: emoji and several scripts are written with them."""


def one_line(text: str, limit: int) -> str:
    """Make text safe and short: invisible characters become spaces, too long is cut at a word with `…`."""
    if len(text) <= limit and text.isprintable() and "  " not in text and text == text.strip():
        return text
    line = " ".join(INVISIBLE.sub(" ", text[: limit * 4]).split())
    if len(line) <= limit:
        return line
    cut = line[: limit - 1]
    at_word = cut.rpartition(" ")[0] if line[limit - 1] != " " else cut
    return (at_word if len(at_word) > limit // 2 else cut).rstrip(" ,;:-(") + "…"


def paragraphs(text: str) -> str:
    """As `one_line`, for text that keeps its line breaks; at most `DESCRIPTION_LIMIT` characters."""
    lines = text[: DESCRIPTION_LIMIT * 4].splitlines()
    joined = "\n".join(" ".join(INVISIBLE.sub(" ", line).split()) for line in lines).strip()
    return joined if len(joined) <= DESCRIPTION_LIMIT else joined[: DESCRIPTION_LIMIT - 1].rstrip() + "…"
