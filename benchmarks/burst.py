"""`python -m benchmarks.burst <worker class> <jobs>`: how long a worker takes for jobs that do nothing."""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from redis import Redis
from rq import Queue, SimpleWorker, SpawnWorker, Worker
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from receiver.cli.child import stop_with_parent
from receiver.delivery.budget import RequestBudget
from receiver.queue.queues import delivery_queue
from receiver.worker.worker import DeliveryWorker

JOB: Final = "benchmarks.burst.do_nothing"
COUNTED: Final = "total_commands_processed"


@dataclass(frozen=True, slots=True)
class Burst:
    jobs: int
    seconds: float
    commands: float
    """Redis commands for each job."""


def do_nothing() -> None:
    pass


def _rq(kind: type[BaseWorker]) -> Callable[[Redis], tuple[BaseWorker, Queue]]:
    def made(redis: Redis) -> tuple[BaseWorker, Queue]:
        queue = Queue("burst", connection=redis, serializer=JSONSerializer)
        return kind([queue], connection=redis, serializer=JSONSerializer), queue

    return made


def _ours(redis: Redis) -> tuple[BaseWorker, Queue]:
    worker = DeliveryWorker(redis, RequestBudget(redis))
    worker.run_job = lambda _: None
    return worker, delivery_queue(redis)


WORKERS: Final[dict[str, Callable[[Redis], tuple[BaseWorker, Queue]]]] = {
    "SpawnWorker": _rq(SpawnWorker),
    "Worker": _rq(Worker),
    "SimpleWorker": _rq(SimpleWorker),
    "DeliveryWorker": _ours,
}


def main(name: str, jobs: str) -> None:
    stop_with_parent()
    logging.disable(logging.ERROR)
    redis = Redis.from_url(os.environ["REDIS_URL"])
    worker, queue = WORKERS[name](redis)
    for _ in range(int(jobs)):
        queue.enqueue(JOB, result_ttl=0)
    commands = redis.info("stats")[COUNTED]
    began = time.perf_counter()
    worker.work(burst=True, logging_level="ERROR")
    seconds = time.perf_counter() - began
    worker.refresh()  # type: ignore[no-untyped-call]  # RQ has no types here
    done = worker.successful_job_count
    if done != int(jobs):
        sys.exit(f"{name} finished {done} of {jobs} jobs")
    commands = redis.info("stats")[COUNTED] - commands
    json.dump(asdict(Burst(done, seconds, commands / done)), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
