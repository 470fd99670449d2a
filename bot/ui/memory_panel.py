"""The panel *What I remember*: facts, conversations and the past turns last used, each with its source and *Forget*."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from bot.chatbot import Chatbot
from bot.ui.markup import day, plain, sources_of
from bot.ui.visitor import Visitors
from memory.commitments import commitments
from memory.history import facts_of, session_digest, sessions, transcript
from memory.store import to_text
from memory.summary import load_summaries

_MOST_SESSIONS = 8


def memory_panel(
    bot: Chatbot, visitors: Visitors, session: gr.BrowserState, turns_seen: gr.State, conversation: gr.Chatbot
) -> None:
    """Lay out the panel; it is drawn again after every turn and after every *Forget*."""
    gr.HTML("<h2>What I remember</h2>")

    @gr.render(inputs=[session, turns_seen], show_progress="hidden", concurrency_limit=8)
    def draw(session_id: str, _seen: int, request: gr.Request) -> None:
        customer = visitors.customer(dict(request.cookies))
        if customer is None:
            return
        entry = _Entry(session, turns_seen, conversation, bot, visitors)
        empty = _draw_facts(bot, customer, entry)
        empty = _draw_conversations(bot, customer, session_id, entry) and empty
        _draw_used(bot, customer, session_id, entry)
        if empty:
            gr.HTML("<p>Nothing yet. I remember what you tell me, and you can make me forget it here.</p>")
        else:
            button = gr.Button("Forget everything", size="sm", variant="stop", elem_id="forget-all")
            entry.bind(button, bot.forget)


class _Entry:
    """One remembered thing: its words, where it came from, and a button that forgets it."""

    def __init__(
        self,
        session: gr.BrowserState,
        turns_seen: gr.State,
        conversation: gr.Chatbot,
        bot: Chatbot,
        visitors: Visitors,
    ) -> None:
        self._session, self._turns_seen, self._conversation = session, turns_seen, conversation
        self._bot, self._visitors = bot, visitors

    def draw(self, what: str, where: str, forget: Callable[[str], Any]) -> None:
        """Show an entry; `forget` is called with the customer whose cookie the click carries."""
        with gr.Row(elem_classes="remembered"):
            gr.HTML(f"<p>{plain(what)}<br><small>{plain(where)}</small></p>")
            self.bind(gr.Button("Forget", size="sm", elem_classes="forget", scale=0), forget)

    def bind(self, button: gr.Button, forget: Callable[[str], Any]) -> None:
        """Make a button forget something, then show conversation and panel as they now are."""
        from bot.ui.chat_page import show

        def clicked(session_id: str, seen: int, request: gr.Request) -> tuple[Any, int]:
            customer = self._visitors.customer(dict(request.cookies))
            if customer is None:
                raise gr.Error("This page needs its cookie. Load it again.", print_exception=False)
            forget(customer)
            return show(self._bot, customer, session_id), seen + 1

        button.click(
            clicked,
            [self._session, self._turns_seen],
            [self._conversation, self._turns_seen],
            api_visibility="private",
            show_progress="hidden",
        )


def _draw_facts(bot: Chatbot, customer: str, entry: _Entry) -> bool:
    facts = [fact for fact in facts_of(bot.memory.store, customer) if fact.name in bot.desk.facts]
    if facts:
        gr.HTML("<h3>Facts</h3>")
    for fact in facts:
        label = bot.desk.facts[fact.name].label
        entry.draw(
            f"{label}: {fact.value}",
            f"you told me on {day(to_text(fact.said_at))}",
            partial(bot.forget, fact=fact.name),
        )
    return not facts


def _draw_conversations(bot: Chatbot, customer: str, session_id: str, entry: _Entry) -> bool:
    drawn = False
    promised = commitments(bot.memory.store, customer)
    for one in sessions(bot.memory.store, customer, _MOST_SESSIONS):
        digest = session_digest(bot.memory.store, one.id)
        with bot.memory.store.read() as connection:
            _, prose, _ = load_summaries(connection, one.id)
        lines = [f"{topic} ({state.replace('_', ' ')})" for topic, state in digest.topics]
        lines += [f"promised: {promise.text}" for promise in promised if promise.session_id == one.id]
        if not drawn:
            gr.HTML("<h3>Conversations</h3>")
        drawn = True
        where = "this conversation" if one.id == session_id else f"our chat of {day(to_text(one.started_at))}"
        entry.draw(
            prose or "; ".join(lines) or "A few words",
            where,
            partial(bot.forget, session_id=one.id),
        )
    return not drawn


def _draw_used(bot: Chatbot, customer: str, session_id: str, entry: _Entry) -> None:
    """Show the past turns that the last reply drew on."""
    turns = transcript(bot.memory.store, session_id, customer)
    used = [source for source in sources_of(turns[-1]) if source.kind == "turn"] if turns else []
    if used:
        gr.HTML("<h3>Used in my last reply</h3>")
    for source in used:
        entry.draw(
            f"“{source.title}”",
            f"our chat of {day(source.at)}",
            partial(bot.forget, turn_id=int(source.id)),
        )
