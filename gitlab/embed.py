"""Embed apitraffic.sh in the templates, which have to be complete by themselves: `make gitlab`."""

import re
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
TEMPLATES: Final = tuple(sorted((HERE / "templates").glob("*.yml")))
SLOT: Final = re.compile(
    r"(?<=<<'APITRAFFIC_SCRIPT'\n).*?(?=^      APITRAFFIC_SCRIPT$)", re.DOTALL | re.MULTILINE
)


def embedded(template: str, script: str) -> str:
    """The template with this script in it, indented for the YAML block."""
    lines = (f"      {line}" if line.strip() else "\n" for line in script.splitlines(keepends=True))
    text = "".join(lines)
    return SLOT.sub(lambda _: text, template)


if __name__ == "__main__":
    script = (HERE / "apitraffic.sh").read_text()
    for path in TEMPLATES:
        path.write_text(embedded(path.read_text(), script))
