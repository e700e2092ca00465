"""`make fuzz`: hostile bytes against a real receiver for a while; prints what broke it and how to repeat it.

Checks that every answer is one of the contract and never 5xx, that the log has no traceback, and that the
receiver lives.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import requests

from tests.fuzz.wire import AUTHENTIC, JSON, MALFORMED, NO_FAILURE, answers, authentic, mutations
from tests.support.stack import running_stack


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="apitraffic-fuzz-") as name, running_stack(Path(name)) as stack:
        stack.receiver.start()
        for case, sent in MALFORMED.items():
            _require(set(answers(stack.url, sent)) <= NO_FAILURE, case, sent)
        for case, body in JSON.items():
            _require(set(answers(stack.url, authentic(body))) <= AUTHENTIC, case, body)
        count, deadline = 0, time.monotonic() + arguments.seconds
        for sent, pieces in mutations(random.Random(arguments.seed)):
            if time.monotonic() > deadline:
                break
            _require(set(answers(stack.url, sent, pieces)) <= NO_FAILURE, f"number {count}", sent)
            count += 1
        _require(requests.get(f"{stack.url}/healthz", timeout=30).ok, "it is alive", b"")
        _require("Traceback" not in stack.receiver.log(), "no traceback", stack.receiver.log().encode())
    print(f"seed {arguments.seed}: {len(MALFORMED) + len(JSON)} cases and {count} mutations, nothing broke")


def _require(holds: bool, case: str, sent: bytes) -> None:
    if not holds:
        sys.exit(f"broken by {case}:\n{sent[-4_000:]!r}")


if __name__ == "__main__":
    main()
