"""The help centre: articles into passages, and passages found."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bot.models import Models
from retrieval import Candidate, Encoder, Knowledge
from retrieval.knowledge import Passage, rerank, split_article

ARTICLE = """# Returns

Send it **back** within `60` days.

## How to start

- Fill in [the form](https://example.com/form).
- Print the label.

### What it costs
Nothing.

## To be written

"""
PASSAGES = [
    Passage("returns#0", "returns", "Returns", "", "Send anything back within 60 days."),
    Passage("tents#0", "tents", "Tents", "Care", "Dry the tent before you pack it, or mildew grows."),
    Passage("pay#0", "pay", "Paying", "Cards", "We take Visa, Mastercard and gift cards."),
]


def _search(knowledge: Knowledge, encoder: Encoder, text: str, k: int = 5) -> list[Candidate]:
    return knowledge.search(text, encoder.encode([text])[0], k)


def _cached(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


def test_an_article_is_split_at_its_headings_into_plain_text() -> None:
    passages = split_article("returns", ARTICLE)
    assert [(passage.id, passage.heading, passage.text) for passage in passages] == [
        ("returns#0", "", "Send it back within 60 days."),
        ("returns#1", "How to start", "- Fill in the form.\n- Print the label."),
        ("returns#2", "What it costs", "Nothing."),
    ]
    assert {(passage.article, passage.title) for passage in passages} == {("returns", "Returns")}


def test_line_endings_of_other_systems_make_no_difference() -> None:
    def content(markdown: str) -> list[tuple[str, list[str]]]:
        return [(one.heading, one.text.split()) for one in split_article("returns", markdown)]

    assert content(ARTICLE.replace("\n", "\r\n")) == content(ARTICLE)


@pytest.mark.parametrize("markdown", ["", "No title here", "## Too deep\ntext", "#Returns\ntext", "# \ntext"])
def test_an_article_without_a_title_is_refused(markdown: str) -> None:
    with pytest.raises(ValueError, match="the first line is not a title"):
        split_article("returns", markdown)


@pytest.mark.parametrize("markdown", ["# Returns", "# Returns\n\n## Empty\n\n## Empty too\n"])
def test_an_article_without_text_is_refused(markdown: str) -> None:
    with pytest.raises(ValueError, match="there is no text under the title"):
        split_article("returns", markdown)


def test_a_passage_is_found_by_meaning_with_its_cosine(encoder: Encoder) -> None:
    best = _search(Knowledge(PASSAGES, encoder), encoder, "mould on my shelter")[0]
    text = "Tents. Care. Dry the tent before you pack it, or mildew grows."
    question, passage = encoder.encode(["mould on my shelter", text])
    assert best.passage == PASSAGES[1]
    assert best.similarity == pytest.approx(float(question @ passage), abs=1e-5)


def test_a_passage_is_found_by_a_word_of_its_title(encoder: Encoder) -> None:
    passages = [Passage(f"p{n}#0", f"p{n}", f"Model ZX{n}QF", "", "Batteries are included.") for n in range(25)]
    assert _search(Knowledge(passages, encoder), encoder, "zx17qf")[0].passage.article == "p17"


def test_a_title_counts_beside_the_text_under_it(encoder: Encoder) -> None:
    text = "Write to us within the time that the law gives you, and add the number on your invoice."
    passages = [Passage(name, name, title, "", text) for name, title in (("a", "Warranty"), ("b", "Newsletter"))]
    passages += [Passage(f"p{n}", f"p{n}", "Tents", "", f"Tent number {n} weighs {n} kilos.") for n in range(9)]
    assert [one.passage.id for one in _search(Knowledge(passages, encoder), encoder, "guarantee claim", 2)] == [
        "a",
        "b",
    ]


class Longest:
    """Judges that an answer fits the better the longer it is."""

    def score(self, questions: Sequence[str], answers: Sequence[str]) -> np.ndarray:
        return np.array([len(answer) / 1000 for answer in answers])


def test_candidates_are_ordered_by_how_well_they_fit() -> None:
    candidates = [Candidate(passage, 0.5, 0.0) for passage in PASSAGES]
    best = rerank("anything", candidates, Longest())
    assert [one.passage.id for one in best] == ["tents#0", "pay#0", "returns#0"]
    assert best[0].fit == pytest.approx(len(PASSAGES[1].whole) / 1000)
    assert best[0].similarity == 0.5


def test_what_retrieval_found_decides_between_candidates_that_fit_alike() -> None:
    twins = [Passage(name, name, "Paying", "", "Cards.") for name in "ab"]
    best = rerank("anything", [Candidate(twins[0], 0.5, 0.1), Candidate(twins[1], 0.4, 0.9)], Longest())
    assert [one.passage.id for one in best] == ["b", "a"]


def test_no_candidates_need_no_order() -> None:
    assert rerank("anything", [], Longest()) == []


def test_no_more_passages_than_asked_for_are_found(encoder: Encoder) -> None:
    knowledge = Knowledge(PASSAGES, encoder)
    assert [len(_search(knowledge, encoder, "cards", k)) for k in (0, 2, 9)] == [0, 2, 3]


def test_no_passages_find_nothing(encoder: Encoder, tmp_path: Path) -> None:
    assert _search(Knowledge([], encoder, tmp_path), encoder, "cards") == []
    assert _search(Knowledge([], encoder, tmp_path), encoder, "cards") == []


@pytest.mark.parametrize(
    ("question", "article"),
    [
        ("My boots leak, is that covered by the guarantee?", "warranty"),
        ("Can I pay in instalments?", "pay-in-3"),
        ("How do I wash my waterproof jacket?", "waterproofs"),
    ],
)
def test_the_bundled_desks_articles_are_found(models: Models, encoder: Encoder, question: str, article: str) -> None:
    found = _search(models.knowledge, encoder, question, 3)
    assert article in [candidate.passage.article for candidate in found]


def test_vectors_kept_in_the_cache_are_used(encoder: Encoder, tmp_path: Path) -> None:
    Knowledge(PASSAGES, encoder, tmp_path)
    (file,) = tmp_path.iterdir()
    save_file({"vectors": load_file(file)["vectors"][::-1].copy()}, file)
    best = _search(Knowledge(PASSAGES, encoder, tmp_path), encoder, "Paying. Cards. Visa, Mastercard", 3)
    by_cosine = max(best, key=lambda candidate: candidate.similarity)
    assert by_cosine.passage == PASSAGES[0]  # the first has the last one's vector


def test_the_cache_changes_nothing_about_what_is_found(encoder: Encoder, tmp_path: Path) -> None:
    expected = _search(Knowledge(PASSAGES, encoder), encoder, "return a tent")
    for _ in range(2):
        assert _search(Knowledge(PASSAGES, encoder, tmp_path / "cache"), encoder, "return a tent") == expected


def test_changed_passages_get_new_vectors_and_the_old_file_goes(encoder: Encoder, tmp_path: Path) -> None:
    Knowledge(PASSAGES, encoder, tmp_path)
    before = _cached(tmp_path)
    Knowledge(PASSAGES[:2], encoder, tmp_path)
    after = _cached(tmp_path)
    assert (len(before), len(after)) == (1, 1)
    assert before != after


def test_a_full_disk_is_said_to_be_one_and_keeps_nothing(encoder: Encoder, tmp_path: Path) -> None:
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, most[1]))
    try:
        with pytest.raises(OSError, match=r"passages-.* cannot be written"):
            Knowledge(PASSAGES, encoder, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)

    assert _cached(tmp_path) == []


class Meanwhile:
    """An encoder that, while it encodes, lets somebody else keep the vectors of the same passages."""

    def __init__(self, encoder: Encoder, cache: Path) -> None:
        self.name, self._encoder, self._cache = encoder.name, encoder, cache

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        Knowledge(PASSAGES, self._encoder, self._cache)
        for half_written in self._cache.glob("*.safetensors"):
            half_written.with_suffix(".draft").mkdir()  # where the other one is still writing
        return self._encoder.encode(texts)


def test_processes_that_index_the_same_articles_at_once_do_not_disturb_each_other(
    encoder: Encoder, tmp_path: Path
) -> None:
    Knowledge(PASSAGES, Meanwhile(encoder, tmp_path), tmp_path)  # type: ignore[arg-type]

    assert len([*tmp_path.glob("*.safetensors")]) == 1


@pytest.mark.parametrize("damage", ["cut short", "no vectors", "too few vectors", "empty"])
def test_a_damaged_cache_is_made_again(encoder: Encoder, tmp_path: Path, damage: str) -> None:
    Knowledge(PASSAGES, encoder, tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    if damage in ("cut short", "empty"):
        file.write_bytes(whole[:200] if damage == "cut short" else b"")
    else:
        name = "others" if damage == "no vectors" else "vectors"
        save_file({name: np.zeros((2, 384), dtype=np.float32)}, file)
    best = _search(Knowledge(PASSAGES, encoder, tmp_path), encoder, "mildew")[0]
    assert best.passage == PASSAGES[1]
    assert file.read_bytes() == whole
