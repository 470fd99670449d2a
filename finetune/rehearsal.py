"""What a model keeps of its messages, so that it can learn something new: a small sample, and hashes of them all."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.corpus import Corpus
from finetune.data import Labels, plain

FILE = "rehearsal.json"
MOST = 20  # messages kept for each label, of those learnt from and of those held out


@dataclass(frozen=True)
class Rehearsal:
    """`sample` holds `text`, `labels` (none for out of scope) and `held_out`; `seen` a hash of every message."""

    sample: tuple[dict[str, Any], ...]
    seen: frozenset[str]

    def unseen(self, texts: Sequence[str], labels: Labels) -> list[int]:
        """Return the rows of the messages that were never learnt with these labels."""
        return [row for row, pair in enumerate(zip(texts, labels, strict=True)) if _hash(*pair) not in self.seen]

    def without(self, texts: Collection[str], classes: Sequence[str]) -> Rehearsal:
        """Return this without the messages of some texts, as any of the classes, as if they had never been learnt."""
        gone = {plain(text) for text in texts}
        dropped = {_hash(one["text"], one["labels"]) for one in self.sample if plain(one["text"]) in gone}
        dropped |= {_hash(text, labels) for text in texts for labels in ((), *((name,) for name in classes))}
        sample = tuple(one for one in self.sample if plain(one["text"]) not in gone)
        return Rehearsal(sample, self.seen - dropped)

    def outdated(self, texts: Sequence[str], labels: Labels) -> list[str]:
        """Return the texts in the sample that are none of these messages, or are labelled otherwise in it."""
        known = {_hash(*pair) for pair in zip(texts, labels, strict=True)}
        return [one["text"] for one in self.sample if _hash(one["text"], one["labels"]) not in known]


def write_rehearsal(folder: Path, corpus: Corpus, seen_before: frozenset[str] = frozenset()) -> None:
    """Write up to 20 messages of each label, and whether each was held out; conversations are not kept."""
    held = set(corpus.held)
    counts: Counter[tuple[bool, str]] = Counter()
    kept: list[dict[str, Any]] = []
    seen = set(seen_before)
    for row, text in enumerate(corpus.texts):
        labels = corpus.labels_of(row)
        key = (row in held, str(labels))
        if corpus.conversations[row] is None:
            seen.add(_hash(text, labels))
            counts[key] += 1
            if counts[key] <= MOST:
                kept.append({"text": text, "labels": labels, "held_out": row in held})
    content = {"sample": kept, "seen": sorted(seen)}
    (folder / FILE).write_text(json.dumps(content, ensure_ascii=False, indent=0), encoding="utf-8")


def read_rehearsal(folder: Path) -> Rehearsal:
    """Return what `write_rehearsal` wrote."""
    kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return Rehearsal(tuple(kept["sample"]), frozenset(kept["seen"]))


def _hash(text: str, labels: object) -> str:
    names = [labels] if isinstance(labels, str) else sorted(labels)  # type: ignore[call-overload]
    return hashlib.sha256(json.dumps([text, names]).encode()).hexdigest()[:16]
