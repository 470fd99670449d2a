"""Recall of past dialogue on conversations in LoCoMo's form, beside LangChain's vector memory and BM25.

    python -m benchmarks.recall --data locomo_dev.json --json benchmarks/results/recall.json

The product's own index is fed every utterance with its speaker, session and day. All systems see the same text (what
was said, and the caption of a shared picture) and the same encoder; nothing is trained on the data.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_auc_score

from benchmarks.report import write
from bot.models import encoder_folder, prepare_encoder
from bot.settings import read_settings
from retrieval import BM25, Encoder
from retrieval.dialogue import DialogueIndex, Said

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # all of it announces its retirement
    from langchain_classic.memory import VectorStoreRetrieverMemory
    from langchain_community.vectorstores import FAISS

DEPTHS = (1, 5, 10, 25)
UNANSWERABLE = 5  # the category of questions whose answer is not there
TIMED_TURNS = 1000
TIMED_QUERIES = 300

Search = Callable[[str], list[int]]


@dataclass(frozen=True)
class Question:
    """A question with the numbers of the utterances that hold its evidence."""

    text: str
    category: int
    evidence: frozenset[int]


@dataclass(frozen=True)
class Conversation:
    """A long conversation: `said[n].id` is n."""

    name: str
    said: tuple[Said, ...]
    questions: tuple[Question, ...]

    @property
    def texts(self) -> list[str]:
        """What was said, each with its speaker, as every system sees it."""
        return [f"{one.speaker}: {one.text}" for one in self.said]

    @property
    def today(self) -> date:
        """The day after it ended, on which the questions are asked."""
        return max(one.day for one in self.said) + timedelta(days=1)


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a file in LoCoMo's form")
    parser.add_argument("--home", type=Path, help="a home with a prepared encoder (default: RAPPORT_HOME)")
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    given = parser.parse_args()
    home = read_settings(home=given.home).home
    prepare_encoder(home, lambda what, _share: _say(what))
    results = measure(read(given.data), Encoder(encoder_folder(home)))
    write(given.json, "recall", given.data.name, results)
    print(json.dumps(results, indent=2))


def measure(conversations: Sequence[Conversation], encoder: Encoder) -> dict[str, dict[str, float]]:
    """Return every system's figures."""
    found: dict[str, list[list[int]]] = {"rapport": [], "langchain_vector_memory": [], "bm25": []}
    evidence: list[float] = []
    for conversation in conversations:
        _say(f"{conversation.name}: {len(conversation.said)} utterances, {len(conversation.questions)} questions")
        vectors = encoder.encode(conversation.texts)
        index = DialogueIndex()
        index.add(conversation.said, vectors)
        for question in conversation.questions:
            hits = index.search(question.text, encoder.encode([question.text])[0], conversation.today, max(DEPTHS))
            found["rapport"].append([hit.id for hit in hits])
            evidence.append(max(hit.evidence for hit in hits[:5]))
        for name, search in (
            ("langchain_vector_memory", _langchain(conversation.texts, vectors, encoder)),
            ("bm25", _bm25(conversation.texts)),
        ):
            found[name] += [search(question.text) for question in conversation.questions]
    questions = [question for conversation in conversations for question in conversation.questions]
    results = {name: _recall(ids, questions) for name, ids in found.items()}
    sizes = [len(conversation.questions) for conversation in conversations]
    results["rapport"] |= _each(found["rapport"], conversations, sizes)
    results["rapport"] |= _abstention(np.array(evidence), questions)
    results["rapport"] |= _timings(conversations, encoder)
    return results


def read(file: Path) -> list[Conversation]:
    """Return the conversations of a file, without the questions that name no evidence."""
    return [_conversation(one) for one in json.loads(file.read_text(encoding="utf-8"))]


def _conversation(one: dict[str, Any]) -> Conversation:
    said: list[Said] = []
    number_of: dict[str, int] = {}
    spoken = one["conversation"]
    for session in (f"session_{number}" for number in range(1, len(spoken))):
        for turn in spoken.get(session, ()):
            day = datetime.strptime(spoken[f"{session}_date_time"], "%I:%M %p on %d %B, %Y").date()
            picture = f" [shares {turn['blip_caption']}]" if turn.get("blip_caption") else ""
            number_of[turn["dia_id"]] = len(said)
            said.append(Said(len(said), session, day, turn["text"] + picture, turn["speaker"]))
    questions = []
    for asked in one["qa"]:
        named = re.findall(r"D\d+:\d+", " ".join(map(str, asked.get("evidence", ()))))
        held = frozenset(number_of[name] for name in named if name in number_of)
        if held:
            questions.append(Question(asked["question"], asked["category"], held))
    return Conversation(one["sample_id"], tuple(said), tuple(questions))


def _langchain(texts: list[str], vectors: NDArray[np.float32], encoder: Encoder) -> Search:
    """Return the search of LangChain's vector memory over the same vectors."""
    numbers = [{"number": number} for number in range(len(texts))]
    store = FAISS.from_embeddings(list(zip(texts, vectors.tolist(), strict=True)), encoder, numbers)
    retriever = store.as_retriever(search_kwargs={"k": max(DEPTHS)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        memory = VectorStoreRetrieverMemory(retriever=retriever, return_docs=True, input_key="input")

    def search(text: str) -> list[int]:
        documents: Any = memory.load_memory_variables({"input": text})[memory.memory_key]
        return [document.metadata["number"] for document in documents]

    return search


def _bm25(texts: list[str]) -> Search:
    """Return the search of BM25 over single utterances, with our stems and without stop words."""
    index = BM25()
    index.add([str(number) for number in range(len(texts))], texts)
    return lambda text: [int(key) for key, _ in index.search(text, max(DEPTHS))]


def _recall(found: Sequence[Sequence[int]], questions: Sequence[Question]) -> dict[str, float]:
    """Return the mean share of a question's evidence among the first hits: all, answerable, by category."""
    figures = {f"recall@{depth}": _mean(found, questions, depth) for depth in DEPTHS}
    groups = {"answerable": [one.category != UNANSWERABLE for one in questions]}
    for category in sorted({one.category for one in questions}):
        groups[f"category_{category}"] = [one.category == category for one in questions]
    for name, chosen in groups.items():
        ids = [one for one, mine in zip(found, chosen, strict=True) if mine]
        asked = [one for one, mine in zip(questions, chosen, strict=True) if mine]
        figures |= {f"recall@{depth}_{name}": _mean(ids, asked, depth) for depth in DEPTHS}
    return figures


def _mean(found: Sequence[Sequence[int]], questions: Sequence[Question], depth: int) -> float:
    shares = [
        len(one.evidence.intersection(ids[:depth])) / len(one.evidence)
        for ids, one in zip(found, questions, strict=True)
    ]
    return statistics.mean(shares)


def _each(
    found: Sequence[Sequence[int]], conversations: Sequence[Conversation], sizes: Sequence[int]
) -> dict[str, float]:
    """Return recall@5 and @10 of each conversation, to see that no figure comes from a single one."""
    figures, start = {}, 0
    for conversation, size in zip(conversations, sizes, strict=True):
        for depth in (5, 10):
            mine = found[start : start + size]
            figures[f"recall@{depth}_{conversation.name}"] = _mean(mine, conversation.questions, depth)
        start += size
    return figures


def _abstention(evidence: NDArray[np.floating], questions: Sequence[Question]) -> dict[str, float]:
    """Return how well the evidence of the best hits tells answerable questions from the others."""
    answerable = np.array([question.category != UNANSWERABLE for question in questions])
    if answerable.all() or not answerable.any():
        return {}
    precision, recall, _ = precision_recall_curve(answerable, evidence)
    return {
        "abstention_auroc": float(roc_auc_score(answerable, evidence)),
        "abstention_recall_at_90_precision": float(recall[precision >= 0.9].max()),
        "abstention_share_answerable": float(answerable.mean()),
    }


def _timings(conversations: Sequence[Conversation], encoder: Encoder) -> dict[str, float]:
    """Return what a query over 1,000 turns costs, with and without encoding it, on one thread."""
    said = [one for conversation in conversations for one in conversation.said]
    said = [
        Said(number, one.session, one.day, one.text, one.speaker)
        for number, one in enumerate(said[place % len(said)] for place in range(TIMED_TURNS))
    ]
    index = DialogueIndex()
    index.add(said, encoder.encode([one.text for one in said]))
    today = max(one.day for one in said)
    questions = [question.text for conversation in conversations for question in conversation.questions]
    searching, whole = [], []
    for text in questions[:TIMED_QUERIES]:
        started = time.perf_counter()
        query = encoder.encode([text])[0]
        encoded = time.perf_counter()
        index.search(text, query, today, 10)
        ended = time.perf_counter()
        searching.append((ended - encoded) * 1000)
        whole.append((ended - started) * 1000)
    return {**_spread("search", searching), **_spread("query", whole)}


def _spread(name: str, times_ms: Sequence[float]) -> dict[str, float]:
    return {
        f"{name}_p50_ms@{TIMED_TURNS}": statistics.median(times_ms),
        f"{name}_p99_ms@{TIMED_TURNS}": statistics.quantiles(times_ms, n=100)[-1],
    }


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
