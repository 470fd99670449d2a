"""The REST API under /api/v1: sessions, messages as JSON or as events, feedback, handoff, memory."""

from collections.abc import Awaitable
from enum import Enum
from typing import Annotated

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from bot.calls import ID, RepeatedKeyError
from bot.channels import schemas
from bot.channels.caller import Caller, Callers
from bot.channels.conversations import is_current
from bot.channels.errors import ApiError, answer_errors
from bot.channels.memory_api import memory_api
from bot.channels.monitoring import UNTRACED
from bot.channels.openapi import ABOUT, REFUSALS, DocumentedAPI
from bot.channels.schemas import CustomerId, MessageId, MessageReply, RequestKey
from bot.channels.session_ids import SessionIds
from bot.channels.sse import EVENTS, stream_turn
from bot.channels.turns import RETRY_AFTER_S, TurnQueue
from bot.channels.visitors import visitor_api
from bot.chatbot import Chatbot
from bot.turn import Reply
from memory.conversation import WrongCustomerError
from memory.history import around, find_session, page, rate, ratings, sessions

_PAGE = 100  # messages
_TALK: list[str | Enum] = ["conversation"]

SessionId = Annotated[str, Path(description="As `POST /sessions` gave it.")]
ForWhom = Annotated[CustomerId | None, Query(description="For keys: the customer it is for.")]


def rest_api(bot: Chatbot, callers: Callers, turns: TurnQueue) -> FastAPI:
    """Return the API as an application to be mounted, with its own OpenAPI document."""
    api = DocumentedAPI(
        title="Rapport",
        description=ABOUT,
        version="1",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=REFUSALS,
        telemetry=UNTRACED,
    )
    answer_errors(api)
    _about(api, bot)
    _conversation(api, bot, callers, turns)
    api.include_router(memory_api(bot, callers), prefix="/me")
    api.include_router(visitor_api(callers))
    return api


def _about(api: FastAPI, bot: Chatbot) -> None:
    @api.get("/desk", tags=["the desk"], operation_id="showDesk", summary="What the desk is called")
    def desk(response: Response) -> schemas.DeskShown:
        """For everybody; a browser may keep it for five minutes."""
        response.headers["Cache-Control"] = "public, max-age=300"
        about = bot.desk.settings
        colleague = bot.desk.replies["colleague"][0]
        return schemas.DeskShown(name=about.name, bot_name=about.bot_name, colleague=colleague, language=about.language)


def _conversation(api: FastAPI, bot: Chatbot, callers: Callers, turns: TurnQueue) -> None:
    ids, store = SessionIds(bot.settings.home), bot.memory.store
    proven = Depends(callers.caller)

    def customer_of(caller: Caller, named: str | None) -> str:
        caller.may("chat")
        return caller.customer(named or "")

    def own(session_id: str, customer: str) -> None:
        """Refuse a session that is not the customer's: one that was not issued to them and that they never had."""
        if ids.prove(session_id, customer):
            return
        known = find_session(store, session_id) if ID.fullmatch(session_id) else None
        if known is None or known.customer_id != customer:
            raise _no_session()

    @api.post("/sessions", tags=_TALK, status_code=201, operation_id="startSession", summary="Begin a session")
    async def start(asked: schemas.SessionRequest, caller: Annotated[Caller, proven]) -> schemas.NewSession:
        """Nothing is kept before the first message, so a session that nobody speaks in costs nothing."""
        customer = customer_of(caller, asked.customer_id)
        session_id = ids.issue(customer)
        greeting = await turns.submit(session_id, lambda: bot.greet(session_id, customer))
        shown = schemas.Greeting(
            text=greeting.text,
            sources=[schemas.SourceShown.of(source) for source in greeting.sources],
            suggestions=list(greeting.suggestions),
        )
        desk = bot.desk.settings
        return schemas.NewSession(session_id=session_id, greeting=shown, language=desk.language, desk=desk.name)

    @api.get("/sessions", tags=_TALK, operation_id="listSessions", summary="The customer's sessions, newest first")
    def listed(
        caller: Annotated[Caller, proven], customer_id: ForWhom = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
    ) -> schemas.Sessions:
        """Also those that were had on the chat page or by another way in."""
        found = sessions(store, customer_of(caller, customer_id), limit)
        return schemas.Sessions(sessions=[schemas.Session.of(one, is_current(bot, one)) for one in found])

    @api.post(
        "/sessions/{session_id}/messages",
        tags=_TALK,
        operation_id="sendMessage",
        summary="Send a message and get the reply",
        response_model=MessageReply,
        responses={200: {"description": "The reply, as JSON or as events.", "content": EVENTS}},
    )
    async def send(
        session_id: SessionId,
        asked: schemas.MessageRequest,
        request: Request,
        caller: Annotated[Caller, proven],
        key: RequestKey = None,
    ) -> MessageReply | Response:
        """With `Accept: text/event-stream` the reply comes as it is written. A reply that was given is on disk.

        503: nothing was kept; send it again, with the same `Idempotency-Key` if there is one.
        """
        customer = customer_of(caller, asked.customer_id)
        if not ids.prove(session_id, customer):
            await run_in_threadpool(own, session_id, customer)
        call = {"text": asked.text, "session_id": session_id, "customer_id": customer, "key": key or ""}
        if "text/event-stream" in request.headers.get("accept", ""):
            return stream_turn(turns, session_id, lambda: bot.stream(call), _kept)
        return await _kept(turns.submit(session_id, lambda: bot.respond(**call)))

    @api.get("/sessions/{session_id}/messages", tags=_TALK, operation_id="listMessages", summary="What was said")
    def said(
        session_id: SessionId,
        caller: Annotated[Caller, proven],
        customer_id: ForWhom = None,
        after: Annotated[MessageId | None, Query(description="The first 100 after this `message_id`.")] = None,
    ) -> schemas.Messages:
        """The last 100 messages, oldest first; with `after`, the first 100 that came later (0: from the beginning)."""
        customer = customer_of(caller, customer_id)
        own(session_id, customer)
        session, rated = find_session(store, session_id), ratings(store, session_id)
        messages = [
            schemas.Message.of(turn, rated.get(turn.id)) for turn in page(store, session_id, customer, _PAGE, after)
        ]
        return schemas.Messages(
            messages=messages,
            handed_over=session is not None and session.state == "handed_over",
            current=session is None or is_current(bot, session),
        )

    @api.post("/sessions/{session_id}/feedback", tags=_TALK, operation_id="rateMessage", summary="Rate a reply")
    def rated(
        session_id: SessionId, asked: schemas.FeedbackRequest, caller: Annotated[Caller, proven]
    ) -> schemas.FeedbackRequest:
        """A second rating of the same reply replaces the first."""
        customer = customer_of(caller, asked.customer_id)
        own(session_id, customer)
        if [turn.session_id for turn in around(store, customer, asked.message_id, 0)] != [session_id]:
            raise ApiError(404, "no_message", "This session has no such message.")
        rate(store, customer, asked.message_id, asked.rating, bot.clock())
        return asked

    @api.post("/sessions/{session_id}/handoff", tags=_TALK, operation_id="handOver", summary="Ask for a colleague")
    async def hand_over(
        session_id: SessionId, asked: schemas.HandoffRequest, caller: Annotated[Caller, proven], key: RequestKey = None
    ) -> MessageReply:
        """Hands the session over whatever the text says; asked again, it says that a colleague has it already."""
        customer = customer_of(caller, asked.customer_id)
        await run_in_threadpool(own, session_id, customer)
        return await _kept(
            turns.submit(session_id, lambda: bot.hand_over(session_id, customer, asked.text, key=key or ""))
        )


async def _kept(turn: Awaitable[Reply]) -> MessageReply:
    """Return a turn's reply once it is kept.

    Raises:
        ApiError: the session is not the customer's (404), the key was used for another text (422), or nothing was
            kept (503).
    """
    try:
        reply = await turn
    except WrongCustomerError:
        raise _no_session() from None
    except RepeatedKeyError as error:
        raise ApiError(422, "key_reused", str(error)) from None
    if reply.action == "failed":
        raise ApiError(503, "failed", reply.text, {"Retry-After": str(RETRY_AFTER_S)})
    return MessageReply.of(reply)


def _no_session() -> ApiError:
    return ApiError(404, "no_session", "You have no such session. Begin one: POST /api/v1/sessions.")
