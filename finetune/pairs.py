"""Question-answer pairs: checked, held out without leaks, with the hard negatives that retrieval finds for them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetune.data import MOST_CHARS, leaking, near_duplicates, split
from retrieval.hybrid import blend
from retrieval.lexical import BM25

FITS, DOES_NOT_FIT, UNKNOWN = 1, 0, -1
_SAME = 0.9  # share of words from which an answer counts as another wording of a right one
_WORDS = 0.1  # how much BM25 counts beside the cosine, as in retrieval.knowledge


@dataclass(frozen=True)
class Pairs:
    """Questions and answers, each once, and which of them go together.

    For each question, `right` holds the numbers of the answers that fit (none for a question that no answer fits),
    `wrong` those that were given as wrong, `unknown` those that may fit as well and are never taught as wrong.
    `groups` names what is held out together, None for a question by itself.
    """

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    right: tuple[frozenset[int], ...]
    wrong: tuple[frozenset[int], ...]
    unknown: tuple[frozenset[int], ...]
    groups: tuple[Hashable | None, ...]


@dataclass(frozen=True)
class HoldOut:
    """Question numbers to learn from and held out; `leaks` had to stay, having a near duplicate among the former."""

    kept: tuple[int, ...]
    held: tuple[int, ...]
    leaks: int


@dataclass(frozen=True)
class Offer:
    """What retrieval offers for a question, by its number: numbers of answers, best first, with its scores `(n,)`."""

    question: int
    answers: tuple[int, ...]
    scores: NDArray[np.floating]


def make_pairs(
    questions: Sequence[str],
    answers: Sequence[str],
    labels: Sequence[int] | None = None,
    groups: Sequence[Hashable] | None = None,
    out_of_scope: Sequence[str] = (),
) -> Pairs:
    """Return pairs given row by row: `labels` are 1 (fits, as all do without labels), 0 (does not) or -1 (unknown).

    Rows of one group belong together: its answers are never wrong for its questions, and it is held out as a whole.
    `out_of_scope` are questions that no answer fits.

    Raises:
        ValueError: the lengths differ, a text is empty or too long, a label is none of the three, a pair is labelled
            both right and wrong, or there is no wrong answer to learn from.
    """
    _check(questions, answers, labels, groups, out_of_scope)
    number_of: dict[str, int] = {}
    rows: dict[str, dict[int, set[int]]] = {_plain(question): defaultdict(set) for question in questions}
    group_of: dict[str, Hashable | None] = {}
    for row, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        key, number = _plain(question), number_of.setdefault(_plain(answer), len(number_of))
        label = labels[row] if labels is not None else FITS
        rows[key][label].add(number)
        if {FITS, DOES_NOT_FIT} <= {kind for kind, numbers in rows[key].items() if number in numbers}:
            raise ValueError(f"row {row} says of a pair that it fits and another row that it does not: {question!r}")
        group_of[key] = groups[row] if groups is not None else None
    rows |= {_plain(question): defaultdict(set) for question in out_of_scope if _plain(question) not in rows}
    texts = list(number_of)
    alike = _alike(texts)
    mates: dict[Hashable | None, set[int]] = defaultdict(set)
    for key, group in group_of.items():
        mates[group] |= rows[key][FITS] if group is not None else set()
    right = [frozenset(one[FITS]) for one in rows.values()]
    unknown = [
        frozenset(one[UNKNOWN] | mates[group_of.get(key)] | {twin for number in own for twin in alike[number]}) - own
        for (key, one), own in zip(rows.items(), right, strict=True)
    ]
    if not any(own and len(own | maybe) < len(texts) for own, maybe in zip(right, unknown, strict=True)):
        raise ValueError(
            f"there are {len(texts)} different answers and all of them may fit every question; "
            "it takes at least one wrong answer to learn from"
        )
    wrong = [frozenset(one[DOES_NOT_FIT]) - maybe for one, maybe in zip(rows.values(), unknown, strict=True)]
    names = [group_of.get(key) for key in rows]
    return Pairs(tuple(rows), tuple(texts), tuple(right), tuple(wrong), tuple(unknown), tuple(names))


def hold_out(pairs: Pairs, share: float, most: int, seed: int) -> HoldOut:
    """Hold out `share` of the questions, about `most` at most: whole groups, or of each set of right answers some.

    Where no answer has the questions for that, as in a list of questions each with its own answer, any are held out.
    A question by itself with an exact or near duplicate among those learnt from is not held out.

    Raises:
        ValueError: there are too few questions with a right answer to hold one out.
    """
    count = len(pairs.questions)
    share = min(share, most / count)
    members: dict[Hashable, list[int]] = defaultdict(list)
    for number, group in enumerate(pairs.groups):
        if group is not None:
            members[group].append(number)
    alone = [number for number, group in enumerate(pairs.groups) if group is None]
    names = random.Random(seed).sample(sorted(members, key=str), _some(len(members), share))  # noqa: S311 (no secret)
    _, places = split([str(sorted(pairs.right[number])) for number in alone], share, seed)
    if not any(pairs.right[alone[place]] for place in places):
        _, places = split([bool(pairs.right[number]) for number in alone], share, seed)
    chosen = [number for name in names for number in members[name]] + [alone[place] for place in places]
    kept = sorted(set(range(count)) - set(chosen))
    grouped = {number for number in chosen if pairs.groups[number] is not None}
    leaks = leaking(pairs.questions, chosen, kept, dropped=grouped)
    held = sorted(set(chosen) - leaks)
    if not any(pairs.right[number] for number in held) or not any(pairs.right[number] for number in kept):
        raise ValueError(f"{count} questions are too few to hold some out; give at least 5 with an answer, or 2 groups")
    return HoldOut(tuple(sorted({*kept, *leaks - grouped})), tuple(held), len(leaks))


def find_candidates(
    pairs: Pairs,
    questions: Sequence[int],
    vectors: NDArray[np.float32],
    answer_vectors: NDArray[np.float32],
    depth: int,
    without: Collection[int] = (),
) -> list[list[int]]:
    """Return for each question the numbers of the `depth` answers that retrieval puts first, right ones left out.

    `vectors` `(len(questions), H)` and `answer_vectors` `(answers, H)` are unit vectors of the frozen encoder. Answers
    given as wrong come first; neither what may fit as well nor the answers in `without` are among them, so what is
    found is a hard negative: close, and wrong.
    """
    found = []
    for question, scores in zip(questions, _retrieve(pairs, questions, vectors, answer_vectors), strict=True):
        ranked = np.argsort(-scores, kind="stable").tolist()
        barred = pairs.right[question] | pairs.unknown[question] | set(without)
        given = [number for number in ranked if number in pairs.wrong[question] and number not in barred]
        others = [number for number in ranked if number not in barred and number not in pairs.wrong[question]]
        found.append((given + others)[:depth])
    return found


def find_offers(
    pairs: Pairs,
    questions: Sequence[int],
    vectors: NDArray[np.float32],
    answer_vectors: NDArray[np.float32],
    depth: int,
) -> list[Offer]:
    """Return for each question the `depth` answers that retrieval puts first, right or wrong: what there is to say.

    The arguments are those of `find_candidates`. Answers that may fit as well are passed over, since nobody knows
    whether saying them would be right; so is a question with no others.
    """
    offers = []
    for question, scores in zip(questions, _retrieve(pairs, questions, vectors, answer_vectors), strict=True):
        ranked = np.argsort(-scores, kind="stable").tolist()
        known = [number for number in ranked if number not in pairs.unknown[question]][:depth]
        if known:
            offers.append(Offer(question, tuple(known), scores[known]))
    return offers


def _retrieve(
    pairs: Pairs, questions: Sequence[int], vectors: NDArray[np.float32], answer_vectors: NDArray[np.float32]
) -> Iterator[NDArray[np.floating]]:
    """Yield retrieval's scores `(answers,)` for each question; BM25 joins in as it does when serving."""
    words = BM25()
    words.add([str(number) for number in range(len(pairs.answers))], pairs.answers)
    for question, vector in zip(questions, vectors, strict=True):
        scores = np.zeros(len(pairs.answers))
        for key, score in words.search(pairs.questions[question], len(pairs.answers)):
            scores[int(key)] = score
        yield blend((1.0, answer_vectors @ vector), (_WORDS, scores))


def desk_pairs(
    messages: Sequence[tuple[str, str]],
    answers: Mapping[str, str],
    articles: Mapping[str, str],
    passages: Sequence[tuple[str, str]],
    most: int = 12,
    seed: int = 0,
) -> tuple[list[str], list[str], list[int]]:
    """Return a desk's questions, answers and labels, for `AnswerClassifier.fit`.

    `messages` are texts with their intents, of which at most `most` an intent are taken; `answers` holds each intent's
    approved text with its title in front, `articles` the article behind an intent where there is one, `passages` each
    passage's article and text. A message fits its intent's answer and the passage of its article that shares most words
    with the two; whether it fits the article's other passages, or the other answers from that article, is unknown.

    Raises:
        ValueError: an intent has no answer.
    """
    if missing := sorted({intent for _, intent in messages} - set(answers)):
        raise ValueError(f"there is no answer for {', '.join(missing[:5])}; add it to the desk's answers")
    sections: dict[str, list[str]] = defaultdict(list)
    for slug, text in passages:
        sections[slug].append(text)
    texts_of: dict[str, list[str]] = defaultdict(list)
    for text, intent in messages:
        texts_of[intent].append(text)
    rng = random.Random(seed)  # noqa: S311 (no secret)
    rows: list[tuple[str, str, int]] = []
    for intent in sorted(texts_of):
        own, article = answers[intent], articles.get(intent)
        kin = [answers[other] for other in articles if article and articles[other] == article and other in answers]
        open_ones = dict.fromkeys([*sections.get(article or "", ()), *kin], UNKNOWN)
        for text in rng.sample(texts_of[intent], min(most, len(texts_of[intent]))):
            fits = {**open_ones, own: FITS}
            if article in sections:
                fits[_closest(f"{text} {own}", sections[article])] = FITS
            rows += [(text, answer, label) for answer, label in fits.items()]
    questions, taught, labels = zip(*rows, strict=True) if rows else ((), (), ())
    return list(questions), list(taught), list(labels)


def _closest(text: str, others: Sequence[str]) -> str:
    """Return the text that shares most with another one by its words, the first one where none does."""
    words = BM25()
    words.add([str(place) for place in range(len(others))], others)
    found = words.search(text, 1)
    return others[int(found[0][0])] if found else others[0]


def _check(
    questions: Sequence[str],
    answers: Sequence[str],
    labels: Sequence[int] | None,
    groups: Sequence[Hashable] | None,
    out_of_scope: Sequence[str],
) -> None:
    for name, values in (("answers", answers), ("labels", labels), ("groups", groups)):
        if values is not None and len(values) != len(questions):
            raise ValueError(f"there are {len(questions)} questions and {len(values)} {name}; give one a question")
    for name, texts in (("question", questions), ("answer", answers), ("out-of-scope question", out_of_scope)):
        for row, text in enumerate(texts):
            if not text.strip():
                raise ValueError(f"the {name} in row {row} is empty")
            if len(text) > MOST_CHARS:
                raise ValueError(f"the {name} in row {row} has {len(text):,} characters; at most {MOST_CHARS:,}")
    for row, label in enumerate(labels or ()):
        if label not in (FITS, DOES_NOT_FIT, UNKNOWN):
            raise ValueError(f"the label in row {row} is {label!r}; use 1 (fits), 0 (does not fit) or -1 (unknown)")
    if not questions:
        raise ValueError("there are no pairs to learn from")


def _alike(texts: Sequence[str]) -> list[set[int]]:
    """Return for each text the numbers of those that say the same in nearly the same words."""
    alike: list[set[int]] = [set() for _ in texts]
    for one, other, _ in near_duplicates(texts, texts, _SAME):
        if one != other:
            alike[one].add(other)
    return alike


def _some(count: int, share: float) -> int:
    """Return how many of `count` groups are a share of them: at least one of two or more, never all."""
    return min(max(round(count * share), 1), count - 1) if count > 1 else 0


def _plain(text: str) -> str:
    return " ".join(text.split())
