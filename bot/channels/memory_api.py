"""A customer's own memory over HTTP, exported (GET) or forgotten (DELETE): `/memory` and `/api/v1/me/memory`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from bot.channels.caller import Caller, Callers
from bot.channels.errors import ApiError
from bot.channels.schemas import CustomerId
from bot.chatbot import Chatbot
from memory.history import NothingHeldError
from memory.receipt import Receipt


def memory_api(bot: Chatbot, callers: Callers) -> APIRouter:
    """Return the routes; whose memory it is, the caller proves, or a key with the scope `memory` names."""
    router = APIRouter(tags=["memory"])

    def customer(
        caller: Annotated[Caller, Depends(callers.caller)],
        customer_id: Annotated[CustomerId | None, Query(description="For keys: whose memory.")] = None,
    ) -> str:
        caller.may("memory")
        return caller.customer(customer_id or "")

    @router.get("/memory", operation_id="exportMemory", summary="Everything held about the customer")
    def held(customer: Annotated[str, Depends(customer)]) -> dict[str, Any]:
        """Every row of every table that belongs to the customer. 404 where nothing is held."""
        try:
            return bot.export(customer)
        except NothingHeldError as error:
            raise ApiError(404, "nothing_held", str(error)) from None

    @router.delete("/memory", operation_id="forgetMemory", summary="Forget everything, a session, a turn or a fact")
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
