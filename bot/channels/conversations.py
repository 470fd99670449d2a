"""Which session a message belongs to, where another program has conversations of its own and does not know ours."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from bot.calls import RepeatedKeyError
from bot.channels.errors import ApiError
from bot.chatbot import Chatbot
from bot.turn import Reply
from memory.conversation import WrongCustomerError
from memory.history import Session, sessions

_NOT_TOLD = ("text", "timings")  # the text has a place of its own; how long it took concerns nobody outside


def latest(bot: Chatbot, customer_id: str, conversation: str) -> Session | None:
    """Return the newest of a customer's sessions that `begin` made for a conversation, None where there is none.

    Raises:
        StoreError: the database cannot be read.
    """
    return next(iter(sessions(bot.memory.store, customer_id, most=1, prefix=f"{conversation}:")), None)


def begin(conversation: str) -> str:
    """Return the id of a new session for a conversation."""
    return f"{conversation}:{uuid.uuid4().hex}"


def is_current(bot: Chatbot, session: Session) -> bool:
    """Return whether a session may go on: the desk says after which pause a new one begins."""
    pause = timedelta(hours=bot.desk.settings.memory.new_session_after_hours)
    return bot.clock() - session.last_at <= pause


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what a turn refuses into an error for the caller.

    Raises:
        ApiError: an id has a form that no id has or a key was used for another message (422), or the session is
            another customer's (403).
    """
    try:
        yield
    except WrongCustomerError:
        raise ApiError(403, "not_yours", "This session belongs to another customer. Begin one of your own.") from None
    except RepeatedKeyError as error:
        raise ApiError(422, "key_reused", str(error)) from None
    except ValueError as error:
        raise ApiError(422, "bad_id", f"The request cannot be answered: {error}.") from None


def about(reply: Reply) -> dict[str, Any]:
    """Return what a caller may know of a reply beside its text: action, sources, suggestions, ids."""
    told = {name: value for name, value in reply.to_dict().items() if name not in _NOT_TOLD}
    return {**told, "confidence": round(reply.confidence, 4)}  # as precise as the decision record
