"""Fusion of rankings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.hybrid import blend, fuse

_SCORES = st.lists(st.floats(-100, 100), min_size=1, max_size=9).map(np.array)
_RANKINGS = st.lists(st.lists(st.sampled_from("abcdef"), unique=True), max_size=4)


def test_what_both_rankings_hold_comes_before_what_one_puts_first() -> None:
    assert [key for key, _ in fuse(["a", "b"], ["c", "b"])] == ["b", "a", "c"]


def test_scores_are_reciprocal_rank_fusion() -> None:
    assert dict(fuse(["a", "b"], ["b"])) == {"a": 1 / 61, "b": pytest.approx(1 / 62 + 1 / 61)}


def test_equal_scores_keep_the_order_of_the_first_ranking() -> None:
    assert [key for key, _ in fuse(["a"], ["b"])] == ["a", "b"]
    assert [key for key, _ in fuse(["a", "b"], ["b", "a"])] == ["a", "b"]


def test_nothing_fuses_to_nothing() -> None:
    assert fuse() == fuse([], []) == []


@given(rankings=_RANKINGS)
def test_every_id_is_there_once_with_falling_scores(rankings: list[list[str]]) -> None:
    fused = fuse(*rankings)
    scores = [score for _, score in fused]
    assert sorted(key for key, _ in fused) == sorted({key for ranking in rankings for key in ranking})
    assert scores == sorted(scores, reverse=True)


@given(ranking=st.lists(st.text(), unique=True))
def test_one_ranking_alone_keeps_its_order(ranking: list[str]) -> None:
    assert [key for key, _ in fuse(ranking)] == ranking


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
