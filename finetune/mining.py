"""Mining: question-answer pairs from conversations that a human closed, for a person to accept one by one.

Each reply of an agent is paired with the customer's question that it answers. Nothing mined trains anything until a
person has written `yes` beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.grouping import first_alike
from finetune.logs import Conversation
from finetune.masking import mask, tidy
from finetune.names import people
from finetune.phrasing import asks, closes, complains, promises, sentences, telling, without_greeting
from finetune.sheets import SheetError, read_sheet, write_sheet
from finetune.specifics import general_values, specifics
from finetune.wordings import encode
from retrieval import Encoder

COLUMNS = ("accept", "question", "answer", "times_given", "conversation", "specific")
_YES = frozenset(("yes", "y", "1", "x", "true"))
_NO = frozenset(("", "no", "n", "0", "false"))
_SHORTEST = 5  # words of an answer that say something
_SAME_ANSWER = 0.85  # cosine from which two replies give the same answer
_SAME_QUESTION = 0.75  # cosine from which a customer asks the same thing again


@dataclass(frozen=True)
class Pair:
    """A question and the answer it was given in a conversation; `times_given` counts customers given it, near enough.

    `specific` lists what in the answer was meant for this customer alone; where it is empty, the answer is general.
    """

    question: str
    answer: str
    times_given: int
    conversation: str
    specific: tuple[str, ...]


@dataclass(frozen=True)
class Mined:
    """The pairs, the most often given answers first; of the conversations `read`, `not_closed` did not end well."""

    pairs: tuple[Pair, ...]
    read: int
    not_closed: int


@dataclass(frozen=True)
class _Part:
    """Messages in a row from one side."""

    customer: bool
    texts: tuple[str, ...]


@dataclass(frozen=True)
class _Given:
    question: str
    answer: str
    customer: str
    conversation: str


def mine(
    conversations: Iterable[Conversation],
    encoder: Encoder,
    progress: Callable[[str, float], None] = lambda _what, _share: None,
) -> Mined:
    """Return the question-answer pairs in conversations that an agent closed well; the same log gives the same pairs.

    A conversation is left out whose last word was a bot's, or whose customer ended with a complaint, with a question
    that nobody answered, or by asking again what had been asked before.
    """
    everything = list(conversations)
    closed = _closed_well(everything, encoder, progress)
    given = [pair for conversation in closed for pair in _pairs(conversation)]
    names = people(message.text for conversation in everything for message in conversation.messages)
    general = general_values(
        (conversation.customer_id, message.text)
        for conversation in everything
        for message in conversation.messages
        if message.role == "agent"
    )
    vectors = encode(encoder, [one.answer for one in given], lambda share: progress("Comparing answers", share))
    groups: dict[int, list[_Given]] = defaultdict(list)
    for one, first in zip(given, first_alike(vectors, _SAME_ANSWER), strict=True):
        groups[int(first)].append(one)
    pairs = [pair for group in groups.values() for pair in _of_group(group, general, names)]
    pairs.sort(key=lambda pair: -pair.times_given)  # stable: the pairs of one answer stay together, in the log's order
    return Mined(tuple(pairs), len(everything), len(everything) - len(closed))


def write_pairs(path: Path, mined: Mined) -> None:
    """Write the sheet for a person to go through, with an empty column `accept`.

    Raises:
        SheetError: the file is there already.
        OSError: the file cannot be written.
    """
    rows = (
        ("", one.question, one.answer, one.times_given, one.conversation, ", ".join(one.specific))
        for one in mined.pairs
    )
    write_sheet(path, COLUMNS, rows)


def accepted_pairs(path: Path) -> list[tuple[str, str]]:
    """Return the questions and answers of the rows whose column `accept` says yes, y, 1, x or true.

    Raises:
        SheetError: the file is no sheet, nothing is accepted, a cell says neither yes nor no, or a text is missing.
        OSError: the file cannot be read.
    """
    pairs = []
    for row in read_sheet(path, ("accept", "question", "answer")):
        said = row["accept"].casefold()
        if said not in _YES | _NO:
            what = f"the column accept says {row['accept']!r}"
            raise SheetError(
                f"{path}, row {row.number}: {what}. Write yes to accept the pair, nothing to leave it out."
            )
        if said in _YES:
            if not row["question"] or not row["answer"]:
                missing = "answer" if row["question"] else "question"
                raise SheetError(f"{path}, row {row.number}: the {missing} is empty. Fill it in or clear accept.")
            pairs.append((row["question"], row["answer"]))
    if not pairs:
        raise SheetError(f"{path}: no pair is accepted. Write yes into the column accept of the pairs to train on.")
    return pairs


def _closed_well(
    conversations: Sequence[Conversation], encoder: Encoder, progress: Callable[[str, float], None]
) -> list[Conversation]:
    """Return the conversations whose last word was an agent's, to a customer who had what they came for."""
    kept, asked_again = [], []
    for conversation in conversations:
        parts = _parts(conversation)
        speakers = [message.role for message in conversation.messages if message.role != "customer"]
        said = [text for part in parts if part.customer for text in part.texts]
        if not said or not speakers or speakers[-1] == "bot" or complains(said[-1]):
            continue
        if parts[-1].customer and "?" in " ".join(parts[-1].texts):
            continue
        kept.append(conversation)
        before = [text for text in said[:-1] if len(telling(text)) >= 2]
        asked_again.append([said[-1], *before] if len(telling(said[-1])) >= 2 else [])
    texts = list(dict.fromkeys(text for group in asked_again for text in group))
    vectors = encode(encoder, texts, lambda share: progress("Reading conversations", share))
    row_of = {text: row for row, text in enumerate(texts)}
    well = []
    for conversation, group in zip(kept, asked_again, strict=True):
        rows = [row_of[text] for text in group]
        if len(rows) < 2 or (vectors[rows[1:]] @ vectors[rows[0]]).max() < _SAME_QUESTION:
            well.append(conversation)
    return well


def _pairs(conversation: Conversation) -> list[_Given]:
    """Return each answer of a conversation with the last question before it that had no answer yet."""
    pairs = []
    question, opens = "", True
    for part in _parts(conversation):
        if part.customer:
            text = tidy(" ".join(part.texts))
            question = text if _is_question(text, opens) else question
            opens = opens and not telling(text)
        elif question and (answer := _answer(part)):
            pairs.append(_Given(question, answer, conversation.customer_id, conversation.conversation_id))
            question = ""
    return pairs


def _parts(conversation: Conversation) -> list[_Part]:
    """Return who wrote what in turn; a bot's messages are passed over, they answered nothing."""
    parts: list[_Part] = []
    for message in conversation.messages:
        if message.role == "bot" or not message.text.strip():
            continue
        customer = message.role == "customer"
        if parts and parts[-1].customer is customer:
            parts[-1] = _Part(customer, (*parts[-1].texts, message.text))
        else:
            parts.append(_Part(customer, (message.text,)))
    return parts


def _is_question(text: str, opens: bool) -> bool:
    """Return whether a message wants something: it asks, or it opens a conversation by saying what is the matter."""
    words = telling(text)
    return bool(words) and (asks(text) or (opens and len(words) >= 3))


def _answer(part: _Part) -> str:
    """Return what an agent answered without the greeting; empty where they asked back, or only promised to look."""
    said = [without_greeting(tidy(text)) for text in part.texts]
    kept = [sentence for text in said for sentence in sentences(text) if not closes(sentence)]
    waiting = [sentence for sentence in kept if sentence.endswith("?") or promises(sentence)]
    words, idle = len(" ".join(kept).split()), len(" ".join(waiting).split())
    return " ".join(kept) if words - idle >= max(_SHORTEST, idle) else ""


def _of_group(group: Sequence[_Given], general: frozenset[str], names: frozenset[str]) -> list[Pair]:
    """Return the pairs of near-identical answers, each once."""
    times = len({one.customer for one in group})
    pairs: dict[tuple[str, str], Pair] = {}
    for one in group:
        specific = specifics(one.answer, general, names)
        pair = Pair(mask(one.question), mask(one.answer, general), times, one.conversation, specific)
        pairs.setdefault((pair.question.casefold(), pair.answer.casefold()), pair)
    return list(pairs.values())
