"""Checked access to the JSON that senders write, which may be anything."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final, cast

from pydantic import JsonValue
from pydantic_core import from_json

from apitraffic_events.text import one_line
from apitraffic_events.timestamps import parse_timestamp
from receiver.events import Delivery
from receiver.sources.not_translated import Untranslatable
from receiver.timestamps import EARLIEST

VALUE_LIMIT: Final = 500
"""Characters kept of one text; enough for any URL or commit subject."""
MOST_CONTAINERS: Final = 300_000
"""Objects and lists of one JSON text. The largest that GitHub sends, 25 MiB of commits, has fewer; parsing so
many takes less than a second."""
MOST_VALUES: Final = 1_000_000
WEB_URL: Final = re.compile(r"https?://[^\s…]+")


class Payload:
    """A JSON object from outside: every access says which type it expects, and never raises for another one.

    Paths are dotted, `payload.text("deployment.creator.login")`. Anything on the way that is missing, null or
    of another type reads as `None`.
    """

    def __init__(self, content: dict[str, JsonValue]) -> None:
        self.content = content
        self._lines: dict[str, str | None] = {}
        self._objects: dict[str, dict[str, JsonValue] | None] = {}

    @classmethod
    def from_json(cls, body: bytes | str) -> "Payload":
        """Raises `Untranslatable` for anything but a JSON object."""
        try:
            content = read_json(body)
        except TooManyValues as error:
            raise Untranslatable("the body is JSON with more values than are read") from error
        except (ValueError, RecursionError) as error:
            raise Untranslatable("the body is not JSON that can be read") from error
        if not isinstance(content, dict):
            raise Untranslatable("the body is JSON but not an object")
        return cls(content)

    @classmethod
    def of(cls, delivery: Delivery) -> "Payload":
        """The delivery's body, parsed unless it has been already. Raises `Untranslatable` likewise."""
        content = delivery.content
        return cls(content) if isinstance(content, dict) else cls.from_json(delivery.body)

    def value(self, path: str) -> JsonValue:
        where, dot, name = path.rpartition(".")
        holder = self._object_at(where) if dot else self.content
        return None if holder is None else holder.get(name)

    def _object_at(self, path: str) -> dict[str, JsonValue] | None:
        """The object at this path, which is looked for once."""
        if path not in self._objects:
            found = self.value(path)
            self._objects[path] = found if isinstance(found, dict) else None
        return self._objects[path]

    def text(self, *paths: str) -> str | None:
        """The first of these that is text and not blank, on one line. Each text is cleaned once."""
        lines = self._lines
        for path in paths:
            if path not in lines:
                found = self.value(path)
                lines[path] = one_line(found, VALUE_LIMIT) if isinstance(found, str) else None
            if line := lines[path]:
                return line
        return None

    def url(self, *paths: str) -> str | None:
        """The first of these that is an http or https URL; other schemes could run code when it is opened.

        A URL that contains a space or had to be cut does not work and is skipped.
        """
        for path in paths:
            url = self.text(path)
            if url and WEB_URL.fullmatch(url):
                return url
        return None

    def identifier(self, path: str) -> str | None:
        """An id as text, whether the sender writes it as a number or as text."""
        found = self.value(path)
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found) if abs(found) < 10**30 else None
        return self.text(path)

    def flag(self, path: str) -> bool | None:
        found = self.value(path)
        return found if isinstance(found, bool) else None

    def time(self, *paths: str) -> datetime | None:
        """The first of these that is a time; Go's zero time, and whatever else lies before 2000, is none."""
        for path in paths:
            moment = parse_timestamp(self.value(path))
            if moment and moment >= EARLIEST:
                return moment
        return None

    def objects(self, path: str) -> Iterator["Payload"]:
        """The objects in the list at this path; other items are skipped."""
        found = self.value(path)
        for item in found if isinstance(found, list) else ():
            if isinstance(item, dict):
                yield Payload(item)

    def texts(self, path: str) -> tuple[str, ...]:
        """The non-empty texts in the list at this path."""
        found = self.value(path)
        items = found if isinstance(found, list) else ()
        lines = (one_line(item, VALUE_LIMIT) for item in items if isinstance(item, str))
        return tuple(line for line in lines if line)

    def require_text(self, path: str) -> str:
        return self._required(path, self.text(path))

    def require_identifier(self, path: str) -> str:
        return self._required(path, self.identifier(path))

    @staticmethod
    def _required(path: str, found: str | None) -> str:
        if found is None:
            raise Untranslatable(f"{path} is missing from the payload")
        return found


def object_in(body: bytes) -> dict[str, JsonValue] | None:
    """The JSON object in a body, for senders whose event is named there; `None` for any other body."""
    try:
        return Payload.from_json(body).content
    except Untranslatable:
        return None


class TooManyValues(ValueError):
    """JSON with more objects, lists or values than any sender writes."""


def read_json(body: bytes | str) -> JsonValue:
    """Pydantic's parser takes half the time; Python's also reads what that refuses, such as UTF-16.

    Raises `ValueError` if it is not JSON, `TooManyValues` before parsing, and `RecursionError` if it is
    nested too deeply. Brackets and commas inside texts are counted too. 18 MB of brackets would take seconds,
    and gigabytes of memory.
    """
    if len(body) > MOST_CONTAINERS and _has_too_many_values(body):
        raise TooManyValues
    try:
        return cast("JsonValue", from_json(body, cache_strings="keys"))
    except ValueError:
        return cast("JsonValue", json.loads(body))


def _has_too_many_values(body: bytes | str) -> bool:
    if isinstance(body, str):
        containers, values = body.count("[") + body.count("{"), body.count(",")
    else:
        containers, values = body.count(b"[") + body.count(b"{"), body.count(b",")
    return containers > MOST_CONTAINERS or values > MOST_VALUES
