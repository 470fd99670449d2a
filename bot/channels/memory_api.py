"""A customer's own memory over HTTP, exported (GET) or forgotten (DELETE): `/memory` and `/api/v1/me/memory`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from bot.channels.caller import Caller, Callers
from bot.channels.errors import ApiError
from bot.channels.schemas import CustomerId
from bot.chatbot import Chatbot
from memory.history import NothingHeldError
from memory.receipt import Receipt

_HELD = {
    "customer_id": "customer:nora",
    "created_at": "2026-11-24T10:00:00.000+00:00",
    "sessions": [{"id": "5f0c1e9a7b3d4c62", "state": "open", "started_at": "2026-11-24T10:00:00.000+00:00"}],
    "turns": [{"id": 17, "text": "where is my order R-10234?", "reply": "R-10234 is on its way."}],
    "facts": [{"name": "order_number", "value": "R-10234", "turn_id": 17}],
}
_RECEIPT = {
    "id": "2026-11-24T101500-1f9e02c4",
    "what": "everything",
    "at": "2026-11-24T10:15:00+00:00",
    "removed": {"turns": 1, "facts": 1, "sessions": 1, "customers": 1},
    "customer": "9b1c6e0f",
    "newest": 17,
    "salt": "70c3b0a4e6f1d2583c9e8b7a6f5d4c3b",
    "fingerprints": [],
    "hash": "4be2a91d",
}


def _example(value: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": value}}}}


def memory_api(bot: Chatbot, callers: Callers) -> APIRouter:
    """Return the routes; whose memory it is, the caller proves, or a key with the scope `memory` names."""
    router = APIRouter(tags=["memory"])

    def customer(
        caller: Annotated[Caller, Depends(callers.caller)],
        customer_id: Annotated[CustomerId | None, Query(description="For keys: whose memory.")] = None,
    ) -> str:
        caller.may("memory")
        return caller.customer(customer_id or "")

    @router.get(
        "/memory", operation_id="exportMemory", summary="Everything held about the customer", responses=_example(_HELD)
    )
    def held(customer: Annotated[str, Depends(customer)]) -> dict[str, Any]:
        """Every row of every table that belongs to the customer. 404 where nothing is held."""
        try:
            return bot.export(customer)
        except NothingHeldError as error:
            raise ApiError(404, "nothing_held", str(error)) from None

    @router.delete(
        "/memory",
        operation_id="forgetMemory",
        summary="Forget everything, a session, a turn or a fact",
        responses=_example(_RECEIPT),
    )
    def forget(
        customer: Annotated[str, Depends(customer)],
        session: Annotated[str, Query(max_length=128, description="Forget this session only.")] = "",
        turn: Annotated[int, Query(ge=0, le=2**31 - 1, description="Forget this turn only: a `message_id`.")] = 0,
        fact: Annotated[str, Query(max_length=64, description="Forget this fact only, by its name.")] = "",
    ) -> Receipt:
        """Without a parameter everything goes. The receipt counts what was removed and can be proven."""
        if sum(map(bool, (session, turn, fact))) > 1:
            raise ApiError(422, "several", "Name one of session, turn and fact, or none of them to forget everything.")
        return bot.forget(customer, session_id=session, turn_id=turn, fact=fact)

    return router
