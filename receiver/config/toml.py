"""Settings as apitraffic.toml writes them."""

import json
from collections.abc import Iterable, Iterator

from receiver.routing import Route


def as_toml(value: object) -> str:
    """A value on one line, as JSON writes it but for tables."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {as_toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def routes_as_toml(routes: Iterable[Route]) -> str:
    """The routes as they could stand in the file."""
    return "\n".join(line for route in routes for line in _lines(route)).lstrip("\n")


def _lines(route: Route) -> Iterator[str]:
    yield "\n[[route]]"
    for name, value in route.model_dump(mode="json", exclude_none=True).items():
        if value != {}:
            yield f"{name} = {as_toml(value)}"


def _key(name: str) -> str:
    is_bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if is_bare else json.dumps(name, ensure_ascii=False)
