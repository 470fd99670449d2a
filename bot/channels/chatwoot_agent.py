"""Answers what Chatwoot delivers, one after the other in a conversation; what is under way survives a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar
from weakref import WeakValueDictionary

import httpx
from fastapi.concurrency import run_in_threadpool

from bot.channels.chatwoot_api import ChatwootApi
from bot.channels.conversations import begin, is_current, latest
from bot.channels.errors import ApiError
from bot.channels.turns import RETRY_AFTER_S, TurnQueue
from bot.chatbot import Chatbot
from bot.turn import Reply
from memory.conversation import ForgottenError
from memory.deliveries import Delivery, finish, go_on, is_waiting, last_outcome, take_in, waiting
from memory.history import Session, session_of_request, turn_of_request

_LOG = logging.getLogger(__name__)
AGAIN_S = 300.0  # until what failed, the database or Chatwoot, is tried again
T = TypeVar("T")


class Agent:
    """The bot in somebody's Chatwoot.

    A message is kept before it is acknowledged, its turn is kept with the message's own key, and each step towards
    Chatwoot is noted once it is done: killed in between, the next start goes on there.
    """

    def __init__(self, bot: Chatbot, turns: TurnQueue, api: ChatwootApi) -> None:
        self._bot, self._turns, self._api = bot, turns, api
        self._store = bot.memory.store
        self._conversations: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._resting: set[str] = set()  # conversations in which something failed, until it is tried again

    @property
    def under_way(self) -> int:
        """How many deliveries are under way or waiting for others, and not for another try."""
        return len(self._tasks) - len(self._resting)

    async def resume(self) -> None:
        """Go on with what was under way when the last server ended."""
        for delivery in await run_in_threadpool(waiting, self._store):
            self._begin(delivery)

    async def take(self, delivery: Delivery) -> bool:
        """Keep a delivery and begin with it; return whether it is a new one.

        Raises:
            StoreError: it cannot be kept.
        """
        is_new = await run_in_threadpool(take_in, self._store, delivery)
        if is_new:
            self._begin(delivery)
        return is_new

    async def close(self) -> None:
        """Leave what is under way to the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._api.close()

    def _begin(self, delivery: Delivery) -> None:
        task = asyncio.create_task(self._work(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, delivery: Delivery) -> None:
        """Do a delivery; what fails is tried again, with all that has come in its conversation since, in order."""
        name = delivery.conversation
        lock = self._conversations.setdefault(name, asyncio.Lock())
        async with lock:
            if name in self._resting or await self._is_done(name, [delivery]):
                return
            self._resting.add(name)
        while name in self._resting:
            await asyncio.sleep(AGAIN_S)
            async with lock:
                if await self._is_done(name):
                    self._resting.remove(name)

    async def _is_done(self, conversation: str, deliveries: Sequence[Delivery] = ()) -> bool:
        """Return whether deliveries are done, all that wait in a conversation if none are named; false if one fails."""
        try:
            for one in deliveries or await run_in_threadpool(waiting, self._store):
                if one.conversation == conversation and await run_in_threadpool(is_waiting, self._store, one.id):
                    outcome = await self._do(one)
                    await run_in_threadpool(finish, self._store, one, outcome, self._bot.clock())
        except Exception:  # noqa: BLE001 - the edge of a delivery: it stays kept
            _LOG.exception("A delivery of %s is tried again in %d s.", conversation, AGAIN_S)
            return False
        return True

    async def _do(self, delivery: Delivery) -> str:
        """Do what a delivery asks for and return what became of it."""
        task = delivery.content["task"]
        if task == "end":
            return "ended"
        if (visitor := delivery.content.get("visitor", delivery.customer_id)) != delivery.customer_id:
            await run_in_threadpool(self._bot.join, visitor, delivery.customer_id)  # proven only now to be a customer
        if task == "keep":
            try:
                await self._turn(delivery, lambda: self._keep(delivery))
            except ForgottenError:
                return "forgotten"
            return "kept"
        reply = await self._turn(delivery, lambda: self._reply(delivery))
        if reply is None:
            return "silent"
        try:
            await self._say(delivery, reply)
        except httpx.HTTPStatusError as error:
            if error.response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
                raise  # the token can be put right
            _LOG.error("Chatwoot refuses an answer in %s: %s", delivery.conversation, error)
            return "refused"
        return "handed_over" if reply.handed_over else "answered"

    async def _turn(self, delivery: Delivery, work: Callable[[], T]) -> T:
        while True:
            try:
                return await self._turns.submit(delivery.conversation, work)
            except ApiError:  # too much is waiting
                await asyncio.sleep(RETRY_AFTER_S)

    def _reply(self, delivery: Delivery) -> Reply | None:
        """Return the reply to a message, None where a colleague has the conversation."""
        session_id = self._session(delivery)
        if not session_id:
            return None
        return self._bot.respond(delivery.content["text"], session_id, delivery.customer_id, key=delivery.id)

    def _session(self, delivery: Delivery) -> str:
        """Return the session that a message belongs to, "" where it came while a colleague was being called."""
        customer, name = delivery.customer_id, delivery.conversation
        if again := session_of_request(self._store, customer, delivery.id, f"{name}:"):
            return again
        session = latest(self._bot, customer, name)
        if session is not None and session.state == "handed_over":
            called = last_outcome(self._store, name, "handed_over") or session.last_at
            return "" if delivery.at <= called else begin(name)
        return begin(name) if session is None or self._is_over(session, name) else session.id

    def _keep(self, delivery: Delivery) -> None:
        """Keep what a colleague wrote, in the session that they took over."""
        customer, name = delivery.customer_id, delivery.conversation
        session = latest(self._bot, customer, name)
        if session is None or self._is_over(session, name):
            session_id = session_of_request(self._store, customer, delivery.id, f"{name}:") or begin(name)
        else:
            session_id = session.id
        self._bot.tell(delivery.content["text"], session_id, customer, key=delivery.id)

    def _is_over(self, session: Session, conversation: str) -> bool:
        ended = last_outcome(self._store, conversation, "ended")
        return (ended is not None and ended >= session.last_at) or not is_current(self._bot, session)

    async def _say(self, delivery: Delivery, reply: Reply) -> None:
        """Write the answer, and where a colleague takes over, the summary for them, before they are called."""
        place = (delivery.content["account"], delivery.content["conversation"])
        steps: list[Callable[[], Awaitable[None]]] = [lambda: self._api.say(*place, reply.text, reply.suggestions)]
        if reply.handed_over:
            summary = await run_in_threadpool(self._summary, delivery, reply)
            steps += [lambda: self._api.note(*place, summary)] if summary else []
            steps += [lambda: self._api.open(*place)]
        for number, step in enumerate(steps, 1):
            if number <= delivery.content.get("steps_done", 0):
                continue
            await step()
            delivery = replace(delivery, content={**delivery.content, "steps_done": number})
            if not await run_in_threadpool(go_on, self._store, delivery):
                return

    def _summary(self, delivery: Delivery, reply: Reply) -> str:
        turn = turn_of_request(self._store, reply.session_id, delivery.customer_id, delivery.id)
        return str(turn.decision.get("handoff_summary", "")) if turn else ""
