"""prompt | chat model | parser: replies and summaries in a chat model's words, only when one is set."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

from bot.desk import Desk, fill
from bot.problems import RapportError
from bot.settings import Settings
from memory import Context, Turn
from memory.validity import Validity

_REPLY = "<memory>\n{memory}\n</memory>\n<sources>\n{approved}\n</sources>\n<message>\n{text}\n</message>"
_SUMMARY = "<summary>\n{summary}\n</summary>\n<conversation>\n{conversation}\n</conversation>"


class GenerationError(Exception):
    """The chat model failed, took too long or said nothing."""


def make_chat_model(settings: Settings) -> BaseChatModel | None:
    """Return the chat model that the settings name, or None when there is none.

    Raises:
        RapportError: the name is not one that `init_chat_model` knows, or its package is not installed.
    """
    if not settings.chat_model:
        return None
    from langchain.chat_models import init_chat_model

    given = {"base_url": settings.chat_base_url, "api_key": settings.chat_api_key.get_secret_value()}
    options: dict[str, Any] = {name: value for name, value in given.items() if value}
    options |= {"timeout": settings.chat_timeout_s, "max_retries": 0, "temperature": 0}
    try:
        model: BaseChatModel = init_chat_model(settings.chat_model, **options)
    except Exception as error:
        raise RapportError(f"RAPPORT_CHAT_MODEL={settings.chat_model} cannot be used: {error}") from error
    return model


class Generation:
    """Writes replies from what memory holds and what the desk approves."""

    def __init__(self, model: BaseChatModel, desk: Desk, timeout_s: float) -> None:
        names = {"bot_name": desk.settings.bot_name, "desk": desk.settings.name}
        self._timeout_s = timeout_s
        self._rules = fill(desk.replies["system_prompt"][0], names)
        self._summary_rules = desk.replies["summary_prompt"][0]
        reply = ChatPromptTemplate.from_messages(
            [("system", "{rules}"), MessagesPlaceholder("buffer"), ("human", _REPLY)]
        )
        summary = ChatPromptTemplate.from_messages([("system", "{rules}"), ("human", _SUMMARY)])
        self._reply_chain = reply | model | StrOutputParser()
        self._summary_chain = summary | model | StrOutputParser()

    def stream(self, context: Context, text: str, approved: str) -> Iterator[str]:
        """Yield the reply piece by piece; `approved` is the deterministic reply, which holds all it may say.

        Raises:
            GenerationError: the model failed, took too long or said nothing.
        """
        values = {
            "rules": self._rules,
            "buffer": context.messages(),
            "memory": _quote(_remembered(context)),
            "approved": _quote(approved),
            "text": _quote(text),
        }
        said = False
        for piece in self._within_time(values):
            said = said or bool(piece.strip())
            yield piece
        if not said:
            raise GenerationError("the chat model returned an empty reply")

    def _within_time(self, values: dict[str, Any]) -> Iterator[str]:
        """Yield the model's pieces until the time is up, even while it is silent.

        The model runs in a thread of its own, since nothing can interrupt a client that waits for its server; once
        abandoned, the thread ends with the next piece or with the client's own time-out.
        """
        pieces: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        abandoned = threading.Event()

        def run() -> None:
            try:
                for piece in self._reply_chain.stream(values):
                    if abandoned.is_set():
                        return
                    pieces.put(piece)
                pieces.put(None)
            except Exception as error:  # noqa: BLE001 - every provider's client raises its own
                pieces.put(error)

        threading.Thread(target=run, daemon=True, name="rapport-chat-model").start()
        deadline = time.monotonic() + self._timeout_s
        try:
            while (piece := pieces.get(timeout=max(deadline - time.monotonic(), 0.001))) is not None:
                if isinstance(piece, BaseException):
                    # Its own message may repeat what it was sent, and this one is logged.
                    raise GenerationError(type(piece).__name__) from piece
                yield piece
        except queue.Empty:
            raise GenerationError(f"no complete reply within {self._timeout_s:g} s") from None
        finally:
            abandoned.set()

    def summarise(self, summary: str, turns: Sequence[Turn]) -> str:
        """Return a summary of the earlier summary and further turns."""
        lines = [f"[{turn.at:%d %B %Y}] {_dialogue(turn)}" for turn in turns]
        values = {"rules": self._summary_rules, "summary": _quote(summary), "conversation": _quote("\n".join(lines))}
        return self._summary_chain.invoke(values)


def _remembered(context: Context) -> str:
    """Return facts, summary, promises and recalled turns as lines with their dates."""
    lines = [
        f"{fact.name}: {fact.value}{_days(fact.valid)} (said on {fact.said_at:%d %B %Y})"
        for fact in [*context.facts.values(), *context.later]
    ]
    if context.summary:
        lines.append(f"Earlier in this conversation: {context.summary}")
    for promise in context.promises:
        state = promise.state(context.now.date())
        due = f", due by {promise.due:%d %B %Y}" if promise.due else ""
        lines.append(f"Promised on {promise.made_at:%d %B %Y}, {state}{due}: {promise.text}")
    for hit in context.recalled:
        lines.append(f"On {hit.turn.at:%d %B %Y}:\n{_dialogue(hit.turn)}")
        if hit.before is not None:
            lines.append(f"Just before that:\n{_dialogue(hit.before)}")
    return "\n".join(lines) or "nothing"


def _dialogue(turn: Turn) -> str:
    customer = f"Customer: {turn.text}\n" if turn.text else ""
    return f"{customer}{'Colleague' if turn.by_colleague else 'Bot'}: {turn.reply}"


def _days(valid: Validity) -> str:
    words = f", from {valid.first:%d %B %Y}" if valid.first else ""
    return f"{words}, until {valid.last:%d %B %Y}" if valid.last else words


def _quote(text: str) -> str:
    """Return text that cannot close the tag it stands in."""
    return text.replace("<", "‹").replace(">", "›")
