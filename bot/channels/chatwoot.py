"""`/webhooks/chatwoot`: the bot as an agent bot in somebody's Chatwoot. Docs: docs/chatwoot.md."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import ValidationError

from bot.channels.chatwoot_agent import Agent
from bot.channels.chatwoot_api import ChatwootApi
from bot.channels.chatwoot_events import read_event
from bot.channels.errors import ApiError
from bot.channels.turns import AT_ONCE, RETRY_AFTER_S, TurnQueue
from bot.chatbot import Chatbot
from memory import StoreError

_LOG = logging.getLogger(__name__)
WEBHOOK = "/webhooks/chatwoot"
_WINDOW_S = 300  # by which a signature may be older, or Chatwoot's clock ahead


def chatwoot_webhook(bot: Chatbot, turns: TurnQueue) -> APIRouter:
    """Return the route; answering goes on in the background for as long as the application runs.

    Chatwoot delivers again after 429 and 500 alone; after anything else it gives the conversation to the team.
    """
    settings = bot.settings
    secret = settings.chatwoot_secret.get_secret_value().encode()
    agents: list[Agent] = []

    @asynccontextmanager
    async def running(_application: object) -> AsyncIterator[None]:
        api = ChatwootApi(settings.chatwoot_url, settings.chatwoot_token.get_secret_value())
        agent = Agent(bot, turns, api)
        await agent.resume()
        agents.append(agent)
        try:
            yield
        finally:
            agents.remove(agent)
            await agent.close()

    router = APIRouter(lifespan=running, include_in_schema=False)

    @router.post(WEBHOOK)
    async def deliver(request: Request) -> dict[str, str]:
        body, now = await request.body(), bot.clock()
        _check(request, body, secret, now)
        try:
            delivery = read_event(body, request.headers.get("x-chatwoot-delivery", ""), now)
        except ValidationError:
            raise ApiError(422, "invalid", "This is no event of Chatwoot's.") from None
        if delivery is None:
            return {"status": "ignored"}
        (agent,) = agents
        if agent.under_way >= AT_ONCE + settings.max_waiting_turns:
            raise ApiError(429, "busy", "Too many messages are waiting.", {"Retry-After": str(RETRY_AFTER_S)})
        try:
            return {"status": "taken" if await agent.take(delivery) else "known"}
        except StoreError as error:
            _LOG.error("The database cannot be used: %s", error)
            raise ApiError(500, "unavailable", "The database cannot be used just now. Nothing was kept.") from None

    return router


def _check(request: Request, body: bytes, secret: bytes, now: datetime) -> None:
    """Refuse what Chatwoot has not signed, or signed too long ago.

    Raises:
        ApiError: the signature or its time is missing or wrong (401).
    """
    stamp = request.headers.get("x-chatwoot-timestamp", "")
    given = request.headers.get("x-chatwoot-signature", "")
    signed = "sha256=" + hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signed.encode(), given.encode()):
        raise ApiError(401, "bad_signature", "The signature is not Chatwoot's. Check RAPPORT_CHATWOOT_SECRET.")
    if not stamp.isdecimal() or len(stamp) > 12 or abs(now.timestamp() - int(stamp)) > _WINDOW_S:
        raise ApiError(401, "too_old", "It was signed more than five minutes ago. Check both servers' clocks.")
