"""`/webhooks/rest/webhook` with the shapes of Rasa's REST channel, for channels and testing tools made for Rasa.

`sender` names the customer, so the caller must hold a key: a claimed sender opens no memory.
https://legacy-docs-oss.rasa.com/docs/rasa/connectors/your-own-website
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bot.channels.caller import Caller, Callers
from bot.channels.conversations import about, begin, is_current, latest, refusals
from bot.channels.turns import TurnQueue
from bot.chatbot import Chatbot
from bot.turn import Reply

_CHANNEL = "rasa"


class UserMessage(BaseModel):
    """What Rasa's channels send; `metadata` and `input_channel` may stand there too and change nothing."""

    sender: str | int | None = None
    message: str | None = None


def rasa_api(bot: Chatbot, callers: Callers, turns: TurnQueue) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/webhooks/rest", tags=["Rasa-compatible"])
    proven = Depends(callers.caller)

    @router.get("/")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    def answer(customer: str, text: str) -> Reply:
        session = latest(bot, customer, _CHANNEL)
        session_id = session.id if session and is_current(bot, session) else begin(_CHANNEL)
        return bot.respond(text, session_id, customer)

    @router.post("/webhook")
    async def webhook(said: UserMessage, stream: str = "", caller: Caller = proven) -> Response:
        caller.may("chat")
        sender = "" if said.sender is None else str(said.sender)
        customer = caller.customer(sender)
        text = _words(bot, said.message or "")
        with refusals():
            reply = await turns.submit(f"{_CHANNEL}:{customer}", lambda: answer(customer, text))
        message = _message(sender or customer, reply)
        if stream.lower() not in ("true", "1"):
            return JSONResponse([message])
        # Rasa calls its lines an event stream too.
        return Response(json.dumps(message, ensure_ascii=False) + "\n", media_type="text/event-stream")

    return router


def _words(bot: Chatbot, message: str) -> str:
    """Return what a message says; `/intent`, as Rasa's buttons and tests send it, is what the intent's button says."""
    intent = message[1:].partition("{")[0].strip() if message.startswith("/") else ""
    return bot.desk.answers[intent].title if intent in bot.desk.answers else message


def _message(sender: str, reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"recipient_id": sender, "text": reply.text}
    if reply.suggestions:
        message["buttons"] = [{"title": title, "payload": title} for title in reply.suggestions]
    return {**message, "metadata": about(reply)}
