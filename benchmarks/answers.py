"""How well answers are found, by retrieval alone and re-ranked by the answer classifier, on data in StackFAQ's form.

    python -m benchmarks.answers --data stackfaq --json benchmarks/results/answers.json --seeds 0,1,2
    python -m benchmarks.answers --queries 1 --data stackfaq --json /tmp/answers.json    a tenth of it

The folder holds `faqs.jsonl` (faq_id, thread, question, answer) and `queries.jsonl` (query, thread, gold_faq_ids). Two
fifths of the threads are measured on, always the same ones; the classifier learns from the others alone, and a seed
decides what it holds out and how it starts. Every query is ranked against the entries of all threads.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from finetune.answer import AnswerClassifier
from retrieval import BM25, Encoder, Knowledge, Passage
from retrieval.knowledge import Candidate, rerank

DEPTH = 20  # candidates that are re-ranked
TEST_SHARE = 2 / 5
SETTINGS = ("answers", "entries")  # candidates are answers alone, or question and answer together

Ranking = list[str]  # ids of passages, best first
Figures = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Faqs:
    """Entries and queries as they are in the files, and the threads that are measured on."""

    entries: list[dict[str, Any]]
    queries: list[dict[str, Any]]
    test: frozenset[int]

    def passages(self, setting: str) -> list[Passage]:
        """Return the candidates; their id is the entry's."""
        return [
            Passage(
                id=str(one["faq_id"]),
                article=str(one["thread"]),
                title=one["question"] if setting == "entries" else "",
                heading="",
                text=one["answer"],
            )
            for one in self.entries
        ]

    def taught(self, setting: str) -> tuple[list[str], list[str], list[str]]:
        """Return questions, answers and threads to learn from: every query and question with each of its answers."""
        rows: list[tuple[str, str, str]] = []
        asked = [(one["query"], one["thread"]) for one in self.queries]
        asked += sorted({(one["question"], one["thread"]) for one in self.entries}, key=str)
        texts = {passage.id: passage.whole for passage in self.passages(setting)}
        for question, thread in asked:
            if thread not in self.test:
                own = [texts[str(one["faq_id"])] for one in self.entries if one["thread"] == thread]
                rows += [(question, answer, str(thread)) for answer in own]
        questions, answers, groups = zip(*rows, strict=True)
        return list(questions), list(answers), list(groups)


def read(folder: Path) -> Faqs:
    """Return the data of a folder; which threads are measured on depends on their number alone."""
    entries, queries = (
        [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        for name in ("faqs.jsonl", "queries.jsonl")
    )
    threads = sorted({one["thread"] for one in entries})
    test = random.Random(0).sample(threads, round(len(threads) * TEST_SHARE))  # noqa: S311
    return Faqs(entries, queries, frozenset(test))


def measure(data: Faqs, encoder: Encoder, seeds: Sequence[int], queries_a_thread: int) -> Figures:
    """Return the figures of every system in both settings: means over seeds, and `_spread`, largest less smallest."""
    queries = list(_test_queries(data, queries_a_thread))
    vectors = encoder.encode([one["query"] for one in queries])
    results: Figures = {name: {} for name in ("bm25", "encoder", "hybrid", "rapport", "gain")}
    for setting in SETTINGS:
        passages = data.passages(setting)
        knowledge = Knowledge(passages, encoder)
        found = [
            knowledge.search(one["query"], vector, len(passages)) for one, vector in zip(queries, vectors, strict=True)
        ]
        rankings: dict[str, list[Ranking]] = {
            "bm25": _by_words(queries, passages),
            "encoder": [_ids(sorted(one, key=lambda candidate: -candidate.similarity)) for one in found],
            "hybrid": [_ids(one) for one in found],
        }
        for system, ranked in rankings.items():
            results[system] |= {f"{setting}_{name}": value for name, value in _figures(queries, ranked).items()}
        before = results["hybrid"][f"{setting}_map"]
        runs = [_taught(data, setting, seed, queries, found) for seed in seeds]
        results["rapport"] |= _over(setting, runs)
        results["gain"] |= _over(setting, [{"map": run["map"] - before} for run in runs])
    return {system: {name: round(value, 4) for name, value in one.items()} for system, one in results.items()}


def _taught(
    data: Faqs, setting: str, seed: int, queries: Sequence[dict[str, Any]], found: Sequence[list[Candidate]]
) -> dict[str, float]:
    """Return the figures of retrieval with a classifier taught with one seed."""
    started = time.monotonic()
    questions, answers, groups = data.taught(setting)
    classifier = AnswerClassifier(seed=seed).fit(questions, answers, groups=groups)
    minutes = (time.monotonic() - started) / 60
    ranked, times_ms = [], []
    for query, candidates in zip(queries, found, strict=True):
        began = time.perf_counter()
        best = rerank(query["query"], candidates[:DEPTH], classifier)
        times_ms.append((time.perf_counter() - began) * 1000)
        ranked.append(_ids([*best, *candidates[DEPTH:]]))
    figures = _figures(queries, ranked)
    print(setting, seed, {name: round(value, 4) for name, value in figures.items()}, flush=True)
    return {**figures, "rerank_p50_ms": statistics.median(times_ms), "training_minutes": minutes}


def _test_queries(data: Faqs, a_thread: int) -> Iterator[dict[str, Any]]:
    """Yield the first queries of each thread that is measured on."""
    taken: dict[int, int] = {}
    for one in data.queries:
        taken[one["thread"]] = taken.get(one["thread"], 0) + 1
        if one["thread"] in data.test and taken[one["thread"]] <= a_thread:
            yield one


def _by_words(queries: Sequence[dict[str, Any]], passages: Sequence[Passage]) -> list[Ranking]:
    words = BM25()
    words.add([passage.id for passage in passages], [passage.whole for passage in passages])
    ranked = []
    for one in queries:
        found = [key for key, _ in words.search(one["query"], len(passages))]
        ranked.append(found + [passage.id for passage in passages if passage.id not in set(found)])
    return ranked


def _ids(candidates: Sequence[Candidate]) -> Ranking:
    return [candidate.passage.id for candidate in candidates]


def _figures(queries: Sequence[dict[str, Any]], ranked: Sequence[Ranking]) -> dict[str, float]:
    """Return mean average precision, the share of queries with a right entry first, and mean reciprocal rank."""
    precision, first, reciprocal = [], [], []
    for query, ids in zip(queries, ranked, strict=True):
        right = {str(key) for key in query["gold_faq_ids"]}
        places = [place for place, key in enumerate(ids, 1) if key in right]
        precision.append(sum(number / place for number, place in enumerate(places, 1)) / len(right))
        first.append(places[0] == 1)
        reciprocal.append(1 / places[0])
    return {"map": float(np.mean(precision)), "recall@1": float(np.mean(first)), "mrr": float(np.mean(reciprocal))}


def _over(setting: str, runs: Sequence[dict[str, float]]) -> dict[str, float]:
    over: dict[str, float] = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        over[f"{setting}_{name}"] = statistics.mean(values)
        if len(values) > 1:
            over[f"{setting}_{name}_spread"] = max(values) - min(values)
    return over


def main() -> None:
    """Measure everything and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data")
    parser.add_argument("--json", type=Path, required=True, help="where the results go")
    parser.add_argument("--seeds", default="0", help="as 0,1,2")
    parser.add_argument("--queries", type=int, default=10, help="at most so many of each thread")
    given = parser.parse_args()
    data, seeds = read(given.data), [int(seed) for seed in given.seeds.split(",")]
    from bot.models import encoder_folder, prepare_encoder

    with tempfile.TemporaryDirectory(prefix="rapport-") as scratch:
        prepare_encoder(Path(scratch), lambda _what, _share: None)
        results = measure(data, Encoder(encoder_folder(Path(scratch))), seeds, given.queries)
    threads = len({one["thread"] for one in data.entries})
    about = f"{given.data.name}: {len(data.test)} of {threads} threads, up to {given.queries} queries each"
    report.write(given.json, "answers", f"{about}; seeds {given.seeds}", results)


if __name__ == "__main__":
    main()
