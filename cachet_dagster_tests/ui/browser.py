"""A headless Chromium, and a newcomer who looks at Dagster's UI with it.

Whatever the newcomer is shown or told on the way is kept, so that it can be searched for what must not be there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from .dagster_dev import chromium

playwright = pytest.importorskip("playwright.sync_api", reason="make test-ui installs Playwright")

needs_browser = [
    pytest.mark.ui,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium on PATH: install Debian's chromium"),
]

WAIT = 90_000
"""Milliseconds that the UI may take to show what is so already."""


@contextlib.contextmanager
def browser() -> Iterator:
    """Start Chromium, as Playwright has it."""
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield opened
        opened.close()


class Newcomer:
    """A browser on the UI.

    Attributes:
        pages: The pages that it was on, as HTML.
        answers: The bodies of GraphQL's answers, by HTTP.
        frames: What GraphQL sent by WebSocket, where a run's log comes from.
    """

    def __init__(self, opened, address: str, folder: Path):
        self.page = opened.new_page(viewport={"width": 1600, "height": 1000})
        self.page.set_default_timeout(WAIT)
        self.address = address
        self.folder = folder
        self.pages: list[str] = []
        self.answers: list[str] = []
        self.frames: list[str] = []
        self.page.on("response", self._keep)
        self.page.on("websocket", lambda socket: socket.on("framereceived", self._keep_frame))

    def open(self, path: str) -> None:
        self.keep_page()
        self.page.goto(f"{self.address}{path}")

    def keep_page(self) -> None:
        self.pages.append(self.page.content())

    def _keep(self, response) -> None:
        if "/graphql" not in response.url:
            return
        # An answer that the browser left without reading is nowhere to be had.
        with contextlib.suppress(playwright.Error):
            self.answers.append(response.text())

    def _keep_frame(self, frame: str | bytes) -> None:
        self.frames.append(frame if isinstance(frame, str) else frame.decode(errors="replace"))

    def sees(self, text: str, *, within: int = WAIT, exact: bool = False) -> None:
        try:
            self.page.get_by_text(text, exact=exact).first.wait_for(timeout=within)
        except playwright.TimeoutError:
            self.picture("missed")
            raise AssertionError(f"{text!r} is not to be seen; see {self.folder}") from None

    def picture(self, name: str) -> None:
        self.page.screenshot(path=str(self.folder / f"{name}.png"))
