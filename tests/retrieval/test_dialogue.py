"""Finding what was said in a dialogue."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval import Encoder
from retrieval.dialogue import DialogueIndex, Hit, Said

TODAY = date(2026, 11, 24)
SPOKEN = (
    ("Ann", "I adopted a puppy"),
    ("Bob", "Lovely! What is it called?"),
    ("Ann", "Biscuit"),
    ("Bob", "My kettle broke"),
    ("Ann", "Have it repaired"),
)


def _said(*spoken: tuple[str, str], sessions: int = 1, first: int = 1) -> list[Said]:
    return [
        Said(number, f"s{number % sessions}", TODAY, text, speaker)
        for number, (speaker, text) in enumerate(spoken, first)
    ]


@pytest.fixture(scope="module")
def index(encoder: Encoder) -> DialogueIndex:
    index = DialogueIndex()
    index.add(_said(*SPOKEN), encoder.encode([text for _, text in SPOKEN]))
    return index


def _search(index: DialogueIndex, encoder: Encoder, text: str, k: int = 3, exclude: tuple[int, ...] = ()) -> list[Hit]:
    return index.search(text, encoder.encode([text])[0], TODAY, k, exclude)


def test_an_answer_is_found_by_the_words_of_its_question(index: DialogueIndex, encoder: Encoder) -> None:
    assert 3 in [hit.id for hit in _search(index, encoder, "what is the puppy called?")]


def test_the_speaker_that_is_named_comes_first(index: DialogueIndex, encoder: Encoder) -> None:
    assert _search(index, encoder, "What broke of Bob's?")[0].id == 4
    ann, bob = (_search(index, encoder, f"Which kettle of {name} broke?")[0] for name in ("Ann", "Bob"))
    assert bob.lead > 0 > ann.lead
    assert bob.evidence > ann.evidence


def test_without_a_name_nobody_leads(index: DialogueIndex, encoder: Encoder) -> None:
    assert _search(index, encoder, "Which kettle broke?")[0].lead == 0


def test_hits_are_as_many_as_asked_for_without_those_left_out(index: DialogueIndex, encoder: Encoder) -> None:
    ids = [hit.id for hit in _search(index, encoder, "kettle", k=9, exclude=(4,))]
    assert sorted(ids) == [1, 2, 3, 5]
    assert _search(index, encoder, "kettle", k=0) == []


def test_an_empty_dialogue_holds_nothing(encoder: Encoder) -> None:
    assert _search(DialogueIndex(), encoder, "kettle") == []


@pytest.mark.parametrize("text", ["", "the", "!?"])
def test_a_question_without_a_word_is_no_error(index: DialogueIndex, encoder: Encoder, text: str) -> None:
    assert len(_search(index, encoder, text)) == 3


def test_neighbours_are_those_of_the_same_session(encoder: Encoder) -> None:
    index = DialogueIndex()
    index.add(_said(*SPOKEN, sessions=2), encoder.encode([text for _, text in SPOKEN]))
    hits = {hit.id: (hit.before, hit.after) for hit in _search(index, encoder, "kettle", k=5)}
    assert hits == {1: (None, 3), 2: (None, 4), 3: (1, 5), 4: (2, None), 5: (3, None)}


@given(cut=st.integers(0, 5), sessions=st.integers(1, 3))
def test_an_index_that_grew_finds_what_one_made_at_once_finds(cut: int, sessions: int) -> None:
    vectors = np.eye(5, 384, dtype=np.float32)
    said = _said(*SPOKEN, sessions=sessions)
    whole, grown = DialogueIndex(), DialogueIndex()
    whole.add(said, vectors)
    grown.add(said[:cut], vectors[:cut])
    grown.search("puppy", vectors[0], TODAY, 3)
    grown.add(said[cut:], vectors[cut:])
    assert grown.search("Ann's puppy", vectors[0], TODAY, 5) == whole.search("Ann's puppy", vectors[0], TODAY, 5)
