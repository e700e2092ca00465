"""Chromium, driven by Playwright: Debian's own, so that nothing is downloaded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

AXE: Final = Path(__file__).parents[2] / ".venv/axe/node_modules/axe-core/axe.min.js"
SERIOUS: Final = frozenset({"serious", "critical"})


def tool(found: str | None, name: str) -> str:
    """Where it is. A test that lacks it is skipped, or fails if REQUIRE_TOOLS=1."""
    if found is None:
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(f"{name} is missing; .ci/run installs it")
        pytest.skip(f"{name} is missing")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    program = tool(shutil.which("chromium") or shutil.which("google-chrome"), "chromium")
    with sync_playwright() as playwright:
        # The sandbox needs rights that a container seldom has; only our own pages are opened.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page whose requests and complaints are noted, among them what its policy forbids."""

    def __init__(self, browser: Browser, base: str, **options: Any) -> None:
        self._context = browser.new_context(
            base_url=base, viewport={"width": 1400, "height": 900}, timezone_id="Europe/Berlin", **options
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(10_000)
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self._base = base
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._on_request)
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))

    def close(self) -> None:
        self._context.close()

    def faults(self) -> list[str]:
        """Serious faults that axe finds on the page: https://github.com/dequelabs/axe-core"""
        tool(str(AXE) if AXE.exists() else None, "axe-core")
        self.page.evaluate(f"{AXE.read_text(encoding='utf-8')}; 0")
        found: list[dict[str, Any]] = self.page.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations)"
        )
        return [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
            for one in found
            if one["impact"] in SERIOUS
        ]

    def _on_console(self, message: ConsoleMessage) -> None:
        # An answer that is no success is told apart by each test.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith(self._base):
            self.elsewhere.append(request.url)
