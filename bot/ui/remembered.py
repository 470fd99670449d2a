"""What the panel shows, as values: facts, promises, conversations and turns, each with when and where it was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from bot.chatbot import Chatbot
from bot.message import clean
from bot.turn import sources_of
from memory import Turn
from memory.commitments import Commitment, commitments
from memory.facts import Fact
from memory.history import around, facts_of, session_digest, sessions, transcript
from memory.recall import Recalled
from memory.receipt import Receipt
from memory.summary import load_summaries
from memory.told import counting

_MOST_SESSIONS = 8
_MOST_PROMISES = 12
_MOST_FOUND = 6
_MOST_NEAR = 3  # shown where nothing fits what was searched for
_LAST_TURNS = 12  # of a conversation that is opened
# The evidence from which on a turn counts as found. Lower than what the bot needs to claim that something was said
# (`bot.recaps`): here a person looks at what is found, and often searches for a single word.
_FOUND = 0.75


class Forgettable(TypedDict, total=False):
    """A part of what is remembered, as `Chatbot.forget` takes it; empty for everything."""

    session_id: str
    turn_id: int
    fact: str


@dataclass(frozen=True)
class Entry:
    """One remembered thing: `where` it is from, the turns around it, and what to forget with it (`Chatbot.forget`).

    `source` is the turn it was said in, `fact` the name of the fact that it is and `value` its value, if it is one.
    """

    what: str
    where: str
    turns: Sequence[Turn]
    forget: Forgettable
    source: int = 0
    fact: str = ""
    value: str = ""


@dataclass(frozen=True)
class Section:
    """Entries under a title, with a note where there is something to say about them."""

    title: str
    entries: Sequence[Entry] = field(default=())
    note: str = ""


def remembered(bot: Chatbot, customer: str, session_id: str) -> list[Section]:
    """Return everything the panel shows of a customer, without empty sections; `session_id` is the one on the page.

    Raises:
        StoreError: the database cannot be read.
    """
    sections = [
        Section("Facts", _facts(bot, customer)),
        Section("Promises", _promises(bot, customer)),
        Section("Conversations", _conversations(bot, customer, session_id)),
        Section("Used in my last reply", _used(bot, customer, session_id)),
    ]
    return [section for section in sections if section.entries]


def search(bot: Chatbot, customer: str, text: str) -> Section:
    """Return the turns of a customer that fit a text, or the nearest ones with a note that none does.

    Raises:
        StoreError: the database cannot be read.
    """
    text = clean(text)[: bot.settings.max_message_chars]
    hits = bot.memory.search(customer, text, bot.clock(), _MOST_FOUND)
    found = [hit for hit in hits if hit.evidence >= _FOUND]
    title = f"Found for “{text}”"
    if found:
        return Section(title, [_hit(bot, hit) for hit in found])
    note = "Nothing you said or I answered fits that." + (" This comes nearest:" if hits else "")
    return Section(title, [_hit(bot, hit) for hit in hits[:_MOST_NEAR]], note)


def receipt_line(receipt: Receipt) -> str:
    """Return what was removed, in words, with the receipt's name."""
    words = [_count(number, place) for place, number in receipt.removed.items() if number]
    gone = ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else "".join(words)
    done = "Taken out" if receipt.what == "fact" else "Removed"
    return f"{done}: {gone or 'nothing was held'}. Receipt {receipt.id}"


_NOUNS = {
    "facts": ("fact", "facts"),
    "commitments": ("promise", "promises"),
    "turns": ("turn", "turns"),
    "sessions": ("conversation", "conversations"),
    "summaries": ("summary", "summaries"),
    "feedback": ("rating", "ratings"),
    "vectors": ("search entry", "search entries"),
    "customers": ("customer record", "customer records"),
}


def _count(number: int, place: str) -> str:
    one, more = _NOUNS.get(place, (f"entry in {place}", f"entries in {place}"))
    return f"{number} {one if number == 1 else more}"


def _facts(bot: Chatbot, customer: str) -> list[Entry]:
    """Return the values that count now, and those for a later day."""
    told = [fact for fact in facts_of(bot.memory.store, customer) if fact.name in bot.desk.facts]
    today = bot.clock().date()
    now = counting(told, today)
    shown = [fact for fact in told if fact == now.get(fact.name) or fact.valid.is_later(today)]
    return [_fact(bot, customer, fact, later=fact.valid.is_later(today)) for fact in shown]


def _fact(bot: Chatbot, customer: str, fact: Fact, *, later: bool) -> Entry:
    what = f"{bot.desk.facts[fact.name].label}: {bot.recaps.worded(fact.value, fact.valid)}"
    where, turn = f"you told me on {bot.recaps.day(fact.said_at)}", fact.turn_id or 0
    turns = around(bot.memory.store, customer, turn)
    if later:  # a fact's field corrects the value of now, and its Forget takes every value
        return Entry(what, where, turns, {"turn_id": turn}, turn)
    return Entry(what, where, turns, {"fact": fact.name}, turn, fact.name, fact.value)


def _promises(bot: Chatbot, customer: str) -> list[Entry]:
    newest = commitments(bot.memory.store, customer)[: -_MOST_PROMISES - 1 : -1]
    return [
        Entry(
            one.text,
            f"{_state(bot, one)}; promised on {bot.recaps.day(one.made_at)}",
            around(bot.memory.store, customer, one.turn_id),
            {"turn_id": one.turn_id},
            one.turn_id,
        )
        for one in newest
    ]


def _state(bot: Chatbot, one: Commitment) -> str:
    """Return what has become of a promise, with the day it is due while that matters."""
    state = one.state(bot.clock().date())
    if one.due is None or state not in ("open", "overdue"):
        return state
    return f"{state}, due by {one.due.day} {one.due:%B %Y}"


def _conversations(bot: Chatbot, customer: str, session_id: str) -> list[Entry]:
    store, entries = bot.memory.store, []
    for one in sessions(store, customer, _MOST_SESSIONS):
        digest = session_digest(store, one.id)
        with store.read() as connection:
            _, prose, _ = load_summaries(connection, one.id)
        topics = "; ".join(f"{topic} ({state.replace('_', ' ')})" for topic, state in digest.topics)
        date = bot.recaps.day(one.started_at)
        entries.append(
            Entry(
                prose or topics or "A few words",
                f"this conversation, since {date}" if one.id == session_id else f"our chat of {date}",
                around(store, customer, digest.last or 0, _LAST_TURNS - 1),
                {"session_id": one.id},
            )
        )
    return entries


def _used(bot: Chatbot, customer: str, session_id: str) -> list[Entry]:
    """Return the past turns that the last reply drew on."""
    turns = transcript(bot.memory.store, session_id, customer)
    used = [source for source in sources_of(turns[-1]) if source.kind == "turn"] if turns else []
    return [
        Entry(
            f"“{source.title}”",
            f"our chat of {bot.recaps.day(datetime.fromisoformat(source.at))}",
            around(bot.memory.store, customer, int(source.id)),
            {"turn_id": int(source.id)},
            int(source.id),
        )
        for source in used
    ]


def _hit(bot: Chatbot, hit: Recalled) -> Entry:
    near = [turn for turn in (hit.before, hit.turn, hit.after) if turn is not None]
    where = f"our chat of {bot.recaps.day(hit.turn.at)}"
    return Entry(f"“{hit.turn.words}”", where, near, {"turn_id": hit.turn.id}, hit.turn.id)
