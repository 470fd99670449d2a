"""The chat page in real Chromium, as a customer uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from gradio.queueing import Queue
from playwright.sync_api import Browser, BrowserContext, Route, expect

from memory.history import ratings, transcript
from memory.tables import SESSIONS
from tests.conftest import Clock
from tests.ui.conftest import PAYLOADS, Server, say, visit

pytestmark = pytest.mark.filterwarnings("default")  # gradio and uvicorn warn about each other


def test_customer_is_recognised_the_next_day_and_others_see_nothing(
    server: Server, nora: BrowserContext, browser: Browser, clock: Clock
) -> None:
    page = visit(nora, server)
    say(page, "where is my order?", "order number")
    say(page, "R-10234", "Parcelway")
    expect(page.locator("#chat .sources").last).to_contain_text("Looked up just now: R-10234")
    expect(page.locator("#panel")).to_contain_text("order number: R-10234")
    page.reload()
    expect(page.locator("#chat")).to_contain_text("Parcelway", timeout=30_000)
    clock.advance(days=1)
    page.reload()
    expect(page.locator("#chat")).to_contain_text("Welcome back", timeout=30_000)
    expect(page.locator("#chat")).not_to_contain_text("Parcelway")
    say(page, "where is my order", "R-10234")
    page.locator("#chat").get_by_text("Yes", exact=True).click()
    expect(page.locator("#chat .message.bot").last).to_contain_text("Parcelway", timeout=15_000)

    stranger = browser.new_context()
    other = visit(stranger, server)
    say(other, "what do you know about me?", "nothing")
    expect(other.locator("body")).not_to_contain_text("R-10234")
    stranger.close()


def test_nobody_writes_before_the_conversation_is_there(server: Server, nora: BrowserContext) -> None:
    page, held, holds = nora.new_page(), list[Route](), True

    def meet(route: Route) -> None:
        held.append(route) if holds else route.continue_()

    page.route("**/queue/join**", meet)
    with page.expect_request("**/queue/join**"):
        page.goto(server.url)
    expect(page.locator("#message textarea")).to_be_disabled(timeout=15_000)
    holds = False
    for route in held:
        route.continue_()
    expect(page.locator("#message textarea")).to_be_enabled(timeout=15_000)
    say(page, "where is my order?", "order number")
    say(page, "R-10234", "Parcelway")


def test_forget_removes_a_fact_for_good(server: Server, nora: BrowserContext) -> None:
    page = visit(nora, server)
    say(page, "my email is nora.blythe@example.com", "nora.blythe@example.com")
    entry = page.locator("#panel .remembered", has=page.locator(".said", has_text="email address"))
    entry.get_by_role("button", name="Forget").click()
    expect(entry).to_have_count(0)
    expect(page.locator("#chat")).not_to_contain_text("nora.blythe@example.com")
    page.reload()
    expect(page.locator("#chat .message").first).to_be_visible(timeout=30_000)
    expect(page.locator("body")).not_to_contain_text("nora.blythe@example.com")


def test_conversation_survives_a_restart(server: Server, nora: BrowserContext) -> None:
    page = visit(nora, server)
    say(page, "how long does delivery take?", "working days")
    server.stop()
    server.start()
    page.goto(server.url)
    expect(page.locator("#chat")).to_contain_text("working days", timeout=30_000)


def test_thumb_is_stored_and_shown_again(server: Server, nora: BrowserContext) -> None:
    page = visit(nora, server)
    say(page, "how long does delivery take?", "working days")
    expect(page.locator("#chat .option").first).to_be_visible()  # the reply is complete
    with page.expect_response(lambda response: "queue" in response.url and response.request.method == "POST"):
        page.get_by_role("button", name="Like", exact=True).last.click()
    expect(page.get_by_role("button", name="Liked")).to_have_count(1)
    store = server.bot.memory.store
    with store.read() as connection:
        row = connection.execute(SESSIONS.select()).one()
    for _ in range(100):
        if given := ratings(store, row.id):
            break
        page.wait_for_timeout(50)
    assert given == {transcript(store, row.id, row.customer_id)[0].id: 1}
    page.reload()
    expect(page.get_by_role("button", name="Liked")).to_have_count(1, timeout=30_000)


def test_a_message_of_nothing_is_not_sent(server: Server, nora: BrowserContext) -> None:
    page = visit(nora, server)
    page.locator("#message textarea").fill("  ")
    page.locator("#message textarea").press("Enter")
    expect(page.locator("#message textarea")).to_have_value("")
    say(page, "how long does delivery take?", "working days")

    expect(page.locator("#chat .message.user")).to_have_count(1)


def test_new_conversation_starts_empty(server: Server, nora: BrowserContext) -> None:
    page = visit(nora, server)
    say(page, "how long does delivery take?", "working days")
    stored = page.evaluate("() => localStorage.rapport_session")
    page.locator("#new").click()
    page.wait_for_function("before => localStorage.rapport_session !== before", arg=stored)
    expect(page.locator("#chat")).to_contain_text("Welcome back")
    expect(page.locator("#chat .message.user")).to_have_count(0)
    page.reload()
    expect(page.locator("#chat")).to_contain_text("Welcome back", timeout=30_000)
    expect(page.locator("#chat .message.user")).to_have_count(0)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_is_typed_is_shown_as_text(server: Server, nora: BrowserContext, payload: str) -> None:
    page = visit(nora, server)
    page.locator("#message textarea").fill(payload)
    page.locator("#message textarea").press("Enter")
    expect(page.locator("#chat .message.bot")).to_have_count(2, timeout=15_000)
    shown = page.locator("#chat .message.user").last
    assert shown.inner_text().split() == payload.split()
    assert page.evaluate("() => window.hacked") is None
    assert shown.locator("img, b, strong, em, code, a, ol, li, h1, blockquote").count() == 0


def test_page_fits_a_phone_and_asks_nobody_else(server: Server, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = visit(context, server)
    say(page, "how long does delivery take?", "working days")
    width = page.evaluate("() => document.documentElement.scrollWidth")
    assert width <= 390
    outside = [url for url in asked if not url.startswith((server.url, "data:", "blob:"))]
    assert outside == []
    context.close()


def test_page_works_within_its_own_content_security_policy(server: Server, nora: BrowserContext) -> None:
    page = nora.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(server.url)
    expect(page.locator("#chat .message").first).to_be_visible(timeout=30_000)
    say(page, "my email is nora@example.com", "nora@example.com")
    expect(page.locator("#panel")).to_contain_text("nora@example.com")
    assert [text for text in complaints if "Content Security Policy" in text] == []


def test_source_link_opens_the_help_page(server: Server, nora: BrowserContext) -> None:
    page = visit(nora, server)
    say(page, "until when can I return an item?", "45 days")
    with nora.expect_page() as opened:
        page.locator("#chat .sources a").last.click()
    expect(opened.value.locator("h1")).to_have_text("Return something")


def test_claimed_visitor_cookie_is_not_believed(server: Server, nora: BrowserContext) -> None:
    nora.add_cookies([{"name": "rapport_visitor", "value": "web-someone-else.forged", "url": server.url}])
    visit(nora, server)
    cookie = next(cookie for cookie in nora.cookies() if cookie["name"] == "rapport_visitor")
    assert "someone-else" not in cookie["value"]
    assert cookie["httpOnly"]


def test_help_page_that_is_not_there_is_a_plain_404(server: Server, nora: BrowserContext) -> None:
    response = nora.request.get(f"{server.url}help/..%2f..%2fdesk.yaml")
    assert response.status == 404
    assert "bot_name" not in response.text()


def test_secret_is_readable_by_its_owner_only(server: Server, home: Path) -> None:
    assert (home / "secret").stat().st_mode & 0o077 == 0


def test_gradio_still_reads_how_often_an_idle_page_is_to_look_for_messages() -> None:
    assert "sleep_when_free" in Queue.start_processing.__code__.co_names
    assert "progress_update_sleep_when_free" in Queue.start_progress_updates.__code__.co_names
