"""Ways in which the API may be other than one would hope. Processes and Redis are broken in all of them."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

FAILURES: Final = (
    ("POST:status=500@0.4", "PUT:status=503@0.2", "PATCH:status=500@0.2"),
    ("status=429x2",),
    ("POST:drop@0.3", "PATCH:drop@0.3", "PUT:drop@0.3"),
    ("POST:hang=3x2", "PATCH:hang=3x1"),
    ("refuse@0.3",),
    ("GET:status=502@0.5", "POST:dropx3"),
    ("latency=0.05", "GET:dropx2", "POST:dropx3"),
    ("POST:latency=2@0.3", "PATCH:latency=1@0.3"),
    ("POST:status=504@0.2", "PATCH:status=502@0.2"),
)
LOST_ANSWERS: Final = (
    ("POST:drop@0.3", "PATCH:drop@0.3", "PUT:drop@0.3"),
    ("POST:dropx5", "PATCH:dropx2"),
    ("POST:status=500@0.3",),
)


@dataclass(frozen=True, slots=True)
class Regime:
    """`always` holds all the time, and one of `at_times` at a time, with a pause between two.

    With `has_disliked`, some events have words that the firewall of the fault `waf` refuses.
    """

    always: tuple[str, ...] = ()
    at_times: tuple[tuple[str, ...], ...] = FAILURES
    has_disliked: bool = False
    refuses_once: bool = False
    """Whether the API refuses the token once: it stops the line for a minute, and spares it all else."""


REGIMES: Final = MappingProxyType(
    {
        "failures": Regime(refuses_once=True),
        "lagging lists": Regime(always=("lag=3",), at_times=(*LOST_ANSWERS, *FAILURES)),
        "committed failures": Regime(
            at_times=(
                ("POST:commit=500@0.4", "PATCH:commit=500@0.3"),
                ("POST:commit=200@0.4", "PATCH:commit=200@0.3"),
                ("POST:commit=503@0.4", "PATCH:commit=502@0.3"),
                *LOST_ANSWERS,
            )
        ),
        "late commits": Regime(
            at_times=(
                ("POST:late=1@0.3", "PATCH:late=1@0.3"),
                ("POST:late=3@0.3", "PATCH:late=2@0.3"),
                *LOST_ANSWERS,
            )
        ),
        "a firewall": Regime(always=("waf",), has_disliked=True),
        "other filters": Regime(always=("renamed",), at_times=(*LOST_ANSWERS, ("GET:status=502@0.3",))),
        "full storage": Regime(),
        "no filters": Regime(always=("unfiltered",), at_times=(*LOST_ANSWERS, ("GET:status=502@0.3",))),
    }
)
USUAL: Final = "failures"
FULL_STORAGE: Final = "full storage"
"""Of which `tests.chaos.full_storage` makes the troubles."""
