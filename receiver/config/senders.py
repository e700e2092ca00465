"""Declared senders: `[[sender]]` in apitraffic.toml, and in the files that come along as presets."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from receiver.errors import ConfigurationError
from receiver.sources import SOURCES
from receiver.sources.source import Source

if TYPE_CHECKING:
    from receiver.sources.declared import DeclaredSource

TABLE: Final = "sender"
SUFFIX: Final = ".toml"
OWN_TABLES: Final = frozenset(
    {"account", "charts", "console", "delivery", "notify", "route", "verdict", TABLE}
)
OWN_WORDS: Final = frozenset(
    {"api", "declared", "default", "healthz", "metrics", "readyz", "senders", "sources", "spool", "webhooks"}
)
"""Paths of the receiver, and settings that would be taken for the sender's section."""
HEADER: Final = re.compile(r"\s*(?P<array>\[)?\[\s*(?P<name>[^\[\]]+?)\s*\]")
ASSIGNMENT: Final = re.compile(r"\s*(?P<name>[\w.\"' -]+?)\s*=")
TAGS: Final = frozenset(
    {"text", "words", "hmac", "standard-webhooks", "jws", "bearer", "basic", "header", "path"}
)
"""What pydantic adds to the place of an error in a union."""

Place = tuple[str | int, ...]


class Senders(Mapping[str, Source[Any]]):
    """All senders by name: those with code of their own, the declared ones, and the presets.

    A preset is compiled when somebody asks for it. A declared sender replaces the preset of its name.
    """

    def __init__(self, declared: tuple["DeclaredSource", ...] = ()) -> None:
        self._known: dict[str, Source[Any]] = dict(SOURCES) | {source.name: source for source in declared}
        self._presets = frozenset(preset_names()) - self._known.keys()

    def __getitem__(self, name: str) -> Source[Any]:
        if name not in self._known and name in self._presets:
            self._known[name] = read_preset(name)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._presets

    def __iter__(self) -> Iterator[str]:
        yield from SOURCES
        yield from sorted((self._known.keys() | self._presets) - SOURCES.keys())

    def __len__(self) -> int:
        return len(self._known.keys() | self._presets)

    def is_preset(self, name: str) -> bool:
        """Whether its description is the one that came along."""
        return name in self._presets


def preset_names() -> tuple[str, ...]:
    """In the order of the alphabet."""
    names = (file.name for file in _presets().iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)))


def preset_text(name: str) -> str:
    """The preset as a file of TOML, to be read, or copied into apitraffic.toml and changed."""
    return _presets().joinpath(name + SUFFIX).read_text(encoding="utf-8")


def read_preset(name: str) -> "DeclaredSource":
    """Raises `ConfigurationError`."""
    (source,) = read_senders(preset_text(name), name + SUFFIX)
    return source


def read_senders(text: str, file: str) -> tuple["DeclaredSource", ...]:
    """The senders that a file declares; raises `ConfigurationError` with a line for each mistake."""
    try:
        tables = tomllib.loads(text).get(TABLE, [])
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not valid TOML: {error}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{file} is nested too deeply") from error
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigurationError(f"{file}: write [[{TABLE}]], with two brackets, for each sender")
    if not tables:
        return ()
    return _compiled(tables, lines_of(text), file)


def declared_names(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The names in a parsed apitraffic.toml, as far as there are any and nothing else has them."""
    tables = content.get(TABLE)
    names = (
        table.get("name") for table in (tables if isinstance(tables, list) else ()) if isinstance(table, dict)
    )
    return tuple(name for name in names if isinstance(name, str) and not _taken_by(name))


def _compiled(
    tables: list[dict[str, Any]], lines: Mapping[Place, int], file: str
) -> tuple["DeclaredSource", ...]:
    # Compiling needs modules that a receiver without declared senders can do without.
    from receiver.sources.declared import source_of  # noqa: PLC0415 - see above
    from receiver.sources.declared.declaration import Sender  # noqa: PLC0415

    sources: list[DeclaredSource] = []
    problems: list[str] = []
    for index, table in enumerate(tables):
        try:
            source = source_of(Sender.model_validate(table))
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            # A list counts as empty if all that was in it is wrong, which is told already.
            for detail in [detail for detail in details if detail["type"] != "too_short"] or details:
                place = tuple(part for part in detail["loc"] if part not in TAGS)
                problems.append(_problem(file, lines, (TABLE, index, *place), table, detail["msg"]))
        else:
            is_twice = any(source.name == other.name for other in sources)
            if taken := _taken_by(source.name) or ("is declared twice" if is_twice else ""):
                problems.append(
                    _problem(file, lines, (TABLE, index, "name"), table, f"{taken}; choose another")
                )
            sources.append(source)
    if problems:
        raise ConfigurationError("\n".join(dict.fromkeys(problems)))
    return tuple(sources)


def _taken_by(name: str) -> str:
    """What else has this name, in words; empty if nothing has. A preset may be replaced."""
    if name in SOURCES:
        return "is a sender with code of its own"
    if name in OWN_TABLES:
        return f"is taken: [{name}] in apitraffic.toml is a table of the receiver's own settings"
    if name in OWN_WORDS:
        return f"is taken: the receiver itself uses the word {name}"
    return ""


def _problem(
    file: str, lines: Mapping[Place, int], place: Place, table: Mapping[str, Any], message: str
) -> str:
    name = table.get("name")
    told = f"{TABLE} {name!r}" if isinstance(name, str) else f"{TABLE} {int(place[1]) + 1}"
    inside = [str(part + 1) if isinstance(part, int) else part for part in place[2:]]
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    message = "is not a setting; correct or remove it" if message.startswith("Extra inputs") else message
    return f"{file}:{_line_of(place, lines)}: {told}: {' '.join(inside)} {message}"


def _line_of(place: Place, lines: Mapping[Place, int]) -> int:
    """Of the assignment or table at this place, or of the nearest one around it."""
    around = (place[:length] for length in range(len(place), 0, -1))
    return next((lines[part] for part in around if part in lines), 1)


def lines_of(text: str) -> dict[Place, int]:
    """Where the tables and assignments of a TOML file are; `tomllib` does not say.

    A place is like `("sender", 0, "marker", 2, "name")`. Lines are counted from 1.
    """
    lines: dict[Place, int] = {}
    lengths: dict[Place, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.match(line):
            *parents, last = _names(header["name"])
            table = ()
            for name in parents:
                table += (name,)
                table += (lengths[table] - 1,) if table in lengths else ()
            table += (last,)
            if header["array"]:
                lengths[table] = lengths.get(table, 0) + 1
                table += (lengths[table] - 1,)
            lines.setdefault(table, number)
        elif assignment := ASSIGNMENT.match(line):
            lines.setdefault(table + tuple(_names(assignment["name"])), number)
    return lines


def _names(dotted: str) -> list[str]:
    return [name.strip().strip("\"'") for name in dotted.split(".")]


def _presets() -> Traversable:
    return files("receiver.sources") / "presets"
