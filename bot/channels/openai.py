"""`/v1/chat/completions` and `/v1/models` as OpenAI's API has them, so that any chat client can talk to a desk.

The caller's key or token stands in `Authorization`. The last user message is the turn; what a client sends along of the
conversation is not stored again, since memory is ours. https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT
from pydantic import BaseModel, Field

from bot.channels.caller import Caller, Callers
from bot.channels.conversations import about, refusals
from bot.channels.errors import ApiError
from bot.channels.openai_chats import Chats, chat_of
from bot.channels.schemas import RequestKey
from bot.channels.sse import KEEP_ALIVE_S
from bot.channels.turns import TurnQueue, Writing
from bot.chatbot import Chatbot
from bot.turn import Reply, whole


class Message(BaseModel):
    """One message of a request; of a content in parts only the text is read."""

    role: str
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """The message's words."""
        if not isinstance(self.content, list):
            return self.content or ""
        return "\n".join(str(part.get("text") or "") for part in self.content if part.get("type") == "text")


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
    router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])
    chats, name, proven = Chats(bot), bot.desk.name, Depends(callers.caller)
    model = {"id": name, "object": "model", "created": 0, "owned_by": "rapport"}

    @router.get("/models")
    def models(_: Caller = proven) -> dict[str, Any]:
        return {"object": "list", "data": [model]}

    @router.get("/models/{model_id}")
    def one_model(model_id: str, _: Caller = proven) -> dict[str, Any]:
        if model_id != name:
            raise ApiError(404, "model_not_found", f"There is one model here: {name}.")
        return model

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

    @router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def nothing(request: Request, path: str) -> None:
        there = "There are GET /v1/models and POST /v1/chat/completions."
        raise ApiError(404, "not_found", f"There is no {request.method} /v1/{path[:80]}. {there}")

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
