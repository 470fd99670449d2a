"""The panel *What I remember*: search it, see where each thing was said, correct it, forget it, download everything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import gradio as gr

from bot.chatbot import Chatbot
from bot.correction import CorrectionError
from bot.ui.markup import plain
from bot.ui.remembered import Entry, Forgettable, Section, receipt_line, remembered, search
from bot.ui.visitor import Visitors
from memory import StoreError, Turn
from memory.conversation import ForgottenError

_LOG = logging.getLogger(__name__)
_QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 8}
_MOST_TYPED = 200  # characters of a search or a correction
_FAILED = "Something went wrong on our side. Load the page again to see what I hold, and try once more."


def memory_panel(
    bot: Chatbot, visitors: Visitors, session: gr.BrowserState, turns_seen: gr.State, conversation: gr.Chatbot
) -> None:
    """Lay out the panel; it is drawn again after every turn, search, correction and *Forget*."""
    gr.HTML("<h2>What I remember</h2>")
    looked_for = gr.State("")
    field = gr.Textbox(
        elem_id="search",
        show_label=False,
        label="Search what we said",
        placeholder="Search what we said…",
        submit_btn="Search",
        max_lines=1,
        max_length=_MOST_TYPED,
    )
    notice = gr.HTML(elem_id="notice")
    field.submit(str.strip, field, looked_for, **_QUIET)
    panel = _Panel(bot, visitors, session, turns_seen, conversation, notice)

    @gr.render(inputs=[session, turns_seen, looked_for], show_progress="hidden", concurrency_limit=8)
    def draw(session_id: str, _seen: int, text: str, request: gr.Request) -> None:
        customer = visitors.customer(dict(request.cookies))
        if customer is None:
            return
        if text:
            panel.draw(search(bot, customer, text))
            everything = gr.Button("Show everything", size="sm", elem_id="show-everything")
            everything.click(lambda: ("", ""), None, [field, looked_for], **_QUIET)
            return
        sections = remembered(bot, customer, session_id)
        for section in sections:
            panel.draw(section)
        if sections:
            panel.draw_end()
        else:
            gr.HTML("<p>Nothing yet. I remember what you tell me, and you can make me forget it here.</p>")


@dataclass(frozen=True)
class _Panel:
    """Draws entries, with the buttons that change them; what a click may do depends on the cookie that it carries."""

    bot: Chatbot
    visitors: Visitors
    session: gr.BrowserState
    turns_seen: gr.State
    conversation: gr.Chatbot
    notice: gr.HTML

    def draw(self, section: Section) -> None:
        """Show a section."""
        note = f"<p>{plain(section.note)}</p>" if section.note else ""
        gr.HTML(f"<h3>{plain(section.title)}</h3>{note}")
        for entry in section.entries:
            with gr.Column(elem_classes="remembered"):
                self._draw_entry(entry)

    def draw_end(self) -> None:
        """Show what can be done with everything: download it, or forget it once that is confirmed."""
        gr.HTML('<p id="download"><a href="/memory" download="what-i-remember.json">Download everything (JSON)</a></p>')
        ask = gr.Button("Forget everything", size="sm", variant="stop", elem_id="forget-all")
        with gr.Column(visible=False, elem_id="forget-all-asked") as asked:
            gr.HTML("<p>Everything above and all our conversations? There is no way back.</p>")
            with gr.Row(elem_classes="choices"):
                sure = gr.Button("Yes, forget everything", size="sm", variant="stop")
                keep = gr.Button("Keep it", size="sm")
        ask.click(lambda: (gr.update(visible=False), gr.update(visible=True)), None, [ask, asked], **_QUIET)
        keep.click(lambda: (gr.update(visible=True), gr.update(visible=False)), None, [ask, asked], **_QUIET)
        self._forgets(sure, {})

    def _draw_entry(self, entry: Entry) -> None:
        with gr.Row(elem_classes="said"):
            gr.HTML(f"<p>{plain(entry.what)}</p>")
            correct = gr.Button("Correct", size="sm", scale=0, min_width=0) if entry.fact else None
            self._forgets(gr.Button("Forget", size="sm", scale=0, min_width=0), entry.forget)
        if correct is not None:
            self._corrects(correct, entry)
        gr.HTML(self._where(entry))

    def _where(self, entry: Entry) -> str:
        """Return where an entry is from, which a click opens to the turns around it."""
        zone = ZoneInfo(self.bot.desk.settings.timezone)
        turns = "".join(
            f"<li{' class=source' if turn.id == entry.source else ''}>"
            f"<time>{self.bot.recaps.day(turn.at)}, {turn.at.astimezone(zone):%H:%M}</time>"
            f"{f'<p><b>You</b> {plain(turn.text)}</p>' if turn.text else ''}"
            f"<p><b>{plain(self._writer(turn))}</b> {plain(turn.reply)}</p></li>"
            for turn in entry.turns
        )
        return f"<details><summary>{plain(entry.where)}</summary><ol>{turns}</ol></details>"

    def _writer(self, turn: Turn) -> str:
        desk = self.bot.desk
        return desk.replies["colleague"][0] if turn.by_colleague else desk.settings.bot_name

    def _corrects(self, button: gr.Button, entry: Entry) -> None:
        """Let a button open a field for a fact's new value."""
        with gr.Row(visible=False, elem_classes="correction") as row:
            label = self.bot.desk.facts[entry.fact].label
            field = gr.Textbox(
                entry.value,
                label=f"The right {label}",
                container=False,
                interactive=True,
                max_lines=1,
                max_length=_MOST_TYPED,
            )
            keep = gr.Button("Save", size="sm", variant="primary", scale=0, min_width=0)
        button.click(lambda: gr.update(visible=True), None, row, **_QUIET)

        def correct(customer: str, session_id: str, value: str) -> str:
            return self.bot.correct(entry.fact, value, session_id, customer).text

        self._acts([keep.click, field.submit], correct, field)

    def _forgets(self, button: gr.Button, what: Forgettable) -> None:
        """Let a button forget something, and say what was removed."""
        self._acts([button.click], lambda customer, _session, _value: receipt_line(self.bot.forget(customer, **what)))

    def _acts(self, events: list[Any], do: Callable[[str, str, str], str], field: gr.Textbox | None = None) -> None:
        """Let events do something for a customer in a session with what is in a field, and show what it says."""

        def act(request: gr.Request, session_id: str, seen: int, value: str = "") -> tuple[Any, Any, str]:
            customer = self._customer(request)
            try:
                said = do(customer, session_id, value)
            except CorrectionError as error:
                return gr.skip(), gr.skip(), _notice(str(error))
            except (StoreError, ForgottenError, OSError):
                _LOG.exception("What a customer asked for in the panel failed.")
                return gr.skip(), gr.skip(), _notice(_FAILED)
            return *self._afresh(customer, session_id, seen), _notice(said)

        inputs = [self.session, self.turns_seen, *([field] if field else [])]
        gr.on(events, act, inputs, [self.conversation, self.turns_seen, self.notice], **_QUIET)

    def _afresh(self, customer: str, session_id: str, seen: int) -> tuple[Any, int]:
        """Return the conversation as it now is, and what makes the panel be drawn again."""
        from bot.ui.chat_page import show

        return show(self.bot, customer, session_id), seen + 1

    def _customer(self, request: gr.Request) -> str:
        customer = self.visitors.customer(dict(request.cookies))
        if customer is None:
            raise gr.Error("This page needs its cookie. Load it again.", print_exception=False)
        return customer


def _notice(text: str) -> str:
    return f'<p role="status">{plain(text)}</p>'
