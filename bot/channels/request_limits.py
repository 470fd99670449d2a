"""How much and how often: the size of a request, the time it may take to arrive, and the rate limits."""

from __future__ import annotations

import asyncio

from limits import parse
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.channels.caller import Caller, Callers
from bot.channels.chatwoot import WEBHOOK
from bot.channels.errors import ApiError
from bot.channels.rate_limits import RateLimits, network
from bot.problems import RapportError
from bot.settings import Settings
from memory import StoreError

_BODY = 64 * 1024  # bytes of a request
_LARGE_BODY = 1024 * 1024 + _BODY  # where a whole conversation or an upload comes along
_LARGE = ("/gradio_api/", "/v1/", WEBHOOK)
_STREAMED = "/team/replay"  # takes logs to disk as they arrive, for members only, and limits them itself
_BYTES_A_CHAR = 12  # as JSON may escape it
_ARRIVES_S = 30  # seconds in which a request's body must have arrived
_READING = ("GET", "HEAD", "OPTIONS")
_ERASURE = 30  # requests that one to forget counts as: it may write the database's file anew
_COUNTED = ("/api/", "/v1/", "/memory", "/team")  # where reading counts too; a page's own files do not


class RequestLimits:
    """Refuses what is too large, too slow or too often, before anything is done for it."""

    def __init__(self, app: ASGIApp, settings: Settings, callers: Callers, limits: RateLimits) -> None:
        self._app = app
        self._callers = callers
        self._limits = limits
        self._body = max(_BODY, _BYTES_A_CHAR * settings.max_message_chars)
        self._customer = parse(settings.rate_customer)
        self._address = parse(settings.rate_address)
        self._key = parse(settings.rate_key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        try:
            self._count(request)
            receive = await self._arrived(request, receive)
        except ApiError as error:
            await error.response(scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _count(self, request: HTTPConnection) -> None:
        if request.scope["method"] in _READING and not request.scope["path"].startswith(_COUNTED):
            return
        if request.scope["path"] == WEBHOOK:  # all customers of a Chatwoot come from one address
            self._limits.spend(self._key, "chatwoot", _address(request))
            return
        caller = self._caller(request)
        if caller.key:
            self._limits.spend(self._key, "key", caller.key)
            return
        cost = _ERASURE if request.scope["method"] == "DELETE" else 1
        self._limits.spend(self._address, "address", _address(request), cost)
        if caller.customer_id:
            self._limits.spend(self._customer, "customer", caller.customer_id)

    def _caller(self, request: HTTPConnection) -> Caller:
        try:
            return self._callers.proven(request)
        except (
            ApiError,
            RapportError,
            StoreError,
        ):  # without proof, it counts by the address
            return Caller()

    async def _arrived(self, request: HTTPConnection, receive: Receive) -> Receive:
        """Return what gives the whole body at once, after it has arrived."""
        length = request.headers.get("content-length")
        if (length is None and "transfer-encoding" not in request.headers) or request.scope["path"] == _STREAMED:
            return receive
        most = _LARGE_BODY if request.scope["path"].startswith(_LARGE) else self._body
        if length is not None and (not length.isdecimal() or int(length) > most):
            raise _too_large(most)
        try:
            first: Message | None = await asyncio.wait_for(_read(receive, most), _ARRIVES_S)
        except asyncio.TimeoutError:
            raise ApiError(408, "too_slow", f"The request did not arrive within {_ARRIVES_S} s.") from None

        async def arrived() -> Message:
            nonlocal first
            message, first = first, None
            return message or await receive()

        return arrived


def _address(request: HTTPConnection) -> str:
    return network(request.client.host if request.client else "")


async def _read(receive: Receive, most: int) -> Message:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return message
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        if not message.get("more_body"):
            return {"type": "http.request", "body": bytes(body), "more_body": False}


def _too_large(most: int) -> ApiError:
    return ApiError(413, "too_large", f"The request is too large: at most {most // 1024} KiB.")
