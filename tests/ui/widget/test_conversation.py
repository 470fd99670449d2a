"""A conversation in the widget: what is shown, what a browser keeps of it, and a network that drops."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from memory.history import ratings, sessions
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


def test_a_reply_comes_with_sources_suggestions_and_thumbs(page: Page, site: Site, context: BrowserContext) -> None:
    open_chat(page)
    expect(panel(page).get_by_role("heading")).to_have_text("Tarn & Thistle")
    panel(page).get_by_role("button", name="Where is my order?").click()
    expect(replies(page).last).to_contain_text("order number")
    say(page, *RETURNS)
    with context.expect_page() as opened:
        panel(page).get_by_role("link", name="Return something").click()
    assert opened.value.url == f"{site.chat}/help/returns"
    opened.value.close()
    with page.expect_response(re.compile("/feedback")):
        panel(page).get_by_role("button", name="Helpful", exact=True).last.click()
    page.reload()
    launcher(page).wait_for()
    expect(panel(page).get_by_role("button", name="Helpful", exact=True).last).to_have_attribute("aria-pressed", "true")
    [(customer, _), _] = site.said()
    [session] = sessions(site.bot.memory.store, customer)
    assert list(ratings(site.bot.memory.store, session.id).values()) == [1]


def test_a_reply_is_shown_while_it_is_written(page: Page, site: Site) -> None:
    open_chat(page)
    page.evaluate("""() => {
      const log = document.querySelector("rapport-widget").shadowRoot.querySelector(".log");
      window.seen = new Set();
      new MutationObserver(() => seen.add(log.querySelector(".writing .text")?.textContent))
        .observe(log, {subtree: true, childList: true, characterData: true});
    }""")
    say(page, *RETURNS)
    whole = replies(page).last.inner_text()
    seen = page.evaluate("() => [...seen]")
    assert [text for text in seen if text and text != whole and whole.startswith(text)]
    expect(page.get_by_role("status").filter(has_text="Fern:")).to_contain_text("45 days")


def test_a_colleague_is_asked_for_and_what_they_write_is_shown_as_theirs(page: Page, site: Site) -> None:
    open_chat(page)
    say(page, *DELIVERY)
    page.get_by_role("button", name="Ask for a colleague").click()
    expect(replies(page).last).to_contain_text("colleague")
    page.get_by_label("Close the chat").last.click()
    [customer] = {customer for customer, _ in site.said()}
    [session] = sessions(site.bot.memory.store, customer)
    site.bot.tell("We will send it today.", session.id, customer)
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")  # as when the tab is looked at again
    launcher(page).and_(page.get_by_label("Open the chat: new messages")).click()
    expect(panel(page).locator(".colleague")).to_contain_text("A colleague")
    expect(panel(page).locator(".colleague .text")).to_have_text("We will send it today.")
    expect(asked(page)).to_have_count(1)
    page.reload()
    expect(panel(page).locator(".colleague .text")).to_have_text("We will send it today.")


# What a browser keeps


def test_a_conversation_goes_on_after_a_reload_and_on_another_page(page: Page, site: Site) -> None:
    open_chat(page)
    say(page, *RETURNS)
    page.locator("#about").click()
    page.wait_for_url("**/about")
    expect(replies(page)).to_contain_text(["45 days"])  # the chat was open and is again
    say(page, *DELIVERY)
    page.get_by_label("Close the chat").last.click()
    page.reload()
    expect(launcher(page)).to_be_visible()
    expect(panel(page)).to_be_hidden()
    open_chat(page)
    expect(asked(page)).to_have_text([RETURNS[0], DELIVERY[0]])
    assert len({customer for customer, _ in site.said()}) == 1


def test_two_tabs_are_one_conversation(page: Page, site: Site, context: BrowserContext) -> None:
    other = context.new_page()
    other.goto(site.origin)
    for tab in (page, other):
        tab.evaluate("() => { setTimeout(Rapport.open, 200) }")
    for tab in (page, other):
        expect(replies(tab)).to_have_count(1)
    assert [path for _, path, _ in site.network.asked].count("/api/v1/visitors") == 1
    say(page, *RETURNS)
    expect(asked(other)).to_have_text([RETURNS[0]])
    say(other, *DELIVERY)
    expect(asked(page)).to_have_text([RETURNS[0], DELIVERY[0]])
    assert len({customer for customer, _ in site.said()}) == 1
    with page.expect_response(re.compile("/sessions")):
        page.evaluate("() => Rapport.reset().then(Rapport.open)")
    expect(asked(other)).to_have_count(0)


def test_a_new_conversation_begins_after_the_desks_pause_or_by_the_button(page: Page, site: Site) -> None:
    open_chat(page)
    say(page, *RETURNS)
    page.get_by_label("New conversation").click()
    expect(replies(page)).to_contain_text(["Welcome back"])
    say(page, *DELIVERY)
    page.get_by_label("Close the chat").last.click()
    site.clock.advance(hours=9)
    page.reload()
    open_chat(page)
    expect(replies(page)).to_contain_text(["Welcome back"])
    expect(asked(page)).to_have_count(0)


@pytest.mark.parametrize("days", [200, 400])
def test_a_visitors_token_is_renewed_or_replaced_by_itself(page: Page, site: Site, days: int) -> None:
    open_chat(page)
    say(page, *RETURNS)
    before = stored(page)
    site.clock.advance(days=days)
    page.clock.install(time=site.clock.now)
    page.reload()
    expect(panel(page)).to_be_visible()  # as it was
    say(page, *DELIVERY)
    visitors = [customer for customer, _ in site.said()]
    assert len(visitors) == 2
    assert (len(set(visitors)) == 1) == (days == 200)
    assert before != stored(page)


# The network


def test_a_reply_that_is_cut_off_is_asked_for_again_and_kept_once(page: Page, site: Site) -> None:
    open_chat(page)
    site.network.drops = 1
    say(page, *RETURNS)
    expect(asked(page)).to_have_count(1)
    keys = [key for method, path, key in site.network.asked if method == "POST" and path.endswith("/messages")]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert [text for _, text in site.said()] == [RETURNS[0]]
    page.reload()
    expect(asked(page)).to_have_text([RETURNS[0]])


def test_a_message_written_without_a_network_is_sent_when_there_is_one(
    page: Page, site: Site, context: BrowserContext
) -> None:
    open_chat(page)
    context.set_offline(True)
    write(page, RETURNS[0])
    write(page, DELIVERY[0])
    expect(panel(page).locator(".state").first).to_have_text("No answer yet. Trying again…")
    context.set_offline(False)
    expect(replies(page)).to_contain_text(["Hello", "45 days", "working days"])
    assert [text for _, text in site.said()] == [RETURNS[0], DELIVERY[0]]
    assert not [name for name in stored(page) if ":sending:" in name]


def test_a_message_is_sent_by_the_next_page_where_this_one_could_not(
    page: Page, site: Site, context: BrowserContext
) -> None:
    open_chat(page)
    context.route("**/messages", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    write(page, RETURNS[0])
    expect(panel(page).locator(".state").first).to_be_visible()
    context.unroute_all()
    page.goto(f"{site.origin}/about")
    expect(replies(page).last).to_contain_text("45 days")
    assert [text for _, text in site.said()] == [RETURNS[0]]


def test_a_reply_that_was_lost_with_its_page_is_not_repeated(page: Page, site: Site, context: BrowserContext) -> None:
    open_chat(page)

    def lose(route: Any) -> None:
        if route.request.method == "POST":
            route.fetch()  # the server has it, and the page never learns
            route.abort()
        else:
            route.continue_()

    context.route("**/messages", lose)
    write(page, RETURNS[0])
    expect(panel(page).locator(".state").first).to_be_visible()
    context.unroute_all()
    page.reload()
    expect(replies(page).last).to_contain_text("45 days")
    expect(asked(page)).to_have_count(1)
    assert [text for _, text in site.said()] == [RETURNS[0]]
