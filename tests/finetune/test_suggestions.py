"""Messages worth a label come first, those that say the same count as one, and new intents are put together."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.desk import Desk
from bot.models import Models
from finetune.grouping import first_alike, name_groups
from finetune.labelling import COLUMNS, Label, read_labels, write_suggestions
from finetune.logs import Heard, read_heard
from finetune.names import people, without
from finetune.sheets import SheetError, read_sheet
from finetune.suggestions import Suggestions, pick, suggest
from finetune.wordings import Known
from retrieval import Encoder

COURSES = Path(__file__).parent / "courses.jsonl"  # 8 of its messages ask for mending courses, which the desk lacks


class Remembering(Encoder):
    """The encoder, which does not encode the desk's messages again in every test."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        self._vectors.update(zip(missing, self._encoder.encode(missing), strict=True))
        return np.stack([self._vectors[text] for text in texts]) if texts else self._encoder.encode(texts)


@pytest.fixture(scope="module")
def encoder(models: Models) -> Encoder:
    return Remembering(models.encoder)


@pytest.fixture(scope="module")
def known(desk: Desk) -> Known:
    """What the bundled desk has, cut to a fifth of its messages: enough to compare with, and soon read."""
    messages = (*desk.messages[::5], ("hello", "greeting"))
    return Known(messages, desk.out_of_scope[::5], tuple(text for text, _ in desk.test_messages))


@pytest.fixture(scope="module")
def courses(models: Models, encoder: Encoder, known: Known) -> Suggestions:
    return suggest(read_heard(COURSES), known, models.classifier, encoder)


def heard(*texts: str) -> list[Heard]:
    return [Heard(text, f"cust-{number}", text) for number, text in enumerate(texts)]


def test_a_new_intent_in_eight_wordings_is_found_and_named(courses: Suggestions) -> None:
    (group,) = courses.groups

    assert group.size == len(group.wordings) == 8
    assert all(any(word in text for word in ("course", "class", "lesson", "workshop")) for text in group.wordings)
    assert "course" in group.name.split("_")
    assert [one.text for one in courses.rows if one.group] != []
    assert {one.text for one in courses.rows if one.group == group.name} == set(group.wordings)
    assert all("8 wordings of what looks like a new intent" in one.why for one in courses.rows if one.group)


def test_the_first_ten_are_varied_and_hold_the_new_intent(courses: Suggestions) -> None:
    groups = [one.group for one in courses.rows[:10]]

    assert any(groups)
    assert groups.count("") >= 6


def test_what_the_desk_has_is_left_out_and_what_it_knows_comes_late(courses: Suggestions) -> None:
    texts = [one.text.lower() for one in courses.rows]

    assert "hello" not in texts  # the desk has it word for word
    assert courses.known >= 2
    assert texts.index("could i have an invoice with vat on it for the club?") > len(texts) / 3


def test_personal_numbers_are_masked(courses: Suggestions) -> None:
    texts = " ".join(one.text for one in courses.rows)

    assert "tamsin.hale" not in texts and "900461" not in texts and "4111" not in texts
    assert "[e-mail] or [phone number]" in texts and "[card number]" in texts
    assert courses.masked == 2


def test_the_same_messages_give_the_same_suggestions(
    models: Models, encoder: Encoder, known: Known, courses: Suggestions
) -> None:
    again = suggest(read_heard(COURSES), known, models.classifier, encoder)

    assert again == courses


def test_one_customer_who_repeats_himself_is_no_new_intent(models: Models, encoder: Encoder, known: Known) -> None:
    one_customer = [replace(one, customer="cust-ann") for one in read_heard(COURSES)]

    assert suggest(one_customer, known, models.classifier, encoder).groups == ()


def test_messages_that_say_the_same_count_as_one_and_weigh_more(models: Models, encoder: Encoder, known: Known) -> None:
    often = ["Can I hire a tent for a week?", "can i hire a tent for a week", "Can I hire a tent, for a week?? R-10301"]
    once = "Do your sleeping bags come in a size for children?"

    found = suggest(heard(once, *often), known, models.classifier, encoder)

    assert [one.count for one in found.rows] == [3, 1]
    assert found.rows[0].text == often[0]
    assert found.rows[0].why.startswith("seen 3 times, ")
    assert found.read == 4


def test_thanks_to_different_people_are_the_same_message(models: Models, encoder: Encoder, known: Known) -> None:
    names = people(["Hello, Priti here.", "Hi Tom", "this is Marcus", "Hello, Can you help?", "can you"])
    messages = [Heard(text, text, without(text, names)) for text in ("bless Priti", "bless Tom", "bless marcus")]

    (only,) = suggest(messages, known, models.classifier, encoder).rows

    assert names == {"priti", "tom", "marcus"}
    assert only.count == 3


class Torn:
    """A classifier that wavers between two intents and finds everything in scope by as much as it is told."""

    classes_ = ["exchange_item", "order_status", "return_item"]
    in_scope_threshold = 0.0

    def __init__(self, first: float, second: float, in_scope: float) -> None:
        self.row, self.in_scope = [second, 1 - first - second, first], in_scope

    def assess(self, texts: Sequence[str]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        return np.array([self.row] * len(texts)), np.full(len(texts), self.in_scope)


@pytest.mark.parametrize(
    ("text", "classifier", "why"),
    [
        (
            "Can I swap my boots if they rub?",
            Torn(0.41, 0.38, 3),
            "between return_item (0.41) and exchange_item (0.38)",
        ),
        ("Can I swap my boots if they rub?", Torn(0.9, 0.1, 3), "said unlike what return_item has been taught with"),
        ("Can I swap my boots if they rub?", Torn(0.41, 0.38, -3), "it may be nothing that the desk handles"),
        ("My cousin plays the trombone in a band", Torn(0.41, 0.38, 3), "no known intent is close"),
    ],
)
def test_why_is_said_in_plain_words(encoder: Encoder, known: Known, text: str, classifier: Torn, why: str) -> None:
    near = replace(known, messages=(*known.messages, ("Can I swap the boots I bought?", "exchange_item")))

    (only,) = suggest(heard(text), near, classifier, encoder).rows

    assert (only.why, only.suggested_intent, only.confidence) == (why, "return_item", classifier.row[2])


def test_when_everything_is_known_nothing_is_suggested(models: Models, encoder: Encoder, known: Known) -> None:
    texts = [text for text, _ in known.messages[:40]] + [known.tested[0].upper()]

    found = suggest(heard(*texts), known, models.classifier, encoder)

    assert (found.rows, found.groups, found.known, found.read) == ((), (), 41, 41)


def test_other_numbers_do_not_make_a_known_message_a_new_one(models: Models, encoder: Encoder) -> None:
    known = Known((("Have R-10045 and R-10201 been sent off yet?", "order_status"), ("hello", "greeting")))

    assert suggest(heard("have R-10077 and R-10112 been sent off yet"), known, models.classifier, encoder).known == 1


def test_wordless_and_endless_messages_are_left_out(models: Models, encoder: Encoder, known: Known) -> None:
    found = suggest(heard("", "???", "🙂", "so " * 5000), known, models.classifier, encoder)

    assert (found.rows, found.unusable) == ((), 4)


def test_there_are_no_more_suggestions_than_asked_for(models: Models, encoder: Encoder, known: Known) -> None:
    assert len(suggest(read_heard(COURSES), known, models.classifier, encoder, limit=7).rows) == 7


def test_a_desk_without_messages_is_refused(models: Models, encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="no labelled message to compare with"):
        suggest(heard("hello"), Known(()), models.classifier, encoder)


def test_what_is_like_a_picked_row_is_picked_later() -> None:
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])

    assert pick(np.array([0.9, 0.8, 0.5]), vectors, np.array([-1, -1, -1]), 3) == [0, 2, 1]
    assert pick(np.array([0.9, 0.8, 0.5]), np.eye(3), np.array([-1, -1, -1]), 2) == [0, 1]


def test_no_group_fills_the_list_while_there_is_something_else() -> None:
    scores, groups = np.array([0.9, 0.8, 0.7, 0.6, 0.2, 0.1]), np.array([0, 0, 0, 0, -1, -1])

    assert pick(scores, np.eye(6), groups, 6) == [0, 4, 5, 1, 2, 3]


def test_a_row_joins_the_first_that_it_is_alike() -> None:
    angles = np.radians([0, 90, 10, 20, 95])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    assert first_alike(vectors, alike=0.95).tolist() == [0, 1, 0, 3, 1]  # 20 degrees are too far from the first
    assert first_alike(np.zeros((0, 2))).tolist() == []


def test_rows_are_joined_across_blocks_as_within_them() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(700, 16))
    vectors = np.tile(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), (2, 1))

    assert first_alike(vectors, alike=0.999).tolist() == [*range(700), *range(700)]


def test_groups_are_named_by_what_sets_them_apart_and_never_alike() -> None:
    others = ["where is my order", "is my order late", "cancel my order", "do you repair jackets"]
    asked = ["do you run a sewing course", "courses in sewing?", "a course please for my order"]

    assert name_groups([asked, asked], others, ["course_sewing"]) == ["course_sewing_2", "course_sewing_3"]
    assert name_groups([["one thing", "another matter"]], others, []) == ["new_intent"]


def test_the_sheet_is_for_a_person_to_fill_in(tmp_path: Path, courses: Suggestions) -> None:
    path = tmp_path / "sheet.csv"

    write_suggestions(path, courses)

    rows = read_sheet(path, COLUMNS)
    with path.open(encoding="utf-8-sig", newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS
    assert [row["text"] for row in rows] == [one.text for one in courses.rows]
    assert {row["intent"] for row in rows} == {""}
    assert {row["group"] for row in rows} == {"", f"{courses.groups[0].name} (8)"}


def fill_in(path: Path, labels: Sequence[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "intent"), *labels])


def test_filled_in_rows_are_read_back(tmp_path: Path) -> None:
    fill_in(tmp_path / "sheet.csv", [("where is it", "order_status"), ("hm", ""), ("'=1+1", "small_talk")])

    labels = read_labels(tmp_path / "sheet.csv")

    assert labels == [Label(2, "where is it", "order_status"), Label(4, "=1+1", "small_talk")]


def test_a_sheet_that_nobody_filled_in_is_refused(tmp_path: Path) -> None:
    fill_in(tmp_path / "sheet.csv", [("where is it", "")])
    with pytest.raises(SheetError, match="no intent is filled in"):
        read_labels(tmp_path / "sheet.csv")

    fill_in(tmp_path / "sheet.csv", [("where is it", "order_status"), ("", "order_status")])
    with pytest.raises(SheetError, match="row 3: there is an intent but no text"):
        read_labels(tmp_path / "sheet.csv")
