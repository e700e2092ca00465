"""`python -m benchmarks.translating <times>`: what it takes to check a delivery and to understand it."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from statistics import median
from time import perf_counter
from typing import TypeVar

from apitraffic_events.timestamps import now
from benchmarks.deliveries import DELIVERY_ID, SignedBody, new_delivery_id, signed_bodies
from receiver.cli.child import stop_with_parent
from receiver.config.loading import load_settings
from receiver.sources import SOURCES
from receiver.sources.not_translated import NotTranslated
from receiver.translation import translate_and_route

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Translating:
    """Medians in microseconds."""

    times: int
    body_bytes: int
    verify_us: float
    receive_us: float
    translate_us: float
    all_us: float


def translating(times: int) -> Translating:
    settings = load_settings()
    source = SOURCES["github"]
    secrets, options = settings.secrets_for(source), settings.options_for(source)
    steps: list[tuple[float, float, float]] = []

    def once(signed: SignedBody) -> None:
        headers = {name.lower(): value for name, value in signed.headers.items()}
        headers[DELIVERY_ID.lower()] = new_delivery_id()
        verified, verify = _timed(lambda: source.verify(headers, signed.body, secrets, now()))
        delivery, receive = _timed(lambda: source.receive(headers, signed.body, now()))
        meaning, translate = _timed(lambda: translate_and_route(source, delivery, options, settings.route))
        if not verified or isinstance(meaning, NotTranslated) or len(meaning.changes) != 1:
            sys.exit("a delivery was not translated")
        steps.append((verify, receive, translate))

    bodies = list(islice(signed_bodies(), min(times, 100)))
    for number in range(times):
        once(bodies[number % len(bodies)])
    verify, receive, translate = (1e6 * median(step) for step in zip(*steps, strict=True))
    return Translating(
        times=times,
        body_bytes=len(bodies[0].body),
        verify_us=verify,
        receive_us=receive,
        translate_us=translate,
        all_us=1e6 * median(map(sum, steps)),
    )


def _timed(step: Callable[[], ResultT]) -> tuple[ResultT, float]:
    began = perf_counter()
    result = step()
    return result, perf_counter() - began


if __name__ == "__main__":
    stop_with_parent()
    json.dump(asdict(translating(int(sys.argv[1]))), sys.stdout)
