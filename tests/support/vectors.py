"""tests/vectors/*.json: what the receiver and the CI plugins must work out alike, in four languages.

Each file has `vectors`: a `name`, the `function`, what it is `given`, and what is `expected`
(`expected_start` if the rest is random). `not_implemented` lists the functions that a language does not have,
or the `vectors` of one that it cannot run, with the reason. A long text is a list of pieces, each with how
often it is repeated.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

VECTORS: Final = Path(__file__).parents[1] / "vectors"
LANGUAGES: Final = frozenset({"python", "javascript", "shell", "groovy"})


@dataclass(frozen=True, slots=True)
class Vector:
    file: str
    name: str
    function: str
    given: Mapping[str, Any]
    expected: Any
    expected_start: str | None

    @property
    def id(self) -> str:
        return f"{self.file}/{self.name}"

    def __str__(self) -> str:
        return f"{self.function}: {self.name}"

    def check(self, result: object) -> None:
        if self.expected_start is None:
            assert result == self.expected
        else:
            assert isinstance(result, str)
            assert result.startswith(self.expected_start)
            assert len(result) > len(self.expected_start)


@dataclass(frozen=True, slots=True)
class Exemption:
    """A function that a language does not have, or some of its vectors, by name."""

    language: str
    function: str
    reason: str
    vectors: tuple[str, ...] = ()

    def covers(self, vector: Vector) -> bool:
        return vector.function == self.function and (not self.vectors or vector.name in self.vectors)


def all_vectors() -> list[Vector]:
    return [
        Vector(
            file=path.name,
            name=vector["name"],
            function=vector["function"],
            given=written(vector["given"]),
            expected=written(vector.get("expected")),
            expected_start=vector.get("expected_start"),
        )
        for path in sorted(VECTORS.glob("*.json"))
        for vector in json.loads(path.read_text())["vectors"]
    ]


def exemptions() -> list[Exemption]:
    return [
        Exemption(**exemption | {"vectors": tuple(exemption.get("vectors", ()))})
        for path in sorted(VECTORS.glob("*.json"))
        for exemption in json.loads(path.read_text())["not_implemented"]
    ]


def vectors_for(language: str, apart_from: str | None = None) -> list[Vector]:
    """Those that a language has to run, but for those of one function."""
    listed = [exemption for exemption in exemptions() if exemption.language == language]
    return [
        vector
        for vector in all_vectors()
        if vector.function != apart_from and not any(each.covers(vector) for each in listed)
    ]


def written(value: Any) -> Any:
    if isinstance(value, list):
        return "".join(piece * times for piece, times in value)
    if isinstance(value, dict):
        return {name: written(each) for name, each in value.items()}
    return value
