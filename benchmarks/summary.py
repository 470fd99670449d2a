"""How much of what matters survives in a summary of a given size, beside LangChain's summary memory.

    python -m benchmarks.summary --data FOLDER --json benchmarks/results/summary.json

The folder holds tau_retail/conversations.jsonl and star/dialogues/*.json. What must survive is not found by what is
measured: names, numbers and times are those of the data sets' own look-ups that were said in the conversation, and
addresses, amounts, dates, promises and open questions are found by the plain patterns below. Each conversation is
judged when half of it is over and at its end.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import regex
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from benchmarks import report
from memory import ConversationMemory, FactSpec, Store
from memory.commitments import commitments
from memory.history import facts_of, session_digest
from retrieval import Encoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # all of it announces its retirement
    from langchain_classic.memory import ConversationSummaryBufferMemory

BUDGETS = (64, 128, 256)
Counter = Callable[[str], int]
# What a desk for such a shop or clinic would write into its facts.yaml.
SPECS = tuple(
    FactSpec(name, name, patterns=(regex.compile(pattern, regex.IGNORECASE),))
    for name, pattern in (
        ("order_number", r"(?P<value>#?\bW\d{7})\b"),
        ("email", r"(?P<value>[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63})+)"),
        ("name", r"\bmy name(?: is|'s) (?P<value>\p{L}+(?: (?-i:\p{Lu})\p{L}+)?)"),
        ("postcode", r"\b(?:zip(?: code)?|postcode)(?: is|:)? (?P<value>\d{5})\b"),
    )
)
_MONTH = r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
_PATTERNS = {
    "contact": r"[\w.+-]+@[\w-]+(?:\.\w+)+",
    "amount": r"[$£€]\d[\d,]*(?:\.\d+)?",
    "date": rf"{_MONTH} \d+(?:st|nd|rd|th)?|\d+(?:st|nd|rd|th) of {_MONTH}|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|\d+ ?[ap]m\b",
}
_NOW_OR_IF = re.compile(
    r"\b(?:need|help|proceed|confirm|provide|check|authenticate|let me|if you|once you|please|assist)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Talk:
    """A conversation: turns of a customer's message and the reply, and by kind what its look-ups were about."""

    turns: tuple[tuple[str, str], ...]
    looked_up: tuple[tuple[str, str], ...]


def read_tau(file: Path) -> Iterator[Talk]:
    """Yield the conversations of tau-bench's retail shop."""
    kinds = {"first_name": "name", "last_name": "name", "email": "contact", "zip": "number", "price": "amount"}
    kinds |= dict.fromkeys(("order_id", "item_id", "orders", "last_four"), "number") | {"amount": "amount"}
    for line in file.read_text(encoding="utf-8").splitlines():
        parts = re.split(r"(?m)^(user|assistant|tool): ", json.loads(line)["messages_display"])[1:]
        said = [(role, text.strip()) for role, text in zip(parts[::2], parts[1::2], strict=True)]
        found = [(kinds[key], value) for role, text in said if role == "tool" for key, value in _leaves(text)
                 if key in kinds]  # fmt: skip
        spoken = [(role, text.replace("###STOP###", "")) for role, text in said if role != "tool" and text != "None"]
        yield Talk(_turns(spoken, "user"), tuple(dict.fromkeys(found)))


def read_star(folder: Path) -> Iterator[Talk]:
    """Yield the dialogues of STAR."""
    kinds = {"DoctorName": "name", "HotelName": "name", "Time": "date", "RoomNumber": "number", "Cost": "amount"}
    kinds |= dict.fromkeys(("PatientName", "RenterName", "CustomerName", "Name", "GuestName"), "name")
    kinds |= dict.fromkeys(("StartTimeHour", "Day", "StartDate", "EndDate", "Date"), "date") | {"id": "number"}
    for file in sorted(folder.glob("*.json"), key=lambda one: int(one.stem)):
        spoken, found = [], []
        for event in json.loads(file.read_text(encoding="utf-8"))["Events"]:
            if event["Action"] in ("utter", "pick_suggestion"):
                spoken.append((event["Agent"], event["Text"]))
            given = [*event.get("Constraints", ()), event.get("Item") or {}] if event["Action"] != "instruct" else []
            for key, value in (pair for one in given if isinstance(one, dict) for pair in one.items()):
                if key in kinds and (bare := re.sub(r"^\w+\.\w+\(|[\[\]\"()]", "", str(value)).strip()):
                    found.append((kinds[key], bare))
        yield Talk(_turns(spoken, "User"), tuple(dict.fromkeys(found)))


def _leaves(text: str) -> Iterator[tuple[str, str]]:
    """Yield key and value of everything in a JSON text."""
    try:
        waiting: list[tuple[str, Any]] = [("", json.loads(text))]
    except ValueError:
        return
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, one) for one in value]
        else:
            yield key, str(value)


def _turns(spoken: Iterable[tuple[str, str]], customer: str) -> tuple[tuple[str, str], ...]:
    turns: list[list[str]] = []
    for role, text in spoken:
        if role == customer and (not turns or turns[-1][1]):
            turns.append([text, ""])
        elif turns:
            side = 0 if role == customer else 1
            turns[-1][side] = f"{turns[-1][side]}\n{text}".strip()
        else:
            turns.append(["", text])
    return tuple((text, reply) for text, reply in turns)


def plain(text: str) -> str:
    """Return a text in which `4 PM` is `4pm`, `$1,250.00` is `$1250` and `Dr. Ash` is `dr ash`."""
    low = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower())
    low = re.sub(r"\bdr\. ?", "dr ", low)
    low = re.sub(r"(?<=\d)\s*([ap])\.?m\b", r"\1m", low)
    return re.sub(r"\.0+\b", "", re.sub(r"\s+", " ", low))


def must_survive(talk: Talk, upto: int) -> dict[str, set[str]]:
    """Return by kind what was said in the first `upto` turns and must not be lost."""
    turns = talk.turns[:upto]
    said = plain("\n".join(f"{text}\n{reply}" for text, reply in turns))
    wanted: dict[str, set[str]] = defaultdict(set)
    for kind, value in talk.looked_up:
        value = value.lstrip("#$£€")
        if len(value) > 1 and holds(said, plain(value)):
            wanted[kind].add(plain(value))
    for kind, pattern in _PATTERNS.items():
        wanted[kind].update(one.lstrip("$£€") for one in re.findall(pattern, said))
    for _, reply in turns:
        for one in _sentences(reply):
            if re.search(r"\bwill\b|['’]ll\b", one) and not one.endswith(("?", ":")) and not _NOW_OR_IF.search(one):
                wanted["promise"].add(one)
    last = turns[-1][1]
    wanted["question"] = {
        one for one in _sentences(last) if one.endswith("?") and not re.search(r" else|how can i", one.lower())
    }
    return wanted


def holds(plain_text: str, value: str) -> bool:
    """Return whether a plain text says a value: no longer number or word that happens to contain it."""
    bare, text = re.escape(value.lstrip("#$£€")), re.sub(r"[#$£€]", " ", plain_text)
    return re.search(rf"(?<![\w.]){bare}(?!\w|\.\d)", text) is not None


def survives(kind: str, value: str, text: str) -> bool:
    """Return whether a text holds something; of a promise or a question it holds three quarters of the longer words."""
    if kind not in ("promise", "question"):
        return holds(plain(text), value)
    words = {word for word in re.findall(r"\w+", value.lower()) if len(word) > 3}
    return 4 * len(words & set(re.findall(r"\w+", text.lower()))) >= 3 * len(words)


def _sentences(text: str) -> list[str]:
    return [one.strip(" -*") for one in re.split(r"(?<=[.!?])\s+(?=[^a-z])|\n", text.replace("**", "")) if one.strip()]


class Extractive(FakeListChatModel):
    """A stand-in for a chat model that summarises by quoting: the sentences with most numbers and names for their size.

    It is given the prompt that LangChain makes, and keeps to the budget to the token.
    """

    budget: int
    count: Counter

    def get_num_tokens_from_messages(self, messages: Iterable[BaseMessage], tools: Any = None) -> int:
        """Return the tokens of the messages' texts."""
        return sum(self.count(str(message.content)) for message in messages)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        """Return the best sentences of the current summary and the new lines, in their order."""
        prompt = str(messages[-1].content).rpartition("Current summary:")[2].rpartition("New summary:")[0]
        sentences = list(dict.fromkeys(_sentences(prompt.replace("New lines of conversation:", "\n"))))
        costs = [self.count(one) for one in sentences]
        telling = [len(re.findall(r"\w*\d\w*|(?<=\s)[A-Z]\w+", one)) for one in sentences]
        left, chosen = self.budget, set()
        for place in sorted(range(len(sentences)), key=lambda place: -telling[place] / max(costs[place], 1)):
            if costs[place] <= left:
                chosen.add(place)
                left -= costs[place]
        text = "\n".join(one for place, one in enumerate(sentences) if place in chosen)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


def measure_rapport(talks: list[Talk], encoder: Encoder, note: Callable[[str, Talk, int, str], None]) -> None:
    """Let our memory keep the conversations, and note summaries alone and with facts and commitments."""
    now = datetime.now(timezone.utc)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/rapport.db")
        memory = ConversationMemory(store, encoder, SPECS)
        for number, talk in enumerate(talks):
            session = f"talk-{number}"
            for upto, (text, reply) in enumerate(talk.turns, 1):
                context = memory.load(session, session, text, now)
                facts = {spec.name: value for spec in SPECS if (value := spec.find(text))}
                decision = {"written_by": "colleague"}
                memory.save(context, text, reply, decision, facts=facts, handed_over=False)
                if upto in judged(talk):
                    digest, promised = session_digest(store, session), commitments(store, session)
                    kept = [fact.value for fact in facts_of(store, session)] + [one.text for one in promised]
                    for budget in BUDGETS:
                        summary = digest.text(budget, encoder.count_tokens, [one.text for one in promised])
                        assert encoder.count_tokens(summary) <= budget
                        note(f"rapport, summary alone@{budget}", talk, upto, summary)
                        note(f"rapport@{budget}", talk, upto, "\n".join([summary, *kept]))
        store.close()


def measure_langchain(talks: list[Talk], encoder: Encoder, note: Callable[[str, Talk, int, str], None]) -> None:
    """Let LangChain's memory keep the conversations, all of the budget for its summary or half for its buffer."""
    for budget in BUDGETS:
        for system, buffered in (("langchain", 0), ("langchain, half buffer", budget // 2)):
            for talk in talks:
                model = Extractive(responses=[""], budget=budget - buffered, count=encoder.count_tokens)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    memory = ConversationSummaryBufferMemory(llm=model, max_token_limit=buffered)
                for upto, (text, reply) in enumerate(talk.turns, 1):
                    memory.save_context({"input": text}, {"output": reply})
                    if upto in judged(talk):
                        note(f"{system}@{budget}", talk, upto, str(memory.load_memory_variables({})["history"]))


def judged(talk: Talk) -> tuple[int, ...]:
    """Return after how many turns a conversation is judged."""
    return tuple({(len(talk.turns) + 1) // 2, len(talk.turns)})


def measure(sets: Mapping[str, list[Talk]], encoder: Encoder) -> dict[str, dict[str, float]]:
    """Return by system the shares that survive, and how much there is to survive."""
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for name, talks in sets.items():

        def note(what: str, talk: Talk, upto: int, text: str, name: str = name) -> None:
            system, _, budget = what.partition("@")
            for kind, values in must_survive(talk, upto).items():
                kept = sum(survives(kind, value, text) for value in values)
                for metric in (f"{name}_survives@{budget}", f"{name}_{kind}@{budget}", f"survives@{budget}"):
                    counts[system][metric][0] += kept
                    counts[system][metric][1] += len(values)

        measure_rapport(talks, encoder, note)
        measure_langchain(talks, encoder, note)
    results: dict[str, dict[str, float]] = {
        system: {metric: round(kept / of, 4) for metric, (kept, of) in sorted(metrics.items()) if of}
        for system, metrics in counts.items()
    }
    totals = {metric.removesuffix("@128"): of for metric, (_, of) in counts["rapport"].items() if "@128" in metric}
    return {**results, "how many": dict(sorted(totals.items()))}


def main() -> None:
    """Measure both data sets and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of tau_retail and star")
    parser.add_argument("--json", type=Path, required=True, help="where the results go")
    given = parser.parse_args()
    sets = {
        "tau_retail": list(read_tau(given.data / "tau_retail" / "conversations.jsonl")),
        "star": list(read_star(given.data / "star" / "dialogues")),
    }
    from bot.models import encoder_folder, prepare_encoder

    with tempfile.TemporaryDirectory(prefix="rapport-") as scratch:
        prepare_encoder(Path(scratch), lambda _what, _share: None)
        results = measure(sets, Encoder(encoder_folder(Path(scratch))))
    report.write(given.json, "summary", f"{given.data.name}: {', '.join(sets)}", results)


if __name__ == "__main__":
    main()
