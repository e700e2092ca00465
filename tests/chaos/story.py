"""The story of the insights with workers killed in each kind of request: each marker once, each line once.

`python -m tests.chaos.story` takes a minute or two. `tests/e2e/test_story.py` has one kill at each step.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.stack import running_stack
from tests.support.story import BACK, FLAG, INCIDENT, RESOLVED, SECRETS, V1, V2
from tests.support.story_telling import begun, forget_all, tell

KILLS: Final[Mapping[str, Mapping[str, str]]] = {
    "creations and the closing": dict.fromkeys((V1, FLAG, V2, INCIDENT, BACK), "POST") | {RESOLVED: "PATCH"},
    "the reading of figures": dict.fromkeys((V1, V2, BACK), "GET"),
    "what is added": dict.fromkeys((V1, V2, INCIDENT, BACK), "PATCH"),
}


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="apitraffic-story-") as folder,
        running_stack(Path(folder)) as stack,
    ):
        stack.environment |= SECRETS
        stack.receiver.start()
        for what, kills in KILLS.items():
            forget_all(stack)
            stack.worker.start()
            tell(stack, begun(stack), kills)
            stack.worker.stop()
            sys.stdout.write(f"{what}: killed {len(kills)} times, all markers as they should be\n")


if __name__ == "__main__":
    main()
