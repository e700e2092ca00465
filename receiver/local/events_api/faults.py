"""Faults that a chaos run injects into the API: what goes wrong, and when.

[METHOD:] KIND [=VALUE] [@SHARE] [xTIMES]

latency=0.2         wait 0.2 s before handling each request
status=500@0.2      answer a fifth of the requests with 500, without handling them
status=429x3        answer the next three requests with 429 and Retry-After
refusex1            close the connection of the next request without handling it
drop@0.1            handle a tenth of the requests, but close the connection without an answer
POST:dropx1         the same for the next POST only
hang=5x1            handle the next request, but wait 5 s (60 s by default) and close without an answer
POST:commit=500x1   handle the next POST, but answer 500; commit=200 answers a page of HTML
POST:late=3x1       answer the next POST with 500, and handle it 3 s later
lag=3               lists do not show what was created less than 3 s ago
renamed             lists know their filters by other names only: start_date, end_date, event_type, …
unfiltered          lists and metrics know no filter
metrics=403         answer 403 to requests for metrics, as to a token that may not read them
waf                 answer 403 and HTML if a body holds `DROP TABLE`, as a firewall does
"""

import random
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from http import HTTPStatus
from typing import Final

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
HANG_SECONDS: Final = 60.0
ERROR_STATUSES: Final = frozenset(status for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST)
EXAMPLES: Final = "for example latency=0.2, status=500@0.2, status=429x3, POST:dropx1 or hang=5x1"

GRAMMAR: Final = re.compile(
    r"(?:(?P<method>[^:]*):)?(?P<kind>[a-z]+?)(?:=(?P<value>[^@x]*))?(?:@(?P<share>[^x]*))?(?:x(?P<times>\d+))?",
    re.ASCII,
)


class Kind(StrEnum):
    LATENCY = "latency"
    STATUS = "status"
    REFUSE = "refuse"
    DROP = "drop"
    HANG = "hang"
    COMMIT = "commit"
    LATE = "late"
    LAG = "lag"
    RENAMED = "renamed"
    UNFILTERED = "unfiltered"
    METRICS = "metrics"
    WAF = "waf"


WITHOUT_VALUE: Final = frozenset({Kind.DROP, Kind.REFUSE, Kind.RENAMED, Kind.UNFILTERED, Kind.WAF})
CONDITIONS: Final = frozenset({Kind.LAG, Kind.RENAMED, Kind.UNFILTERED, Kind.METRICS, Kind.WAF})
"""Kinds under which a request is handled; all that affect it hold at once."""


class FaultSyntaxError(ValueError):
    """Text that is not a fault; the message says what is wrong and gives an example."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(f"{text!r} is not a fault: {problem}; {EXAMPLES}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    `value` is in seconds for latency, hang, late and lag, the HTTP status for status, commit and metrics, and
    0 for the others. `share` is the fraction of matching requests that are affected, `times` how many at most
    (None: no limit), `method` the only HTTP method that matches (None: all).
    """

    kind: Kind
    value: float = 0.0
    share: float = 1.0
    times: int | None = None
    method: str | None = None

    def __str__(self) -> str:
        method = f"{self.method}:" if self.method else ""
        value = f"={self.value:g}" if self.value else ""
        share = f"@{self.share:g}" if self.share < 1 else ""
        times = "" if self.times is None else f"x{self.times}"
        return f"{method}{self.kind}{value}{share}{times}"


@dataclass(frozen=True, slots=True)
class Effect:
    """What happens to one request: a delay in seconds, then at most one fault in place of its answer.

    `conditions` are those under which it is handled, with their values.
    """

    delay: float = 0.0
    fault: Fault | None = None
    conditions: Mapping[Kind, float] = field(default_factory=dict)


def parse(text: str) -> Fault:
    """Parse one fault, written in the grammar above; raises FaultSyntaxError."""
    match = GRAMMAR.fullmatch(text)
    if match is None:
        raise FaultSyntaxError(text, "it does not read [METHOD:]KIND[=VALUE][@SHARE][xTIMES]")
    if match["kind"] not in set(Kind):
        raise FaultSyntaxError(text, f"the kind {match['kind']!r} is none of {', '.join(Kind)}")
    if match["method"] is not None and match["method"] not in METHODS:
        raise FaultSyntaxError(text, f"the method {match['method']!r} is none of {', '.join(METHODS)}")
    kind = Kind(match["kind"])
    share = 1.0 if match["share"] is None else _number(text, "share", match["share"])
    if not 0 < share <= 1:
        raise FaultSyntaxError(text, "the share after @ must be above 0 and at most 1")
    times = None if match["times"] is None else int(match["times"])
    if times == 0:
        raise FaultSyntaxError(text, "the number after x must be 1 or more")
    return Fault(kind, _value(text, kind, match["value"]), share, times, match["method"])


def _value(text: str, kind: Kind, given: str | None) -> float:
    if kind in WITHOUT_VALUE:
        if given is not None:
            raise FaultSyntaxError(text, f"{kind} takes no value")
        return 0.0
    if given is None:
        if kind is Kind.HANG:
            return HANG_SECONDS
        raise FaultSyntaxError(text, f"{kind} needs a value after =")
    value = _number(text, "value", given)
    if kind in {Kind.STATUS, Kind.METRICS} and value not in ERROR_STATUSES:
        raise FaultSyntaxError(text, "the status must be one that HTTP knows, from 400 to 511")
    if kind is Kind.COMMIT and value not in ERROR_STATUSES | {HTTPStatus.OK}:
        raise FaultSyntaxError(text, "the status must be 200 or one from 400 to 511")
    if value == 0:
        raise FaultSyntaxError(text, f"{kind} is in seconds and must be above 0")
    return value


def _number(text: str, what: str, given: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", given, re.ASCII):
        raise FaultSyntaxError(text, f"the {what} {given!r} is not a number")
    return float(given)


class Faults:
    """The active faults, shared by all threads. `draw` returns a number from 0 up to 1 for each share."""

    def __init__(self, faults: Sequence[Fault], draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._faults = list(faults)

    def replace(self, faults: Sequence[Fault]) -> None:
        with self._lock:
            self._faults = list(faults)

    def as_text(self) -> list[str]:
        """Return the active faults in the grammar above, each with the number of times that is left."""
        with self._lock:
            return [str(fault) for fault in self._faults]

    def effect_on(self, method: str) -> Effect:
        """Decide what happens to one request, and count down the faults that affect it.

        Delays add up. Of the faults that replace the answer only the first one is used; the others stay.
        """
        effect = Effect()
        with self._lock:
            for index, fault in enumerate(self._faults):
                if not self._affects(fault, method):
                    continue
                if fault.kind is Kind.LATENCY:
                    effect = replace(effect, delay=effect.delay + fault.value)
                elif fault.kind in CONDITIONS:
                    effect = replace(effect, conditions={**effect.conditions, fault.kind: fault.value})
                elif effect.fault is None:
                    effect = replace(effect, fault=fault)
                else:
                    continue
                if fault.times is not None:
                    self._faults[index] = replace(fault, times=fault.times - 1)
            self._faults = [fault for fault in self._faults if fault.times != 0]
        return effect

    def _affects(self, fault: Fault, method: str) -> bool:
        if fault.method not in {None, method}:
            return False
        return fault.share >= 1 or self._draw() < fault.share
