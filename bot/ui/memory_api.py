"""`/memory`: a visitor's own memory over HTTP, exported (GET) or forgotten (DELETE); the signed cookie says whose."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request

from bot.chatbot import Chatbot
from bot.ui.visitor import Visitors
from memory import StoreError
from memory.history import export


def memory_api(bot: Chatbot, visitors: Visitors) -> APIRouter:
    """Return the routes; a request whose cookie proves no visitor is answered with 401, whatever it claims."""
    router = APIRouter()

    def customer(request: Request) -> str:
        proven = visitors.customer(request.cookies)
        if proven is None:
            raise HTTPException(401, "The cookie of the chat page is missing or not genuine.")
        return proven

    @router.get("/memory")
    def held(request: Request) -> dict[str, Any]:
        try:
            return export(bot.memory.store, customer(request))
        except StoreError as error:
            raise HTTPException(404, str(error)) from None

    @router.delete("/memory")
    def forget(request: Request, session: str = "", turn: int = 0, fact: str = "") -> dict[str, Any]:
        if sum(map(bool, (session, turn, fact))) > 1:
            raise HTTPException(422, "Name one of session, turn and fact, or none of them to forget everything.")
        return bot.forget(customer(request), session_id=session, turn_id=turn, fact=fact).to_dict()

    return router
