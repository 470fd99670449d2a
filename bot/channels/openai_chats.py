"""Which session a chat client's request belongs to: such a client sends its whole history and knows no sessions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta

from bot.channels.conversations import begin, latest
from bot.chatbot import Chatbot
from bot.turn import Reply, kept_reply
from memory import Turn
from memory.history import session_of_request, transcript

# For so long the same history sent again is a client that tries again or asks for the reply once more, not a new chat.
_AGAIN = timedelta(minutes=10)


def chat_of(customer_id: str, asked: list[str], session_id: str = "") -> str:
    """Return what names a chat: the session, or the customer and the first message where none is named."""
    return session_id or "openai:" + hashlib.sha256(json.dumps([customer_id, asked[0]]).encode()).hexdigest()[:16]


class Chats:
    """Answers requests, each in the session of its chat; requests of one chat must come one after the other."""

    def __init__(self, bot: Chatbot) -> None:
        self._bot = bot

    def stream(self, customer_id: str, asked: list[str], session_id: str = "", key: str = "") -> Iterator[Reply]:
        """Yield the reply to the last of the customer's messages in a request, piece by piece; `asked` holds them all.

        Without a session id, the chat is known by its customer, its first message and the number of messages: one more
        than the session has turns goes on with it; a repetition of its last turn is not a turn again, the reply that
        was given is yielded; anything else is a new chat, or one that was taken up again further back. With a key, a
        request that was sent before is the same turn whatever came after it.

        Raises:
            ValueError: an id has a form that no id has.
            WrongCustomerError: the session belongs to another customer.
            RepeatedKeyError: the chat has a turn with this key and another message.
        """
        chat = chat_of(customer_id, asked)
        if not session_id and key:
            session_id = session_of_request(self._bot.memory.store, customer_id, key, f"{chat}:")
        if not session_id:
            session = latest(self._bot, customer_id, chat)
            turns = self._turns(session.id, customer_id) if session else []
            if session and not key and len(turns) == len(asked) and self._is_again(turns[-1], asked[-1]):
                yield kept_reply(turns[-1])
                return
            goes_on = session is not None and len(turns) < len(asked)
            session_id = session.id if session and goes_on else begin(chat)
        yield from self._bot.stream(asked[-1], session_id=session_id, customer_id=customer_id, key=key)

    def _turns(self, session_id: str, customer_id: str) -> list[Turn]:
        """Return a session's turns that the customer began; what a colleague wrote is in no client's history."""
        turns = transcript(self._bot.memory.store, session_id, customer_id)
        return [turn for turn in turns if turn.decision.get("written_by") != "colleague"]

    def _is_again(self, turn: Turn, text: str) -> bool:
        return turn.text == self._bot.kept_text(text) and self._bot.clock() - turn.at <= _AGAIN
