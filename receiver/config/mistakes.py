"""What is wrong with apitraffic.toml, in words: file, line, setting, and what to write instead. Pure."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from apitraffic_events.text import one_line
from receiver.config.environment import in_our_words

Location = tuple[int | str, ...]

HEADER: Final = re.compile(r"\s*(?P<list>\[)?\[\s*(?P<name>[^\[\]]+?)\s*\](?(list)\])\s*(#.*)?")
SETTING: Final = re.compile(r"\s*(?P<name>[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')\s*[.=]")
LONGEST_EXAMPLE: Final = 60


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """apitraffic.toml as a person wrote it, and the model of what may be in it."""

    path: Path
    text: str
    model: type[BaseModel]
    tables: Mapping[str, type[BaseModel]]
    """Further tables, which are no field of the model, and what may be in them."""

    def explain(self, mistake: ErrorDetails, location: Location) -> str:
        """A line on one mistake; `location` is the setting's place in the file."""
        line = line_of(self.text, location)
        place = f"{self.path}:{line}" if line else str(self.path)
        name = ".".join(map(str, location))
        if mistake["type"] == "extra_forbidden":
            return f"{place}: {name} is not a setting{self._suggestion(location)}; correct or remove it"
        return f"{place}: {name} {_advice(mistake, location)}"

    def _suggestion(self, location: Location) -> str:
        *parents, unknown = location
        known = self._known_names([part for part in parents if isinstance(part, str)])
        close = difflib.get_close_matches(str(unknown), known, n=1)
        return f" (did you mean {close[0]}?)" if close else ""

    def _known_names(self, path: Sequence[str]) -> list[str]:
        """The settings at this path; none if there is no table."""
        if not path:
            return [*self.model.model_fields, *self.tables]
        model = self.tables.get(path[0], self.model)
        for part in path if model is self.model else path[1:]:
            found = model.model_fields.get(part)
            inner = found and next(_models_in(found.annotation), None)
            if not inner:
                return []
            model = inner
        return list(model.model_fields)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models of which an annotation such as `tuple[Route, ...] | None` is made."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def line_of(text: str, location: Location) -> int | None:
    """The line, from 1, on which a setting is; that of its table if it is not found; `None` if neither is.

    tomllib does not say where a value was. This reads tables' headers and the beginnings of lines, which is
    enough for what people write.
    """
    names = [part for part in location if isinstance(part, str)]
    wanted = next((part for part in location if isinstance(part, int)), None)
    table: list[str] = []
    counts: dict[str, int] = {}
    index: int | None = None
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.fullmatch(line):
            table = [part.strip(" \"'") for part in header["name"].split(".")]
            if header["list"]:
                counts[header["name"]] = index = counts.get(header["name"], -1) + 1
            elif len(table) == 1:
                index = None
            found = table
        elif setting := SETTING.match(line):
            found = [*table, setting["name"].strip("\"'")]
        else:
            continue
        is_inside = names[: len(found)] == found and (index is None or wanted is None or index == wanted)
        if is_inside and (best is None or len(found) > best[0]):
            best = len(found), number
    return best[1] if best else None


def _advice(mistake: ErrorDetails, location: Location) -> str:
    """The rest of a sentence that begins with the setting's name."""
    kind, given, context = mistake["type"], mistake["input"], mistake.get("ctx", {})
    if kind in {"tuple_type", "list_type"}:
        return _list_advice(given, location)
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        if len(location) > 1:
            return f'is a table: write {location[-1]} = {{ name = "…" }}'
        return f"is a table: write [{location[0]}], and its settings on the lines below"
    words = {
        "bool_type": "is true or false, without quotes",
        "bool_parsing": "is true or false, without quotes",
        "int_type": "is a whole number, without quotes",
        "int_parsing": "is a whole number, without quotes",
        "int_from_float": "is a whole number",
        "float_type": "is a number, without quotes",
        "float_parsing": "is a number, without quotes",
        "greater_than": f"is above {context.get('gt')}",
        "missing": "is missing",
        "string_type": f'is a text: "{_example(given)}"' if isinstance(given, int | float) else "is a text",
        "greater_than_equal": f"is at least {context.get('ge')}",
        "less_than_equal": f"is at most {context.get('le')}",
        "too_short": "is empty; name at least one, or remove it",
        "string_too_short": "is empty; write something, or remove it",
    }
    return words.get(kind) or in_our_words(mistake["msg"])


def _list_advice(given: Any, location: Location) -> str:
    if location[-1] == "route":
        return "is written with two brackets, once for each route: [[route]]"
    if isinstance(given, str):
        return f"is a list: {json.dumps([_example(given)], ensure_ascii=False)}"
    return 'is a list of texts: ["…", "…"]'


def _example(given: object) -> str:
    return one_line(str(given), LONGEST_EXAMPLE)
