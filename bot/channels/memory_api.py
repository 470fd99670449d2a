"""A customer's own memory over HTTP, exported (GET) or forgotten (DELETE): `/memory` and `/api/v1/me/memory`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from bot.channels.caller import Caller, Callers
from bot.channels.errors import ApiError
from bot.channels.schemas import CustomerId
from bot.chatbot import Chatbot
from memory.history import NothingHeldError
from memory.receipt import Receipt

_WHAT = "Name one of session, turn and fact, or none of them to forget everything."
_NAME: dict[str, Any] = {"min_length": 1, "max_length": 128}
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
        request: Request,
        session: Annotated[str | None, Query(**_NAME, description="Forget this session only.")] = None,
        turn: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Forget this turn: a `message_id`.")] = None,
        fact: Annotated[str | None, Query(**_NAME, description="Forget this fact only, by its name.")] = None,
    ) -> Receipt:
        """Without a parameter everything goes. The receipt counts what was removed and can be proven."""
        if unknown := sorted({*request.query_params} - {"customer_id", "session", "turn", "fact"}):
            raise ApiError(422, "unknown_parameter", f"There is no parameter {unknown[0][:40]!r} here. {_WHAT}")
        if sum(one is not None for one in (session, turn, fact)) > 1:
            raise ApiError(422, "several", _WHAT)
        return bot.forget(customer, session_id=session or "", turn_id=turn or 0, fact=fact or "")

    return router
