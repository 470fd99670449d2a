"""The page and the widget on it: neither breaks the other, whatever is said is text, and how it is served."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.bot.channels.portal import SECRET
from tests.ui.conftest import PAYLOADS
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
    write,
)

pytestmark = pytest.mark.filterwarnings("default")  # gradio and uvicorn warn about each other


EXAMPLE = Path(__file__).parents[3] / "docs" / "shop.py"
HOSTILE = """
  * { all: unset !important; display: none !important; visibility: hidden !important; pointer-events: none !important }
  html, body, main, button { display: block !important; visibility: visible !important }
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


def test_it_is_themed_by_variables(page: Page, site: Site) -> None:
    site.shop.files["/theme.css"] = ":root { --rapport-accent: #7a1f5c; --rapport-right: 50px }"
    page.reload()
    expect(launcher(page)).to_have_css("background-color", "rgb(122, 31, 92)")
    box = launcher(page).bounding_box()
    assert box is not None
    assert box["x"] + box["width"] == 1280 - 50


def test_it_leaves_one_name_on_the_page(page: Page, context: BrowserContext) -> None:
    launcher(page).wait_for()
    names = "() => Object.getOwnPropertyNames(window)"
    with_it = set(page.evaluate(names))
    context.route("**/widget.js", lambda route: route.abort())
    page.reload()
    assert {name for name in with_it - set(page.evaluate(names)) if not name.isdigit()} == {"Rapport"}


def test_what_a_customer_types_is_shown_as_text(page: Page) -> None:
    open_chat(page)
    for count, payload in enumerate(PAYLOADS, 2):
        write(page, payload)
        expect(replies(page)).to_have_count(count)
    assert asked(page).all_inner_texts() == PAYLOADS
    page.reload()
    expect(asked(page)).to_have_count(len(PAYLOADS))
    assert asked(page).all_inner_texts() == PAYLOADS
    _assert_unhurt(page)


def test_whatever_the_server_says_is_shown_as_text(page: Page, site: Site, context: BrowserContext) -> None:
    attack = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    title = f"{attack}\u2028data: {{}}"  # ends a line for JavaScript, and none of an event stream
    source = {"kind": "article", "id": "x", "title": title, "url": "javascript:window.hacked=1", "at": ""}
    spoken = {"text": attack, "sources": [source, {**source, "kind": attack}], "suggestions": [attack]}

    def poison(route: Any) -> None:
        answer = route.fetch()
        path = route.request.url.partition("/api/v1/")[2]
        if "text/event-stream" in answer.headers.get("content-type", ""):
            kept = re.search(r"event: reply\ndata: (.*)", answer.text())
            assert kept
            reply = json.dumps({**json.loads(kept[1]), **spoken}, ensure_ascii=False)
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


def test_it_asks_nobody_but_the_server(page: Page, site: Site, context: BrowserContext) -> None:
    asked_for: list[str] = []
    context.on("request", lambda request: asked_for.append(request.url))
    page.reload()
    open_chat(page)
    assert not [url for url in asked_for if not url.startswith((site.origin, site.chat))]


def test_the_page_to_try_it_on_works_within_the_servers_own_policy(site: Site, context: BrowserContext) -> None:
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{site.chat}/widget")
    open_chat(page)
    say(page, *RETURNS)
    assert complaints == []


def test_the_example_shop_of_the_documentation_works(site: Site, context: BrowserContext) -> None:
    environment = {**os.environ, "RAPPORT": site.chat, "RAPPORT_JWT_SECRET": SECRET}
    command = [sys.executable, "-u", str(EXAMPLE), str(site.example)]
    shop = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert shop.stdout is not None
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(shop.stdout.readline().split()[-1])
        page.get_by_role("button", name="Questions?").click()
        say(page, *RETURNS)
        with page.expect_response("**/api/v1/identify"):
            page.get_by_role("button", name="Log in as Nora").click()
        expect(page.get_by_text("Hello, nora")).to_be_visible()
        expect(asked(page)).to_have_text([RETURNS[0]])
        say(page, *DELIVERY)
        assert {customer for customer, _ in site.said()} == {"customer:nora"}
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("button", name="Questions?").click()
        expect(replies(page)).to_contain_text(["Hello"])
        expect(asked(page)).to_have_count(0)
        # A request under way at the login may still bring the visitor's token, which is spent then; it is asked again.
        assert [text for text in complaints if "favicon" not in text and "401" not in text] == []
    finally:
        shop.terminate()
        shop.wait(10)
        shop.stdout.close()
