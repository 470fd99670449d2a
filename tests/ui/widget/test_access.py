"""Everybody can use the widget: by keyboard, on a phone, with assistive technology, in the desk's language."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.ui.widget.conftest import (
    RETURNS,
    Site,
    asked,
    launcher,
    open_chat,
    panel,
    replies,
    say,
)

pytestmark = pytest.mark.filterwarnings("default")  # gradio and uvicorn warn about each other

OPEN = {
    "de": "Chat öffnen",
    "fr-CH": "Ouvrir le chat",
    "es": "Abrir el chat",
    "it": "Apri la chat",
    "nl_BE": "Chat openen",
    "pt": "Abrir o chat",
    "not a language": "Open the chat",
}


def test_it_is_used_by_keyboard_alone(page: Page) -> None:
    launcher(page).wait_for()
    page.locator("#about").focus()
    page.keyboard.press("Tab")
    expect(launcher(page)).to_be_focused()
    expect(launcher(page)).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your message")).to_be_focused()
    expect(launcher(page)).to_have_attribute("aria-expanded", "true")
    expect(panel(page).locator(".suggestions button").last).to_be_visible()
    page.keyboard.press("Shift+Tab")
    expect(panel(page).locator(".suggestions button").last).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your message")).to_be_focused()
    expect(asked(page)).to_have_count(1)
    expect(replies(page)).to_have_count(2)
    page.keyboard.type("one line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("another")
    expect(page.get_by_label("Your message")).to_have_value("one line\nanother")
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()
    expect(launcher(page)).to_be_focused()


def test_what_is_typed_does_not_reach_the_shortcuts_of_the_page(page: Page) -> None:
    page.evaluate("() => { window.keys = []; document.addEventListener('keydown', (event) => keys.push(event.key)) }")
    open_chat(page)
    page.keyboard.type("s?")
    assert page.evaluate("() => keys") == []


def test_a_phone_shows_it_on_the_whole_screen_and_keeps_the_focus_inside(browser: Browser, site: Site) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    context = browser.new_context(**phone, reduced_motion="reduce")  # it rises no more, it is there
    page = context.new_page()
    page.goto(site.origin)
    launcher(page).tap()
    expect(replies(page).first).to_be_visible()
    expect(panel(page)).to_have_attribute("aria-modal", "true")
    assert panel(page).bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 844}
    expect(launcher(page)).to_be_hidden()
    page.get_by_role("button", name="Ask for a colleague").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_label("New conversation")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Ask for a colleague")).to_be_focused()
    page.get_by_label("Close the chat").last.tap()
    expect(launcher(page)).to_be_focused()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wrong_for_assistive_technology(browser: Browser, site: Site, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(site.origin)
    launcher(page).wait_for()
    assert _violations(page) == []
    open_chat(page)
    say(page, *RETURNS)
    page.get_by_role("button", name="Ask for a colleague").click()
    expect(replies(page)).to_have_count(3)
    assert _violations(page) == []
    context.close()


def _violations(page: Page) -> list[tuple[str, str]]:
    found = Axe().run(page).response["violations"]
    return [(rule["id"], node["html"]) for rule in found for node in rule["nodes"]]


def test_its_own_words_are_in_the_desks_language(page: Page, context: BrowserContext) -> None:
    desk = {"name": "Laden", "bot_name": "Fern", "colleague": "Jemand"}
    spoken = iter(OPEN)
    allowed = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
    context.route("**/desk", lambda route: route.fulfill(json={**desk, "language": next(spoken)}, headers=allowed))
    for label in OPEN.values():
        page.reload()
        expect(page.get_by_label(label, exact=True)).to_be_visible()
