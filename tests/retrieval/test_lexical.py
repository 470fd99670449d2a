"""BM25: finding text by its words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval import BM25
from retrieval.lexical import terms

_WORDS = st.lists(st.sampled_from(["tent", "parcel", "boots", "late", "torn", "the"]), max_size=8).map(" ".join)
_TEXTS = st.lists(_WORDS, max_size=10)


def _bm25(*texts: str) -> BM25:
    index = BM25()
    index.add([str(row) for row in range(len(texts))], texts)
    return index


def _ids(index: BM25, query: str, k: int = 10) -> list[str]:
    return [key for key, _ in index.search(query, k)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Returning returned RETURNS", ["return"] * 3),
        ("I don’t, don't", ["don't", "don't"]),
        ("snake_case R-10234 café!", ["snake", "case", "r", "10234", "café"]),
        ("Where is my parcel, please?", ["parcel"]),
        ("I bought what she has chosen", ["buy", "choos"]),
        ("帐篷杆", ["帐", "篷", "杆", "帐篷", "篷杆"]),
        ("ＡＢＣ のテント", ["abc", "の", "テ", "ン", "ト", "のテ", "テン", "ント"]),
        ("मेरा टेंट", ["मेरा", "टेंट"]),
        ("it’s IT'S", []),
        ("¿?! …", []),
        ("", []),
    ],
)
def test_terms_are_stemmed_words_without_those_that_say_nothing(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_a_text_is_found_by_another_form_of_its_word() -> None:
    assert _ids(_bm25("How do I return boots?", "Gift cards"), "returning a boot") == ["0"]


def test_stop_words_find_nothing() -> None:
    assert _ids(_bm25("where is it", "what about the tent"), "what is the where about it") == []


def test_a_rare_word_counts_for_more_than_a_common_one() -> None:
    assert _ids(_bm25("order tent", "order boots", "order lamp", "order voucher"), "order voucher")[0] == "3"


def test_a_short_text_comes_before_a_long_one_with_the_same_word() -> None:
    assert _ids(_bm25("tent " + "gravel " * 50, "tent pole"), "tent") == ["1", "0"]


def test_equal_texts_keep_the_order_of_adding() -> None:
    assert _ids(_bm25(*["same words"] * 5), "words", k=3) == ["0", "1", "2"]


def test_the_score_is_okapi_bm25() -> None:
    ((key, score),) = _bm25("tent tent pole", "lamp").search("tent", 5)
    idf = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    assert key == "0"
    assert score == pytest.approx(idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2)))


@pytest.mark.parametrize(("query", "found"), [("帐篷", ["0"]), ("断", ["0"]), ("注文番号", ["1"]), ("番号は", ["1"])])
def test_text_without_spaces_is_found_by_its_words(query: str, found: list[str]) -> None:
    assert _ids(_bm25("我的帐篷杆断了", "私の注文番号を教えて", "ขนาดรองเท้า"), query) == found


def test_a_text_covers_the_share_of_the_terms_that_it_holds() -> None:
    _, cover = _bm25("tent pole", "lamp").match(["tent", "pole"])
    assert cover.tolist() == [1.0, 0.0]
    _, cover = _bm25("tent pole", "lamp").match(["tent", "zebra"])
    assert 0 < cover[0] < 0.5
    assert _bm25("tent").match([])[1].tolist() == [1.0]


def test_a_text_counts_for_others_as_far_as_it_is_spread() -> None:
    scores, _ = _bm25("tent", "lamp").match(["tent"], lambda numbers: numbers + numbers[..., ::-1] / 2)
    assert scores[0] > scores[1] > 0


def test_an_empty_index_finds_nothing() -> None:
    assert (BM25().search("tent", 5), len(BM25())) == ([], 0)


def test_ids_and_texts_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="shorter"):
        BM25().add(["a", "b"], ["only one"])


@given(texts=_TEXTS, query=_WORDS)
def test_exactly_the_texts_that_share_a_term_are_found_best_first(texts: list[str], query: str) -> None:
    found = _bm25(*texts).search(query, len(texts))
    sharing = {str(row) for row, text in enumerate(texts) if set(terms(text)) & set(terms(query))}
    scores = [score for _, score in found]
    assert {key for key, _ in found} == sharing
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)


@given(texts=_TEXTS, query=_WORDS, cut=st.integers(0, 10))
def test_an_index_that_grew_finds_what_one_made_at_once_finds(texts: list[str], query: str, cut: int) -> None:
    grown = _bm25(*texts[:cut])
    grown.search(query, 5)
    grown.add([str(row) for row in range(len(texts))][cut:], texts[cut:])
    assert grown.search(query, 10) == _bm25(*texts).search(query, 10)
