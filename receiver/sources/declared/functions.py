"""The functions of expressions: JMESPath's own, and ours (docs/senders/declared.md lists them)."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar, cast

import regex
from jmespath.functions import Functions as StandardFunctions
from jmespath.functions import signature
from pydantic import JsonValue

from apitraffic_events.timestamps import format_timestamp, parse_timestamp
from receiver.timestamps import EARLIEST
from receiver.wording import describe_version, duration

MOST_WORK: Final = 200_000
"""Steps of all expressions for one delivery: a fraction of a second."""
CHARACTERS_PER_STEP: Final = 100
SORTING: Final = frozenset({"max", "max_by", "min", "min_by", "sort", "sort_by"})
COST_OF_SORTING: Final = 20
MOST_TEXT: Final = 1_000_000
"""Characters that a function may return."""
MOST_PARTS: Final = 1_000
"""That `split` returns."""
MOST_SEARCHED: Final = 10_000
"""Characters that `regex` looks at."""
TIME_FOR_PATTERNS: Final = 0.1
"""Seconds of processor time for all regular expressions of one delivery, as the library counts too, so that
a busy machine does not exhaust it. Some patterns would take hours on a hostile text."""
NULL_IS_A_VALUE: Final = frozenset(
    {"body", "default", "duration", "event", "not_null", "phrase", "to_array", "to_string", "type", "version"}
)
"""A missing value is an argument like others for these; the others return null if one is missing."""
MOST_LISTED: Final = 20
LARGEST_NUMBER: Final = 10**30
MICROSECONDS_FROM: Final = 10**14
NANOSECONDS_FROM: Final = 10**17
LONGEST_NUMBER: Final = 19
"""Digits of a time in nanoseconds."""


class OutOfBudget(Exception):
    """One delivery's expressions cost more than they may."""


class Context:
    """What expressions may ask for besides the value they are applied to, and the budget they share."""

    __slots__ = ("_work", "body", "event", "headers", "time_for_patterns")

    def __init__(self, body: JsonValue, headers: Mapping[str, str], event: str = "") -> None:
        self.body = body
        self.headers = headers
        self.event = event
        self.time_for_patterns = TIME_FOR_PATTERNS
        self._work = MOST_WORK

    def charge(self, work: int) -> None:
        """Raises `OutOfBudget`."""
        self._work -= work
        if self._work < 0:
            raise OutOfBudget("takes more steps than one delivery may")


def moment_of(value: object) -> datetime | None:
    """A time in any of the forms that senders use: also seconds to nanoseconds since 1970, also as text.

    What lies before 2000, such as Go's zero time, is none.
    """
    if isinstance(value, str) and len(value) <= LONGEST_NUMBER and value.isascii() and value.isdecimal():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        size = abs(value)
        if size >= NANOSECONDS_FROM:
            value = value / 1_000_000
        elif size >= MICROSECONDS_FROM:
            value = value / 1_000
    moment = parse_timestamp(value)
    return moment if moment is not None and moment >= EARLIEST else None


def as_text(value: object) -> str | None:
    """A value as text; `None` for what is missing and for objects. Lists of texts are joined by commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < LARGEST_NUMBER else None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < LARGEST_NUMBER else repr(value)
    if isinstance(value, list):
        items = [as_text(item) for item in value[:MOST_LISTED] if not isinstance(item, list)]
        return ", ".join(item for item in items if item) or None
    return None


FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def _takes(*arguments: Mapping[str, Any]) -> Callable[[FunctionT], FunctionT]:
    """The types of a function's arguments; `[]` for any."""
    return cast("Callable[[FunctionT], FunctionT]", signature(*arguments))


class Functions(StandardFunctions):  # type: ignore[misc]  # jmespath has no types of its own
    """Those of JMESPath that can be bounded, and ours. Each call costs what its arguments weigh."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def call_function(self, function_name: str, resolved_args: list[Any]) -> Any:
        factor = COST_OF_SORTING if function_name in SORTING else 1
        self._context.charge(factor * sum(map(_weight, resolved_args)))
        if function_name not in NULL_IS_A_VALUE and any(argument is None for argument in resolved_args):
            return None
        return super().call_function(function_name, resolved_args)

    @_takes({"types": ["array", "string"]}, {"types": ["string", "number", "boolean"]})
    def _func_contains(self, subject: Any, search: Any) -> bool:
        """Not of structures: comparing them could take for ever."""
        return search in subject if isinstance(subject, list) or isinstance(search, str) else False

    @_takes({"types": ["string"]}, {"types": ["array"]})
    def _func_join(self, separator: str, array: list[Any]) -> str:
        """Without what is missing and what is no text or number."""
        parts = [text for text in map(as_text, array) if text is not None]
        _require_short(sum(map(len, parts)) + len(separator) * len(parts))
        return separator.join(parts)

    @_takes({"types": []})
    def _func_to_string(self, arg: Any) -> str | None:
        """As text, not as JSON: a structure could be exponentially large if it were written out."""
        return as_text(arg)

    @_takes({"types": ["string"]})
    def _func_lower(self, text: str) -> str:
        return text.lower()

    @_takes({"types": ["string"]}, {"types": ["string"]}, {"types": ["string"]})
    def _func_replace(self, text: str, old: str, new: str) -> str:
        if not old:
            return text
        _require_short(len(text) + text.count(old) * max(0, len(new) - len(old)))
        return text.replace(old, new)

    @_takes({"types": ["string"]}, {"types": ["string"]})
    def _func_split(self, text: str, separator: str) -> list[str]:
        return text.split(separator, MOST_PARTS - 1) if separator else [text]

    @_takes({"types": ["string"]}, {"types": []})
    def _func_regex(self, text: str, pattern: "regex.Pattern[str]") -> str | None:
        """The first group of the first match, or the match if there is no group; null if nothing matches."""
        left = self._context.time_for_patterns
        began = time.thread_time()
        try:
            # A time-out of 0 is over at once.
            found = pattern.search(text[:MOST_SEARCHED], timeout=max(0, left))
        except TimeoutError:
            raise OutOfBudget("has a regular expression that takes too long on this text") from None
        self._context.time_for_patterns = left - (time.thread_time() - began)
        return found[1 if pattern.groups else 0] if found else None

    @_takes({"types": []}, {"types": []})
    def _func_default(self, value: Any, otherwise: Any) -> Any:
        return otherwise if value is None or value == "" else value

    @_takes({"types": []})
    def _func_time(self, value: Any) -> str | None:
        moment = moment_of(value)
        return format_timestamp(moment) if moment else None

    @_takes({"types": []}, {"types": []})
    def _func_duration(self, start: Any, end: Any) -> str | None:
        """`5 min 3 s`; null unless both are times, in this order."""
        began_at, ended_at = moment_of(start), moment_of(end)
        return duration(ended_at - began_at) if began_at and ended_at and began_at <= ended_at else None

    @_takes({"types": []}, {"types": []})
    def _func_version(self, ref: Any, commit: Any) -> str | None:
        """A tag, or `main@0123abc`."""
        named, revision = (
            value[:MOST_SEARCHED] if isinstance(value, str) else None for value in (ref, commit)
        )
        return describe_version(named, revision) or None

    @_takes({"types": []}, {"types": [], "variadic": True})
    def _func_phrase(self, before: Any, value: Any, *after: Any) -> str | None:
        """The value with words before and after it; null if it is missing, empty or false."""
        text = as_text(value) if value is not False else None
        if not text:
            return None
        joint = " " if str(before)[-1:].isalnum() else ""
        return f"{as_text(before) or ''}{joint}{text}{as_text(after[0]) or '' if after else ''}"

    @_takes({"types": ["string"]})
    def _func_header(self, name: str) -> str | None:
        return self._context.headers.get(name.lower())

    @_takes()
    def _func_body(self) -> JsonValue:
        return self._context.body

    @_takes()
    def _func_event(self) -> str:
        return self._context.event


def _weight(argument: object) -> int:
    if isinstance(argument, str):
        return 1 + len(argument) // CHARACTERS_PER_STEP
    if isinstance(argument, list):
        return sum(1 + len(item) // CHARACTERS_PER_STEP if isinstance(item, str) else 1 for item in argument)
    return 1 + len(argument) if isinstance(argument, dict) else 1


def _require_short(length: int) -> None:
    if length > MOST_TEXT:
        raise OutOfBudget(f"makes a text of {length} characters; at most {MOST_TEXT}")
