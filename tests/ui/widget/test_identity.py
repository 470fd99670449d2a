"""What the page says to the widget: who is logged in, open, close, reset."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.bot.channels.portal import sign
from tests.ui.widget.conftest import (
    DELIVERY,
    RETURNS,
    Site,
    asked,
    launcher,
    open_chat,
    panel,
    replies,
    say,
    stored,
    write,
)

pytestmark = pytest.mark.filterwarnings("default")  # gradio and uvicorn warn about each other


def test_a_visitor_who_logs_in_keeps_the_conversation(page: Page, site: Site) -> None:
    open_chat(page)
    say(page, *RETURNS)
    assert page.evaluate("jwt => Rapport.identify(jwt)", sign("nora")) == "customer:nora"
    expect(asked(page)).to_have_text([RETURNS[0]])
    say(page, *DELIVERY)
    assert site.said() == [("customer:nora", RETURNS[0]), ("customer:nora", DELIVERY[0])]
    assert "web-" not in str(stored(page))
    assert "eyJ" not in str(stored(page))


def test_a_customer_finds_the_conversation_in_another_browser_and_nobody_else_does(
    page: Page, site: Site, browser: Browser
) -> None:
    open_chat(page)
    page.evaluate("jwt => Rapport.identify(jwt)", sign("nora"))
    say(page, *RETURNS)
    page.reload()
    page.evaluate("jwt => Rapport.identify(jwt)", sign("tom"))
    expect(replies(page)).to_contain_text(["Hello"])
    expect(asked(page)).to_have_count(0)
    elsewhere = browser.new_context()
    phone = elsewhere.new_page()
    phone.goto(site.origin)
    phone.evaluate("jwt => Rapport.identify(jwt)", sign("nora"))
    launcher(phone).click()
    expect(asked(phone)).to_have_text([RETURNS[0]])
    elsewhere.close()


def expire(context: BrowserContext, token: str) -> None:
    """From now on, let the server see a token that has expired in the place of another."""
    late = sign("nora", exp=int(time.time()) - 3600)

    def age(route: Any) -> None:
        headers = route.request.headers
        known = headers.get("authorization") == f"Bearer {token}"
        route.continue_(headers={**headers, "authorization": f"Bearer {late}"} if known else headers)

    context.route("**/api/v1/**", age)


def test_an_expired_login_is_renewed_where_the_page_gives_a_function(
    page: Page, site: Site, context: BrowserContext
) -> None:
    first, second = sign("nora"), sign("nora", jti="2")
    page.evaluate("tokens => Rapport.identify(async () => tokens.shift())", [first, second])
    open_chat(page)
    expire(context, first)
    say(page, *RETURNS)
    assert site.said() == [("customer:nora", RETURNS[0])]


def test_an_expired_login_is_said_and_the_message_sent_once_the_page_has_identified_again(
    page: Page, site: Site, context: BrowserContext
) -> None:
    first = sign("nora")
    page.evaluate("() => document.addEventListener('rapport:expired', () => (window.expired = true))")
    page.evaluate("jwt => Rapport.identify(jwt)", first)
    open_chat(page)
    expire(context, first)
    write(page, RETURNS[0])
    expect(panel(page).locator(".state")).to_contain_text("Your login has ended.")
    assert page.evaluate("() => expired")
    page.evaluate("jwt => Rapport.identify(jwt)", sign("nora", jti="2"))
    expect(replies(page).last).to_contain_text("45 days")
    expect(asked(page)).to_have_count(1)
    assert site.said() == [("customer:nora", RETURNS[0])]


def test_a_token_that_is_refused_says_why_and_the_visitor_goes_on(page: Page, site: Site) -> None:
    open_chat(page)
    say(page, *RETURNS)
    forged = sign("nora", key="another secret than the portal's, 32+")
    assert "The JWT is refused." in page.evaluate(
        "jwt => Rapport.identify(jwt).catch((error) => error.message)", forged
    )
    say(page, *DELIVERY)
    [visitor] = {customer for customer, _ in site.said()}
    assert visitor.startswith("web-")


def test_reset_forgets_everything_in_this_browser(page: Page, site: Site) -> None:
    open_chat(page)
    say(page, *RETURNS)
    page.evaluate("() => Rapport.reset()")
    assert stored(page) == {}
    expect(panel(page)).to_be_hidden()
    open_chat(page)
    expect(asked(page)).to_have_count(0)
    expect(replies(page)).to_contain_text(["Hello"])


def test_what_a_page_asks_before_the_script_has_loaded_is_done(page: Page, site: Site) -> None:
    site.shop.files["/early.js"] = f"""
      (window.Rapport ||= []).push((rapport) => rapport.identify("{sign("nora")}"), (rapport) => rapport.open());
      document.addEventListener("rapport:ready", () => (window.ready = typeof Rapport.close));
      addEventListener("DOMContentLoaded", () => (document.getElementById("chat").onclick = () => Rapport.open()));
    """
    page.goto(site.origin)
    expect(panel(page)).to_be_visible()
    say(page, *RETURNS)
    assert site.said() == [("customer:nora", RETURNS[0])]
    assert page.evaluate("() => ready") == "function"
    page.evaluate("() => Rapport.close()")
    expect(panel(page)).to_be_hidden()
    page.locator("#chat").click()
    expect(page.get_by_label("Your message")).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel(page)).to_be_hidden()
    expect(page.locator("#chat")).to_be_focused()


def test_a_page_that_is_not_listed_or_forbids_it_is_told_what_to_add(site: Site, context: BrowserContext) -> None:
    page = context.new_page()
    elsewhere = site.origin.replace("127.0.0.1", "localhost")
    with page.expect_console_message(lambda message: message.text.startswith("Rapport:")) as told:
        page.goto(elsewhere)
    assert told.value.text == (
        f"Rapport: Add {elsewhere} to `origins` under `portals` in desk.yaml, and start the server again."
    )
    site.shop.connects = False
    with page.expect_console_message(lambda message: message.text.startswith("Rapport:")) as told:
        page.goto(site.origin)
    assert told.value.text == f"Rapport: Add {site.chat} to connect-src of this page's Content-Security-Policy."
    expect(launcher(page)).to_have_count(0)


def test_a_page_has_the_chat_as_soon_as_it_is_listed(site: Site, context: BrowserContext) -> None:
    page = context.new_page()
    site.network.elsewhere = True
    with page.expect_console_message(lambda message: message.text.startswith("Rapport: Add")):
        page.goto(site.origin)
    site.network.elsewhere = False
    page.reload()
    expect(launcher(page)).to_be_visible()


def test_somebody_else_who_logs_in_meanwhile_does_not_speak_in_the_conversation(
    page: Page, site: Site, context: BrowserContext
) -> None:
    first, second = sign("nora"), sign("tom")
    page.evaluate("tokens => Rapport.identify(async () => tokens.shift())", [first, second])
    open_chat(page)
    say(page, *RETURNS)
    expire(context, first)
    write(page, DELIVERY[0])
    expect(asked(page)).to_have_count(0)
    expect(replies(page)).to_contain_text(["Hello"])
    say(page, *RETURNS)
    expect(asked(page)).to_have_text([RETURNS[0]])
    assert site.said() == [("customer:nora", RETURNS[0]), ("customer:tom", RETURNS[0])]
