"""Temperature and thresholds keep their promises on held-out messages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax
from scipy.stats import binom

from finetune.calibration import (
    Limits,
    answer_threshold,
    checkpoints,
    expected_calibration_error,
    fewest_messages,
    fit_temperature,
    halves,
    in_scope_threshold,
    outcomes,
    solve,
    upper_bound,
)

RIGHT = st.sampled_from([True, True, True, False])
HELD_OUT = st.lists(st.tuples(st.sampled_from([0.2, 0.4, 0.5, 0.7, 0.9, 0.99]), RIGHT), min_size=1, max_size=80)


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


@pytest.mark.parametrize("true_temperature", [0.5, 2.0])
def test_the_temperature_is_found_where_a_message_may_have_several_labels(true_temperature: float) -> None:
    rng = np.random.default_rng(2)
    honest = rng.normal(size=(20_000, 3)) * 2
    targets = (rng.random(honest.shape) < expit(honest)).astype(np.float32)

    assert fit_temperature(honest * true_temperature, targets) == pytest.approx(true_temperature, rel=0.05)


def test_the_threshold_is_as_low_as_the_bound_allows() -> None:
    """45 answers bound 5% with none wrong, 77 with one, 105 with two, 132 with three."""
    confidences = np.linspace(1.0, 0.5, 200)
    correct = np.ones(200, dtype=bool)
    correct[[60, 110, 111, 112]] = False

    solved = answer_threshold(confidences, correct, max_wrong=0.05)

    assert (confidences >= solved.threshold).sum() == 105
    assert (solved.bounded, solved.held_out) == (True, 200)
    assert solved.wrong == pytest.approx(1 / 105)
    assert solved.answered == pytest.approx(105 / 200)
    # By definition: with that share of wrong answers, 1 or fewer of 105 happen once in ten times.
    assert binom.cdf(1, 105, solved.bound) == pytest.approx(0.1)


@given(messages=st.integers(0, 400), max_wrong=st.floats(0.01, 0.6))
def test_each_checkpoint_is_the_first_to_allow_one_more_mistake(messages: int, max_wrong: float) -> None:
    looks = checkpoints(messages, max_wrong)

    assert not looks or looks[-1] == messages
    for mistakes, count in enumerate(looks[:-1]):
        assert binom.cdf(mistakes, count, max_wrong) <= 0.1 < binom.cdf(mistakes, count - 1, max_wrong)


@pytest.mark.parametrize(("max_wrong", "fewest"), [(0.05, 45), (0.1, 22), (0.02, 114), (0.5, 4)])
def test_a_bound_takes_enough_messages(max_wrong: float, fewest: int) -> None:
    def bounded(messages: int) -> bool:
        return answer_threshold(np.linspace(1, 0.5, messages), np.ones(messages, dtype=bool), max_wrong).bounded

    assert fewest_messages(max_wrong) == fewest
    assert bounded(fewest)
    assert not bounded(fewest - 1)


def test_with_too_few_messages_for_a_bound_the_share_seen_decides() -> None:
    confidences = np.array([0.95, 0.9, 0.8, 0.7, 0.6])
    correct = np.array([True, True, False, True, False])

    assert answer_threshold(confidences, correct, max_wrong=0.25).threshold == 0.7
    assert answer_threshold(confidences, correct, max_wrong=0.2).threshold == 0.9
    assert answer_threshold(confidences, correct, max_wrong=0.4).threshold == 0.6
    assert not answer_threshold(confidences, correct, max_wrong=0.4).bounded


def test_a_target_that_cannot_be_reached_leaves_only_the_surest_message() -> None:
    confidences = np.array([0.5, 0.9, 0.7])

    solved = answer_threshold(confidences, np.array([True, False, False]), max_wrong=0.05)

    assert (solved.threshold, solved.bounded, solved.bound) == (0.9, False, 1.0)


def test_no_messages_are_refused() -> None:
    with pytest.raises(ValueError, match="no held-out messages"):
        answer_threshold(np.zeros(0), np.zeros(0, dtype=bool), 0.05)


def test_nine_times_in_ten_the_tolerated_share_is_kept_on_messages_never_seen() -> None:
    """Of messages spread evenly over confidences c, (1 - c)² are wrong: from t on, that is a share of (1 - t)² / 3."""
    rng = np.random.default_rng(3)
    bounded, broken, answered = 0, 0, []
    for _ in range(1_000):
        confidences = rng.random(300)
        solved = answer_threshold(confidences, rng.random(300) > (1 - confidences) ** 2, max_wrong=0.1)
        bounded += solved.bounded
        broken += solved.bounded and (1 - solved.threshold) ** 2 / 3 > 0.1
        answered.append(1 - solved.threshold)

    assert bounded > 900
    assert broken <= 100
    assert np.mean(answered) > 0.7 * 0.3**0.5  # of what could be answered if the truth were known


@given(rows=HELD_OUT, max_wrong=st.floats(0.01, 0.6))
def test_at_most_the_tolerated_share_of_what_is_answered_is_wrong(
    rows: list[tuple[float, bool]], max_wrong: float
) -> None:
    confidences, correct = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])

    solved = answer_threshold(confidences, correct, max_wrong)
    wrong = (~correct[confidences >= solved.threshold]).mean()
    reachable = any((~correct[confidences >= one]).mean() <= max_wrong for one in confidences)

    assert wrong == pytest.approx(solved.wrong)
    assert (confidences >= solved.threshold).mean() == pytest.approx(solved.answered)
    assert wrong <= max_wrong if reachable else solved.threshold == confidences.max()
    assert wrong < solved.bound <= max_wrong if solved.bounded else wrong <= solved.bound


@given(rows=HELD_OUT, max_wrong=st.floats(0.01, 0.6), seed=st.integers(0, 99))
def test_the_threshold_does_not_depend_on_the_order_of_the_messages(
    rows: list[tuple[float, bool]], max_wrong: float, seed: int
) -> None:
    confidences, correct = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    order = np.random.default_rng(seed).permutation(len(rows))

    assert answer_threshold(confidences[order], correct[order], max_wrong) == answer_threshold(
        confidences, correct, max_wrong
    )


@given(wrong=st.integers(0, 50), right=st.integers(0, 200))
def test_the_bound_lies_above_the_share_seen_and_rises_with_each_mistake(wrong: int, right: int) -> None:
    count = wrong + right
    if count:
        fewer, more = upper_bound(np.array([wrong, min(wrong + 1, count)]), np.array([count, count]))
        assert wrong / count <= fewer <= more <= 1


@given(scores=st.lists(st.floats(0, 1), min_size=1), max_turned_away=st.floats(0.01, 0.5))
def test_at_most_the_tolerated_share_is_turned_away(scores: list[float], max_turned_away: float) -> None:
    threshold = in_scope_threshold(np.array(scores), max_turned_away)

    assert (np.array(scores) < threshold).mean() <= max_turned_away


def test_the_in_scope_threshold_turns_away_as_much_as_its_bound_allows() -> None:
    scores = np.arange(100) / 100

    assert (scores < in_scope_threshold(scores, 0.1)).sum() == 5  # 6 of 100 could be 10.3%
    assert (scores[:8] < in_scope_threshold(scores[:8], 0.2)).sum() == 1  # too few for a bound


def test_more_than_the_tolerated_share_is_seldom_turned_away() -> None:
    rng = np.random.default_rng(3)
    thresholds = [in_scope_threshold(rng.random(400), 0.05) for _ in range(500)]

    assert np.mean(np.array(thresholds) > 0.05) <= 0.12  # a uniform score falls below t with probability t
    assert np.mean(thresholds) > 0.03


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    sure = np.full(10, 0.99)
    shares = np.array([True] * 8 + [False] * 2)

    assert expected_calibration_error(np.full(10, 0.8), shares) == pytest.approx(0)
    assert expected_calibration_error(sure, shares) == pytest.approx(0.19)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0
    # Two bins of unequal size: 8 rows with a gap of 0.2, 2 rows with a gap of 0.5.
    mixed = expected_calibration_error(np.array([0.8] * 8 + [0.5] * 2), np.array([True] * 8 + [False] * 2))
    assert mixed == pytest.approx(0.8 * 0.2 + 0.2 * 0.5)


def test_a_message_is_answered_clarified_or_handed_over() -> None:
    probabilities = np.array(
        [
            [0.80, 0.10, 0.05, 0.05],  # sure
            [0.80, 0.10, 0.05, 0.05],  # sure, but out of scope
            [0.45, 0.30, 0.15, 0.10],  # three to choose from
            [0.55, 0.09, 0.09, 0.09],  # one that is likely enough to be offered alone
            [0.25, 0.24, 0.05, 0.05],  # together too unlikely
            [0.30, 0.15, 0.09, 0.09],  # the third does not count
            [0.20, 0.15, 0.15, 0.15],  # the fourth is not offered, three are enough
        ]
    )
    in_scope = np.array([True, False, True, True, True, True, True])

    got = outcomes(probabilities, in_scope, 0.6)

    assert got.answered.tolist() == [True] + [False] * 6
    assert got.clarified.tolist() == [False, False, True, True, False, False, True]
    assert got.handed_over.tolist() == [False, True, False, False, True, True, False]
    assert got.shares() == pytest.approx({"answered": 1 / 7, "clarified": 3 / 7, "handed_over": 3 / 7})


def test_no_messages_have_no_outcomes() -> None:
    shares = outcomes(np.zeros((0, 3)), np.zeros(0, dtype=bool), 0.5).shares()

    assert shares == {"answered": 0, "clarified": 0, "handed_over": 0}


def test_what_is_solved_looks_only_at_messages_that_count_as_in_scope() -> None:
    logits = np.array([[4.0, 0.0]] * 120 + [[5.0, 0.0]] * 2)
    targets = np.array([0] * 120 + [1] * 2)  # the surest two are wrong, and look as if they were out of scope
    scores = np.array([0.9] * 120 + [0.1] * 2)

    solved = solve(logits, targets, scores, Limits(0.05, 0.05))

    assert solved.in_scope == 0.9
    assert (solved.answer.held_out, solved.answer.wrong, solved.answer.bounded) == (120, 0, True)


def test_taking_interchangeable_classes_for_each_other_is_no_wrong_answer() -> None:
    logits = np.repeat([[6.0, 0, 0], [0, 6.0, 0], [0, 0, 6.0]], 60, axis=0)
    targets = np.array([0] * 60 + [2] * 60 + [1] * 60)  # the second and the third are always taken for each other
    both = np.array([False, True, True])

    strict = solve(logits, targets, np.ones(180), Limits(0.05, 0.05))
    lenient = solve(logits, targets, np.ones(180), Limits(0.05, 0.05, both))
    several = solve(logits, np.eye(3)[targets], np.ones(180), Limits(0.05, 0.05, both))

    assert not strict.answer.bounded
    assert [(one.answer.bounded, one.answer.wrong) for one in (lenient, several)] == [(True, 0.0)] * 2
    assert not solve(logits, targets, np.ones(180), Limits(0.05, 0.05, np.array([True, True, False]))).answer.bounded


def test_each_half_is_judged_by_what_the_other_half_says() -> None:
    """The first class is known by loud logits and the second by quiet ones; a message's twin is in the other half."""
    rng = np.random.default_rng(4)
    logits, targets, scores = rng.normal(size=(60, 3)) * 3, rng.integers(3, size=60), rng.random(60)

    judged = halves(logits, targets, scores, Limits(0.3, 0.1), seed=1)

    other = judged.in_scope_threshold != judged.in_scope_threshold[0]
    assert sorted({other.sum(), (~other).sum()}) in ([30], [29, 31])
    for mine in (other, ~other):
        solved = solve(logits[~mine], targets[~mine], scores[~mine], Limits(0.3, 0.1))
        assert (judged.answer_threshold[mine] == solved.answer.threshold).all()
        assert (judged.in_scope_threshold[mine] == solved.in_scope).all()
        np.testing.assert_allclose(judged.probabilities[mine], softmax(logits[mine] / solved.temperature, axis=1))
    for label in range(3):
        assert abs((targets[other] == label).sum() - (targets[~other] == label).sum()) <= 1


def test_halves_work_where_a_message_may_have_several_labels() -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(40, 3)) * 3
    targets = (logits + rng.normal(size=logits.shape) > 0).astype(np.float32)

    judged = halves(logits, targets, rng.random(40), Limits(0.3, 0.1))

    assert judged.probabilities.shape == (40, 3)
    assert not np.allclose(judged.probabilities.sum(axis=1), 1)


def test_one_message_cannot_be_halved() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        halves(np.zeros((1, 2)), np.zeros(1, dtype=int), np.zeros(1), Limits(0.05, 0.03))
