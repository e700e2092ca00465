"""GitHub's deliveries as octokit has collected them: all examples of npm's `@octokit/webhooks-examples`.

The package is 4 MB in 6 files; what is kept is one file without its white space and repetitions, made anew by
`npm pack @octokit/webhooks-examples@7.6.1` and `python -m tests.support.octokit <the .tgz>`.
"""

import gzip
import json
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

KEPT: Final = Path(__file__).parents[1] / "fixtures/github/octokit_examples.jsonl.gz"


@dataclass(frozen=True, slots=True)
class Example:
    """A payload, and how often each of the package's files has it."""

    event: str
    payload: dict[str, Any]
    found: dict[str, int]

    @property
    def body(self) -> bytes:
        return json.dumps(self.payload, ensure_ascii=False).encode()


def examples() -> list[Example]:
    with gzip.open(KEPT, "rt", encoding="utf-8") as lines:
        return [Example(**json.loads(line)) for line in lines]


def packed(archive: Path) -> Iterator[tuple[str, str, str]]:
    """Of each example in the package: the folder of its file, its event, its payload without white space."""
    with tarfile.open(archive) as package:
        for member in sorted(package.getnames()):
            content = package.extractfile(member) if member.endswith("/index.json") else None
            for definition in json.load(content) if content else ():
                for example in definition["examples"]:
                    written = json.dumps(example, separators=(",", ":"), ensure_ascii=False)
                    yield member.split("/")[-2], definition["name"], written


def rebuild(archive: Path) -> None:
    found: dict[tuple[str, str], Counter[str]] = {}
    for folder, event, payload in packed(archive):
        found.setdefault((event, payload), Counter())[folder] += 1
    lines = [
        f'{{"event":{json.dumps(event)},"found":{json.dumps(counts)},"payload":{payload}}}\n'
        for (event, payload), counts in sorted(found.items())
    ]
    KEPT.write_bytes(gzip.compress("".join(lines).encode(), 9, mtime=0))


if __name__ == "__main__":
    rebuild(Path(sys.argv[1]))
