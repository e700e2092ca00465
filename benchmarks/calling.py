"""`python -m benchmarks.calling <rounds>`: what a request costs an application, with no server around it.

One process, one request at a time, Redis as in the contest: what remains is the code.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import islice
from statistics import median
from time import process_time
from typing import TYPE_CHECKING, Any, Final

from redis import Redis
from werkzeug.test import EnvironBuilder, run_wsgi_app

from benchmarks.accepting import OURS
from benchmarks.contenders import CONTENDERS
from benchmarks.deliveries import DELIVERY_ID, PATH, SignedBody, new_delivery_id, signed_bodies
from receiver.cli.child import stop_with_parent
from receiver.observability.logs import configure_logging
from receiver.observability.metrics import SharedMetricsFolder
from receiver.web.app import create_app

if TYPE_CHECKING:
    from flask import Flask

REQUESTS: Final = 300
"""Of a turn."""
ACCEPTED: Final = "202 ACCEPTED"


@dataclass(frozen=True, slots=True)
class Calling:
    """By contender, medians of the processor time a request in microseconds."""

    body_bytes: int
    rounds: int
    application_us: dict[str, float]


def calling(rounds: int) -> list[Calling]:
    apps = {name: make() for name, make in CONTENDERS.items()} | {OURS: create_app()}
    redis = Redis.from_url(os.environ["REDIS_URL"])
    lengths = (list(islice(signed_bodies(from_actions=each), REQUESTS)) for each in (False, True))
    return [_compared(apps, redis, rounds, bodies) for bodies in lengths]


def _compared(apps: "dict[str, Flask]", redis: Redis, rounds: int, bodies: Sequence[SignedBody]) -> Calling:
    turns: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(rounds):
        for name, app in apps.items():
            turns[name].append(_turn(app, bodies))
            redis.flushall()
    return Calling(len(bodies[0].body), rounds, {name: median(each) for name, each in turns.items()})


def _turn(app: "Flask", bodies: Sequence[SignedBody]) -> float:
    requests = [_request(signed) for signed in bodies]
    began = process_time()
    statuses = {run_wsgi_app(app.wsgi_app, request, buffered=True)[1] for request in requests}
    seconds = process_time() - began
    if statuses != {ACCEPTED}:
        sys.exit(f"not everything was accepted: {statuses}")
    return 1e6 * seconds / len(requests)


def _request(signed: SignedBody) -> dict[str, Any]:
    headers = (signed.headers | {DELIVERY_ID: new_delivery_id()}).items()
    body = BytesIO(signed.body)
    return EnvironBuilder(PATH, method="POST", headers=headers, input_stream=body).get_environ()


if __name__ == "__main__":
    stop_with_parent()
    figures = SharedMetricsFolder()
    configure_logging()
    json.dump([asdict(each) for each in calling(int(sys.argv[1]))], sys.stdout)
    figures.remove()
