"""A real Chromium and the application it talks to, as a customer uses them."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from app import build
from bot.chatbot import Chatbot

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# What must be shown letter by letter, wherever it is shown.
PAYLOADS = [
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>",
    "**bold** _under_ `code` # head [link](javascript:alert(1)) ![i](x) <b>b</b> &amp; ~~s~~ | t |",
    "1. one\n2. two\n    four spaces\n> quote $x^2$ https://example.com",
]

# True once the page has shown the same conversation for three quarters of a second: nothing is streamed any more.
SETTLED = """() => {
  const now = document.querySelector('#chat').innerHTML + document.querySelector('#panel').innerHTML;
  if (window.lastSeen !== now) { window.lastSeen = now; window.lastChange = Date.now(); }
  return Date.now() - window.lastChange > 750;
}"""


class Server:
    """The application on a free port, which can be stopped and started again over the same home."""

    def __init__(self, make_bot: Callable[..., Chatbot]) -> None:
        self._make_bot = make_bot
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self) -> None:
        self.bot = self._make_bot()
        ready = threading.Event()
        config = uvicorn.Config(build(self.bot), port=self.port, log_level="error")

        class _Announced(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                ready.set()

        self._server = _Announced(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        assert ready.wait(60)

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(30)


@pytest.fixture
def server(make_bot: Callable[..., Chatbot]) -> Iterator[Server]:
    server = Server(make_bot)
    yield server
    server.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs chromium: apt-get install chromium")
        pytest.skip("there is no chromium on this machine: apt-get install chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def nora(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    yield context
    context.close()


def visit(context: BrowserContext, server: Server) -> Page:
    page = context.new_page()
    page.goto(server.url)
    expect(page.locator("#chat .message").first).to_be_visible(timeout=30_000)
    return page


def say(page: Page, text: str, answer: str) -> None:
    """Send a message and wait for a reply that holds some words."""
    count = page.locator("#chat .message.bot").count()
    page.locator("#message textarea").fill(text)
    page.locator("#message textarea").press("Enter")
    expect(page.locator("#chat .message.bot")).to_have_count(count + 1, timeout=15_000)
    expect(page.locator("#chat .message.bot").last).to_contain_text(answer, timeout=15_000)
    page.wait_for_function(SETTLED, polling=50, timeout=15_000)  # at each frame, it would keep a core busy
