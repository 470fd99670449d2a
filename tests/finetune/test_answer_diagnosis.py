"""What an answer classifier's report says about its questions: only held-out ones count, and all of them do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape
from transformers import BertModel

from finetune.answer_calibration import Judged, SolvedAnswers, halves, rank
from finetune.answer_diagnosis import hardest_mistakes, learning_curve, suspected_answers
from finetune.answer_evaluation import answer_figures, average_precision, first_right
from finetune.answer_report import make_answer_report
from finetune.answer_teaching import TaughtAnswers
from finetune.calibration import AnswerThreshold
from finetune.pairs import HoldOut, Pairs, find_candidates, find_offers, make_pairs
from finetune.ranking import AnswerNetwork, Quiz
from finetune.report import write_report
from finetune.training import History, Settings

EVIL = '<img src="http://example.com/x.png">'
TOPICS = 6
SOLVED = SolvedAnswers(1.0, 0.0, AnswerThreshold(0.6, True, 0.04, 0.0, 0.5, 60))


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Sixty questions of each topic, each topic with its answer, and twenty that no answer fits."""
    questions = [f"{EVIL} {row} of {row % TOPICS}" for row in range(60 * TOPICS)]
    answers = [f"{'abcdef'[row % TOPICS] * 5} {EVIL}" for row in range(60 * TOPICS)]
    return make_pairs(questions, answers, out_of_scope=[f"nothing {row}" for row in range(20)])


@pytest.fixture(scope="module")
def taught(pairs: Pairs, tiny_bert: Callable[[], BertModel]) -> TaughtAnswers:
    """Half of the questions are held out; in most of a vector chance hides the few numbers that tell the topic."""
    rng = np.random.default_rng(0)

    def near(topics: list[int]) -> np.ndarray:
        signal = np.eye(TOPICS + 1)[topics][:, :TOPICS]
        vectors = np.hstack([signal, rng.normal(size=(len(topics), 24)) * 0.5]).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    vectors = near([next(iter(right), TOPICS) for right in pairs.right])
    answer_vectors = near(list(range(len(pairs.answers))))
    kept, held = ([row for row in range(len(pairs.questions)) if row // TOPICS % 2 == half] for half in (0, 1))
    quiz = Quiz(kept, find_candidates(pairs, kept, vectors[kept], answer_vectors, 5))
    offers = find_offers(pairs, held, vectors[held], answer_vectors, 4)
    split, network = HoldOut(tuple(kept), tuple(held), 0), AnswerNetwork(tiny_bert())
    return TaughtAnswers(network, Settings(1, 1e-4), History(), split, quiz, offers, vectors, answer_vectors)


@pytest.fixture(scope="module")
def judged(pairs: Pairs, taught: TaughtAnswers) -> Judged:
    """Right answers have a logit of 2 and others of -2; what retrieval does not offer, too."""
    right = [np.isin(offer.answers, sorted(pairs.right[offer.question])) for offer in taught.offers]
    answerable = np.array([bool(pairs.right[offer.question]) for offer in taught.offers])
    own = np.where(answerable, 2.0, -np.inf)
    found = [offer.scores for offer in taught.offers]
    return Judged([np.where(one, 2.0, -2.0) for one in right], right, found, answerable, own)


def alter(judged: Judged, row: int, right: float, wrong: float) -> Judged:
    """Let a row's right answers and one wrong answer have other logits."""
    logits, own = [one.copy() for one in judged.logits], judged.own.copy()
    logits[row][judged.right[row]] = right
    logits[row][np.flatnonzero(~judged.right[row])[0]] = wrong
    own[row] = right if judged.answerable[row] else -np.inf
    return replace(judged, logits=logits, own=own)


def test_the_learning_curve_begins_with_retrieval_and_rises_where_there_is_something_to_learn(
    pairs: Pairs, taught: TaughtAnswers, judged: Judged
) -> None:
    points = learning_curve(pairs, taught, judged)

    assert [point.questions for point in points] == [0, 38, 77, 115, 154, 192]
    assert points[0].map == average_precision(judged, judged.found)
    assert points[0].map + 0.2 < points[1].map < points[-1].map
    assert points[0].first_right == first_right(judged, judged.found)
    assert points == learning_curve(pairs, taught, judged)


def test_questions_without_answers_alone_teach_nothing(pairs: Pairs, taught: TaughtAnswers, judged: Judged) -> None:
    rows = [row for row, question in enumerate(taught.quiz.questions) if not pairs.right[question]]
    quiz = Quiz([taught.quiz.questions[row] for row in rows], [taught.quiz.wrong[row] for row in rows])

    points = learning_curve(pairs, replace(taught, quiz=quiz), judged)

    assert [point.map for point in points] == pytest.approx([average_precision(judged, judged.found)] * 6)


def test_an_answer_is_suspected_where_another_one_is_believed_in(
    pairs: Pairs, taught: TaughtAnswers, judged: Judged
) -> None:
    without = int(np.flatnonzero(~judged.answerable)[0])
    hidden, *_ = (row for row in np.flatnonzero(judged.answerable).tolist() if not judged.right[row].any())
    plain, hard, *_ = (row for row, right in enumerate(judged.right) if right.any())
    altered = alter(alter(judged, plain, -3.0, 4.0), hard, -3.0, -3.0)  # hard: no other answer is likely, either
    altered = alter(alter(altered, without, 0.0, 2.5), hidden, 0.0, 3.0)

    suspects = suspected_answers(pairs, taught, altered, SOLVED)

    asked = [pairs.questions[taught.offers[row].question] for row in (plain, without, hidden)]
    assert suspected_answers(pairs, taught, judged, SOLVED) == []
    assert [suspect.question for suspect in suspects] == asked
    for suspect in suspects:
        question = pairs.questions.index(suspect.question)
        assert question in taught.split.held
        assert suspect.right == next((pairs.answers[one] for one in pairs.right[question]), "")
        assert suspect.suggested != suspect.right
        assert suspect.probability < suspect.suggested_probability
        assert {pairs.questions.index(one.text) for one in suspect.nearest} <= set(taught.split.kept)


def test_the_surest_mistakes_come_first_beside_the_questions_learnt_from_that_are_most_alike(
    pairs: Pairs, taught: TaughtAnswers, judged: Judged
) -> None:
    ranked = rank(alter(alter(judged, 3, -9.0, 9.0), 5, -9.0, 8.0), 1.0, 0.0)

    mistakes = hardest_mistakes(pairs, taught, ranked, limit=2)

    assert [one.question for one in mistakes] == [pairs.questions[taught.offers[row].question] for row in (3, 5)]
    assert mistakes[0].said != mistakes[0].right
    best = taught.vectors[list(taught.split.kept)] @ taught.vectors[taught.offers[3].question]
    assert mistakes[0].nearest[0].similarity == pytest.approx(best.max())
    closest = pairs.questions.index(mistakes[0].nearest[0].text)
    assert mistakes[0].nearest[0].labels == tuple(pairs.answers[one] for one in pairs.right[closest])


def test_what_nothing_offered_fits_should_be_left_unanswered_and_the_rest_should_not(judged: Judged) -> None:
    four = Judged(
        [np.array([4.0, -4.0]), np.array([-1.0, -4.0]), np.array([1.0, -4.0]), np.array([-3.0, -4.0])],
        [np.array([True, False]), np.array([True, False]), np.array([False, False]), np.array([False, False])],
        [np.zeros(2)] * 4,
        np.array([True, True, True, False]),
        np.array([4.0, -1.0, -2.0, -np.inf]),
    )
    figures = answer_figures(four, rank(four, 1.0, 0.0), np.array([True, False, True, False]))

    assert (figures["out_of_scope_questions"], figures["out_of_scope_without_answer"]) == (2, 1)
    assert figures["out_of_scope_caught"] == 0.5
    assert figures["out_of_scope_false_alarms"] == 0.5
    assert figures["out_of_scope_auroc"] == 0.75  # of four pairs one is in the wrong order
    assert sum(figures["in_scope_scores"]["inside"]) == sum(figures["in_scope_scores"]["outside"]) == 2
    first = four.only([0, 1])
    assert "out_of_scope_caught" not in answer_figures(first, rank(first, 1.0, 0.0), np.array([True, False]))


def test_the_page_shows_all_of_it_with_every_text_as_text(
    pairs: Pairs, taught: TaughtAnswers, judged: Judged, tmp_path: Path
) -> None:
    altered = alter(judged, 0, -3.0, 4.0)
    report = make_answer_report(pairs, taught, altered, SOLVED, 0.05, "full", {"desk": EVIL})
    write_report(tmp_path, report, "answer")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert report["suspected_label_errors_found"] == len(report["suspected_label_errors"]) == 1
    assert "1 of these questions may have the wrong text, or lack one" in " ".join(report["verdict"])
    silent = (~halves(altered, 0.05)[1])[[not right.any() for right in altered.right]].mean()
    assert report["figures"]["out_of_scope_caught"] == silent
    for title in ("Would more questions help?", "Does it know when nothing fits?", "Labels to look at", "Most alike"):
        assert title in page
    assert "questions learnt from" in page
    assert str(escape(EVIL)) in page
    assert EVIL not in page
