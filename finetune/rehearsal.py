"""The small sample of messages that a model keeps, so that it can learn something new without forgetting the old."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from finetune.corpus import Corpus

FILE = "rehearsal.json"
MOST = 20  # messages kept for each label, of those learnt from and of those held out


def write_rehearsal(folder: Path, corpus: Corpus) -> None:
    """Write up to 20 messages of each label, and whether each was held out; conversations are not kept."""
    held = set(corpus.held)
    counts: Counter[tuple[bool, str]] = Counter()
    kept: list[dict[str, Any]] = []
    for row, text in enumerate(corpus.texts):
        labels = corpus.labels_of(row)
        key = (row in held, str(labels))
        if corpus.conversations[row] is None and counts[key] < MOST:
            counts[key] += 1
            kept.append({"text": text, "labels": labels, "held_out": row in held})
    (folder / FILE).write_text(json.dumps(kept, ensure_ascii=False, indent=0), encoding="utf-8")


def read_rehearsal(folder: Path) -> list[dict[str, Any]]:
    """Return what `write_rehearsal` wrote: `text`, `labels` (none for out of scope) and `held_out`."""
    kept: list[dict[str, Any]] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return kept
