"""What memory changes: a desk's logged customers served again, with memory, within each conversation only, and without.

    python -m benchmarks.memory_use --json benchmarks/results/memory_use.json       # about three minutes

A message that somebody labelled is served rightly when the bot took it for what the label says and did not ask again,
offer a choice or give up. `better` and `worse` are the labelled messages that memory changed from wrong to right and
from right to wrong. The abstention figures come from questions about the desk's products that a logged customer did or
did not talk of; the lowest evidence at which nine answers in ten are right is what `bot.recaps` goes by.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_auc_score

from benchmarks.report import write
from bot import Chatbot
from bot.desk import BUNDLED, Desk
from bot.desk_reader import read_desk
from bot.models import Models, load, prepare
from bot.settings import read_settings
from bot.turn import Reply
from finetune.logs import Conversation, LogMessage, read_log
from memory import Store
from retrieval import Encoder
from retrieval.dialogue import DialogueIndex, Said

NOT_SERVED = {"acknowledged", "ask", "clarify", "not_understood", "out_of_scope", "failed"}
ASKED = (
    "What did you tell me about the {}?",
    "what did we say about my {} last time",
    "I asked about the {} before, what was the answer?",
    "did I ever mention a {} to you",
)


@dataclass(frozen=True)
class Served:
    """A logged message and what the bot made of it."""

    message: LogMessage
    reply: Reply

    @property
    def right(self) -> bool:
        """Whether a labelled message was taken for what it is, and served."""
        return self.reply.intent == self.message.intent and self.reply.action not in NOT_SERVED


class _Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=BUNDLED, help="a desk with conversations.jsonl")
    parser.add_argument("--home", type=Path, help="a home with prepared models (default: RAPPORT_HOME)")
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    given = parser.parse_args()
    desk, home = read_desk(given.data), read_settings(home=given.home).home
    prepare(desk, home, lambda what, _share: _say(what))
    models = load(desk, home)
    log = sorted(read_log(given.data / "conversations.jsonl"), key=lambda one: one.started_at)
    lanes = {name: list(replay(desk, models, log, name)) for name in ("rapport", "this_session", "no_memory")}
    results = {name: figures(served) for name, served in lanes.items()}
    for other in ("this_session", "no_memory"):
        results[f"rapport_against_{other}"] = changes(lanes["rapport"], lanes[other])
    results["abstention"] = abstention(desk, log, models.encoder)
    write(given.json, "memory_use", f"{desk.name}: {len(log)} logged conversations", results)
    print(json.dumps(results, indent=2))


def replay(desk: Desk, models: Models, log: Sequence[Conversation], lane: str) -> Iterator[Served]:
    """Yield every customer message of a log, in order, with the reply that it gets at its time."""
    clock = _Clock(log[0].started_at)
    with tempfile.TemporaryDirectory() as scratch:
        settings = read_settings(home=Path(scratch), database_url="", chat_model="")
        bot = Chatbot(desk, models, Store(settings.database), settings, clock=clock)
        for conversation in log:
            for place, message in enumerate(conversation.messages):
                if message.role != "customer":
                    continue
                clock.now = message.at
                session = conversation.conversation_id + (f".{place}" if lane == "no_memory" else "")
                customer = conversation.customer_id if lane == "rapport" else session
                yield Served(message, bot.respond(message.text, session, customer))
        bot.close()
    _say(f"Served the log: {lane}")


def figures(served: Sequence[Served]) -> dict[str, float]:
    """Return how the labelled messages were served, and what the bot did, as shares of all messages."""
    labelled = [one for one in served if one.message.intent]
    actions = Counter(one.reply.action for one in served)
    kinds = Counter(source.kind for one in served for source in one.reply.sources)
    return {
        "messages": len(served),
        "labelled": len(labelled),
        "labelled_right": sum(one.right for one in labelled) / len(labelled),
        **{f"share_{action}": actions[action] / len(served) for action in ("ask", "confirm", "recap", "handoff")},
        "share_given_up": (actions["not_understood"] + actions["out_of_scope"]) / len(served),
        "replies_from_a_past_turn": kinds["turn"],
        "replies_from_a_fact": kinds["fact"],
    }


def changes(ours: Sequence[Served], others: Sequence[Served]) -> dict[str, float]:
    """Return what memory changed in the same messages, for better and for worse."""
    pairs = list(zip(ours, others, strict=True))
    labelled = [(mine, other) for mine, other in pairs if mine.message.intent]
    return {
        "changed": sum(mine.reply.text != other.reply.text for mine, other in pairs),
        "other_action": sum(mine.reply.action != other.reply.action for mine, other in pairs),
        "better": sum(mine.right and not other.right for mine, other in labelled),
        "worse": sum(other.right and not mine.right for mine, other in labelled),
        "asked_less": sum(other.reply.action == "ask" != mine.reply.action for mine, other in pairs),
        "asked_more": sum(mine.reply.action == "ask" != other.reply.action for mine, other in pairs),
    }


def abstention(desk: Desk, log: Sequence[Conversation], encoder: Encoder) -> dict[str, float]:
    """Return how well the evidence tells products that a customer talked of from those they did not."""
    draws = random.Random(0)  # noqa: S311
    names: dict[str, list[str]] = {}
    for alias, product in desk.facts["product"].values.items():
        names.setdefault(product, []).append(alias)
    said, evidence = [], []
    for turns in _turns(log).values():
        index = DialogueIndex()
        index.add(turns, encoder.encode([turn.text.partition("\n")[0] for turn in turns]))
        today = turns[-1].day + timedelta(days=30)
        for aliases in names.values():
            question = draws.choice(ASKED).format(draws.choice(aliases))
            hits = index.search(question, encoder.encode([question])[0], today, 4)
            evidence.append(max(hit.evidence for hit in hits))
            said.append(_mentioned(aliases, turns))
    precision, recall, thresholds = precision_recall_curve(said, evidence)
    enough = int(np.argmax(precision[:-1] >= 0.9))
    return {
        "questions": len(said),
        "share_said": float(np.mean(said)),
        "auroc": float(roc_auc_score(said, evidence)),
        "evidence_at_90_precision": float(thresholds[enough]),
        "recall_at_90_precision": float(recall[enough]),
    }


def _turns(log: Sequence[Conversation]) -> Mapping[str, list[Said]]:
    """Return each customer's turns: a message and the replies up to the next one."""
    turns: dict[str, list[Said]] = {}
    for conversation in log:
        own = turns.setdefault(conversation.customer_id, [])
        for message in conversation.messages:
            if message.role == "customer":
                own.append(Said(len(own), conversation.conversation_id, message.at.date(), f"{message.text}\n"))
            elif own and own[-1].session == conversation.conversation_id:
                last = own.pop()
                own.append(Said(last.id, last.session, last.day, f"{last.text}{message.text} "))
    return turns


def _mentioned(aliases: Sequence[str], turns: Sequence[Said]) -> bool:
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, aliases))})\b", re.IGNORECASE)
    return any(pattern.search(turn.text) for turn in turns)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
