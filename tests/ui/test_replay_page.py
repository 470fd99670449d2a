"""The *Replay* page in real Chromium: a log goes in, its run is watched, the report on it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from bot.team import Team
from finetune.logs import Conversation, LogMessage, write_log
from tests.ui.conftest import PAYLOADS, Server

pytestmark = pytest.mark.filterwarnings("default")  # gradio and uvicorn warn about each other

PASSWORD = "correct horse battery"  # noqa: S105
_BEGUN = datetime(2026, 9, 1, 10, tzinfo=timezone.utc)


def said(name: str, customer: str, *texts: tuple[str, str, str | None]) -> Conversation:
    messages = [
        LogMessage(role=role, text=text, at=_BEGUN + timedelta(minutes=place), **({kind: label} if label else {}))
        for place, (role, text, label) in enumerate(texts)
        for kind in ["intent" if role == "customer" else "answer"]
    ]
    return Conversation(conversation_id=name, customer_id=customer, started_at=_BEGUN, messages=tuple(messages))


LOG = (
    said(
        "c-1",
        "ann",
        ("customer", "How long does delivery take?", "delivery_time"),
        (
            "agent",
            "Standard delivery in the UK takes 3 to 5 working days, and Express comes the next day.",
            "delivery_time",
        ),
    ),
    said("c-2", "bob", ("customer", PAYLOADS[0], None), ("agent", PAYLOADS[1], None)),
)


@pytest.fixture
def team(server: Server, home: Path, nora: BrowserContext) -> Iterator[Page]:
    """The page of somebody who has logged in."""
    Team(home, server.bot.clock).set_password(PASSWORD)
    page = nora.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{server.url}team/login")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Replay").click()
    yield page
    assert problems == []


def test_a_log_goes_in_and_its_report_comes_out(team: Page, tmp_path: Path, home: Path) -> None:
    file = tmp_path / "last month.jsonl"
    write_log(file, LOG)
    file.write_bytes(file.read_bytes() + b"{\n" + b"\n" * 200_000)  # larger than any other request may be
    expect(team.get_by_text("There is no run yet.")).to_be_visible()
    assert Axe().run(team).response["violations"] == []
    team.get_by_label("The log").set_input_files(file)
    team.get_by_role("button", name="Replay", exact=True).click()
    run = team.locator(".run")
    expect(run.get_by_role("progressbar")).to_be_visible()
    link = run.get_by_role("link", name="Report", exact=True)
    expect(link).to_be_visible(timeout=120_000)  # the list changes by itself
    with team.context.expect_page() as opened:
        link.click()
    expect(run).to_contain_text(re.compile(r"2 conversations, 2 messages of last_month.jsonl, intent-\d{4}\."))
    run.get_by_text("1 of the log's records could not be read and was left out").click()
    expect(run.get_by_role("listitem")).to_have_text(re.compile(r"last_month.jsonl, line 3: it is not JSON\."))
    assert list((home / "replays").glob("*/work")) == []  # what was uploaded is gone

    assert Axe().run(team).response["violations"] == []
    team.set_viewport_size({"width": 390, "height": 844})
    assert team.evaluate("() => document.documentElement.scrollWidth") <= 390

    report = opened.value
    expect(report.locator("#count")).to_have_text("2 of 2 conversations")
    report.get_by_label("Search all words").fill("express")
    expect(report.locator("#count")).to_have_text("1 of 2 conversations")
    report.locator(".conversation > summary").press("Enter")
    expect(report.locator(".side del").first).to_be_visible()
    expect(report.locator(".side ins").first).to_be_visible()
    assert report.evaluate("() => fetch('/team').then(() => 'read', () => 'refused')") == "refused"
    assert (
        report.evaluate("() => { try { return document.cookie } catch (error) { return error.name } }")
        == "SecurityError"
    )
