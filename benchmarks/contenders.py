"""What the receiver is measured against, in gunicorn's own threaded worker: nothing, the least, the usual.

`python -m benchmarks.contenders <name> <port>`
"""

import hashlib
import hmac
import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from flask import Flask, abort, request
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # has no types
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from benchmarks.deliveries import PATH
from receiver.cli.child import stop_with_parent
from receiver.config.loading import load_settings
from receiver.local.stack import LOOPBACK
from receiver.observability.logs import configure_logging
from receiver.serving.server import ReceiverServer
from receiver.serving.sockets import listen

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = tuple[dict[str, str], int]

EMPTY: Final = "empty"
FLOOR: Final = "floor"
NAIVE: Final = "naive"
NAIVE_LEAN: Final = "naive-lean"
NAIVE_DEDUPE: Final = "naive-dedupe"
NAIVE_QUEUE: Final = "naive"
SEEN_SECONDS: Final = 14 * 86_400


def empty() -> Flask:
    """The ceiling: takes the same request off the wire and answers it."""
    app = Flask("empty", static_folder=None)

    @app.post(PATH)
    def accept() -> Answer:
        request.get_data(cache=False)
        return {"status": "accepted"}, 202

    return app


def floor() -> Flask:
    """The least that keeps a promise: authentic, read, and noted in Redis once. Nothing is made of it."""
    secret = os.environ["GITHUB_WEBHOOK_SECRET"].encode()
    redis = Redis.from_url(os.environ["REDIS_URL"])
    app = Flask("floor", static_folder=None)

    @app.post(PATH)
    def accept() -> Answer:
        body = request.get_data()
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, request.headers.get("X-Hub-Signature-256", "")):
            abort(401)
        json.loads(body)
        delivery = request.headers["X-GitHub-Delivery"]
        if not redis.set(f"floor:seen:{delivery}", 1, nx=True, ex=SEEN_SECONDS):
            return {"status": "duplicate"}, 200
        return {"status": "accepted"}, 202

    return app


def naive(*, lean: bool = False, dedupe: bool = False) -> Flask:
    """The receiver that one writes in twenty lines: check the signature, read the JSON, enqueue it.

    `lean` enqueues three fields and not the payload, with a description that RQ need not make of it: nothing
    can be cheaper and still be RQ. `dedupe` refuses repeated deliveries, apart from enqueuing.
    """
    secret = os.environ["GITHUB_WEBHOOK_SECRET"].encode()
    redis = Redis.from_url(os.environ["REDIS_URL"])
    queue = Queue(NAIVE_QUEUE, connection=redis, serializer=JSONSerializer)
    app = Flask("naive", static_folder=None)

    @app.post(PATH)
    def accept() -> Answer:
        body = request.get_data()
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, request.headers.get("X-Hub-Signature-256", "")):
            abort(401)
        payload = json.loads(body)
        delivery = request.headers["X-GitHub-Delivery"]
        if dedupe and not redis.set(f"naive:seen:{delivery}", 1, nx=True, ex=SEEN_SECONDS):
            return {"status": "duplicate"}, 200
        if lean:
            status, repository = payload["deployment_status"], payload["repository"]["full_name"]
            fields = (repository, status["environment"], status["created_at"])
            queue.enqueue("naive.deliver", *fields, description="deploy")
        else:
            queue.enqueue("naive.deliver", payload)
        return {"status": "accepted"}, 202

    return app


CONTENDERS: "Final[dict[str, Callable[[], Flask]]]" = {
    EMPTY: empty,
    FLOOR: floor,
    NAIVE: naive,
    NAIVE_LEAN: partial(naive, lean=True),
    NAIVE_DEDUPE: partial(naive, dedupe=True),
}


class ContenderServer(ReceiverServer):
    """Another application with the receiver's settings, in the worker that comes with gunicorn."""

    contender: str

    def load_config(self) -> None:
        super().load_config()
        self.cfg.set("worker_class", "gthread")

    def run(self) -> None:
        BaseApplication.run(self)

    def load(self) -> Flask:
        app = CONTENDERS[self.contender]()
        app.add_url_rule("/healthz", view_func=lambda: {"status": "up"})
        return app

    def _start_threads(self, app: Flask) -> None:
        """A contender has none."""


def main(name: str, port: str, workers: str, threads: str) -> None:
    stop_with_parent()
    configure_logging()
    ContenderServer.contender = name
    ContenderServer(
        load_settings(), listen(LOOPBACK, int(port)), workers=int(workers), threads=int(threads)
    ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
