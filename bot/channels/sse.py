"""A turn as server-sent events: `piece` while the reply is written, then `reply`, or `error`.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from bot.channels.errors import ApiError
from bot.channels.schemas import MessageReply, Piece
from bot.channels.turns import TurnQueue, Writing
from bot.turn import Reply

_LOG = logging.getLogger(__name__)
KEEP_ALIVE_S = 10  # proxies drop what is silent for longer, and a chat model may be

Finish = Callable[[Awaitable[Reply]], Awaitable[MessageReply]]


def stream_turn(
    turns: TurnQueue, session_id: str, pieces: Callable[[], Iterator[Reply]], finish: Finish
) -> EventSourceResponse:
    """Return the response that streams a turn; `finish` makes of the reply what the last event says.

    The turn is finished also when nobody listens any more.

    Raises:
        ApiError: too many turns are waiting (503).
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(_events(Writing(turns, session_id, pieces), finish), headers=headers)


async def _events(writing: Writing, finish: Finish) -> AsyncIterator[bytes]:
    async for piece in writing.pieces(KEEP_ALIVE_S):
        if piece is None:
            yield KEEPALIVE_COMMENT
        elif not piece.action:
            yield _event("piece", Piece(text=piece.text, replaces=piece.replaces).model_dump_json())
    try:
        yield _event("reply", (await finish(writing.reply)).model_dump_json())
    except ApiError as error:
        yield _event("error", json.dumps({"error": {"code": error.code, "message": str(error)}}))
    except Exception:  # noqa: BLE001 - the edge of a request: the status has been sent, the client is told by an event
        _LOG.exception("A streamed turn failed.")
        yield _event(
            "error", json.dumps({"error": {"code": "mistake", "message": "Something went wrong on our side."}})
        )


def _event(name: str, data: str) -> bytes:
    return format_sse_event(event=name, data_str=data)


# What the OpenAPI document says about the stream.
EVENTS: dict[str, Any] = {
    "text/event-stream": {
        "schema": {
            "type": "string",
            "description": "Events `piece` (a `Piece`), then `reply` (a `MessageReply`) or `error` (a `Refused`).",
        },
        "example": 'event: piece\ndata: {"text":"Which ","replaces":false}\n\nevent: reply\ndata: {...}\n\n',
    }
}
