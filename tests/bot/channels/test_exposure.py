"""The whole application as other people's machines meet it: headers, limits, errors, monitoring."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from bot.channels.caller import Callers
from bot.channels.errors import LastResort, answer_errors
from bot.channels.rate_limits import RateLimits, network
from bot.channels.request_limits import RequestLimits
from bot.chatbot import Chatbot
from bot.desk import Desk
from bot.desk_files import Portals
from bot.keys import Keys
from bot.models import Models
from bot.settings import Settings
from bot.team import Team
from memory import Store, StoreError
from tests.bot.channels.portal import SECRET, sign
from tests.bot.channels.serving import serving, whole
from tests.bot.channels.test_docs import run_example

SHOP = "https://shop.example"
FROM_AFAR = {"X-Forwarded-For": "203.0.113.9"}


@pytest.fixture(scope="module")
def bot(desk: Desk, models: Models, prepared_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chatbot]:
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(prepared_home / "models")
    settings = Settings(home=home, jwt_secret=SECRET)  # type: ignore[arg-type]
    at_a_shop = replace(desk, settings=desk.settings.model_copy(update={"portals": Portals(origins=(SHOP,))}))
    bot = Chatbot(at_a_shop, models, Store(settings.database), settings)
    yield bot
    bot.close()


@pytest.fixture(scope="module")
def client(bot: Chatbot) -> Iterator[httpx.Client]:
    with serving(whole(bot)) as client:
        yield client


# Headers


@pytest.mark.parametrize("path", ["/", "/help/returns", "/api/v1/visitors", "/nothing", "/gradio_api/info"])
def test_every_answer_says_who_may_frame_it_and_what_it_may_load(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers

    assert f"frame-ancestors 'self' {SHOP}" in headers["content-security-policy"]
    assert "object-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
    assert "strict-transport-security" not in headers


def test_behind_a_proxy_that_speaks_https_cookies_and_pages_are_for_https_alone(client: httpx.Client) -> None:
    answer = client.get("/", headers={"X-Forwarded-Proto": "https"})

    assert "max-age" in answer.headers["strict-transport-security"]
    assert "; Secure" in answer.headers["set-cookie"]


def test_the_teams_pages_are_shown_in_no_frame(client: httpx.Client) -> None:
    assert "frame-ancestors 'none'" in client.get("/team/login").headers["content-security-policy"]


@pytest.mark.parametrize(
    ("origin", "let_in"),
    [(SHOP, True), ("https://evil.example", False), ("null", False), (SHOP + ".evil.example", False)],
)
@pytest.mark.parametrize("path", ["/api/v1/visitors", "/gradio_api/queue/join"])
def test_only_the_desks_origins_may_read_answers_and_none_with_cookies(
    client: httpx.Client, origin: str, let_in: bool, path: str
) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, x-rapport-session, x-stainless-os",
    }

    for answer in (client.options(path, headers=asked), client.post(path, headers={"Origin": origin})):
        assert (answer.headers.get("access-control-allow-origin") == origin) is let_in
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["*", "shop.example", "https://shop.example/", "https://a b", "https://x; script-src *"]
)
def test_an_origin_that_is_none_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError):
        Portals(origins=(origin,))


# Sizes


def test_what_is_too_large_is_refused_whether_it_says_so_or_not(client: httpx.Client) -> None:
    large = b"x" * (65 * 1024)

    said = client.post("/api/v1/visitors", content=large)
    chunked = client.post("/api/v1/visitors", content=iter([large]))

    for answer in (said, chunked):
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "too_large"
        assert "content-security-policy" in answer.headers
    assert client.post("/gradio_api/upload", content=b"x" * (1200 * 1024)).status_code == 413
    assert client.post("/api/v1/visitors", content=b"x" * 1024).status_code == 201


def test_a_length_that_is_no_number_is_refused(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as raw:
        raw.sendall(b"POST /api/v1/visitors HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 4")


# Rates


@pytest.fixture
def limited(make_bot: Callable[..., Chatbot]) -> Iterator[tuple[httpx.Client, Callers, Keys]]:
    """A small application behind the limits: an address gets four requests a minute, a customer two, a key six."""
    rates = {"rate_address": "4/minute", "rate_customer": "2/minute", "rate_key": "6/minute"}
    bot = make_bot(settings={"jwt_secret": SECRET, **rates})
    callers = Callers(bot.settings, bot)
    application = FastAPI()

    @application.get("/api/v1/hello")
    def hello() -> str:
        return "hello"

    @application.get("/styles.css")
    def styles() -> str:
        return ""

    application.add_middleware(RequestLimits, settings=bot.settings, callers=callers, limits=RateLimits())
    with serving(application) as client:
        yield client, callers, Keys(bot.settings.home, bot.clock)


def statuses(client: httpx.Client, count: int, bearer: str = "") -> list[int]:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return [client.get("/api/v1/hello", headers=headers).status_code for _ in range(count)]


def test_an_address_that_asks_too_often_is_told_when_to_come_back(limited: tuple[httpx.Client, Callers, Keys]) -> None:
    client, _, _ = limited

    assert statuses(client, 5) == [200] * 4 + [429]
    refusal = client.get("/api/v1/hello")
    assert 1 <= int(refusal.headers["retry-after"]) <= 60
    assert "4 per 1 minute" in refusal.json()["error"]["message"]
    assert client.get("/styles.css").status_code == 200


def test_customers_are_counted_however_they_are_proven_and_keys_apart(
    limited: tuple[httpx.Client, Callers, Keys],
) -> None:
    client, callers, keys = limited

    assert statuses(client, 1, sign("nora")) + statuses(client, 2, sign("nora", jti="another")) == [200, 200, 429]
    assert statuses(client, 1, callers.visitors.issue()[0]) == [200]
    assert statuses(client, 7, keys.add("shop", ("chat",))) == [200] * 6 + [429]
    assert statuses(client, 1, "rapport_00000000_wrong") == [429]  # who guesses keys counts by the address


def test_a_customer_whom_keys_name_too_often_is_refused_and_no_other(make_bot: Callable[..., Chatbot]) -> None:
    bot = make_bot(settings={"rate_customer": "2/minute"})
    keys = Keys(bot.settings.home, bot.clock)
    with serving(whole(bot)) as client:

        def say(sender: str, key: str) -> int:
            body, headers = {"sender": sender, "message": "hello"}, {"Authorization": f"Bearer {key}"}
            return client.post("/webhooks/rest/webhook", json=body, headers=headers).status_code

        shop, other = (keys.add(name, ("chat",)) for name in ("shop", "other"))
        assert [say("nora", shop), say("nora", other), say("nora", shop)] == [200, 200, 429]
        assert say("tom", shop) == 200


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert network("2001:db8:1:2:3::1") == network("2001:db8:1:2:ffff::9") != network("2001:db8:1:3::1")
    assert network("203.0.113.9") == "203.0.113.9"
    assert network("testclient") == "testclient"


@pytest.mark.parametrize("rate", ["", "fast", "0/minute", "10", "-1/hour", "10/fortnight"])
def test_a_rate_that_is_none_is_refused(rate: str) -> None:
    with pytest.raises(ValidationError):
        Settings(rate_customer=rate)


# Errors


@pytest.fixture
def failing() -> Iterator[httpx.Client]:
    application = FastAPI()
    answer_errors(application)

    @application.get("/fails")
    def fails() -> None:
        raise RuntimeError("the customer wrote: my email is nora@example.com")

    @application.get("/busy")
    def busy() -> None:
        raise StoreError("The database sqlite:////secret/place is locked by another program.")

    @application.get("/numbers/{number}")
    def numbers(number: int) -> int:
        return number

    application.add_middleware(LastResort)
    with serving(application) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/fails", 500, "failed"),
        ("/busy", 503, "unavailable"),
        ("/nothing", 404, "not_found"),
        ("/numbers/nora", 422, "invalid"),
    ],
)
def test_what_goes_wrong_is_said_in_one_form_and_shows_nothing_of_the_inside(
    failing: httpx.Client, path: str, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = failing.get(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    for inside in ("Traceback", "RuntimeError", "nora", "/secret/place"):
        assert inside not in answer.text
    assert ("RuntimeError" in caplog.text) is (path == "/fails")


# Monitoring


def test_health_is_for_everybody_and_metrics_for_this_machine_and_the_team(client: httpx.Client, bot: Chatbot) -> None:
    bot.respond("how long does delivery take?", "s1", "customer:nora")
    keys = Keys(bot.settings.home)

    assert client.get("/healthz", headers=FROM_AFAR).json() == {"status": "ok"}
    assert client.get("/readyz", headers=FROM_AFAR).json()["status"] == "ready"
    assert [client.head(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    measured = client.get("/metrics").text
    assert 'rapport_turns_total{action="answer"} 1.0' in measured
    for name in (
        'rapport_stage_seconds_count{stage="total"} 1.0',
        "rapport_confidence_count 1.0",
        "rapport_turns_under_way 0.0",
    ):
        assert name in measured
    assert "nora" not in measured
    assert client.get("/metrics", headers=FROM_AFAR).status_code == 403
    for scope, status in (("metrics", 200), ("team", 200), ("chat", 403)):
        key = {"Authorization": f"Bearer {keys.add(scope, (scope,))}"}  # type: ignore[arg-type]
        assert client.get("/metrics", headers={**FROM_AFAR, **key}).status_code == status


def test_a_member_of_the_team_sees_the_metrics_from_afar(client: httpx.Client, bot: Chatbot) -> None:
    Team(bot.settings.home).set_password("correct horse battery")
    answer = client.post("/team/login", data={"password": "correct horse battery"}, headers=FROM_AFAR)
    cookie = answer.headers["set-cookie"].partition(";")[0]

    assert client.get("/metrics", headers={**FROM_AFAR, "Cookie": cookie}).status_code == 200


def test_a_server_without_its_database_is_alive_and_not_ready(client: httpx.Client, bot: Chatbot) -> None:
    database = bot.settings.home / "rapport.sqlite"
    bot.memory.store.close()
    moved = database.rename(database.with_suffix(".moved"))
    database.mkdir()
    try:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
    finally:
        bot.memory.store.close()
        database.rmdir()
        moved.rename(database)


def test_failed_turns_are_counted_too(make_bot: Callable[..., Chatbot], monkeypatch: pytest.MonkeyPatch) -> None:
    bot, told = make_bot(), []
    bot.when_replied = told.append
    monkeypatch.setattr(bot.memory, "load", lambda *_: 1 / 0)

    bot.respond("hello")

    assert [reply.action for reply in told] == ["failed"]


def test_logs_are_json_without_what_is_personal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from bot.logs import write_logs

    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    try:
        write_logs("info")
        try:
            raise ValueError("nora@example.com called from +44 7700 900461")
        except ValueError:
            logging.getLogger("desk").exception("card 4111 1111 1111 1111 of %s", "tom@example.com")
    finally:
        root.handlers[:], root.level = before[0], before[1]
    (line,) = capfd.readouterr().err.strip().splitlines()
    entry = json.loads(line)

    assert entry["level"] == "ERROR"
    assert entry["logger"] == "desk"
    assert entry["message"] == "card [card number] of [e-mail]"
    assert "ValueError: [e-mail] called from [phone number]" in entry["exc_info"]


def test_the_documents_check_shows_what_strangers_see(client: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    run_example("expose-safely.md", str(client.base_url))

    assert capsys.readouterr().out.splitlines() == [
        "/healthz 200",
        "/memory 401",
        "/team 401",
        "/metrics 403",
        "others may read: False",
        f" 'self' {SHOP}",
    ]


def test_the_documents_customer_is_identified(
    client: httpx.Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_JWT_SECRET", SECRET)
    run_example("identity.md", str(client.base_url))

    assert capsys.readouterr().out == "{'customer_id': 'customer:nora', 'joined': 0}\n"
