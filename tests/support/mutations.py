"""Real payloads with some of their values exchanged or removed, for property tests of sources."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

from hypothesis import strategies as st

from tests.support.properties import any_text, json_values

Path = tuple[str, ...]

ABSENT: Final = object()
"""Put at a path, it removes what is there."""

times: Final = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.datetimes(timezones=st.timezones()).map(str),
    st.integers(-(10**15), 10**15),
    st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00"]),
)
"""As senders write them, and at the ends of what a time can be."""


def paths(content: Any, parents: Path = ()) -> Iterator[Path]:
    """The path of every value in nested objects."""
    for name, value in content.items():
        yield (*parents, name)
        if isinstance(value, dict):
            yield from paths(value, (*parents, name))


def put(payload: Any, path: Path, value: Any) -> None:
    """Replace the value at `path`, if its parents are still there."""
    *parents, last = path
    for parent in parents:
        payload = payload.get(parent) if isinstance(payload, dict) else None
    if isinstance(payload, dict):
        if value is ABSENT:
            payload.pop(last, None)
        else:
            payload[last] = value


def mutate(
    draw: st.DrawFn, payload: Any, paths: st.SearchStrategy[Path], *values: st.SearchStrategy[Any]
) -> Any:
    """A copy of `payload` with one to five values removed, or replaced by any JSON or one of `values`."""
    mutated = deepcopy(payload)
    for _ in range(draw(st.integers(1, 5))):
        value = draw(st.one_of(st.just(ABSENT), json_values, any_text, *values))
        put(mutated, draw(paths), value)
    return mutated
