"""A desk's messages, all files of them together: what is wrong with their labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from bot.desk import intents_of
from bot.problems import Problem
from finetune.data import MOST_LABELS
from finetune.labelling import OUT_OF_SCOPE

MIN_MESSAGES = 5  # labelled messages an intent needs before anything can be learnt from it
INTENTS, TEST = "intents.csv", "test.csv"

Rows = Mapping[str, Sequence[tuple[int, str, str]]]  # by file: the row's number, its text and label, none out of scope


def check_messages(rows: Rows, answered: Collection[str] | None, taught: Collection[str]) -> Iterator[Problem]:
    """Yield the mistakes in messages.

    `answered` are the intents with an answer, None where that is not known; `taught` those that need messages.
    """
    several = {file: any(len(intents_of(label)) > 1 for _, _, label in own) for file, own in rows.items()}
    if several[TEST] and not several[INTENTS]:
        what = "messages have several intents here, and none has in intents.csv"
        yield Problem(TEST, "", what, "Give each of them one, or intents.csv such messages, too")
    for file, own in rows.items():
        for number, _, label in own:
            for intent in intents_of(label):
                if answered is not None and intent not in answered:
                    what, remedy = f"the intent {intent!r} has no answer", "Add it to answers.yaml or correct its name"
                    yield Problem(file, f"row {number}", what, remedy)
    yield from _contradictions(rows)
    if taught:
        yield from _too_few(rows[INTENTS], taught)


def _contradictions(rows: Rows) -> Iterator[Problem]:
    """Yield messages that stand in a file twice with different labels, or in scope and out of it."""
    seen: dict[str, dict[str, tuple[int, str]]] = defaultdict(dict)  # by text and file, where it stands first
    for file, own in rows.items():
        for number, text, label in own:
            places = seen[text.casefold()]
            for other, (first, before) in places.items():
                if before != label and (other == file or not (before and label)):
                    was, now = before or OUT_OF_SCOPE, label or OUT_OF_SCOPE
                    what = f"the same message stands in row {first} of {other} as {was!r}, here as {now!r}"
                    yield Problem(file, f"row {number}", what, "Keep the one that is right")
            places.setdefault(file, (number, label))


def _too_few(own: Sequence[tuple[int, str, str]], taught: Collection[str]) -> Iterator[Problem]:
    """Yield the intents with too few messages, and a number of intents that cannot be learnt."""
    counts = Counter(intent for _, _, label in own for intent in intents_of(label))
    if not 2 <= len(counts) <= MOST_LABELS:
        remedy = f"A classifier tells 2 to {MOST_LABELS:,} intents apart"
        yield Problem(INTENTS, "", f"the intents that have messages are {len(counts):,}", remedy)
    for intent in sorted(taught):
        if counts[intent] < MIN_MESSAGES:
            what = f"the intent {intent!r} has {counts[intent]} message{'s' if counts[intent] != 1 else ''}"
            yield Problem(INTENTS, "", what, f"Give at least {MIN_MESSAGES}, better 20, for each intent")
