"""Pairs: what is refused, what is held out, which wrong answers are found, and what a desk gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.data import near_duplicates
from finetune.pairs import Pairs, desk_pairs, find_candidates, find_offers, hold_out, make_pairs

ANSWERS = ["Send it back within 60 days.", "Parcels take two days.", "We take Visa.", "Dry the tent first."]
GROUPED = st.lists(st.integers(0, 5), min_size=12, max_size=60)
DISTINCT = "amber birch cedar delta ember fjord grove heath islet jetty knoll larch marsh north ocean pearl".split()


def make_questions(numbers: list[int]) -> list[str]:
    """Return a question for each number, none of which is nearly another."""
    return [f"{DISTINCT[row % 16]} {DISTINCT[row // 16]} {number}" for row, number in enumerate(numbers)]


def texts(pairs: Pairs, numbers: list[int] | frozenset[int]) -> set[str]:
    return {pairs.answers[number] for number in numbers}


@pytest.mark.parametrize(
    ("questions", "answers", "options", "what"),
    [
        ([], [], {}, "no pairs"),
        (["a", "b"], ["x"], {}, "2 questions and 1 answers"),
        (["a", "b"], ["x", "y"], {"labels": [1]}, "2 questions and 1 labels"),
        (["a", "b"], ["x", "y"], {"groups": ["g"]}, "2 questions and 1 groups"),
        (["a", " "], ["x", "y"], {}, "question in row 1 is empty"),
        (["a", "b"], ["", "y"], {}, "answer in row 0 is empty"),
        (["a", "b"], ["x", "y"], {"out_of_scope": [""]}, "out-of-scope question in row 0 is empty"),
        (["a" * 30_000, "b"], ["x", "y"], {}, "question in row 0 has 30,000 characters"),
        (["a", "b"], ["x", "y"], {"labels": [1, 2]}, "the label in row 1 is 2"),
        (["a", "b"], ["x", "x"], {}, "1 different answers and all of them may fit"),
        (["a", "b"], ["x", "y"], {"groups": ["g", "g"]}, "2 different answers and all of them may fit"),
        (["a", "a"], ["x", "y"], {"labels": [1, -1]}, "2 different answers and all of them may fit"),
        (["a", "a"], ["x", "x"], {"labels": [1, 0]}, "row 1 says of a pair that it fits and another row"),
    ],
)
def test_pairs_that_nothing_can_be_learnt_from_are_refused(
    questions: list[str], answers: list[str], options: dict[str, list[str]], what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        make_pairs(questions, answers, **options)  # type: ignore[arg-type]


def test_a_question_that_stands_in_several_rows_has_several_right_answers() -> None:
    pairs = make_pairs(["when does it come", "when  does it come ", "may I return it"], ANSWERS[:3])

    assert pairs.questions == ("when does it come", "may I return it")
    assert [texts(pairs, right) for right in pairs.right] == [set(ANSWERS[:2]), {ANSWERS[2]}]


def test_answers_of_a_group_and_other_wordings_of_a_right_answer_may_fit_as_well() -> None:
    twin = "Parcels take two days!"
    pairs = make_pairs(["a", "b", "c", "d"], [ANSWERS[0], ANSWERS[1], ANSWERS[2], twin], groups=["g", "g", "h", "i"])

    assert texts(pairs, pairs.unknown[0]) == {ANSWERS[1]}
    assert texts(pairs, pairs.unknown[1]) == {ANSWERS[0], twin}
    assert texts(pairs, pairs.unknown[2]) == set()


def test_no_answer_fits_an_out_of_scope_question() -> None:
    pairs = make_pairs(["a", "b"], ANSWERS[:2], out_of_scope=["what is the capital of Peru", "a"])

    assert pairs.questions == ("a", "b", "what is the capital of Peru")
    assert pairs.right[2] == frozenset()


@given(numbers=GROUPED, seed=st.integers(0, 9))
def test_a_group_is_held_out_as_a_whole(numbers: list[int], seed: int) -> None:
    if len(set(numbers)) < 3:
        numbers = [*numbers, 6, 7, 8]
    questions = make_questions(numbers)
    pairs = make_pairs(questions, [f"answer {number}" for number in numbers], groups=numbers)

    split = hold_out(pairs, 1 / 4, 1000, seed)

    assert sorted([*split.kept, *split.held]) == list(range(len(questions)))
    assert not {pairs.groups[row] for row in split.kept} & {pairs.groups[row] for row in split.held}


def test_of_each_answers_questions_some_are_held_out_and_near_duplicates_are_not() -> None:
    questions = [*make_questions([0] * 16), "where is my parcel now please", "please, where is my parcel now"]
    pairs = make_pairs(questions, [ANSWERS[row % 2] for row in range(18)])

    for seed in range(8):
        split = hold_out(pairs, 1 / 2, 1000, seed)
        assert {16, 17} & set(split.kept) == {16, 17} or split.leaks == 0
        assert {min(pairs.right[row]) for row in split.held} == {0, 1}
        assert sorted([*split.kept, *split.held]) == list(range(18))


def test_twins_of_a_question_that_is_not_held_out_after_all_are_not_either() -> None:
    questions = [" ".join(f"{chain}w{number}" for number in range(size)) for chain in range(200) for size in (6, 8, 10)]
    pairs = make_pairs(questions, [ANSWERS[row % 2] for row in range(600)])  # each of a chain is like the next one

    split = hold_out(pairs, 1 / 4, 1000, 0)

    held, kept = ([questions[row] for row in rows] for rows in (split.held, split.kept))
    assert near_duplicates(held, kept) == []


def test_no_more_questions_than_needed_are_held_out() -> None:
    numbers = list(range(16)) * 16
    pairs = make_pairs(make_questions(numbers), [f"answer {DISTINCT[number]}" for number in numbers])

    assert len(hold_out(pairs, 1 / 2, 40, 0).held) in range(32, 49)


def test_of_questions_that_have_an_answer_each_some_are_held_out() -> None:
    numbers = list(range(40))
    outside = make_questions([50] * 20)
    pairs = make_pairs(make_questions(numbers), [f"answer {number}" for number in numbers], out_of_scope=outside)

    split = hold_out(pairs, 1 / 8, 120, 0)

    assert sum(bool(pairs.right[row]) for row in split.held) == 5
    assert len(hold_out(make_pairs(make_questions(numbers[:5]), ANSWERS + ANSWERS[:1]), 1 / 8, 120, 0).held) == 1


def test_too_few_questions_to_hold_some_out_are_refused() -> None:
    with pytest.raises(ValueError, match="too few to hold some out"):
        hold_out(make_pairs(["a", "b"], ANSWERS[:2]), 1 / 8, 100, 0)


@pytest.fixture
def vectors() -> np.ndarray:
    """Unit vectors of the four answers and, the same, of the four questions."""
    return np.eye(4, dtype=np.float32) * 0.9 + 0.1


def test_close_answers_are_the_wrong_ones_that_are_found_and_right_ones_never_are(vectors: np.ndarray) -> None:
    pairs = make_pairs(["a", "b", "c", "d"], ANSWERS)
    near_the_second = np.array([[0.0, 0.9, 0.4, 0.1]], dtype=np.float32)

    assert find_candidates(pairs, [0], near_the_second, vectors, 2) == [[1, 2]]
    assert find_candidates(pairs, [1], near_the_second, vectors, 9) == [[2, 3, 0]]
    assert find_candidates(pairs, [0], near_the_second, vectors, 2, without={1}) == [[2, 3]]


def test_words_in_common_make_an_answer_a_closer_one(vectors: np.ndarray) -> None:
    pairs = make_pairs(["do you take visa cards", "b", "c", "d"], [ANSWERS[0], *ANSWERS[1:]])

    assert find_candidates(pairs, [0], np.ones((1, 4), dtype=np.float32), vectors, 1) == [[2]]


def test_answers_given_as_wrong_come_first_and_unknown_ones_not_at_all(vectors: np.ndarray) -> None:
    pairs = make_pairs(["a", "a", "a", "b", "b"], [*ANSWERS[:3], *ANSWERS[2:]], labels=[1, -1, 0, 1, 1])
    near_the_last = np.array([[0.0, 0.5, 0.1, 0.9]], dtype=np.float32)

    assert find_candidates(pairs, [0], near_the_last, vectors, 3) == [[2, 3]]


def test_what_retrieval_offers_may_lack_the_right_answer_and_says_nothing_of_unknown_ones(vectors: np.ndarray) -> None:
    pairs = make_pairs(["a", "a", "b", "c"], [ANSWERS[0], *ANSWERS[1:]], labels=[1, -1, 1, 1])
    near_the_last = np.array([[0.0, 0.8, 0.4, 0.9]], dtype=np.float32)

    (offer,) = find_offers(pairs, [0], near_the_last, vectors, 2)

    assert (offer.question, offer.answers) == (0, (3, 2))  # the right one is 0, and 1 may fit as well
    assert offer.scores[0] > offer.scores[1]


DESK_ANSWERS = {
    "return": "Returns. Send it back within 60 days.",
    "refund": "Refunds. You get your money within 60 days.",
    "hello": "Hello. Good to see you.",
}
PASSAGES = [
    ("returns", "Returns. Sending it back. You may send it back within 60 days."),
    ("returns", "Returns. Gifts. Gift cards are not taken."),
    ("tents", "Tents. Dry it first."),
]


def test_a_desks_messages_fit_their_answer_and_the_closest_passage_of_its_article() -> None:
    messages = [("it does not fit me", "return"), ("hi", "hello")]
    articles = {"return": "returns", "refund": "returns"}

    rows = set(zip(*desk_pairs(messages, DESK_ANSWERS, articles, PASSAGES), strict=True))

    assert rows == {
        ("hi", DESK_ANSWERS["hello"], 1),
        ("it does not fit me", DESK_ANSWERS["return"], 1),
        ("it does not fit me", PASSAGES[0][1], 1),
        ("it does not fit me", PASSAGES[1][1], -1),
        ("it does not fit me", DESK_ANSWERS["refund"], -1),
    }


def test_no_more_messages_of_an_intent_are_taken_than_wanted() -> None:
    messages = [(f"message {number}", "hello" if number % 2 else "return") for number in range(40)]

    questions, _, _ = desk_pairs(messages, DESK_ANSWERS, {}, PASSAGES, most=5, seed=1)

    assert len(questions) == len(set(questions)) == 10
    assert questions != desk_pairs(messages, DESK_ANSWERS, {}, PASSAGES, most=5, seed=2)[0]


def test_an_intent_without_an_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="no answer for repair; add it"):
        desk_pairs([("it is broken", "repair")], DESK_ANSWERS, {}, PASSAGES)
