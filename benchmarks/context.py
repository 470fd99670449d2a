"""What a memory inside the classifier is worth: intents of turns in conversations, with memory and without.

    python -m benchmarks.context --data multidogo --json benchmarks/results/context.json
    python -m benchmarks.context --data FOLDER --domains finance --seeds 0 --json /tmp/context.json

A folder a domain with `train.tsv` and `test.tsv`, columns conversationId, turnNumber, utterance, intent. Both
classifiers are trained on the same turns with the same settings and seeds; of two intents of a turn the first counts.
About an hour on two cores for all four domains and three seeds.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import report
from finetune import IntentClassifier

DOMAINS = ("airline", "fastfood", "finance", "insurance")


@dataclass(frozen=True)
class Turns:
    """The customers' turns of a file, conversation by conversation in order."""

    texts: tuple[str, ...]
    intents: tuple[str, ...]
    conversations: tuple[str, ...]


def read(file: Path) -> Turns:
    """Return the turns of a file that have a text and an intent."""
    with file.open(encoding="utf-8", newline="") as source:
        rows = [row for row in csv.DictReader(source, delimiter="\t") if row["intent"] and row["utterance"].strip()]
    rows.sort(key=lambda row: (row["conversationId"], int(float(row["turnNumber"]))))
    return Turns(
        tuple(row["utterance"] for row in rows),
        tuple(row["intent"].split("<div>")[0] for row in rows),
        tuple(row["conversationId"] for row in rows),
    )


def accuracy(classifier: IntentClassifier, turns: Turns) -> float:
    """Return the share of turns understood, each with the vectors of the turns before it in its conversation."""
    vectors = classifier.encode(turns.texts)
    earlier = []
    for row, name in enumerate(turns.conversations):
        first = row
        while first > 0 and turns.conversations[first - 1] == name:
            first -= 1
        earlier.append(vectors[first:row][::-1])
    best = classifier.judge(vectors, earlier)[0].argmax(axis=1)
    return float(
        np.mean([classifier.classes_[place] == intent for place, intent in zip(best, turns.intents, strict=True)])
    )


def measure(folder: Path, seeds: Sequence[int], epochs: int) -> dict[str, dict[str, list[float]]]:
    """Return accuracies and minutes by system, one for each seed."""
    train, test = read(folder / "train.tsv"), read(folder / "test.tsv")
    counts = Counter(train.intents)
    rows = [row for row, intent in enumerate(train.intents) if counts[intent] > 1]
    texts, intents, names = (
        [column[row] for row in rows] for column in (train.texts, train.intents, train.conversations)
    )
    found: dict[str, dict[str, list[float]]] = {}
    for seed in seeds:
        for system, memory in (("rapport", True), ("without memory", False)):
            started = time.monotonic()
            classifier = IntentClassifier(memory=memory, epochs=epochs, seed=seed)
            classifier.fit(texts, intents, conversations=names)
            figures = found.setdefault(system, {"accuracy": [], "minutes": []})
            figures["accuracy"].append(accuracy(classifier, test))
            figures["minutes"].append((time.monotonic() - started) / 60)
            print(folder.name, system, seed, *(round(values[-1], 4) for values in figures.values()), flush=True)
    return found


def main() -> None:
    """Measure every domain and write the JSON, anew after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the domains")
    parser.add_argument("--domains", default=",".join(DOMAINS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--json", type=Path, required=True, help="where the results go")
    given = parser.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    results: dict[str, dict[str, float]] = {}
    domains: list[str] = given.domains.split(",")
    for number, domain in enumerate(domains, 1):
        for system, figures in measure(given.data / domain, seeds, given.epochs).items():
            own = results.setdefault(system, {})
            own[f"{domain}_accuracy"] = round(statistics.mean(figures["accuracy"]), 4)
            own[f"{domain}_accuracy_spread"] = round(max(figures["accuracy"]) - min(figures["accuracy"]), 4)
            own[f"{domain}_training_minutes"] = round(statistics.mean(figures["minutes"]), 1)
        measured = ",".join(domains[:number])
        data = f"{given.data.name}: {measured}; seeds {given.seeds}; {given.epochs} epochs"
        report.write(given.json, "context", data, results)


if __name__ == "__main__":
    main()
