"""Living through logged conversations: each turn decided by the bot with the memory that it would have had then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from bot.replay.parts import State
from bot.replay.reliving import Lived, RelivingChatbot
from bot.replay.run_folder import Remembered, SeenMessage, TurnRecord, TurnTiming
from bot.replay.spoken import Spoken, as_seen, safe_id, turns_of
from bot.settings import read_settings
from finetune.logs import Conversation
from memory import Context, ConversationMemory, Store
from memory.retention import retain
from memory.store import to_text

_AHEAD = 1000  # messages that are encoded in batches before their turns
_OF_SUMMARIES = ("everything", "last_session")  # recaps that say what the summaries of conversations hold
_EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)


class Life:
    """A bot with a memory of its own, in which customers of a log live through their conversations again.

    The memory is a database that is nowhere on disk. What the desk's tools and forgetting write lies under `scratch`,
    which is not the home of the bot that serves. `today` is the tools' day. `ahead` encodes messages in batches.
    """

    def __init__(self, state: State, scratch: Path, today: datetime, *, live: bool = False, ahead: bool = True) -> None:
        self._live, self._ahead = live, ahead
        self._state = state
        self._now = today
        settings = read_settings(home=scratch, desk=state.desk.folder)
        self._bot = RelivingChatbot(
            state.desk,
            state.models,
            Store("sqlite://"),
            settings,
            clock=lambda: self._now,
            serving=False,
            without=state.without,  # type: ignore[arg-type]
        )
        self._keys: dict[int, str] = {}  # turn id -> CONVERSATION#NUMBER

    @property
    def memory(self) -> ConversationMemory:
        """What is remembered of the customers whose turns have been lived through."""
        return self._bot.memory

    def close(self) -> None:
        """Forget all of it."""
        self._bot.encode_ahead([])
        self._bot.close()
        self._state.models.heard.forget()  # turns of other lives have the same ids

    def run(self, conversations: Iterable[Conversation]) -> Iterator[tuple[TurnRecord, TurnTiming]]:
        """Yield the turns of conversations, those of a customer together and in order of time.

        The conversations of a customer come one after the other.
        """
        turns = [
            turn
            for _, own in groupby(conversations, lambda one: one.customer_id)
            for turn in sorted((turn for one in own for turn in turns_of(one)), key=lambda turn: turn.at)
        ]
        customer, last = "", _EPOCH
        for place, turn in enumerate(turns):
            if self._ahead and place % _AHEAD == 0:
                self._bot.encode_ahead([turn.text for turn in turns[place : place + _AHEAD]])
            if turn.customer == customer and turn.at - last >= timedelta(days=1):  # of a new one there is nothing yet
                retain(self._bot.memory, turn.at)
            customer, last = turn.customer, turn.at
            yield self._turn(turn)

    def _turn(self, turn: Spoken) -> tuple[TurnRecord, TurnTiming]:
        session, customer = safe_id(turn.conversation), safe_id(turn.customer)
        for message in turn.before:
            self._tell(message, session, customer)
        self._now = turn.at
        instead = None if self._live else partial(as_seen, spoken=turn, desk=self._state.desk)
        lived = self._bot.relive(turn.text, session, customer, instead)
        self._keys[lived.turn_id] = f"{turn.conversation}#{turn.number}"
        return self._record(turn, lived), TurnTiming(turn.conversation, turn.number, dict(lived.timings))

    def _tell(self, message: SeenMessage, session: str, customer: str) -> None:
        """Keep what was said to the customer before they said anything."""
        self._now = datetime.fromisoformat(message.at)
        try:
            self._keys[self._bot.tell(message.text, session, customer)] = "what opened the conversation"
        except ValueError:
            return  # there are no words in it

    def _record(self, turn: Spoken, lived: Lived) -> TurnRecord:
        decision = lived.decision
        intents = tuple((str(name), float(confidence)) for name, confidence in decision.get("intents", ()))
        sources = tuple(self._source(source) for source in decision.get("sources", ()))
        return TurnRecord(
            conversation=turn.conversation,
            customer=turn.customer,
            number=turn.number,
            at=turn.at.isoformat(),
            text=turn.text,
            seen=turn.seen,
            before=turn.before,
            label=turn.label,
            reply=lived.reply,
            action=decision["action"],
            intent=decision.get("intent", ""),
            confidence=intents[0][1] if intents else 0.0,
            intents=intents,
            in_scope=decision.get("in_scope", False),
            facts=dict(decision.get("facts", {})),
            sources=sources,
            suggestions=tuple(decision.get("suggestions", ())),
            pending=dict(decision.get("pending", {})),
            wording=decision.get("wording", ""),
            topic=decision.get("topic", ""),
            also=tuple(str(intent) for intent, *_ in decision.get("also", ())),
            promise=decision.get("promise", ""),
            failure=decision.get("failure", False),
            hand_off="handoff_summary" in decision,
            handed_over=lived.context is not None and lived.context.handed_over,
            memories=tuple(self._memories(lived.context, decision, sources)) if lived.context else (),
        )

    def _source(self, source: Any) -> dict[str, str]:
        own = dict(source)
        return {**own, "id": self._key(own["id"])} if own["kind"] == "turn" else own

    def _key(self, turn_id: str) -> str:
        return self._keys.get(int(turn_id), turn_id) if turn_id.isdigit() else turn_id

    def _memories(
        self, context: Context, decision: Mapping[str, Any], sources: Sequence[Mapping[str, str]]
    ) -> Iterator[Remembered]:
        """Yield what was known from before, and whether the reply is made of it."""
        answer = self._state.desk.answers.get(decision.get("intent", ""))
        if decision["action"] == "recap" and answer is not None and answer.recap in _OF_SUMMARIES:
            for source in [source for source in sources if source["kind"] == "turn"]:
                why = "the summary of the conversation up to there"
                yield Remembered("summary", source["id"], source["at"], why, used=True)
            sources = [source for source in sources if source["kind"] != "turn"]
        used = {(source["kind"], source["id"]) for source in sources}
        for name, fact in context.facts.items():
            where = self._key(str(fact.turn_id))
            yield Remembered("fact", name, to_text(fact.said_at), f"said in {where}", ("fact", name) in used)
        promised = set()
        for one in context.promises:
            key = self._key(str(one.turn_id))
            promised.add(key)
            yield Remembered("promise", key, to_text(one.made_at), one.text, ("turn", key) in used)
        for source in sources:
            if source["kind"] == "turn" and source["id"] not in promised:
                why = "looked up for this reply"
                yield Remembered("turn", source["id"], source["at"], why, used=True)


def ordered(records: Sequence[tuple[TurnRecord, TurnTiming]]) -> list[tuple[TurnRecord, TurnTiming]]:
    """Return turns with those of a conversation together, conversations as they begin."""
    first: dict[str, int] = {}
    for place, (record, _) in enumerate(records):
        first.setdefault(record.conversation, place)
    return sorted(records, key=lambda one: (first[one[0].conversation], one[0].number))
