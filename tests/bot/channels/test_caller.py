"""Who is calling: what proves somebody, what proves nobody, and what it is told."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from fastapi import FastAPI
from fastapi.testclient import TestClient
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from starlette.requests import HTTPConnection, Request

from bot.channels.caller import Caller, Callers
from bot.channels.errors import ApiError, answer_errors
from bot.channels.visitors import visitor_api
from bot.chatbot import Chatbot
from bot.keys import Keys
from bot.problems import RapportError
from bot.ui.visitor import COOKIE, VisitorMiddleware
from memory.history import transcript
from tests.bot.channels.portal import SECRET, sign
from tests.conftest import Clock

MakeBot = Callable[..., Chatbot]


def ask(callers: Callers, bearer: str | None = None, cookie: str = "", scheme: str = "Bearer") -> Caller:
    """Return who a request with these headers proves to come from."""
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())] if cookie else []
    if bearer is not None:
        headers.append((b"authorization", f"{scheme} {bearer}".encode("latin-1", "replace")))
    return callers.proven(HTTPConnection({"type": "http", "headers": headers}))


def refused(callers: Callers, bearer: str | None = None, **request: str) -> str:
    """Return the sentence that a request is refused with."""
    with pytest.raises(ApiError) as refusal:
        ask(callers, bearer, **request)
    assert refusal.value.status == 401
    return str(refusal.value)


@pytest.fixture
def bot(make_bot: MakeBot) -> Chatbot:
    return make_bot(settings={"jwt_secret": SECRET})


@pytest.fixture
def callers(bot: Chatbot) -> Callers:
    return Callers(bot.settings, bot)


# Visitors


def test_a_visitor_is_proven_by_cookie_or_token_until_it_expires(callers: Callers, clock: Clock) -> None:
    token, expires = callers.visitors.issue()

    by_cookie, by_token = ask(callers, cookie=token), ask(callers, token)

    assert by_cookie == by_token
    assert by_cookie.customer_id.startswith("web-")
    assert expires == clock.now + timedelta(days=365)
    clock.advance(days=365)
    assert "expired" in refused(callers, token)
    assert "cookie" in refused(callers, cookie=token)


def test_a_visitors_token_that_was_altered_proves_nobody(callers: Callers) -> None:
    token, _ = callers.visitors.issue()
    visitor, expires, signature = token.split(".")

    for altered in (
        visitor,
        f"{visitor}.{signature}",
        f"{visitor}.{int(expires) + 1}.{signature}",
        f"web-{'0' * 32}.{expires}.{signature}",
        token[:-1],
        token + "." + signature,
    ):
        assert "not ours" in refused(callers, altered)
        refused(callers, cookie=altered)


def test_a_cookie_is_renewed_for_the_same_visitor_once_half_its_life_is_over(callers: Callers, clock: Clock) -> None:
    token, _ = callers.visitors.issue()
    clock.advance(days=100)
    assert callers.visitors.renewed({COOKIE: token}) is None
    clock.advance(days=100)
    renewed = callers.visitors.renewed({COOKIE: token})
    assert renewed is not None
    fresh = renewed.partition(";")[0]
    clock.advance(days=200)
    assert ask(callers, cookie=fresh).customer_id == token.partition(".")[0]
    assert "cookie" in refused(callers, cookie=token)


def test_a_widget_gets_a_token_and_a_page_a_cookie_that_scripts_cannot_read(callers: Callers) -> None:
    application = FastAPI()
    application.add_middleware(VisitorMiddleware, visitors=callers.visitors)
    application.include_router(visitor_api(callers), prefix="/api/v1")
    plain = TestClient(application, base_url="http://shop.example")
    secure = TestClient(application, base_url="https://shop.example")

    issued = plain.post("/api/v1/visitors")
    cookies = {client.base_url.scheme: client.get("/").headers["set-cookie"] for client in (plain, secure)}

    assert issued.status_code == 201
    assert issued.json()["expires_at"] == "2027-11-24T10:00:00Z"
    assert ask(callers, issued.json()["token"]).customer_id.startswith("web-")
    for cookie in cookies.values():
        assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" in cookies["https"]
    assert "Secure" not in cookies["http"]


# JWTs


def test_a_portals_customer_is_never_a_visitor_or_somebody_a_program_named(callers: Callers) -> None:
    assert ask(callers, sign("nora")).customer_id == "customer:nora"
    assert ask(callers, sign("nora"), scheme="bearer").customer_id == "customer:nora"
    assert ask(callers, sign("auth0|5f7c8ec7")).customer_id == "customer:auth0|5f7c8ec7"
    visitor = f"web-{'0' * 32}"
    assert ask(callers, sign(visitor)).customer_id == f"customer:{visitor}"


def test_a_customer_may_name_themselves_and_nobody_else(callers: Callers) -> None:
    caller = ask(callers, sign("nora"))

    assert caller.customer() == caller.customer("nora") == caller.customer("customer:nora") == "customer:nora"
    with pytest.raises(ApiError, match="Another customer"):
        caller.customer("tom")
    caller.may("memory")


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims))
    return ".".join(parts) + "."


def tampered(token: str) -> str:
    head, _, signature = token.split(".")
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "tom", "exp": time.time() + 600}).encode())
    return f"{head}.{claims.rstrip(b'=').decode()}.{signature}"


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        (unsigned({"alg": "none"}, {"sub": "nora", "exp": 4e9}), "signed by HS256, not 'none'"),
        (unsigned({"alg": "None"}, {"sub": "nora", "exp": 4e9}), "signed by HS256, not 'None'"),
        (unsigned({}, {"sub": "nora", "exp": 4e9}), "signed by HS256, not 'None'"),
        (sign(algorithm="HS512", key=SECRET * 2), "signed by HS256, not 'HS512'"),
        (sign(key=SECRET + "!"), "not the portal's"),
        (tampered(sign()), "not the portal's"),
        (sign(exp=int(time.time()) - 60), "expired"),
        (sign(exp=None), "must have `sub` and `exp`"),
        (sign(7), "`sub` must be a text"),
        (sign(sub=None), "must have `sub` and `exp`"),
        (sign(nbf=int(time.time()) + 86_400), "check the clock"),
        (sign(aud="shop"), "another audience"),
        (sign("x" * 120), "must be 1 to 119 letters"),
        (sign("nora blythe"), "must be 1 to 119 letters"),
        (sign("nora\n"), "must be 1 to 119 letters"),
        (sign(""), "must be 1 to 119 letters"),
        (unsigned({"alg": "HS256"}, {"sub": "nora", "exp": 4e9}), "not the portal's"),
        ("a.b.c", "none"),
        ("", "none"),
        ("x" * 9000, "more than 8192"),
    ],
)
def test_a_token_that_does_not_count_is_refused_with_the_reason(callers: Callers, token: str, sentence: str) -> None:
    assert sentence in refused(callers, token)
    cookie, _ = callers.visitors.issue()
    assert sentence in refused(callers, token, cookie=cookie)  # nobody becomes a visitor by a wrong token


def test_an_audience_that_is_set_must_be_there(make_bot: MakeBot) -> None:
    bot = make_bot(settings={"jwt_secret": SECRET, "jwt_audience": "shop"})
    callers = Callers(bot.settings, bot)

    assert ask(callers, sign(aud=["shop", "blog"])).customer_id == "customer:nora"
    assert "another audience" in refused(callers, sign(aud="blog"))
    assert "`aud`" in refused(callers, sign())


def pem(private: Any) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[no-any-return]


def test_public_keys_check_their_own_algorithm_and_never_serve_as_a_secret(make_bot: MakeBot, tmp_path: Path) -> None:
    keys = {"RS256": rsa.generate_private_key(65537, 2048), "ES256": ec.generate_private_key(ec.SECP256R1())}
    for algorithm, private in keys.items():
        file = tmp_path / f"{algorithm}.pem"
        file.write_bytes(pem(private))
        bot = make_bot(settings={"jwt_public_key": file})
        callers = Callers(bot.settings, bot)

        assert ask(callers, sign(key=private, algorithm=algorithm)).customer_id == "customer:nora"
        head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
        body = base64.urlsafe_b64encode(b'{"sub":"nora","exp":4000000000}').rstrip(b"=")
        signature = jwt.get_algorithm_by_name("HS256").sign(head + b"." + body, pem(private))
        confused = b".".join((head, body, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()
        assert f"signed by {algorithm}, not 'HS256'" in refused(callers, confused)
        for other, wrong in keys.items():
            if other != algorithm:
                assert "signed by" in refused(callers, sign(key=wrong, algorithm=other))


def test_a_public_key_that_cannot_be_used_is_named(make_bot: MakeBot, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 (it is refused)
    for content in (
        b"no key",
        pem(weak),
        pem(ec.generate_private_key(ec.SECP384R1())),
        weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ):
        file.write_bytes(content)
        bot = make_bot(settings={"jwt_public_key": file})
        with pytest.raises(RapportError, match="RAPPORT_JWT_PUBLIC_KEY"):
            Callers(bot.settings, bot)


def test_without_a_portals_key_no_token_counts(make_bot: MakeBot) -> None:
    bot = make_bot()
    assert "set RAPPORT_JWT_SECRET" in refused(Callers(bot.settings, bot), sign())


# Keys


def test_a_key_names_customers_and_does_what_its_scopes_say(callers: Callers, home: Path, clock: Clock) -> None:
    key = Keys(home, clock).add("shop", ("chat",))

    caller = ask(callers, key)

    assert caller.customer("nora") == "customer:nora"
    caller.may("chat")
    with pytest.raises(ApiError, match="no scope 'memory'"):
        caller.may("memory")
    for nobody, status in (("", 422), ("nora blythe", 422), ("x" * 120, 422), ("customer:nora", 422)):
        with pytest.raises(ApiError) as refusal:
            caller.customer(nobody)
        assert refusal.value.status == status


def test_a_key_that_is_wrong_or_revoked_opens_nothing(callers: Callers, home: Path, clock: Clock) -> None:
    keys = Keys(home, clock)
    key = keys.add("shop", ("chat",))
    ask(callers, key)

    for wrong in (key[:-1], key.swapcase(), "rapport_", "rapport__", key + "x", f"rapport_{key.split('_')[1]}_"):
        assert refused(callers, wrong)
    keys.revoke("shop")
    assert "no such key" in refused(callers, key)


def test_nothing_but_a_bearer_is_read(callers: Callers) -> None:
    cookie, _ = callers.visitors.issue()
    assert "must be `Bearer`" in refused(callers, "bm9yYTpub3Jh", scheme="Basic", cookie=cookie)
    assert "Send a token" in refused(callers)


# Joining


@pytest.fixture
def door(callers: Callers) -> TestClient:
    application = FastAPI()
    answer_errors(application)
    application.include_router(visitor_api(callers), prefix="/api/v1")
    return TestClient(application)


def test_a_visitor_who_is_identified_brings_the_conversation_along_once(
    callers: Callers, door: TestClient, bot: Chatbot
) -> None:
    token, _ = callers.visitors.issue()
    visitor = ask(callers, token).customer_id
    bot.respond("where is R-10234?", "v1", visitor)
    both = {"Authorization": f"Bearer {sign('nora')}", "X-Rapport-Visitor": token}

    answers = [door.post("/api/v1/identify", headers=both).json() for _ in range(2)]

    assert answers == [{"customer_id": "customer:nora", "joined": joined} for joined in (1, 0)]
    assert len(transcript(bot.memory.store, "v1", "customer:nora")) == 1
    assert "not ours" in refused(callers, token)
    assert "cookie" in refused(callers, cookie=token)
    assert callers.visitors.renewed({COOKIE: token}) is not None  # the page begins with a new visitor
    assert bot.respond("where is my order?", "v2", "customer:nora").action == "confirm"


@pytest.mark.parametrize("way", ["header", "cookie"])
def test_any_request_that_proves_both_joins_them(callers: Callers, bot: Chatbot, way: str) -> None:
    token, _ = callers.visitors.issue()
    bot.respond("where is R-10234?", "v1", ask(callers, token).customer_id)
    proof = (b"x-rapport-visitor", token.encode()) if way == "header" else (b"cookie", f"{COOKIE}={token}".encode())
    headers = [(b"authorization", f"Bearer {sign('nora')}".encode()), proof]

    asyncio.run(callers.caller(Request({"type": "http", "headers": headers})))

    assert len(transcript(bot.memory.store, "v1", "customer:nora")) == 1


def test_nobody_is_joined_without_both_proofs(callers: Callers, door: TestClient, bot: Chatbot, home: Path) -> None:
    token, _ = callers.visitors.issue()
    visitor = ask(callers, token).customer_id
    bot.respond("where is R-10234?", "v1", visitor)
    key = Keys(home, bot.clock).add("shop", ("chat",))

    def identify(bearer: str, visitor_token: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {bearer}", "X-Rapport-Visitor": visitor_token}
        answer = door.post("/api/v1/identify", headers=headers)
        return answer.status_code, answer.json().get("joined")

    assert identify(sign("nora"), visitor) == (200, 0)
    assert identify(sign("nora"), token[:-1]) == (200, 0)
    assert identify(sign("nora", key=SECRET + "!"), token) == (401, None)
    assert identify(key, token) == (403, None)
    assert identify(token, token) == (403, None)
    assert len(transcript(bot.memory.store, "v1", visitor)) == 1


def test_a_turn_under_way_is_kept_before_the_visitor_is_joined(make_bot: MakeBot) -> None:
    visitor, joining = "web-" + "3" * 32, []

    def words() -> Iterator[AIMessage]:
        joining.append(pool.submit(bot.join, visitor, "customer:nora"))
        yield AIMessage("It takes three days.")

    make_bot().respond("hello", "v1", visitor)
    bot = make_bot(chat_model=GenericFakeChatModel(messages=words()))
    with ThreadPoolExecutor(1) as pool:
        reply = bot.respond("how long does delivery take?", "v1", visitor)

    assert reply.action == "answer"
    assert joining[0].result() == 1
    assert len(transcript(bot.memory.store, "v1", "customer:nora")) == 2
