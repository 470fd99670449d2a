"""Tokens, cookies and keys that are no such thing: whatever they hold, nobody is let in and nothing breaks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from bot.channels.caller import Callers
from bot.channels.errors import ApiError
from bot.chatbot import Chatbot
from bot.desk import Desk
from bot.keys import Keys
from bot.models import Models
from bot.settings import Settings
from bot.team import Team
from bot.ui.visitor import COOKIE
from memory import Store
from tests.bot.channels.portal import SECRET, sign

FUZZED = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def bot(desk: Desk, models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chatbot]:
    made = Settings(home=tmp_path_factory.mktemp("home"), jwt_secret=SECRET)  # type: ignore[arg-type]
    bot = Chatbot(desk, models, Store(made.database), made)
    yield bot
    bot.close()


@pytest.fixture(scope="module")
def key(bot: Chatbot) -> str:
    return Keys(bot.settings.home).add("shop", ("chat",))


@pytest.fixture(scope="module")
def callers(bot: Chatbot) -> Callers:
    return Callers(bot.settings, bot)


def proven(callers: Callers, headers: dict[str, bytes]) -> str:
    """Return whom headers prove, the code of the refusal where nobody."""
    scope = {"type": "http", "headers": [(name.encode(), value) for name, value in headers.items()]}
    try:
        caller = callers.proven(HTTPConnection(scope))
    except ApiError as error:
        assert error.status == 401
        return error.code
    return caller.customer_id or f"key {caller.key}"


REFUSED = {"bad_token", "bad_key", "unproven"}


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
headers = st.fixed_dictionaries(
    {"alg": st.sampled_from(["HS256", "none", "RS256", "ES256", "HS512", ""]) | json_values}
)
claims = st.fixed_dictionaries({"sub": st.just("nora") | json_values, "exp": st.just(4_000_000_000) | json_values})
jwts = st.builds(
    lambda header, body, signature: f"{_part(header)}.{_part(body)}.{signature}",
    headers | json_values,
    claims | json_values,
    st.text("abcXYZ012-_=", max_size=50),
)
prefixed = st.builds(
    lambda lead, rest: lead + rest,
    st.sampled_from(["rapport_", "rapport_0_", "web-", "Bearer ", "web-0.9999999999."]),
    st.text(max_size=90),
)
tokens = st.text(max_size=300) | jwts | prefixed


@FUZZED
@given(tokens)
@example("\x00")
@example("web-.." + "9" * 5000)
@example("web-" + "0" * 32 + "." + "9" * 40 + ".x")
def test_no_made_up_token_proves_anybody(callers: Callers, token: str) -> None:
    sent = token.encode("utf-8", "surrogatepass")
    assert proven(callers, {"authorization": b"Bearer " + sent}) in REFUSED
    assert proven(callers, {"authorization": sent}) in REFUSED
    assert proven(callers, {"cookie": f"{COOKIE}=".encode() + sent}) in REFUSED


@FUZZED
@given(st.binary(max_size=200))
def test_bytes_that_are_no_text_prove_nobody(callers: Callers, sent: bytes) -> None:
    assert proven(callers, {"authorization": b"Bearer " + sent}) in REFUSED
    assert proven(callers, {"cookie": sent}) in REFUSED


@FUZZED
@given(st.data())
def test_a_genuine_token_with_anything_changed_proves_nobody(callers: Callers, key: str, data: st.DataObject) -> None:
    genuine = data.draw(st.sampled_from([sign("nora"), callers.visitors.issue()[0], key]))
    place = data.draw(st.integers(0, len(genuine) - 1))
    put = data.draw(st.text("abcdefXYZ0123456789-_.=", max_size=3))
    altered = genuine[:place] + put + genuine[place + 1 :]
    if altered.rstrip("=") == genuine or _same_bits(altered, genuine):
        return
    assert proven(callers, {"authorization": f"Bearer {altered}".encode()}) in REFUSED


@FUZZED
@given(json_values)
def test_a_genuine_token_of_any_subject_is_a_customer_or_nobody(callers: Callers, subject: object) -> None:
    found = proven(callers, {"authorization": f"Bearer {sign(subject)}".encode()})
    assert found in REFUSED or found == f"customer:{subject}"


@FUZZED
@given(st.text(max_size=200) | st.integers().map(lambda number: f"{number}.x"))
def test_no_made_up_cookie_is_a_login(bot: Chatbot, cookie: str) -> None:
    team = Team(bot.settings.home)
    if not team.has_password:
        assert not team.is_in(cookie)
        team.set_password("correct horse battery")
    assert not team.is_in(cookie)


def _same_bits(one: str, other: str) -> bool:
    """Return whether two tokens differ only in bits that base 64 leaves over at its end."""

    def bits(token: str) -> list[bytes]:
        return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]

    try:
        return bits(one) == bits(other)
    except ValueError:
        return False
