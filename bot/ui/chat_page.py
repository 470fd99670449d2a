"""The chat page: the conversation, and beside it what the bot remembers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from bot.channels.conversations import is_current
from bot.chatbot import Chatbot
from bot.turn import Reply, sources_of
from bot.ui.markup import plain, reply_markup, source_line
from bot.ui.memory_panel import memory_panel
from bot.ui.visitor import Visitors
from memory import Turn
from memory.history import rate, ratings, sessions, transcript

Messages = list[dict[str, Any]]
_OURS = re.compile(r"(\d{8}T\d{6}-)?[0-9a-f]{32}")  # the ids that this page gives; nobody's are like that by chance
_LIKED = {1: "Like", -1: "Dislike"}

CSS = """
.gradio-container { max-width: 1180px !important; margin: 0 auto !important; }
.gradio-container > .main { padding: 12px 20px !important; }
.gradio-container main { padding: 4px 0 !important; }
#head-row { align-items: center; flex-wrap: nowrap; }
#head h1 { font-size: 1.35rem; margin: 0; } #head p { margin: 2px 0 0; opacity: .75; }
#chat { border-radius: 14px; } #chat .message * { overflow-wrap: anywhere; }
#chat .sources { margin-top: .45em; font-size: .82em; opacity: .85; }
#chat .message p, #chat .message .prose > :last-child { margin-bottom: 0; }
#chat .message p:empty { display: none; } /* what the markdown renderer leaves after the sources */
#chat .options { justify-content: flex-start; width: 100%; margin: 0;
  padding: 10px 20px 0; gap: 8px; display: flex; flex-wrap: wrap; }
#chat .options .option { width: auto; max-width: 100%; padding: 8px 14px; border-radius: 999px; border-style: solid;
  border-color: var(--primary-300); }
#chat button[aria-label="Clear"] { display: none; } /* it would only clear what is shown; Forget really forgets */
#panel { border: 1px solid var(--border-color-primary); border-radius: 14px; padding: 16px; gap: 6px; }
#panel .column, #panel .gap { gap: 6px; }
#panel .html-container { padding: 0 !important; }
#panel h2 { font-size: 1.05rem; margin: 0; } #panel h3 { font-size: .92rem; margin: 10px 0 0; opacity: .8; }
#panel p { display: block; margin: 0; font-size: .92rem; line-height: 1.4; overflow-wrap: anywhere; }
#panel button { min-width: 0; }
#search { padding: 0; } #search .input-container { align-items: center; }
#search .submit-button { align-self: center; margin: 0 8px 0 0; }
#notice { position: sticky; top: 8px; z-index: 5; overflow: visible; }
#notice p { padding: 8px 12px; border-radius: 10px; background: var(--primary-50); color: var(--primary-900); }
.dark #notice p { background: var(--primary-900); color: var(--primary-50); }
#panel .remembered { gap: 2px; padding: 8px 0; border-bottom: 1px solid var(--border-color-primary); }
#panel .said { align-items: flex-start; flex-wrap: nowrap; gap: 6px; }
#panel .said button { flex: 0 0 auto; padding: 3px 10px; }
#panel .correction, #panel .choices { align-items: stretch; flex-wrap: nowrap; gap: 6px; padding: 4px 0; }
#panel .correction button { flex: 0 0 auto; }
#panel details { font-size: .82rem; } #panel summary { cursor: pointer; opacity: .75; }
#panel ol { list-style: none; margin: 6px 0 2px; padding: 0 0 0 10px; max-height: 320px; overflow-y: auto;
  border-left: 2px solid var(--border-color-primary); }
#panel li { margin: 0 0 4px; padding: 4px 6px; border-radius: 8px; } #panel li p { font-size: .82rem; }
#panel li.source { background: var(--primary-50); } .dark #panel li.source { background: var(--primary-900); }
#panel time { opacity: .65; }
#download { padding: 8px 0 4px; } #download a { padding: 0; color: inherit; text-decoration: underline; }
#message textarea { font-size: 16px; }
@media (max-width: 767px) {
  .gradio-container > .main { padding: 6px 8px !important; }
  #chat { height: 66vh !important; }
  #chat .message-row { margin-left: 8px; margin-right: 8px; }
  #chat .options { padding: 10px 8px 0; }
  #head p { display: none; }
}
"""
THEME = gr.themes.Soft(
    primary_hue="emerald",
    neutral_hue="stone",
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
    font_mono=["ui-monospace", "Consolas", "monospace"],
)


def chat_page(bot: Chatbot, visitors: Visitors) -> gr.Blocks:
    """Return the page; the customer is whoever the signed cookie of a request says."""
    desk, does = bot.desk.settings, _Page(bot, visitors)
    page: gr.Blocks
    with gr.Blocks(title=f"{desk.name} · {desk.bot_name}", fill_height=True, analytics_enabled=False) as page:
        # Which conversation this browser shows; it opens nothing, since the customer comes from the cookie.
        session = gr.BrowserState("", storage_key="rapport_session", secret="rapport")  # noqa: S106 - protects nothing
        turns_seen = gr.State(0)
        with gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=320):
                with gr.Row(elem_id="head-row"):
                    about = f"<h1>{plain(desk.name)}</h1><p>Chat with {plain(desk.bot_name)}, who remembers you.</p>"
                    gr.HTML(about, elem_id="head")
                    new = gr.Button("New conversation", size="sm", elem_id="new", scale=0, min_width=150)
                conversation, message = _conversation(), _message()
            with gr.Column(scale=4, min_width=300, elem_id="panel"):
                memory_panel(bot, visitors, session, turns_seen, conversation)
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 8}
        again = {"fn": lambda seen: seen + 1, "inputs": turns_seen, "outputs": turns_seen, **quiet}
        page.load(does.open, session, [session, conversation, turns_seen, message], **quiet)
        inputs, outputs = [conversation, session], [message, conversation]
        sent = message.submit(does.send, [message, *inputs], outputs, **quiet)
        chosen = conversation.option_select(does.choose, inputs, outputs, **quiet)
        sent.then(**again)
        chosen.then(**again)
        new.click(does.begin_anew, turns_seen, [session, conversation, turns_seen], **quiet)
        conversation.like(does.rate, session, None, **quiet)
    return page


def _conversation() -> gr.Chatbot:
    return gr.Chatbot(
        elem_id="chat",
        show_label=False,
        label="Conversation",
        height="68vh",
        latex_delimiters=[],
        buttons=[],
        layout="bubble",
        allow_tags=False,
    )


def _message() -> gr.Textbox:
    return gr.Textbox(
        elem_id="message",
        show_label=False,
        label="Your message",
        placeholder="Write a message…",
        submit_btn=True,
        lines=1,
        max_lines=5,
        interactive=False,  # until the conversation is there: a message before that would begin another one
    )


@dataclass(frozen=True)
class _Page:
    """What happens on the page: it is opened, something is said or chosen, a reply is rated."""

    bot: Chatbot
    visitors: Visitors

    def open(self, shown: str, request: gr.Request) -> tuple[str, Any, int, Any]:
        customer = _customer(self.visitors, request)
        shown = shown if _is_current(self.bot, customer, shown) else _latest(self.bot, customer) or uuid.uuid4().hex
        return shown, show(self.bot, customer, shown), 1, gr.update(interactive=True, autofocus=True)

    def begin_anew(self, seen: int, request: gr.Request) -> tuple[str, Any, int]:
        shown = f"{self.bot.clock():%Y%m%dT%H%M%S}-{uuid.uuid4().hex}"
        return shown, show(self.bot, _customer(self.visitors, request), shown), seen + 1

    def send(self, text: str, history: Messages, shown: str, request: gr.Request) -> Iterator[tuple[str, Any]]:
        customer = _customer(self.visitors, request)
        if not _OURS.fullmatch(shown) and shown != _latest(self.bot, customer):
            raise gr.Error("This conversation is over. Load the page again.", print_exception=False)
        if not text.strip():  # Enter, once too often
            yield "", gr.skip()
            return
        yield from _converse(self.bot, text, history, shown, customer)

    def choose(
        self, event: gr.SelectData, history: Messages, shown: str, request: gr.Request
    ) -> Iterator[tuple[str, Any]]:
        yield from self.send(str(event.value), history, shown, request)

    def rate(self, event: gr.LikeData, shown: str, request: gr.Request) -> None:
        customer = _customer(self.visitors, request)
        turns = transcript(self.bot.memory.store, shown, customer)
        place = int(event.index if isinstance(event.index, int) else event.index[0])
        shown_by = [None, *(turn for turn in turns for _ in _bubbles(self.bot, turn))]
        if 0 <= place < len(shown_by) and (turn := shown_by[place]) is not None:
            rate(self.bot.memory.store, customer, turn.id, 1 if event.liked else -1, self.bot.clock())


def _converse(bot: Chatbot, text: str, history: Messages, session_id: str, customer: str) -> Iterator[tuple[str, Any]]:
    """Yield the emptied input and the growing conversation for one message."""
    history = [*_without_options(history), {"role": "user", "content": plain(text)}]
    yield "", gr.update(value=history)
    reply = Reply("")
    for piece in bot.stream(text, session_id=session_id, customer_id=customer):
        reply = reply + piece
        shown = {"role": "assistant", "content": reply_markup(reply), "options": _options(reply.suggestions)}
        yield "", gr.update(value=[*history, shown])


def show(bot: Chatbot, customer: str, session_id: str) -> Any:
    """Return the conversation as it is on disk: the greeting, the turns, and the thumbs given."""
    turns = transcript(bot.memory.store, session_id, customer)
    greeting = bot.greet(session_id, customer)
    messages: Messages = [{"role": "assistant", "content": plain(greeting.text) + source_line(greeting.sources)}]
    messages += [bubble for turn in turns for bubble in _bubbles(bot, turn)]
    last = turns[-1].decision.get("suggestions", []) if turns else greeting.suggestions
    messages[-1]["options"] = _options(last)
    given = ratings(bot.memory.store, session_id)
    return gr.update(value=messages, feedback_value=[None, *(_LIKED.get(given.get(turn.id, 0)) for turn in turns)])


def _bubbles(bot: Chatbot, turn: Turn) -> Messages:
    """Return a turn as it is shown: the customer's message, if there is one, and the reply with who wrote it."""
    asked = [{"role": "user", "content": plain(turn.text)}] if turn.text or not turn.by_colleague else []
    head = f"<b>{plain(bot.desk.replies['colleague'][0])}</b><br>" if turn.by_colleague else ""
    return [*asked, {"role": "assistant", "content": head + plain(turn.reply) + source_line(sources_of(turn))}]


def _options(suggestions: Any) -> list[dict[str, str]]:
    return [{"value": label, "label": label} for label in suggestions]


def _without_options(history: Messages) -> Messages:
    return [{"role": message["role"], "content": message["content"]} for message in history]


def _customer(visitors: Visitors, request: gr.Request) -> str:
    customer = visitors.customer(dict(request.cookies))
    if customer is None:
        raise gr.Error(
            "This page needs its cookie to know you. Allow cookies for it and load it again.", print_exception=False
        )
    return customer


def _is_current(bot: Chatbot, customer: str, session_id: str) -> bool:
    """Return whether a browser's conversation may go on: it is this customer's and not too old."""
    if not session_id:
        return False
    return session_id == _latest(bot, customer) or _just_begun(bot, session_id)


def _just_begun(bot: Chatbot, session_id: str) -> bool:
    """Return whether `New conversation` made this id today; nothing has been said in it yet."""
    return session_id.startswith(f"{bot.clock():%Y%m%d}T")


def _latest(bot: Chatbot, customer: str) -> str | None:
    """Return the customer's last conversation, if it is not too old to go on."""
    last = next(iter(sessions(bot.memory.store, customer, most=1)), None)
    return last.id if last and is_current(bot, last) else None
