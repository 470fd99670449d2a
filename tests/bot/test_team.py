"""The team's login and its pages: nobody without the password, everything shown as text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app import refuse_open_doors
from bot.audit import Audit
from bot.channels.caller import Callers
from bot.channels.errors import answer_errors
from bot.channels.rate_limits import RateLimits
from bot.chatbot import Chatbot
from bot.cli import cli
from bot.keys import Keys
from bot.problems import RapportError
from bot.settings import Settings
from bot.team import COOKIE, Team
from bot.ui.team.door import Door, login_pages
from bot.ui.team.pages import team_pages
from bot.ui.team.template import Templates
from bot.ui.visitor import COOKIE as VISITOR_COOKIE
from tests.bot.channels.portal import SECRET, sign
from tests.conftest import Clock

PASSWORD = "correct horse battery"  # noqa: S105
BROWSER = {"Accept": "text/html"}


@pytest.fixture
def bot(make_bot: Callable[..., Chatbot]) -> Chatbot:
    return make_bot(settings={"jwt_secret": SECRET})


@pytest.fixture
def visit(bot: Chatbot, clock: Clock) -> Callable[..., TestClient]:
    """Make browsers; the team has a password."""
    Team(bot.settings.home, clock).set_password(PASSWORD)
    callers = Callers(bot.settings, bot)
    application, door, templates = FastAPI(), Door(bot, callers, RateLimits()), Templates(bot.desk)
    answer_errors(application)
    application.include_router(login_pages(door, templates))
    application.include_router(team_pages(bot, door, templates))
    return lambda base="http://desk.example": TestClient(application, base, follow_redirects=False)


@pytest.fixture
def inside(visit: Callable[..., TestClient]) -> TestClient:
    client = visit()
    assert client.post("/team/login", data={"password": PASSWORD}).headers["location"] == "/team"
    return client


def test_the_overview_shows_what_is_owed_and_who_waits(bot: Chatbot, inside: TestClient, clock: Clock) -> None:
    clock.advance(days=-400)
    bot.respond("I want to make a complaint", "s1", "customer:nora")
    bot.respond("I want to talk to a person", "s2", "customer:tom")
    clock.advance(days=400)

    page = inside.get("/team").text

    assert "overdue" in page
    assert "customer:nora" in page
    assert "/team/conversations/s2" in page
    assert inside.get("/team/memory").text.count("<h2>") == 4


def test_a_conversation_is_shown_letter_by_letter(bot: Chatbot, inside: TestClient) -> None:
    payload = '<script>alert(1)</script> {{ 7 * 7 }} & "quoted"'
    bot.respond(payload, "s1", "customer:nora")
    bot.respond("I want to talk to a person", "s1", "customer:nora")

    page = inside.get("/team/conversations/s1").text

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }} &amp; &#34;quoted&#34;" in page
    assert "For the colleague:" in page
    assert inside.get("/team/conversations/s9").status_code == 404


def test_conversations_are_listed_and_what_is_known_of_a_customer(
    bot: Chatbot, inside: TestClient, clock: Clock
) -> None:
    bot.respond("my order number is R-10234", "s1", "customer:nora")
    clock.advance(minutes=1)
    bot.respond("I want to talk to a person", "s2", "customer:tom")

    everybody = inside.get("/team/conversations").text
    nora = inside.get("/team/conversations", params={"customer": " customer:nora "}).text
    nobody = inside.get("/team/conversations", params={"customer": "<b>x</b>"}).text

    assert everybody.index("/team/conversations/s2") < everybody.index("/team/conversations/s1")
    assert "with a colleague" in everybody
    assert "R-10234" in nora and "/team/conversations/s1" in nora and "customer:tom" not in nora
    assert "Nothing was said" in nobody and "<b>x" not in nobody


def test_models_are_listed_with_their_reports(inside: TestClient) -> None:
    page = inside.get("/team/models").text
    assert "<b>serves</b>" in page
    name = re.findall(r"/team/models/(intent-\d+)/report", page)[0]

    report = inside.get(f"/team/models/{name}/report")

    assert "calibration" in report.text.lower()
    assert "sandbox" in report.headers["content-security-policy"]
    assert inside.get("/team/models/intent-9999/report").status_code == 404


PAGES = ["", "/memory", "/conversations", "/conversations/s1", "/models", "/models/{version}/report"]


@pytest.mark.parametrize("path", [f"/team{page}" for page in PAGES])
def test_nobody_but_the_team_sees_a_page(
    bot: Chatbot, visit: Callable[..., TestClient], path: str, home: Path, clock: Clock
) -> None:
    bot.respond("hello", "s1", "customer:nora")
    path = path.format(version=bot.models.version)
    client, keys = visit(), Keys(home, clock)
    visitor, _ = Callers(bot.settings, bot).visitors.issue()

    assert client.get(path, headers=BROWSER).headers["location"] == "/team/login"
    assert client.get(path).status_code == 401
    for cookie in ("1900000000.forged", visitor, ""):
        client.cookies = {COOKIE: cookie, VISITOR_COOKIE: visitor}
        assert client.get(path).status_code == 401
    for bearer, status in (
        (visitor, 403),
        (sign("nora"), 403),
        (keys.add("shop", ("chat", "memory", "metrics")), 403),
        ("nonsense", 401),
        (keys.add("helpdesk", ("team",)), 200),
    ):
        assert client.get(path, headers={"Authorization": f"Bearer {bearer}"}).status_code == status


def test_a_login_lasts_until_logout_twelve_hours_or_a_new_password(
    visit: Callable[..., TestClient], home: Path, clock: Clock
) -> None:
    one, other = visit(), visit("https://desk.example")
    answers = [client.post("/team/login", data={"password": PASSWORD}) for client in (one, other)]

    for answer in answers:
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
    assert ["Secure" in answer.headers["set-cookie"] for answer in answers] == [False, True]
    assert one.get("/team").status_code == other.get("/team").status_code == 200
    assert "no-store" in one.get("/team").headers["cache-control"]
    one.post("/team/logout")
    assert (one.get("/team").status_code, other.get("/team").status_code) == (401, 200)
    clock.advance(hours=12)
    assert other.get("/team").status_code == 401
    other.post("/team/login", data={"password": PASSWORD})
    Team(home, clock).set_password(PASSWORD + "!")
    assert other.get("/team").status_code == 401


def test_a_wrong_password_is_refused_noted_and_soon_not_even_looked_at(
    visit: Callable[..., TestClient], home: Path
) -> None:
    client = visit()

    tries = [client.post("/team/login", data={"password": "x" * 12}) for _ in range(6)]

    assert [answer.status_code for answer in tries] == [401] * 5 + [429]
    assert "That is not the password." in tries[0].text
    assert int(tries[5].headers["retry-after"]) > 0
    assert client.post("/team/login", data={"password": PASSWORD}).status_code == 429
    assert [entry.event for entry in Audit(home).entries()] == ["password"] + ["login_failed"] * 5
    assert "x" * 12 not in (home / "audit.jsonl").read_text(encoding="utf-8")


def test_without_a_password_nobody_logs_in(bot: Chatbot) -> None:
    application = FastAPI()
    door, templates = Door(bot, Callers(bot.settings, bot), RateLimits()), Templates(bot.desk)
    application.include_router(login_pages(door, templates))
    answer = TestClient(application).post("/team/login", data={"password": ""})

    assert answer.status_code == 403
    assert "rapport team set-password" in answer.text


def test_the_password_is_set_by_command_and_kept_as_a_hash(tmp_path: Path) -> None:
    def set_password(given: str) -> object:
        return CliRunner().invoke(cli, ["team", "set-password", "--home", str(tmp_path)], input=given).exception

    assert "at least 12 characters" in str(set_password("short\n"))
    assert "No password" in str(set_password("\n"))
    assert not Team(tmp_path).has_password
    assert set_password(f"{PASSWORD}\n") is None

    kept = (tmp_path / "team.json").read_text(encoding="utf-8")
    assert "argon2id" in kept
    assert PASSWORD not in kept
    assert (tmp_path / "team.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "desk.example"])  # noqa: S104
def test_other_machines_are_not_served_before_the_team_has_a_password(tmp_path: Path, host: str) -> None:
    settings = Settings(home=tmp_path, host=host)
    with pytest.raises(RapportError, match="rapport team set-password"):
        refuse_open_doors(settings)
    for own in ("127.0.0.1", "::1", "localhost"):
        refuse_open_doors(Settings(home=tmp_path, host=own))
    Team(tmp_path).set_password(PASSWORD)
    refuse_open_doors(settings)
