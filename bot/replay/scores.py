"""Scores: each turn of a run against what the log says, and the figures of the whole."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bot.desk import Desk
from bot.replay.run_folder import ConversationRecord, Handoff, Scores, Share, TurnRecord, TurnScore
from memory.particulars import find_particulars, find_promises, find_questions, plain
from retrieval import Encoder

_SERVES = frozenset({"answer", "look_up", "recap", "ask", "confirm", "handoff", "forget"})
_WORDS = frozenset({"answer", "look_up", "recap", "quote", "handoff"})  # replies that say something of their own
_FAILS = frozenset({"not_understood", "out_of_scope", "failed", "too_long", "empty", "not_text", "clarify"})
_KEPT = 4000  # vectors of replies that are kept: 6 MB
APART = 0.6  # the cosine of two replies below which they do not say the same

Vector = NDArray[np.float32]


class Meaning:
    """How near two replies are: the bot's, whose vectors are kept, since it says most of them often, and others."""

    def __init__(self, encoder: Encoder) -> None:
        """Compare by an encoder's vectors."""
        self._encoder = encoder
        # Each by itself: where batches change bits, what was said before would else decide on them.
        self._of_reply = lru_cache(_KEPT)(lambda reply: encoder.encode([reply])[0])

    def similarities(self, records: Sequence[TurnRecord]) -> dict[tuple[str, int], float]:
        """Return the cosine of the bot's reply and the other, by the turn's key, of those turns that are compared."""
        compared = [record for record in records if _compared(record)]
        said = list(dict.fromkeys(record.said for record in compared))
        vectors: dict[str, Vector] = dict(zip(said, self._encoder.encode(said), strict=True))
        return {one.key: round(float(self._of_reply(one.reply) @ vectors[one.said]), 3) for one in compared}


def judge(records: Sequence[TurnRecord], desk: Desk, meaning: Meaning, *, live: bool = False) -> list[TurnRecord]:
    """Return turns, in the order in which they were lived, with their scores, and in `live` runs which are apart."""
    similarities = meaning.similarities(records)
    conversations: dict[str, list[TurnRecord]] = defaultdict(list)
    for record in records:
        conversations[record.conversation].append(record)
    handoffs = {
        record.key: handoff
        for own in conversations.values()
        for record, handoff in zip(own, _handoffs(own, desk), strict=True)
    }
    told: dict[str, set[str]] = defaultdict(set)  # customer -> names of the facts said so far
    judged = []
    for record in records:
        known = told[record.customer]
        score = _score(record, desk, similarities.get(record.key), known)
        known |= set(record.facts)
        apart = live and _apart(record, score)
        judged.append(replace(record, score=replace(score, handoff=handoffs[record.key]), apart=apart))
    return judged


def _score(record: TurnRecord, desk: Desk, similarity: float | None, known: set[str]) -> TurnScore:
    served = _served(record, desk)
    unanswered = record.failure or record.action in _FAILS
    words = bool(record.seen) and record.action in _WORDS
    agent = "\n".join(one.text for one in record.seen if one.role == "agent")
    facts = _particulars(agent) if words else set()
    reply = f" {plain(record.reply)} "
    return TurnScore(
        intent=record.intents[0][0] == record.label if record.label and record.intents else None,
        answer=served,
        similarity=similarity,
        particulars=len(facts),
        kept=sum(f" {fact} " in reply for fact in facts),
        asked_known=record.action == "ask" and record.pending.get("fact") in known,
        promised=bool(record.promise),
        agent_promised=bool(find_promises(agent)),
        unanswered=unanswered,
        alone=None if served is None else served and not record.hand_off and not unanswered,
    )


def _particulars(text: str) -> set[str]:
    """Return the numbers, dates, names and amounts of a text, in the form in which `plain` has them."""
    particulars = {one.key for one in find_particulars(text)}
    words = set(plain(text).split())
    numbers = {word for word in words if word[0].isdigit()}
    return particulars | {number for number in numbers if not any(number in one.split() for one in particulars)}


def _compared(record: TurnRecord) -> bool:
    """Return whether the two replies are compared by their meaning: where no label says what the reply was."""
    return bool(record.seen) and record.action in _WORDS and not any(one.answer for one in record.seen)


def _served(record: TurnRecord, desk: Desk) -> bool | None:
    """Return whether what the log says was right was served; None where it says nothing, or mere conversation."""
    named = {one.answer for one in record.seen} | {record.label}
    wanted = {name for name in named if name and name in desk.answers and desk.answers[name].topic}
    if not wanted:
        return None
    articles = {desk.answers[name].article for name in wanted} - {None}
    quoted = {source["id"].partition("#")[0] for source in record.sources if source["kind"] == "article"}
    served = record.action in _SERVES and not wanted.isdisjoint((record.intent, *record.also))
    return served or bool(record.action == "quote" and quoted & articles)


def _handoffs(turns: Sequence[TurnRecord], desk: Desk) -> list[Handoff | None]:
    """Return for each turn of a conversation whether handing over, or not, was right, or how it was wrong.

    Where the log's bot gave up at some turn, that is when to hand over, unless the bot has an answer to it now. Where
    only people answered, labels tell: an intent whose answer is a handoff, or an approved answer that needs none.
    """
    ends = taken_over(turns)
    by_bot = any(one.role == "bot" for record in turns for one in record.seen)
    found: list[Handoff | None] = []
    done = False
    for record in turns:
        named = {one.answer for one in record.seen} | {record.label}
        answers = [desk.answers[name] for name in named if name and name in desk.answers]
        wants = any(answer.handoff is True for answer in answers)
        verdict: Handoff | None = None
        if record.hand_off and not record.handed_over:
            if wants or record.number == ends:
                verdict = "right"
            elif by_bot:
                verdict = "early" if record.number < ends else "needless"
            elif any(answer.topic and not answer.handoff for answer in answers):
                verdict = "needless"
        elif not done and not record.handed_over and (wants or record.number == ends):
            verdict = None if _served(record, desk) and not wants else "late"
        done = done or record.hand_off
        found.append(verdict)
    return found


def taken_over(turns: Sequence[TurnRecord]) -> int:
    """Return at which turn of a conversation an agent took over from the log's bot, 0 for never."""
    bot = False
    for record in turns:
        bot = bot or any(one.role == "bot" for one in (*record.before, *record.seen))
        if bot and any(one.role == "agent" for one in record.seen):
            return record.number
    return 0


def _apart(record: TurnRecord, score: TurnScore) -> bool:
    """Return whether the customer saw something else than the bot says: another question, or another answer."""
    said = record.said
    if not record.seen or plain(said) == plain(record.reply):
        return False
    if bool(find_questions(said)) != bool(find_questions(record.reply)):
        return True
    if find_questions(said):
        return record.action != "ask"
    if not {one.answer for one in record.seen if one.answer}.isdisjoint((record.intent, *record.also)):
        return False
    return score.unanswered if score.similarity is None else score.similarity < APART


def sum_up(turns: Sequence[TurnRecord]) -> ConversationRecord:
    """Return the record of a conversation from its turns, in order; it lies at the beginning of its file."""
    first, scores = turns[0], [record.score for record in turns]
    judged = [score.alone for score in scores if score.alone is not None]
    failed = any(score.unanswered for score in scores) or any(record.hand_off for record in turns)
    return ConversationRecord(
        conversation=first.conversation,
        customer=first.customer,
        started_at=first.at,
        turns=len(turns),
        offset=0,
        length=0,
        labelled=sum(record.label is not None for record in turns),
        right=sum(score.answer is True for score in scores),
        wrong=sum(score.answer is False for score in scores),
        unanswered=sum(score.unanswered for score in scores),
        handed_over=next((record.number for record in turns if record.hand_off), 0),
        log_handed_over=taken_over(turns),
        alone=all(judged) and not failed if judged else None,
        parted_after=next((record.number for record in turns if record.apart), 0),
    )


def scores_of(turns: Iterable[TurnRecord], conversations: Iterable[ConversationRecord]) -> Scores:
    """Return the figures of a run from its turns and conversations, one of each in memory at a time."""
    counts: Counter[str] = Counter()
    cases: Counter[tuple[str, bool]] = Counter()
    by_intent: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    total = answered = 0
    similarity = 0.0
    for record in turns:
        score = record.score
        total += 1
        counts[record.action] += 1
        shares = {"intent": score.intent, "answer": score.answer, "unanswered": score.unanswered}
        shares |= {"asked_known": score.asked_known} if record.action == "ask" else {}
        if score.handoff is not None:
            shares |= {f"handoff_{name}": score.handoff == name for name in ("right", "late", "early", "needless")}
        if any(one.role == "agent" for one in record.seen):
            shares |= {"promise_made": score.promised} if score.agent_promised else {}
            shares |= {"promise_new": not score.agent_promised} if score.promised else {}
        cases.update((name, value) for name, value in shares.items() if value is not None)
        cases[("particulars", True)] += score.kept
        cases[("particulars", False)] += score.particulars - score.kept
        if record.label and score.answer is not None:
            by_intent[record.label][0] += 1
            by_intent[record.label][1] += score.answer
        if score.similarity is not None:
            answered, similarity = answered + 1, similarity + score.similarity
    number = 0
    for conversation in conversations:
        number += 1
        if conversation.alone is not None:
            cases[("alone", conversation.alone)] += 1
    names = ("intent", "answer", "particulars", "handoff_right", "handoff_late", "handoff_early", "handoff_needless")
    return Scores(
        conversations=number,
        turns=total,
        shares={
            name: share(cases[(name, True)], cases[(name, True)] + cases[(name, False)])
            for name in (*names, "asked_known", "promise_made", "promise_new", "unanswered", "alone")
        },
        similarity=round(similarity / answered, 4) if answered else None,
        counts=dict(sorted(counts.items(), key=lambda one: (-one[1], one[0]))),
        by_intent={name: (of, right) for name, (of, right) in sorted(by_intent.items())},
    )


def share(count: int, of: int) -> Share:
    """Return a share with its interval of 95 % (Wilson, https://doi.org/10.1080/01621459.1927.10502953)."""
    from scipy.stats import binomtest  # loads for half a second, which no other command should wait for

    if not of:
        return Share(0)
    interval = binomtest(count, of).proportion_ci(method="wilson")
    return Share(of, round(count / of, 4), round(float(interval.low), 4), round(float(interval.high), 4))
