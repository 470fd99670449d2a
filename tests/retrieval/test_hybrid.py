"""Fusion of rankings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.hybrid import fuse

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
