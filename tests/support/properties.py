"""What the property tests share: settings and hostile JSON.

Every run of the suite has the same examples. `make properties` has others each time, and many more.
"""

import os
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from pydantic import JsonValue

RANDOM_EXAMPLES: Final = int(os.environ.get("EXAMPLES", "0"))
"""How many random examples each property is tried with; 0 means the same few every time."""

reproducible: Final = settings(
    derandomize=not RANDOM_EXAMPLES, deadline=None, database=None, max_examples=RANDOM_EXAMPLES or 75
)
thorough: Final = settings(reproducible, max_examples=RANDOM_EXAMPLES or 200)

any_text: Final = st.text(st.characters(exclude_categories=()), max_size=300)
"""With control characters, direction marks and lone surrogates, all of which JSON may hold."""

long_text: Final = st.builds(lambda text, times: text * times, any_text, st.integers(1, 200))

scalars: Final[st.SearchStrategy[JsonValue]] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**15, max_value=10**400),
    st.floats(),
    any_text,
    long_text,
)

json_values: Final[st.SearchStrategy[JsonValue]] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(any_text, inner, max_size=4)),
    max_leaves=12,
)
