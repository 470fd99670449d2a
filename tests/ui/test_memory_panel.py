"""*What I remember* in real Chromium: searched, looked into, corrected, forgotten and downloaded by a customer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from memory.commitments import commitments, settle
from memory.history import customers, export, facts_of
from memory.proof import prove
from memory.receipt import read_receipt
from tests.conftest import Clock
from tests.ui.conftest import PAYLOADS, Server, say, visit

pytestmark = pytest.mark.filterwarnings("default")  # gradio and uvicorn warn about each other


def entry(page: Page, words: str) -> Locator:
    """Return the entry whose own words, not the turns around it, begin with some words."""
    said = page.locator(".said p", has_text=words)
    return page.locator("#panel .remembered").filter(has=said).first


def press(page: Page, words: str, button: str) -> None:
    entry(page, words).get_by_role("button", name=button).click()


def look_for(page: Page, words: str) -> None:
    field = page.get_by_label("Search what we said")
    field.fill(words)
    field.press("Enter")
    expect(page.locator("#show-everything")).to_be_visible(timeout=15_000)
    expect(page.locator("#panel h3").first).to_contain_text("Found for")


def correct(page: Page, fact: str, value: str) -> None:
    press(page, fact, "Correct")
    page.get_by_label(f"The right {fact}").fill(value)
    page.get_by_role("button", name="Save").locator("visible=true").click()


def test_search_shows_when_and_where_it_was_said(server: Server, nora: BrowserContext, clock: Clock) -> None:
    page = visit(nora, server)
    say(page, "my name is Nora", "Nora")
    say(page, "my stove leaks gas when I screw it on", "")
    say(page, "how long does delivery take?", "working days")
    clock.advance(days=1)
    page.reload()
    expect(page.locator("#message textarea")).to_be_focused(timeout=30_000)  # it takes the focus once it can be used
    look_for(page, "leaking stove")
    found = page.locator("#panel .remembered").first
    expect(found.locator(".said")).to_contain_text("my stove leaks gas when I screw it on")
    expect(found.locator("summary")).to_have_text("our chat of 24 November 2026")
    expect(found.locator("li").first).not_to_be_visible()
    found.locator("summary").click()
    expect(found.locator("li.source")).to_contain_text("my stove leaks gas")
    expect(found.locator("li").first).to_contain_text("my name is Nora")
    expect(found.locator("li").last).to_contain_text("working days")
    expect(found.locator("time").first).to_have_text("24 November 2026, 10:00")
    page.locator("#show-everything").click()
    expect(entry(page, "name: Nora")).to_be_visible()


def test_search_says_so_where_nothing_was_said(server: Server, nora: BrowserContext, browser: Browser) -> None:
    page = visit(nora, server)
    say(page, "how long does delivery take?", "working days")
    look_for(page, "zebra stripes")
    expect(page.locator("#panel")).to_contain_text("Nothing you said or I answered fits that.")
    stranger = browser.new_context()
    other = visit(stranger, server)
    look_for(other, "delivery")
    expect(other.locator("#panel .remembered")).to_have_count(0)
    stranger.close()


def test_a_fact_is_corrected_as_something_said(server: Server, nora: BrowserContext, clock: Clock) -> None:
    page = visit(nora, server)
    say(page, "my order number is R-10234", "")
    correct(page, "order number", "not a number")
    expect(page.locator("#notice")).to_contain_text("I cannot read that as order number")
    expect(page.get_by_label("The right order number")).to_have_value("not a number")
    page.get_by_label("The right order number").fill("10120")
    page.get_by_label("The right order number").press("Enter")
    expect(entry(page, "order number: R-10120")).to_be_visible(timeout=15_000)
    expect(page.locator("#chat .message.user").last).to_contain_text("My order number is R-10120.")
    clock.advance(days=1)
    page.reload()
    expect(entry(page, "order number: R-10120").locator("summary")).to_have_text("you told me on 24 November 2026")
    say(page, "what was my order number again?", "R-10120")


def test_forgetting_names_a_receipt_that_can_be_proved(server: Server, nora: BrowserContext, home: Path) -> None:
    page = visit(nora, server)
    page.set_viewport_size({"width": 390, "height": 500})
    say(page, "my email is nora.wren@kittle.example", "nora.wren@kittle.example")
    for more in ("I take a size 12 normally", "my order number is R-10234", "my name is Nora"):
        say(page, more, "")
    press(page, "email address", "Forget")
    notice = page.locator("#notice")
    expect(notice).to_contain_text("Taken out: 1 fact", timeout=15_000)
    expect(notice).to_be_in_viewport()  # on a phone, too, where the entry is far below the top of the panel
    expect(page.locator("#panel")).not_to_contain_text("kittle")
    name = notice.inner_text().rsplit(" ", 1)[1]
    receipt = read_receipt(home / "receipts" / f"{name}.json", home)
    assert prove(receipt, home, server.bot.memory.store).holds


def test_everything_is_forgotten_only_once_it_is_confirmed(server: Server, nora: BrowserContext) -> None:
    page = visit(nora, server)
    say(page, "my name is Nora", "Nora")
    page.locator("#forget-all").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator("#forget-all")).to_be_visible()
    assert len(customers(server.bot.memory.store)) == 1
    page.locator("#forget-all").click()
    page.get_by_role("button", name="Yes, forget everything").click()
    expect(page.locator("#notice")).to_contain_text("1 conversation", timeout=15_000)
    expect(page.locator("#panel")).to_contain_text("Nothing yet.")
    expect(page.locator("#chat")).not_to_contain_text("Nora")
    assert customers(server.bot.memory.store) == []


def test_everything_can_be_downloaded(server: Server, nora: BrowserContext, tmp_path: Path) -> None:
    page = visit(nora, server)
    say(page, "my name is Nora", "Nora")
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Download everything").click()
    assert downloaded.value.suggested_filename == "what-i-remember.json"
    downloaded.value.save_as(tmp_path / "held.json")
    store = server.bot.memory.store
    (customer,) = customers(store)
    assert json.loads((tmp_path / "held.json").read_text()) == export(store, customer["id"])


def test_a_promise_is_shown_with_what_became_of_it(server: Server, nora: BrowserContext, clock: Clock) -> None:
    page = visit(nora, server)
    say(page, "where is my order", "order number")
    say(page, "R-10234", "Parcelway")
    say(page, "my parcel arrived damaged", "")
    promise = entry(page, "a colleague will look into the damage")
    expect(promise.locator("summary")).to_have_text("open; promised on 24 November 2026")
    store = server.bot.memory.store
    settle(store, commitments(store)[0].id, "kept", clock())
    page.reload()
    expect(promise.locator("summary")).to_have_text("kept; promised on 24 November 2026", timeout=30_000)
    promise.locator("summary").click()
    expect(promise.locator("li.source")).to_contain_text("my parcel arrived damaged")


@pytest.mark.parametrize("payload", [*PAYLOADS, "${window.hacked = 1} {{7*7}} {% raw %} <a href=x>x</a>"])
def test_what_was_typed_is_shown_as_text(server: Server, nora: BrowserContext, payload: str) -> None:
    page = visit(nora, server)
    say(page, "my name is Nora", "Nora")
    say(page, payload, "")
    look_for(page, payload)
    for found in page.locator("#panel summary").all():
        found.click()
    shown = page.locator("#panel li").filter(has_text=payload.split()[-1]).first
    expect(shown).to_be_visible()
    assert " ".join(payload.split()) in " ".join(shown.inner_text().split())
    assert " ".join(payload.split()) in " ".join(page.locator("#panel h3").inner_text().split())
    page.locator("#show-everything").click()
    correct(page, "name", payload.replace("\n", " "))
    expect(page.locator("#notice")).to_contain_text("I cannot read that as name", timeout=15_000)
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("#panel").locator("img, script, strong, em, code, li a, h1").count() == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_the_opened_panel_fits_the_window(server: Server, browser: Browser, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, is_mobile=width < 500)
    page = visit(context, server)
    say(page, f"my email is {'long-' * 9}nora@{'fells-' * 8}north.example", "")
    say(page, f"deliver it to 12 Mill Lane, {'Kirkby' * 12} Kendal", "")
    for button in page.get_by_role("button", name="Correct").all():
        button.click()
    page.locator("#forget-all").click()
    for summary in page.locator("#panel summary").all():
        summary.click()
    page.get_by_role("button", name="Keep it").wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    panel = page.locator("#panel").bounding_box()
    assert panel is not None
    for part in page.locator("#panel button, #panel p, #panel input, #panel textarea").locator("visible=true").all():
        box = part.bounding_box()
        assert box is not None
        assert panel["x"] <= box["x"]
        assert box["x"] + box["width"] <= panel["x"] + panel["width"]
        assert part.evaluate("part => part.scrollWidth <= part.clientWidth + 1 || part.tagName === 'INPUT'")
    context.close()


def test_a_corrected_value_keeps_the_old_one_as_history(server: Server, nora: BrowserContext) -> None:
    page = visit(nora, server)
    say(page, "I take a size 12 normally", "")
    correct(page, "size", "14")
    expect(entry(page, "size: 14")).to_be_visible(timeout=15_000)
    store = server.bot.memory.store
    (customer,) = customers(store)
    assert [fact.value for fact in facts_of(store, customer["id"], history=True)] == ["14", "12"]
