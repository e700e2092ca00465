"""`python -m tests.browser.pictures FOLDER`: the pictures of docs/insight.md, of the story.

Needs Chromium, and Pillow to make them small (`pip install pillow`).
"""

import io
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

from tests.support.browser import Watched, chromium
from tests.support.programs import stop_all
from tests.support.stack import Stack, running_stack
from tests.support.story import INCIDENT, SECRETS, V2
from tests.support.story_telling import begun, forget_all, tell

COLOURS: Final = 16
READY: Final = r"console listens url=(?P<url>\S+)"


def main(folder: Path) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="apitraffic-pictures-") as data,
        running_stack(Path(data)) as stack,
        chromium() as browser,
    ):
        stack.environment |= SECRETS
        stack.receiver.start()
        forget_all(stack)
        stack.worker.start()
        tell(stack, begun(stack))
        console = stack.program("console", "--port", "0", "--receiver-url", stack.url, ready=READY).start()
        assert console.announced
        watched = Watched(browser, console.announced["url"])
        watched.page.set_viewport_size({"width": 1000, "height": 900})
        try:
            for name, key in (("deploy", V2), ("incident", INCIDENT)):
                watched.page.goto(f"/events/{_sid_of(stack, key)}")
                top = watched.page.locator("main").bounding_box()
                end = watched.page.get_by_role("heading", name="Metadata").bounding_box()
                assert top is not None
                assert end is not None
                _save(watched.page, top | {"height": end["y"] - top["y"]}, folder / f"insight-{name}.png")
            watched.page.goto("/?range=6h")
            watched.page.wait_for_selector("#charts[data-drawn=yes]")
            table = watched.page.locator("#events")
            table.scroll_into_view_if_needed()
            _save(watched.page, table.bounding_box(), folder / "insight-list.png")
        finally:
            watched.close()
            stop_all(console)


def _sid_of(stack: Stack, key: str) -> str:
    (sid,) = (event["sid"] for event in stack.events() if event["metadata"]["marker_key"] == key)
    return str(sid)


def _save(page: Page, clip: Any, path: Path) -> None:
    """This part of the page, with few colours."""
    image = import_module("PIL.Image")
    picture = image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB").quantize(COLOURS)
    picture.save(path, optimize=True)
    sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
