"""What the widget asks of the API, and how its files are served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from bot.channels.widget.pages import script
from bot.chatbot import Chatbot
from bot.desk import Desk
from bot.desk_files import Portals
from tests.bot.channels.serving import serving, whole
from tests.conftest import Clock

SHOP = "https://shop.example"
MOST_BYTES = 30 * 1024


@pytest.fixture
def client(make_bot: Callable[..., Chatbot], desk: Desk) -> Iterator[httpx.Client]:
    listed = replace(desk, settings=desk.settings.model_copy(update={"portals": Portals(origins=(SHOP,))}))
    with serving(whole(make_bot(desk=listed))) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_desk_says_its_name_and_language_to_listed_pages(client: httpx.Client) -> None:
    shown = client.get("/api/v1/desk", headers={"Origin": SHOP})
    elsewhere = client.get("/api/v1/desk", headers={"Origin": "https://evil.example"})

    assert shown.json() == {
        "name": "Tarn & Thistle",
        "bot_name": "Fern",
        "colleague": "A colleague",
        "language": "en",
    }
    assert shown.headers["access-control-allow-origin"] == SHOP
    assert "access-control-allow-origin" not in elsewhere.headers
    assert "Origin" in shown.headers["vary"]  # what a browser keeps for one site is not another's


def test_a_visitors_token_is_renewed_for_the_same_visitor_while_it_counts(client: httpx.Client, clock: Clock) -> None:
    def visitors(headers: dict[str, str]) -> tuple[str, str]:
        token: str = client.post("/api/v1/visitors", headers=headers).json()["token"]
        return token.split(".")[0], token

    visitor, token = visitors({})
    clock.advance(days=200)
    same, renewed = visitors(bearer(token))
    clock.advance(days=200)

    assert same == visitor
    assert client.get("/api/v1/sessions", headers=bearer(renewed)).status_code == 200
    for worthless in (bearer(token), bearer(f"{renewed}x"), {"Authorization": renewed}):
        assert visitors(worthless)[0] != visitor


def test_a_session_goes_on_until_the_desks_pause_is_over(client: httpx.Client, clock: Clock) -> None:
    headers = bearer(client.post("/api/v1/visitors").json()["token"])
    session = client.post("/api/v1/sessions", json={}, headers=headers).json()["session_id"]
    client.post(f"/api/v1/sessions/{session}/messages", json={"text": "hello"}, headers=headers)

    def current() -> set[bool]:
        messages = client.get(f"/api/v1/sessions/{session}/messages", headers=headers).json()
        return {messages["current"], client.get("/api/v1/sessions", headers=headers).json()["sessions"][0]["current"]}

    assert current() == {True}
    clock.advance(hours=9)
    assert current() == {False}


def test_the_script_is_small_kept_and_open_to_any_page(client: httpx.Client) -> None:
    packed = client.get("/widget.js", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/widget.js", headers={"Accept-Encoding": "identity"})

    assert packed.content == plain.content == script()
    assert int(packed.headers["content-length"]) <= MOST_BYTES
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.headers["cache-control"] == "public, max-age=300"
    assert packed.headers["cross-origin-resource-policy"] == "cross-origin"
    known = {"If-None-Match": f'"other", W/{packed.headers["etag"]}', "Accept-Encoding": "gzip"}
    assert client.get("/widget.js", headers=known).status_code == 304
    assert client.get("/widget.js", headers={**known, "Accept-Encoding": "identity"}).status_code == 200
