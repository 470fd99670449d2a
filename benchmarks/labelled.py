"""Labelled messages as the benchmarks read them: BANKING77's form (CSV files) and CLINC150's (one JSON file)."""

from __future__ import annotations

import csv
import json
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Labelled:
    """Messages to learn from and messages to measure on; `outside` ones are out of scope, where there are any."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    test_texts: tuple[str, ...]
    test_labels: tuple[str, ...]
    outside: tuple[str, ...] = ()
    test_outside: tuple[str, ...] = ()

    def only(self, wanted: Callable[[str], bool]) -> Labelled:
        """Return the messages whose labels are wanted."""
        train = [pair for pair in zip(self.texts, self.labels, strict=True) if wanted(pair[1])]
        test = [pair for pair in zip(self.test_texts, self.test_labels, strict=True) if wanted(pair[1])]
        return replace(
            self,
            texts=tuple(text for text, _ in train),
            labels=tuple(label for _, label in train),
            test_texts=tuple(text for text, _ in test),
            test_labels=tuple(label for _, label in test),
        )


def read(folder: Path) -> Labelled:
    """Return the data in a folder.

    Raises:
        SystemExit: the folder holds neither form.
    """
    if (folder / "data_full.json").is_file():
        content = json.loads((folder / "data_full.json").read_text(encoding="utf-8"))
        parts = {name: tuple(map(tuple, zip(*rows, strict=True))) for name, rows in content.items()}
        return Labelled(
            texts=parts["train"][0],
            labels=parts["train"][1],
            test_texts=parts["test"][0],
            test_labels=parts["test"][1],
            outside=parts["oos_train"][0],
            test_outside=parts["oos_test"][0],
        )
    if (folder / "train.csv").is_file() and (folder / "test.csv").is_file():
        return Labelled(*_columns(folder / "train.csv"), *_columns(folder / "test.csv"))
    raise SystemExit(f"{folder} holds neither train.csv and test.csv nor data_full.json.")


def sample(data: Labelled, count: int, seed: int) -> Labelled:
    """Return the data with `count` messages a label to learn from, drawn by the seed."""
    texts_of: dict[str, list[str]] = defaultdict(list)
    for text, label in zip(data.texts, data.labels, strict=True):
        texts_of[label].append(text)
    rng = random.Random(seed)  # noqa: S311 (no secret)
    rows = [(text, label) for label in sorted(texts_of) for text in rng.sample(texts_of[label], count)]
    return replace(data, texts=tuple(text for text, _ in rows), labels=tuple(label for _, label in rows))


def _columns(file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    with file.open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    label = "category" if "category" in rows[0] else "intent"
    return tuple(row["text"] for row in rows), tuple(row[label] for row in rows)
