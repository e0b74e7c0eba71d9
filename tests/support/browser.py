"""A headless Chromium, and pages in it that notice what a user would not: errors, and requests to elsewhere."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
UNTRUSTED = "player.test"
"""This machine by a name to which browsers give less, as to any that is reached over plain http."""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    f"--host-resolver-rules=MAP {UNTRUSTED} 127.0.0.1",
    "--use-fake-device-for-media-stream",  # a microphone that beeps
    "--use-fake-ui-for-media-stream",
]
LONGEST_WAIT_MS = 20_000


@contextmanager
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=LONGEST_WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page that has been opened, and what happened on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        page.set_default_timeout(LONGEST_WAIT_MS)
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def figures(self) -> dict[str, Any]:
        """Of the utterance on the page, as the page gives them to the curious."""
        figures = self.page.evaluate("window.cosystream")
        assert isinstance(figures, dict)
        return figures

    def wait_for(self, state: str) -> dict[str, Any]:
        """The figures, once the utterance has come to ``state``."""
        self.page.wait_for_function("state => window.cosystream?.state === state", arg=state)
        return self.figures()

    def speak(self, text: str) -> None:
        self.page.locator("#text").fill(text)
        self.page.locator("#play").click()


@contextmanager
def visit(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """``url`` opened in a profile of its own, in English unless ``options`` of playwright's context say otherwise."""
    context = browser.new_context(**{"locale": "en-GB", "reduced_motion": "no-preference"} | options)
    try:
        visited = Visit(context.new_page())
        visited.page.goto(url)
        yield visited
    finally:
        context.close()


def checksum(pcm: bytes) -> int:
    """As the page's worklet sums what it renders: in 32 bits, signed."""
    total = 0
    for (sample,) in struct.iter_unpack("<h", pcm):
        total = (31 * total + sample) & 0xFFFFFFFF
    return total - (total >> 31 << 32)
