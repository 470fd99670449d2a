"""The widget in real Chromium, on pages of another origin under a strict Content-Security-Policy."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from bot.chatbot import Chatbot
from bot.desk import Desk
from bot.desk_files import Portals
from bot.models import Models
from bot.settings import Settings
from memory import Store
from memory.history import transcript
from memory.tables import SESSIONS
from tests.bot.channels.portal import SECRET
from tests.bot.channels.serving import serving, whole
from tests.conftest import Clock
from tests.ui.conftest import chromium
from tests.ui.widget.shop import Network, Shop

RETURNS = ("until when can I return an item?", "45 days")
DELIVERY = ("how long does delivery take?", "working days")


@dataclass
class Site:
    """A shop with the widget, and the server behind it."""

    origin: str
    chat: str
    example: int  # the port that docs/shop.py is expected on
    shop: Shop
    network: Network
    bot: Chatbot
    clock: Clock

    def said(self) -> list[tuple[str, str]]:
        """Return every message that is kept, with its customer."""
        store = self.bot.memory.store
        with store.read() as connection:
            kept = connection.execute(SESSIONS.select()).all()
        turns = [(row.customer_id, turn) for row in kept for turn in transcript(store, row.id, row.customer_id)]
        return [(customer, turn.text) for customer, turn in turns]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def running(
    desk: Desk, models: Models, prepared_home: Path, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(prepared_home / "models")
    shop, clock, example = Shop(), Clock(), free_port()
    with serving(shop) as its:
        origin = str(its.base_url).rstrip("/")
        portals = Portals(origins=(origin, f"http://127.0.0.1:{example}"))
        listed = replace(desk, settings=desk.settings.model_copy(update={"portals": portals}))
        settings = Settings(home=home, jwt_secret=SECRET, rate_address="9999/minute")  # type: ignore[arg-type]
        bot = Chatbot(listed, models, Store(settings.database), settings, clock=clock)
        with ThreadPoolExecutor(1) as thread:  # in this one, playwright's loop runs
            network = Network(thread.submit(whole, bot).result())
        with serving(network) as client:
            shop.chat = str(client.base_url).rstrip("/")
            yield Site(origin, shop.chat, example, shop, network, bot, clock)
        bot.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    running.network.asked.clear()
    yield running
    running.shop.files = {}
    running.shop.attributes = ""
    running.shop.connects = True
    running.network.drops = 0
    running.network.elsewhere = False
    for customer in {customer for customer, _ in running.said()}:
        running.bot.forget(customer)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Iterator[Page]:
    """A page of the shop, on which nothing may break the policy or fail."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(site.origin)
    yield page
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


def launcher(page: Page) -> Locator:
    return page.locator("rapport-widget .launcher")


def panel(page: Page) -> Locator:
    return page.get_by_role("dialog")


def replies(page: Page) -> Locator:
    return panel(page).locator(".theirs:not(.writing) .text")


def asked(page: Page) -> Locator:
    return panel(page).locator(".mine:not([hidden]) .text")


def open_chat(page: Page) -> None:
    launcher(page).click()
    expect(replies(page).first).to_be_visible()


def say(page: Page, text: str, answer: str) -> None:
    write(page, text)
    expect(replies(page).last).to_contain_text(answer, timeout=15_000)


def write(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.get_by_label("Your message").press("Enter")


def stored(page: Page) -> dict[str, str]:
    kept: dict[str, str] = page.evaluate("() => ({...localStorage})")
    return kept
