"""Loading a Lua script and running it by its digest, so that its text is not sent each time.

Scripts are the `.lua` files beside this module. In one, the line `-- include name` stands for the file
`name.lua`, once however often it is included, and a name in capitals for a constant that its caller defines.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import NoScriptError

Constant = str | int | float | Sequence[str]

FOLDER: Final = Path(__file__).parent
INCLUDE: Final = re.compile(r"^-- include ([\w/]+)$", re.MULTILINE)
NOT_CODE: Final = re.compile(r"--.*|'[^']*'")
CONSTANT_NAME: Final = re.compile(r"\b[A-Z][A-Z_]+\b")
OF_REDIS: Final = frozenset({"KEYS", "ARGV"})
PLAIN_TEXT: Final = re.compile(r"[\w.,:\[\]-]*")


class Script:
    """The Lua script of this name. Its file is read when it is first run; raises `ValueError` if it is not
    valid.
    """

    def __init__(self, name: str, constants: Mapping[str, Constant] | None = None) -> None:
        self._name = name
        self._constants = constants or {}

    @cached_property
    def text(self) -> str:
        """What Redis executes: the constants that the script uses, then the script with what it includes."""
        body = "".join(_resolved(self._name, set()))
        names = sorted(set(CONSTANT_NAME.findall(NOT_CODE.sub("", body))) - OF_REDIS)
        if missing := [name for name in names if name not in self._constants]:
            raise ValueError(f"{self._name}.lua uses {', '.join(missing)}, which its caller does not define")
        return "".join(f"local {name} = {_as_lua(self._constants[name])}\n" for name in names) + body

    @cached_property
    def digest(self) -> str:
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def run(self, redis: Redis, keys: Sequence[str] = (), args: Sequence[str | bytes | float] = ()) -> Any:
        """What the script returns; raises `RedisError`."""
        try:
            return redis.evalsha(self.digest, len(keys), *keys, *args)
        except NoScriptError:
            return redis.eval(self.text, len(keys), *keys, *args)


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A script and what it is to be run with."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | bytes | float]


def _resolved(name: str, included: set[str]) -> Iterator[str]:
    """The text of this file, in parts, each `-- include` line replaced by the file that it names."""
    if name in included:
        return
    included.add(name)
    text = (FOLDER / f"{name}.lua").read_text(encoding="utf-8")
    first = 0
    for include in INCLUDE.finditer(text):
        yield text[first : include.start()]
        yield from _resolved(include[1], included)
        first = include.end()
    yield text[first:]


def _as_lua(value: Constant) -> str:
    """The value as a Lua literal; raises `ValueError` for text that would need escaping."""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        if not PLAIN_TEXT.fullmatch(value):
            raise ValueError(f"a constant of a script would need escaping: {value!r}")
        return f"'{value}'"
    return f"{{{', '.join(map(_as_lua, value))}}}"
