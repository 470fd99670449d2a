"""Chatbot: the only file that knows the order of a turn; a LangChain Runnable."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import run_in_executor
from numpy.typing import NDArray

from bot.answers import Answers, Rendered
from bot.calls import ChatInput, RepeatedKeyError, arguments, make_ids
from bot.correction import CorrectionError, read_correction
from bot.desk import Desk
from bot.desk_reader import read_desk
from bot.exporting import export
from bot.forgetting import forget
from bot.generation import Generation, GenerationError, make_chat_model
from bot.locks import SessionLocks
from bot.message import clean, clean_long, has_words, refusal_of, understand
from bot.models import Models, load
from bot.pointing import asks_back, facts_to_forget, points_back
from bot.policy import decide
from bot.recaps import Recaps
from bot.record import Gathered
from bot.reload import Watch
from bot.retention import Retention
from bot.settings import Settings, read_settings
from bot.stopwatch import Stopwatch
from bot.turn import Forget, Kept, Reply, Understood, kept_reply, whole, word_by_word
from memory import ConversationMemory, Store
from memory.boundaries import Boundaries, Kind
from memory.context import Budgets
from memory.conversation import ForgottenError, WrongCustomerError
from memory.history import sessions, turn_of_request
from memory.joining import join
from memory.places import Scope
from memory.receipt import Receipt
from memory.spent import is_spent

_LOG = logging.getLogger(__name__)
_FINISH_S = 10  # seconds that closing waits for turns under way
AT_WORK = os.cpu_count() or 1  # turns at once: more of them only take the interpreter from each other


class Chatbot(Runnable[ChatInput, Reply]):
    """A bot for one desk: understands a message, remembers, decides, answers, and keeps the turn.

    Safe to use from several threads. As a Runnable it takes a text, or a mapping with `text`, `session_id` and
    `customer_id`, and a `key`; these may also be given as keyword arguments or under `configurable` in the config.
    """

    def __init__(
        self,
        desk: Desk,
        models: Models,
        store: Store,
        settings: Settings,
        chat_model: BaseChatModel | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        *,
        serving: bool = True,
        without: Collection[Kind] = (),
    ) -> None:
        """Make a bot; one that is not `serving` neither follows promotions nor sees to retention by itself.

        `without` are the kinds of memory that it does without.
        """
        limits = desk.settings.memory
        self.desk = desk
        self.models = models
        self.settings = settings
        zone = ZoneInfo(desk.settings.timezone)
        self.clock: Callable[[], datetime] = lambda: clock().astimezone(zone)  # "from Monday" is a day of the desk's
        self.memory = ConversationMemory(
            store,
            models.encoder,
            list(desk.facts.values()),
            Budgets(limits.buffer_tokens, limits.buffer_turns, limits.recalled_turns),
            Boundaries(**limits.next_session.model_dump(), anonymous=limits.anonymous_days),
            without,
        )
        self.memory.when_forgotten = lambda: self.models.heard.forget()
        self.recaps = Recaps(desk, self.memory)
        tools = desk.make_tools(settings.home / "desks" / desk.name, clock().date())
        self._answers = Answers(desk, tools, self.recaps)
        self._generation = Generation(chat_model, desk, settings.chat_timeout_s) if chat_model else None
        self.when_replied: Callable[[Reply], None] = lambda _reply: None  # told of every turn, kept or failed
        self._locks = SessionLocks()
        self._working = threading.Semaphore(AT_WORK)
        self._background = ThreadPoolExecutor(1, thread_name_prefix="rapport-summary")
        self._watching: tuple[Watch | Retention, ...] = ()
        if serving:
            watch = Watch(desk, settings.home, models, self._use)
            self._watching = (watch, Retention(self.memory, settings.home, clock))

    @classmethod
    def open(
        cls,
        desk: Path | str | None = None,
        home: Path | str | None = None,
        *,
        settings: Settings | None = None,
        chat_model: BaseChatModel | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> Chatbot:
        """Open a desk whose models have been prepared; what is not given comes from the settings.

        Raises:
            RapportError: a setting or the desk is wrong (`DeskError`).
            ModelError: a model is missing, incomplete or altered.
            StoreError: the database cannot be used.
        """
        settings = settings or read_settings(desk=desk, home=home)
        read = read_desk(settings.desk)
        models = load(read, settings.home)
        return cls(read, models, Store(settings.database), settings, chat_model or make_chat_model(settings), clock)

    def close(self) -> None:
        """Finish turns and summaries under way and close the database."""
        if not self._locks.wait(_FINISH_S):
            _LOG.warning("%d turns did not end within %d s.", self._locks.under_way, _FINISH_S)
        for one in self._watching:
            one.close()
        self._background.shutdown(wait=True)
        self.memory.store.close()

    @property
    def turns_under_way(self) -> int:
        """How many turns are under way or wait for the one before them in their session."""
        return self._locks.under_way

    def respond(self, text: str, session_id: str = "", customer_id: str = "", *, key: str = "") -> Reply:
        """Return the reply to a message, once the turn is on disk.

        Without a session id a new session begins; without a customer id the session is its own customer. A message
        that is sent again with its `key` is the same turn and gets the same reply, also after a restart.

        Raises:
            ValueError: an id is longer than 128 characters or holds others than letters, digits and `_.:@+|-`.
            WrongCustomerError: the session belongs to another customer.
            RepeatedKeyError: the session has a turn with this key and another text.
        """
        return whole(self._turn(text, session_id, customer_id, key))

    def hand_over(self, session_id: str = "", customer_id: str = "", text: str = "", *, key: str = "") -> Reply:
        """Hand a session over to a colleague, as a turn: what a button does, whatever the text says.

        Raises:
            ValueError, WrongCustomerError, RepeatedKeyError: as of `respond`.
        """
        return whole(self._turn(text, session_id, customer_id, key, hand_over=True))

    def greet(self, session_id: str = "", customer_id: str = "") -> Reply:
        """Return what to say before the first message: a welcome, or a welcome back; it is not kept.

        Raises:
            StoreError: the database cannot be read.
        """
        session_id, customer_id = make_ids(session_id, customer_id)
        context = self.memory.load(session_id, customer_id, "", self.clock())
        past = self.recaps.last_session(context)
        name = "greeting_returning" if past.outcome == "found" or context.facts else "greeting"
        memory = f"{past.values.get('memory', '')} {self.recaps.owed(context)}"
        text, _ = self._answers.say(name, context, {"memory": memory})
        starters = tuple(self.desk.answers[intent].title for intent in self.desk.settings.starters)
        return Reply(
            " ".join(text.split()), "greeting", sources=past.sources, suggestions=starters, session_id=session_id
        )

    def forget(self, customer_id: str, *, session_id: str = "", turn_id: int = 0, fact: str = "") -> Receipt:
        """Forget everything of a customer, or one session, one turn or one fact by name, and return the receipt.

        A turn of the customer that is under way is not kept. Whoever calls this vouches for who the customer is.

        Raises:
            StoreError: the database cannot be written, or another program keeps the rows from being overwritten.
            OSError: the receipt or a model's folder cannot be written.
        """
        scope = Scope(customer_id, session_id, turn_id, fact)
        return forget(self.memory, scope, self.desk, self.settings.home, self.clock())

    def export(self, customer_id: str) -> dict[str, Any]:
        """Return everything held about a customer, ready for JSON; the audit log notes that it was asked for.

        Raises:
            StoreError: nothing is held about such a customer.
            OSError: the audit log cannot be written.
        """
        return export(self.memory.store, customer_id, self.settings.home, self.clock())

    def join(self, visitor_id: str, customer_id: str) -> int:
        """Make everything of an anonymous visitor a customer's, once; return how many sessions that are.

        It waits for their turns under way. Whoever calls this vouches that both are the same person.

        Raises:
            ValueError: the first id is not a visitor's.
            StoreError: the database cannot be written; nothing is joined.
        """
        with self.memory.store.read() as connection:
            if is_spent(connection, visitor_id):  # told with every message, they wait for no turn
                return 0
        with ExitStack() as held:
            for one in sorted(
                {one.id for who in (visitor_id, customer_id) for one in sessions(self.memory.store, who)}
            ):
                held.enter_context(self._locks.hold(one))
            return join(self.memory, visitor_id, customer_id, self.clock())

    def correct(self, fact: str, value: str, session_id: str = "", customer_id: str = "") -> Reply:
        """Replace a fact's value, as a turn of the session whose message says it, and return the reply once it is kept.

        Whoever calls this vouches for who the customer is.

        Raises:
            CorrectionError: the text is no value of this fact, or it is the value already.
            ForgottenError: something of the customer was forgotten meanwhile; nothing is kept.
            WrongCustomerError: the session belongs to another customer.
            StoreError: the database cannot be read or written.
        """
        session_id, customer_id = make_ids(session_id, customer_id)
        started, models = time.perf_counter(), self.models
        text, value = read_correction(self.desk, fact, value, self.settings.max_message_chars)
        vector = models.encoder.encode([text])[0]
        with self._locks.hold(session_id):
            context = self.memory.load(session_id, customer_id, text, self.clock())
            if fact in context.facts and context.facts[fact].value == value:
                raise CorrectionError(f"That is what I remember already: {value}.")
            rendered = self._answers.correction(fact, value, context)
            # Said on purpose: it counts also where it differs from the old value in case and marks alone.
            context = replace(context, facts={name: known for name, known in context.facts.items() if name != fact})
            understood = Understood((("", 0.0),), in_scope=True, facts={fact: value})
            return self._keep(Gathered(text, context, vector, understood, rendered, models), started)

    def tell(self, text: str, session_id: str, customer_id: str = "", *, key: str = "") -> int:
        """Keep what a colleague wrote to the customer in a session, as theirs, and return the turn's id.

        What it promises is a commitment; nothing in it counts as said by the customer. Told again with its `key`, it is
        the same turn.

        Raises:
            ValueError: there are no words in it, or an id is none.
            WrongCustomerError: the session belongs to another customer.
            ForgottenError: something of the customer was forgotten meanwhile; nothing is kept.
            StoreError: the database cannot be read or written; nothing is kept.
        """
        session_id, customer_id = make_ids(session_id, customer_id)
        if not has_words(text := clean(text)):
            raise ValueError("a colleague's message needs words")
        with self._locks.hold(session_id):
            told = turn_of_request(self.memory.store, session_id, customer_id, key) if key else None
            return told.id if told else self.memory.tell(session_id, customer_id, text, self.clock(), key)

    def invoke(self, input: ChatInput, config: RunnableConfig | None = None, **kwargs: Any) -> Reply:
        """Do what `respond` does, as a Runnable."""
        return self._call_with_config(lambda given: whole(self._turn(*arguments(given, config, kwargs))), input, config)

    def stream(self, input: ChatInput, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Reply]:
        """Yield the reply piece by piece; the sum of the pieces is the reply that `respond` gives."""
        return word_by_word(self._turn(*arguments(input, config, kwargs)))

    async def astream(
        self, input: ChatInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Reply]:
        """Yield what `stream` yields, without blocking the event loop."""
        pieces = self.stream(input, config, **kwargs)
        while (piece := await run_in_executor(config, next, pieces, None)) is not None:
            yield piece

    def _turn(
        self, raw: str, session_id: str, customer_id: str, key: str = "", hand_over: bool = False
    ) -> Iterator[Reply]:
        """Yield one turn: with a chat model as it is written, else at once after it has been kept."""
        session_id, customer_id = make_ids(session_id, customer_id)
        started = time.perf_counter()
        try:
            text = self._clean(raw) or (self.desk.replies["handoff_button"][0] if hand_over else "")
            with self._locks.hold(session_id):
                reply, written = self._repeated(text, session_id, customer_id, key), ""
                if reply is None:
                    turn = self._decide(text, session_id, customer_id, hand_over)
                    yield from self._write(turn)
                    reply, written = self._keep(turn, started, key), turn.written
        except (WrongCustomerError, RepeatedKeyError):
            raise
        except ForgottenError as error:
            _LOG.info("A turn of session %s was not kept: %s", session_id, error)
            yield self._failed(session_id)
            return
        except Exception:  # noqa: BLE001 - the edge of a turn: whatever failed, nothing of it is kept and the customer is told so
            _LOG.exception("A turn of session %s failed and was not kept.", session_id)
            yield self._failed(session_id)
            return
        self.when_replied(reply)
        yield replace(reply, text="") if written else reply

    def _failed(self, session_id: str) -> Reply:
        reply = Reply(self.desk.replies["failed"][0], "failed", session_id=session_id, replaces=True)
        self.when_replied(reply)
        return reply

    def _repeated(self, text: str, session_id: str, customer_id: str, key: str) -> Reply | None:
        """Return the reply that was given when the message was sent before, None where it was not.

        Raises:
            RepeatedKeyError: another text was sent with this key.
        """
        turn = turn_of_request(self.memory.store, session_id, customer_id, key) if key else None
        if turn is None:
            return None
        if turn.text != self._cut(text):
            raise RepeatedKeyError("Another message was sent with this key. Give each message a key of its own.")
        return kept_reply(turn)

    def kept_text(self, raw: str) -> str:
        """Return what is kept of a message: it is cleaned, and one that is too long is cut."""
        return self._cut(self._clean(raw))

    def _clean(self, raw: str) -> str:
        return clean_long(raw, self.settings.max_message_chars)

    def _cut(self, text: str) -> str:
        limit = self.settings.max_message_chars
        return text if len(text) <= limit else text[:limit] + "…"

    def _decide(self, text: str, session_id: str, customer_id: str, hand_over: bool) -> Gathered:
        """Return the turn up to its deterministic reply, once there is a core for it."""
        models = self.models  # read once: others may be promoted while the turn is under way
        kept, limit = self._cut(text), self.settings.max_message_chars
        refusal = "" if hand_over else refusal_of(text, limit)
        encoded, heard = models.encoder.expect(kept), None if refusal else models.classifier.expect(kept)
        with self._working:
            watch = Stopwatch()
            vector = self._vector(encoded)
            watch.lap("encode")
            context = self.memory.load(session_id, customer_id, kept, self.clock())
            watch.lap("memory")
            if heard is None:
                values = {"length": f"{len(text):,}", "limit": f"{limit:,}"}
                words, wording = self._answers.say(refusal, context, values)
                rendered = Rendered(words, refusal, wording=wording, state="open")
                nothing = Understood((("", 0.0),), in_scope=False)
                return Gathered(kept, context, vector, nothing, rendered, models, timings=watch.laps)
            meant, earlier = heard(), models.heard.earlier(context.buffer)
            surely = models.thresholds.answer
            understood = understand(self.desk, models.classifier, kept, context, meant, earlier, surely)
            understood = replace(
                understood,
                wants_colleague=hand_over,
                pointed_at=points_back(self.desk, kept, context, partial(self.memory.values, context)),
                asks_back=asks_back(kept),
                to_forget=facts_to_forget(self.desk, kept) if self.desk.answers[understood.intent].forget else (),
            )
            watch.lap("understand")
            action, candidates = decide(
                self.desk, models.thresholds, understood, context, lambda: models.find(kept, encoded())
            )
            if isinstance(action, Forget) and action.confirmed:
                for fact in action.facts or ("",):
                    self.forget(customer_id, fact=fact)
                context = self.memory.load(session_id, customer_id, kept, context.now)
            rendered = self._answers.render(action, context, candidates, kept)
            watch.lap("decide")
            return Gathered(kept, context, vector, understood, rendered, models, meant, watch.laps)

    def _vector(self, encoded: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32] | None:
        """Return the vector `(384,)` that is kept with a turn, by which it is found later."""
        return encoded()

    def _write(self, turn: Gathered) -> Iterator[Reply]:
        """Yield the chat model's pieces and note its text; nothing where there is none or where it fails."""
        if self._generation is None or not turn.rendered.rewritable:
            return
        watch = Stopwatch()
        pieces: list[str] = []
        try:
            for piece in self._generation.stream(turn.context, turn.text, turn.rendered.text):
                pieces.append(piece)
                yield Reply(piece)
        except GenerationError as error:
            _LOG.warning("The chat model failed (%s); the desk's own words are used.", error)
            pieces.clear()
            yield Reply("", replaces=True)
        watch.lap("generate")
        turn.timings |= watch.laps
        turn.written = "".join(pieces).strip()

    def _keep(self, turn: Gathered, started: float, key: str = "", instead: Kept | None = None) -> Reply:
        """Store a turn, with what was replied `instead` where that is given, in one transaction; return the reply."""
        watch = Stopwatch()
        kept, context = instead or turn.kept(self.recaps), turn.context
        turn_id = self.memory.save(
            context,
            turn.text,
            kept.text,
            kept.decision,
            facts=turn.understood.told,
            handed_over=kept.handed_over,
            vector=turn.vector,
            key=key,
        )
        if turn.heard is not None:
            turn.models.heard.keep(turn_id, turn.heard)
        watch.lap("save")
        if self._generation is not None:
            summarise, ids = self.memory.summarise, (context.session_id, context.customer_id)
            self._background.submit(summarise, *ids, self._generation.summarise)
        turn.timings |= {**watch.laps, "total": (time.perf_counter() - started) * 1000}
        return turn.reply(kept, turn_id)

    def _use(self, models: Models) -> None:
        """Let the turns that begin from now on be understood by other models."""
        self.models = models
