"""The report's page in real Chromium, opened from a file: found, filtered, opened, and nothing in a log is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from bot.replay.report import transcripts
from bot.replay.report.page import write_report
from bot.replay.run_folder import Remembered, SeenMessage, TurnRecord, TurnScore
from tests.bot.replay.written import compare_written, turn, write_run
from tests.ui.conftest import PAYLOADS

WRONG = TurnScore(answer=False, similarity=0.1)
Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Open a report's file; it may ask for nothing but itself, and complain about nothing."""
    problems: list[str] = []
    contexts = []

    def see(file: Path, width: int = 1280, before: str = "") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 860})
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: problems.append(request.url) if request.url != file.as_uri() else None)
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.add_init_script(before)
        page.goto(file.as_uri())
        return page

    yield see
    for context in contexts:
        context.close()
    assert problems == []


def ordinary(name: str, number: int = 1, **values: object) -> TurnRecord:
    return turn(name, number, "How long does it take?", "It takes 3 to 5 days.", "It takes 2 to 4 days.", **values)


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A comparison of two runs of 60 conversations, of which one became worse and another remembers something."""
    monkeypatch.setattr(transcripts, "_BLOCK", 2000)  # more blocks than the page keeps unpacked
    past = Remembered("turn", "c-1#1", "2026-09-02T10:00:00+00:00", "looked up for this reply", True)
    turns = [ordinary(f"c-{number}") for number in range(1, 61)]
    turns[6] = turn("c-7", 1, "Can I get an express zebra?", "No.", "I'm not sure.", action="clarify", score=WRONG)
    turns[8] = ordinary("c-9", memories=(past,), hand_off=True, action="handoff", promise="a colleague will call")
    before = write_run(tmp_path / "before", [ordinary(f"c-{number}") for number in range(1, 61)])
    after = write_run(tmp_path / "after", turns, memory="off")
    compare_written(before, after)
    return write_report(after, before)


def test_conversations_are_found_and_their_differences_shown(opened: Open, report: Path) -> None:
    page = opened(report)
    rows, count = page.locator(".conversation"), page.locator("#count")
    expect(count).to_have_text("60 of 60 conversations")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Show more").press("Enter")
    expect(rows).to_have_count(60)
    expect(rows.nth(50).locator("summary").first).to_be_focused()
    expect(rows.first).to_contain_text("c-7")  # what became worse is most worth a look

    page.get_by_label("Search all words").fill("EXPRESS zebra")
    expect(count).to_have_text("1 of 60 conversations")
    rows.first.locator("> summary").click()  # leaving the field must not close what is opened
    expect(rows.first.locator(".side")).to_have_count(3)
    expect(rows.first.locator(".transcript")).to_contain_text("Because of memory")
    expect(rows.first.locator(".chip.worse", has_text="Worse (2)")).to_be_visible()
    expect(page.get_by_role("row", name="No longer answers")).to_contain_text("1")
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Change").select_option("worse")
    expect(count).to_have_text("1 of 60 conversations")
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("What the bot did").select_option("clarify")
    expect(count).to_have_text("1 of 60 conversations")
    page.get_by_label("Against the log").select_option("better")
    expect(count).to_have_text("0 of 60 conversations")
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Handed over").select_option("only_bot")
    expect(count).to_have_text("1 of 60 conversations")

    rows.first.locator("> summary").click()
    expect(rows.first.locator(".side", has_text="This run")).to_contain_text("Promises: a colleague will call")
    rows.first.get_by_text("Memory: 1 used, 1 known").click()
    rows.first.get_by_role("button", name="c-1#1").click()  # a past turn leads to its conversation, filtered out or not
    other = page.locator(".conversation[open]", has_text="c-1 ·")
    expect(other.locator("> summary")).to_be_focused()
    assert other.locator("del").all_inner_texts() == ["3", "5"]
    assert other.locator("ins").all_inner_texts() == ["2", "4"]
    assert Axe().run(page).response["violations"] == []


def test_whatever_a_log_holds_is_shown_as_text(opened: Open, tmp_path: Path) -> None:
    hostile = [*PAYLOADS, "</script><script>window.hacked = 1</script>", "<!--<script>", "]]>", "{{ 7 * 7 }} {% raw %}"]
    turns = []
    for number, text in enumerate(hostile):
        seen = (SeenMessage("agent", text, "2026-09-02T10:00:00+00:00", text), SeenMessage("bot", text, text))
        memory = Remembered("fact", text, "2026-09-02T10:00:00+00:00", text, True)
        named = {
            "label": text,
            "intent": text,
            "intents": ((text, 0.9),),
            "action": text,
            "topic": text,
            "customer": text,
        }
        source = {"kind": text, "id": text, "title": text, "at": text}
        told = {
            "facts": {text: text},
            "memories": (memory,),
            "sources": (source,),
            "suggestions": (text,),
            "promise": text,
        }
        turns.append(turn(f"{number} {text}", 1, text, text, f"{text} too", seen=seen, before=seen, **named, **told))
    run = write_run(tmp_path / "run", turns, name=hostile[3], desk=hostile[3])
    page = opened(write_report(run))

    for row in page.locator(".conversation").all():
        row.locator("> summary").click()
    expect(page.locator(".turn")).to_have_count(len(hostile))
    for details in page.locator(".turn details > summary").all():
        details.click()
    shown = page.locator(".customer").all_inner_texts()
    assert sorted(" ".join(text.split()) for text in shown) == sorted(" ".join(text.split()) for text in hostile)
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("#list").locator("img, script, a, em, strong, code, h1, blockquote").count() == 0
    assert page.locator("img, iframe, link, object").count() == 0
    assert "49" not in page.locator("main").inner_text()


def test_a_phone_needs_no_scrolling_sideways(opened: Open, report: Path) -> None:
    page = opened(report, width=390)
    page.locator(".conversation > summary").first.click()
    page.get_by_text("All figures", exact=True).click()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert Axe().run(page).response["violations"] == []


def test_a_browser_that_cannot_unpack_says_so(opened: Open, report: Path) -> None:
    page = opened(report, before="delete window.DecompressionStream")
    expect(page.locator("#count")).to_contain_text("Open this page in a newer one.")
    expect(page.locator("#filters")).to_be_hidden()
