"""Fusion of rankings."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrieval.hybrid import blend

_SCORES = st.lists(st.floats(-100, 100), min_size=1, max_size=9).map(np.array)


def test_a_better_kind_of_score_counts_more_than_a_worse_one() -> None:
    sure, unsure = np.array([0.9, 0.1, 0.1]), np.array([1.0, 3.0, 2.0])
    assert blend((1.0, sure), (0.1, unsure)).argmax() == 0
    assert blend((0.1, sure), (1.0, unsure)).argmax() == 1


def test_scores_of_different_scales_are_made_comparable() -> None:
    small, large = np.array([0.1, 0.2, 0.3]), np.array([300.0, 200.0, 100.0])
    np.testing.assert_allclose(blend((1.0, small), (1.0, large)), 0, atol=1e-9)


def test_scores_that_are_all_equal_decide_nothing() -> None:
    np.testing.assert_array_equal(blend((1.0, np.array([5.0, 5.0])), (1.0, np.array([1.0, 0.0]))), [1.0, -1.0])
    assert blend((1.0, np.zeros(0)), (0.5, np.zeros(0))).shape == (0,)


@given(scores=_SCORES, factor=st.floats(0.5, 50), offset=st.floats(-50, 50))
def test_neither_scale_nor_offset_of_a_kind_of_score_matters(scores: np.ndarray, factor: float, offset: float) -> None:
    scores = scores.round(2)  # differences that rounding cannot swallow
    np.testing.assert_allclose(blend((1.0, scores)), blend((1.0, scores * factor + offset)), atol=1e-4)
