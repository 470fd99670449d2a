"""`/v1/chat/completions` and `/v1/models` as OpenAI's API has them, so that any chat client can talk to a desk.

The caller's key or token stands in `Authorization`. The last user message is the turn; what a client sends along of the
conversation is not stored again, since memory is ours. https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from fastapi.sse import KEEPALIVE_COMMENT
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from bot.channels.caller import Caller, Callers
from bot.channels.conversations import about, refusals
from bot.channels.errors import ApiError
from bot.channels.openai_chats import Chats, chat_of
from bot.channels.schemas import RequestKey
from bot.channels.sse import KEEP_ALIVE_S
from bot.channels.turns import TurnQueue, Writing
from bot.chatbot import Chatbot
from bot.turn import Reply, whole

_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Message(BaseModel):
    """One message of a request; of a content in parts only the text is read."""

    role: str
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """The message's words."""
        if not isinstance(self.content, list):
            return self.content or ""
        return "\n".join(str(part.get("text", "")) for part in self.content if part.get("type") == "text")


class StreamOptions(BaseModel):
    """Whether a stream ends with a chunk that says how many tokens were used."""

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """What is read of a request; what only a language model could follow (temperature, tools) is not."""

    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None


def openai_api(bot: Chatbot, callers: Callers, turns: TurnQueue) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1", route_class=_Route, tags=["OpenAI-compatible"])
    chats, name, proven = Chats(bot), bot.desk.name, Depends(callers.caller)

    @router.get("/models")
    def models(_: Caller = proven) -> dict[str, Any]:
        model = {"id": name, "object": "model", "created": 0, "owned_by": "rapport"}
        return {"object": "list", "data": [model]}

    @router.post("/chat/completions")
    async def complete(
        asked: ChatRequest, x_rapport_session: str = Header(""), key: RequestKey = None, caller: Caller = proven
    ) -> Response:
        caller.may("chat")
        customer = caller.customer(asked.user or "")
        texts = [message.text for message in asked.messages if message.role == "user"]
        if not texts:
            raise ApiError(400, "no_message", "No message of the request has the role user. Send one to answer.")
        session = str((asked.metadata or {}).get("session_id") or x_rapport_session)
        chat = chat_of(customer, texts, session)
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(bot.clock().timestamp()), "model": name}
        with refusals():
            writing = Writing(turns, chat, lambda: chats.stream(customer, texts, session, key or ""))
            pieces = writing.pieces(KEEP_ALIVE_S)
            if asked.stream:
                first = await _first(writing, pieces)  # what is refused is refused before a stream has begun
                wants_usage = bool(asked.stream_options and asked.stream_options.include_usage)
                lines = _chunks(bot, head, texts[-1], first, pieces, wants_usage)
                return StreamingResponse(lines, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
            reply = await writing.reply
        return JSONResponse(await run_in_threadpool(_completion, bot, head, texts[-1], reply))

    return router


def _completion(bot: Chatbot, head: dict[str, Any], asked: str, reply: Reply) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = _usage(bot, asked, reply.text)
    return {**head, "object": "chat.completion", "choices": [choice], "usage": usage, "rapport": about(reply)}


async def _first(writing: Writing, pieces: AsyncIterator[Reply | None]) -> Reply:
    async for piece in pieces:
        if piece is not None:
            return piece
    return await writing.reply


async def _chunks(
    bot: Chatbot, head: dict[str, Any], asked: str, first: Reply, pieces: AsyncIterator[Reply | None], wants_usage: bool
) -> AsyncIterator[bytes]:
    """Yield a reply as server-sent events. What was sent cannot be taken back: a replacement follows after a gap."""
    blank = {"usage": None} if wants_usage else {}

    def line(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _event({**head, "object": "chat.completion.chunk", "choices": [choice], **blank, **more})

    yield line({"role": "assistant", "content": ""})
    written = [first]
    if first.text:
        yield line({"content": first.text})
    async for piece in pieces:
        if piece is None:
            yield KEEPALIVE_COMMENT
            continue
        if piece.replaces and any(one.text for one in written):
            yield line({"content": "\n\n"})
        if piece.text:
            yield line({"content": piece.text})
        written.append(piece)
    reply = whole(written)
    yield line({}, "stop", rapport=about(reply))
    if wants_usage:
        usage = await run_in_threadpool(_usage, bot, asked, reply.text)
        yield _event({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _event(content: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n".encode()


def _usage(bot: Chatbot, asked: str, replied: str) -> dict[str, int]:
    """Return the tokens of the message that was read and of the reply, as the desk's encoder counts them."""
    prompt, completion = (bot.models.encoder.count_tokens(text) for text in (bot.kept_text(asked), replied))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class _Route(APIRoute):
    """Says what is wrong with a request in OpenAI's form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except ApiError as error:
                return _refusal(error.status, error.code, str(error), error.headers)
            except RequestValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"] if part != "body")
                return _refusal(400, "invalid_request", f"{where}: {first['msg']}." if where else f"{first['msg']}.")
            except HTTPException as error:
                return _refusal(error.status_code, "invalid_request", str(error.detail))

        return answer


def _refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status, headers)
