"""The widget in real Chromium, on pages of another origin under a strict Content-Security-Policy."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from bot.channels.widget.pages import script
from bot.chatbot import Chatbot
from bot.desk import Desk
from bot.desk_files import Portals
from bot.models import Models
from bot.settings import Settings
from memory import Store
from memory.history import ratings, sessions, transcript
from memory.tables import SESSIONS
from tests.bot.channels.portal import SECRET, sign
from tests.bot.channels.serving import serving, whole
from tests.conftest import Clock
from tests.ui.conftest import PAYLOADS
from tests.ui.shop import Network, Shop

pytestmark = pytest.mark.filterwarnings("default")  # gradio and uvicorn warn about each other

MOST_BYTES = 30 * 1024
RETURNS = ("until when can I return an item?", "45 days")
DELIVERY = ("how long does delivery take?", "working days")


@dataclass
class Site:
    """A shop with the widget, and the server behind it."""

    origin: str
    chat: str
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


def customised(desk: Desk, origin: str, **settings: Any) -> Desk:
    settings = {"portals": Portals(origins=(origin,)), **settings}
    return replace(desk, settings=desk.settings.model_copy(update=settings))


@pytest.fixture(scope="module")
def running(
    desk: Desk, models: Models, prepared_home: Any, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(prepared_home / "models")
    shop, clock = Shop(), Clock()
    with serving(shop) as site:
        origin = str(site.base_url).rstrip("/")
        settings = Settings(home=home, jwt_secret=SECRET, rate_address="9999/minute")  # type: ignore[arg-type]
        bot = Chatbot(customised(desk, origin), models, Store(settings.database), settings, clock=clock)
        with ThreadPoolExecutor(1) as thread:  # in this one, playwright's loop runs
            network = Network(thread.submit(whole, bot).result())
        with serving(network) as client:
            shop.chat = str(client.base_url).rstrip("/")
            yield Site(origin, shop.chat, shop, network, bot, clock)
        bot.close()


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    running.network.asked.clear()
    yield running
    running.shop.files = {}
    running.shop.attributes = ""
    running.network.drops = 0
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


# A conversation


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
    assert page.evaluate("() => seen.size") >= 1
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
    launcher(page).click()
    launcher(other).click()
    expect(replies(page)).to_have_count(1)
    expect(replies(other)).to_have_count(1)
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
    launcher(page).wait_for()
    if not panel(page).is_visible():
        launcher(page).click()
    expect(replies(page).first).to_be_visible()
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


# Who is talking


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
      document.addEventListener("DOMContentLoaded", () => (document.getElementById("chat").onclick = () => Rapport.open()));
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


def test_a_page_that_is_not_listed_is_told_what_to_add(site: Site, context: BrowserContext) -> None:
    page = context.new_page()
    elsewhere = site.origin.replace("127.0.0.1", "localhost")
    with page.expect_console_message(lambda message: message.text.startswith("Rapport:")) as told:
        page.goto(elsewhere)
    assert told.value.text == (
        f"Rapport: Add {elsewhere} to `origins` under `portals` in desk.yaml, and start the server again."
    )
    expect(launcher(page)).to_have_count(0)


# Everybody can use it


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
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
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


@pytest.mark.parametrize(
    ("language", "label"),
    [("de", "Chat öffnen"), ("fr-CH", "Ouvrir le chat"), ("es", "Abrir el chat"), ("xx", "Open the chat")],
)
def test_its_own_words_are_in_the_desks_language(
    page: Page, context: BrowserContext, language: str, label: str
) -> None:
    desk = {"name": "Laden", "bot_name": "Fern", "colleague": "Jemand", "language": language}
    allowed = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
    context.route("**/api/v1/desk", lambda route: route.fulfill(json=desk, headers=allowed))
    page.reload()
    expect(page.get_by_label(label)).to_be_visible()


# Neither page breaks the other


HOSTILE = """
  * { all: unset !important; display: none !important; visibility: hidden !important; pointer-events: none !important }
  html, body, main, button { display: block !important; visibility: visible !important; pointer-events: auto !important }
  html { font-size: 3px !important; line-height: 9 !important; letter-spacing: 4em !important; color: #fff !important }
  rapport-widget { transform: scale(9) !important; opacity: 0 !important; z-index: -1 !important }
  .launcher, .panel, button, textarea { position: static !important; width: 1px !important; color: red !important }
"""


def test_a_page_with_hostile_styles_changes_nothing(page: Page, site: Site) -> None:
    launcher(page).wait_for()
    plain = _shape(page)
    site.shop.files["/hostile.css"] = HOSTILE
    page.reload()
    open_chat(page)
    say(page, *RETURNS)
    page.get_by_label("Close the chat").last.click()
    assert _shape(page) == plain


def _shape(page: Page) -> Any:
    return page.evaluate("""() => {
      const host = document.querySelector("rapport-widget"), root = host.shadowRoot;
      const of = (element, ...names) => names.map((name) => getComputedStyle(element)[name]);
      const {x, y, width, height} = root.querySelector(".launcher").getBoundingClientRect();
      return [[x, y, width, height], of(host, "display", "opacity", "transform", "zIndex", "visibility"),
        of(root.querySelector("textarea"), "fontSize", "letterSpacing", "lineHeight", "color", "fontFamily"),
        of(root.querySelector("h2"), "fontSize", "letterSpacing", "color")];
    }""")


def test_it_is_themed_by_variables_and_leaves_one_name_on_the_page(page: Page, site: Site) -> None:
    site.shop.files["/theme.css"] = (
        ":root { --rapport-accent: #7a1f5c; --rapport-right: 50px; --rapport-font-size: 18px }"
    )
    page.reload()
    open_chat(page)
    assert (
        page.evaluate(
            "() => getComputedStyle(document.querySelector('rapport-widget').shadowRoot.querySelector('.head')).backgroundColor"
        )
        == "rgb(122, 31, 92)"
    )
    box = launcher(page).bounding_box()
    assert box is not None
    assert box["x"] + box["width"] == 1280 - 50
    names = "() => Object.getOwnPropertyNames(window)"
    ours = set(page.evaluate(names))
    page.route(
        "**/widget.js",
        lambda route: route.fulfill(
            body="", content_type="text/javascript", headers={"Cross-Origin-Resource-Policy": "cross-origin"}
        ),
    )
    page.reload()
    assert {name for name in ours - set(page.evaluate(names)) if not name.isdigit()} == {"Rapport"}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_a_customer_types_is_shown_as_text(page: Page, payload: str) -> None:
    open_chat(page)
    write(page, payload)
    expect(replies(page)).to_have_count(2)
    assert asked(page).inner_text() == payload
    page.reload()
    expect(asked(page)).to_have_text(payload, use_inner_text=True)
    _assert_unhurt(page)


def test_whatever_the_server_says_is_shown_as_text(page: Page, site: Site, context: BrowserContext) -> None:
    attack = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    source = {"kind": "article", "id": "x", "title": attack, "url": "javascript:window.hacked=1", "at": ""}
    spoken = {"text": attack, "sources": [source, {**source, "kind": attack}], "suggestions": [attack]}

    def poison(route: Any) -> None:
        answer = route.fetch()
        path = route.request.url.partition("/api/v1/")[2]
        if "text/event-stream" in answer.headers.get("content-type", ""):
            kept = re.search(r"event: reply\ndata: (.*)", answer.text())
            assert kept
            reply = json.dumps({**json.loads(kept[1]), **spoken})
            piece = json.dumps({"text": attack, "replaces": False})
            route.fulfill(response=answer, body=f"event: piece\ndata: {piece}\n\nevent: reply\ndata: {reply}\n\n")
        elif path == "desk":
            route.fulfill(
                response=answer, json={"name": attack, "bot_name": attack, "colleague": attack, "language": "en"}
            )
        elif path == "sessions":
            route.fulfill(response=answer, json={**answer.json(), "greeting": spoken})
        else:
            route.fulfill(response=answer)

    context.route("**/api/v1/**", poison)
    page.reload()
    open_chat(page)
    expect(panel(page).get_by_role("heading")).to_have_text(attack)
    expect(replies(page)).to_have_text([attack])
    panel(page).get_by_role("button", name=attack).click()
    expect(replies(page)).to_have_text([attack, attack])
    expect(panel(page).locator(".sources").first).to_contain_text(attack)
    expect(panel(page).get_by_role("link")).to_have_count(0)
    _assert_unhurt(page)


def _assert_unhurt(page: Page) -> None:
    assert page.evaluate("() => window.hacked") is None
    assert panel(page).locator("img, script, b, em, code, h1").count() == 0


# How it is served


def test_it_is_small_and_asks_nobody_but_the_server(page: Page, site: Site, context: BrowserContext) -> None:
    asked_for: list[str] = []
    context.on("request", lambda request: asked_for.append(request.url))
    page.reload()
    open_chat(page)
    assert not [url for url in asked_for if not url.startswith((site.origin, site.chat))]
    with httpx.Client() as client:
        packed = client.get(f"{site.chat}/widget.js", headers={"Accept-Encoding": "gzip"})
        plain = client.get(f"{site.chat}/widget.js", headers={"Accept-Encoding": "identity"})
        again = client.get(f"{site.chat}/widget.js", headers={"If-None-Match": packed.headers["etag"]})
        tried = client.get(f"{site.chat}/widget")
    assert packed.content == plain.content == script()
    assert int(packed.headers["content-length"]) <= MOST_BYTES
    assert again.status_code == 304
    assert packed.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "max-age" in packed.headers["cache-control"]
    assert "widget.js" in tried.text


def test_the_page_to_try_it_on_works_within_the_servers_own_policy(site: Site, context: BrowserContext) -> None:
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{site.chat}/widget")
    open_chat(page)
    say(page, *RETURNS)
    assert complaints == []
