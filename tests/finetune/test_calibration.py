"""Temperature and thresholds keep their promises on held-out messages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from finetune.calibration import answer_threshold, expected_calibration_error, fit_temperature, in_scope_threshold

HELD_OUT = st.lists(st.tuples(st.sampled_from([0.2, 0.4, 0.5, 0.7, 0.9, 0.99]), st.booleans()), min_size=1)


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_overconfident_or_shy_logits_is_found(true_temperature: float) -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(20_000, 4)) * 2
    targets = np.array([rng.choice(4, p=row) for row in softmax(honest, axis=1)])

    assert fit_temperature(honest * true_temperature, targets) == pytest.approx(true_temperature, rel=0.05)


def test_the_temperature_brings_confidence_closer_to_accuracy() -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(size=(5_000, 4)) * 2
    targets = np.array([rng.choice(4, p=row) for row in softmax(honest, axis=1)])
    loud = honest * 4

    def error(temperature: float) -> float:
        probabilities = softmax(loud / temperature, axis=1)
        return expected_calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets)

    assert error(fit_temperature(loud, targets)) < error(1.0) / 4


def test_as_many_messages_are_answered_as_the_target_allows() -> None:
    confidences = np.array([0.95, 0.9, 0.8, 0.7, 0.6])
    correct = np.array([True, True, False, True, False])

    assert answer_threshold(confidences, correct, max_wrong=0.25) == 0.7
    assert answer_threshold(confidences, correct, max_wrong=0.2) == 0.9
    assert answer_threshold(confidences, correct, max_wrong=0.4) == 0.6


def test_a_target_that_cannot_be_reached_leaves_only_the_surest_message() -> None:
    confidences = np.array([0.5, 0.9, 0.7])

    assert answer_threshold(confidences, np.array([True, False, False]), max_wrong=0.05) == 0.9


@given(rows=HELD_OUT, max_wrong=st.floats(0.01, 0.6))
def test_at_most_the_tolerated_share_of_what_is_answered_is_wrong(
    rows: list[tuple[float, bool]], max_wrong: float
) -> None:
    confidences, correct = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])

    threshold = answer_threshold(confidences, correct, max_wrong)
    wrong = (~correct[confidences >= threshold]).mean()
    reachable = any((~correct[confidences >= one]).mean() <= max_wrong for one in confidences)

    assert wrong <= max_wrong if reachable else threshold == confidences.max()


@given(scores=st.lists(st.floats(0, 1), min_size=1), max_turned_away=st.floats(0.01, 0.5))
def test_at_most_the_tolerated_share_is_turned_away(scores: list[float], max_turned_away: float) -> None:
    threshold = in_scope_threshold(np.array(scores), max_turned_away)

    assert (np.array(scores) < threshold).mean() <= max_turned_away


def test_the_in_scope_threshold_turns_away_as_much_as_it_may() -> None:
    scores = np.arange(100) / 100

    assert (scores < in_scope_threshold(scores, 0.1)).sum() == 9


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    sure = np.full(10, 0.99)
    shares = np.array([True] * 8 + [False] * 2)

    assert expected_calibration_error(np.full(10, 0.8), shares) == pytest.approx(0)
    assert expected_calibration_error(sure, shares) == pytest.approx(0.19)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0
    # Two bins of unequal size: 8 rows with a gap of 0.2, 2 rows with a gap of 0.5.
    mixed = expected_calibration_error(np.array([0.8] * 8 + [0.5] * 2), np.array([True] * 8 + [False] * 2))
    assert mixed == pytest.approx(0.8 * 0.2 + 0.2 * 0.5)
