"""The answer classifier: what it learns, what it keeps, what it refuses, and that serving needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from markupsafe import escape
from scipy.special import expit
from torch import Tensor
from transformers import BertModel

from finetune.answer import AnswerClassifier
from finetune.answer_publishing import judge_held_out
from finetune.methods import METHODS, Method, apply, merge
from finetune.pairs import Offer, Pairs, make_pairs
from finetune.ranking import AnswerLesson, AnswerNetwork, Quiz, judge, mean_average_precision
from finetune.training import Settings, train
from retrieval.model_folder import ModelError

ROOT = Path(__file__).resolve().parents[2]
TinyBert = Callable[[], BertModel]
DESK = {
    "Returns. Send anything back within 60 days and we give you your money back.": [
        "how do I send it back",
        "can I return this jacket",
        "I want my money back",
        "not the right size, returning it",
        "are returns free",
    ],
    "Delivery. Parcels take two to three working days to reach you.": [
        "when does my parcel come",
        "how long is delivery",
        "how many days until it arrives",
        "is my order on its way",
        "do you ship to Leeds",
    ],
    "Tents. Dry the tent before you pack it, or mildew grows on it.": [
        "there is mould on my shelter",
        "how to dry a wet tent",
        "my tent smells musty",
        "storing a tent over winter",
        "care for the groundsheet",
    ],
    "Paying. We take Visa, Mastercard and gift cards.": [
        "can I pay by card",
        "do you take visa",
        "which payment methods are there",
        "paying with a gift card",
        "is american express accepted",
    ],
}
QUESTIONS = [question for questions in DESK.values() for question in questions]
RIGHT = [answer for answer, questions in DESK.items() for _ in questions]
ELSEWHERE = ["what is the capital of Mongolia", "tell me a joke", "who won the match", "book me a flight"]
# Runs in a fresh process: loads a classifier, judges a pair, and fails if that took a training library.
SERVE = """
import sys
from finetune.answer import AnswerClassifier
print(AnswerClassifier.load(sys.argv[1]).score([sys.argv[2]], [sys.argv[3]])[0])
heavy = {"torch", "transformers", "sentence_transformers", "sklearn", "onnx"} & set(sys.modules)
sys.exit(f"serving imported {heavy}" if heavy else 0)
"""


@pytest.fixture(scope="module")
def taught() -> AnswerClassifier:
    return AnswerClassifier(epochs=2).fit(QUESTIONS, RIGHT, out_of_scope=ELSEWHERE, about={"desk": "camping"})


@pytest.fixture(scope="module")
def folder(taught: AnswerClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "answer"
    taught.save(path)
    return path


def test_the_answer_that_fits_is_the_most_probable_one(taught: AnswerClassifier) -> None:
    answers = list(DESK)
    for number, question in enumerate(["may I give the boots back", "what do I do about damp canvas"]):
        scores = taught.score([question] * len(answers), answers)
        assert scores.argmax() == (0, 2)[number]


def test_scores_are_probabilities_in_the_order_of_the_pairs(taught: AnswerClassifier) -> None:
    questions = [*QUESTIONS, "", "x" * 5000, "你好"]
    scores = taught.score(questions, [*RIGHT, "y" * 5000, "", "再见"])
    alone = [taught.score([question], [answer])[0] for question, answer in zip(QUESTIONS, RIGHT, strict=True)]

    assert scores.shape == (len(questions),)
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_allclose(scores[: len(alone)], alone, atol=1e-4)


def test_no_answer_is_probable_for_a_question_from_elsewhere(taught: AnswerClassifier) -> None:
    inside = taught.score(QUESTIONS, RIGHT)
    outside = [taught.score([question] * len(DESK), list(DESK)).max() for question in ELSEWHERE]

    assert np.median(inside) > max(outside)


def test_no_pairs_give_no_scores_and_uneven_ones_are_refused(taught: AnswerClassifier) -> None:
    assert taught.score([], []).shape == (0,)
    with pytest.raises(ValueError, match="2 questions and 1 answers"):
        taught.score(["a", "b"], ["x"])


def test_what_is_saved_and_loaded_gives_identical_scores(taught: AnswerClassifier, folder: Path) -> None:
    loaded = AnswerClassifier.load(folder)

    np.testing.assert_array_equal(loaded.score(QUESTIONS, RIGHT), taught.score(QUESTIONS, RIGHT))
    assert loaded.manifest == taught.manifest
    assert (loaded.threshold, loaded.method, loaded.seed) == (taught.threshold, "full", 0)


def test_the_model_folder_says_what_it_is(taught: AnswerClassifier, folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "manifest.json",
        "model.onnx",
        "report.html",
        "report.json",
        "tokenizer.json",
        "weights.safetensors",
    }
    assert taught.manifest["kind"] == "answer"
    assert taught.manifest["desk"] == "camping"
    assert 0 < taught.threshold <= 1


def test_the_report_says_how_good_it_is_and_shows_its_mistakes(taught: AnswerClassifier, folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    page = (folder / "report.html").read_text(encoding="utf-8")

    assert report["figures"]["questions"] == report["data"]["held_out_questions"] > 0
    assert report["figures"]["map"] == taught.manifest["held_out_map"]
    assert report["thresholds"]["answer"] == taught.threshold
    wrong = [mistake["question"] for mistake in report["mistakes"]]
    assert set(wrong) <= {*QUESTIONS, *ELSEWHERE}
    assert all(str(escape(sentence)) in page for sentence in [*report["verdict"], *wrong])
    assert "<script" not in page


def test_the_report_says_what_more_questions_would_bring_and_what_misled_it(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    learnt = len(QUESTIONS) + len(ELSEWHERE) - report["data"]["held_out_questions"]

    assert report["learning_curve"][0]["questions"] == 0
    assert report["learning_curve"][-1]["questions"] == learnt
    assert report["learning_curve"][0]["map"] == report["figures"]["map_by_retrieval"]
    for row in [*report["mistakes"], *report["suspected_label_errors"]]:
        assert row["question"] not in {near["text"] for near in row["nearest"]} <= {*QUESTIONS, *ELSEWHERE}
    assert report["seconds"]["Report"] < 20


def test_a_right_answer_that_is_not_offered_is_read_as_well(taught: AnswerClassifier) -> None:
    learnt = make_pairs(QUESTIONS, RIGHT, out_of_scope=ELSEWHERE)
    offers = [Offer(0, (2, 3), np.zeros(2)), Offer(0, (2, 0), np.zeros(2)), Offer(20, (1,), np.zeros(1))]
    judged = judge_held_out(learnt, offers, taught._served())
    slope, offset = (taught.manifest[name] for name in ("slope", "offset"))

    assert [len(one) for one in judged.logits] == [2, 2, 1]
    assert judged.own[0] == judged.own[1] == judged.logits[1][1]
    assert expit(slope * judged.own[0] + offset) == pytest.approx(taught.score(QUESTIONS[:1], RIGHT[:1])[0])
    assert judged.own[2] == -np.inf


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "weights.safetensors"])
def test_a_model_with_altered_bytes_is_refused(taught: AnswerClassifier, tmp_path: Path, name: str) -> None:
    taught.save(tmp_path / "copy")
    file = tmp_path / "copy" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with pytest.raises(ModelError, match=rf"{name} was altered"):
        AnswerClassifier.load(tmp_path / "copy")


def test_another_kind_of_model_and_no_model_are_refused(prepared_home: Path, tmp_path: Path) -> None:
    encoder = next((prepared_home / "models").glob("encoder-*"))
    with pytest.raises(ModelError, match=r"does not hold an answer classifier\. Train one: rapport train answer"):
        AnswerClassifier.load(encoder)
    with pytest.raises(ModelError, match="No model in"):
        AnswerClassifier.load(tmp_path)


def test_a_classifier_that_has_learnt_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither fitted nor loaded"):
        AnswerClassifier().score([], [])
    with pytest.raises(ModelError, match="neither fitted nor loaded"):
        AnswerClassifier().save(tmp_path / "nothing")


def test_pairs_that_cannot_be_learnt_from_are_refused() -> None:
    with pytest.raises(ValueError, match="1 different answers"):
        AnswerClassifier().fit(["a", "b"], ["x", "x"])


def test_serving_needs_no_training_library(folder: Path) -> None:
    command = [sys.executable, "-c", SERVE, str(folder), QUESTIONS[0], RIGHT[0]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.5


def tokenize(pairs: list[tuple[str, str]]) -> list[Tensor]:
    """Return pairs of words that are numbers, as token numbers and segments."""
    rows = []
    for question, answer in pairs:
        asked, answered = ([int(word) for word in text.split()] for text in (question, answer))
        ids = [101, *asked, 102, *answered, 102]
        rows.append(torch.tensor([ids, [0] * (len(asked) + 2) + [1] * (len(answered) + 1)]))
    return rows


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Questions of made-up words; the right answer names the question's topic by another number."""
    questions = [f"{20 + row} {40 + row % 6}" for row in range(36)]
    return make_pairs(
        questions, [f"{60 + row % 6} {80 + row % 6}" for row in range(36)], out_of_scope=["11 12", "13 14"]
    )


@pytest.fixture(scope="module")
def make_lesson(tiny_bert: TinyBert, pairs: Pairs) -> Callable[[Method], AnswerLesson]:
    def make(method: Method = "full") -> AnswerLesson:
        torch.manual_seed(1)
        quiz = Quiz(range(38), [[one for one in range(6) if one not in pairs.right[row]] for row in range(38)])
        return AnswerLesson(AnswerNetwork(apply(tiny_bert(), method)), tokenize, pairs, quiz, quiz)

    return make


@pytest.fixture(scope="module")
def learnt(make_lesson: Callable[..., AnswerLesson]) -> AnswerLesson:
    lesson = make_lesson()
    train(lesson, Settings(epochs=44, learning_rate=3e-3, batch_size=8, patience=44))
    return lesson


def test_a_ranking_is_learnt(make_lesson: Callable[..., AnswerLesson], learnt: AnswerLesson) -> None:
    assert learnt.score() > 0.8
    assert make_lesson().score() < 0.5


def test_an_answer_to_a_question_that_has_none_scores_below_none(learnt: AnswerLesson) -> None:
    assert judge(learnt.model, tokenize([("11 12", f"{60 + one} {80 + one}") for one in range(6)])).max() < 0


def test_an_interrupted_training_ends_as_if_it_had_not_been(
    make_lesson: Callable[..., AnswerLesson], tmp_path: Path
) -> None:
    settings = Settings(epochs=3, learning_rate=1e-3, batch_size=8)
    whole, broken, resumed = make_lesson(), make_lesson(), make_lesson()
    train(whole, settings)

    class PulledPlugError(Exception):
        pass

    def progress(_what: str, share: float) -> None:
        progress.calls += 1
        if progress.calls == 8:
            raise PulledPlugError

    progress.calls = 0
    with pytest.raises(PulledPlugError):
        train(broken, settings, progress, tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint").is_file()
    train(resumed, settings, checkpoint=tmp_path / "checkpoint")

    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_teaches_its_part(make_lesson: Callable[..., AnswerLesson], method: Method) -> None:
    lesson = make_lesson(method)
    learning = {name for name, one in lesson.model.named_parameters() if one.requires_grad}
    before = judge(lesson.model, tokenize([("20 40", "60 80")]))

    train(lesson, Settings(epochs=2, learning_rate=1e-2, batch_size=8))

    assert "linear.weight" in learning
    assert (len(learning) == 2) == (method == "head")
    after = judge(lesson.model, tokenize([("20 40", "60 80")]))
    assert not np.allclose(before, after)
    lesson.model.bert = merge(lesson.model.bert)
    np.testing.assert_allclose(judge(lesson.model, tokenize([("20 40", "60 80")])), after, atol=1e-2)


def test_average_precision_counts_each_right_answer_at_its_place() -> None:
    def score(*ranked: tuple[list[float], list[bool]]) -> float:
        return mean_average_precision([(np.array(scores), np.array(right)) for scores, right in ranked])

    assert score(([3, 2, 1], [True, True, False])) == 1
    assert score(([3, 2, 1], [False, True, True])) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert score(([1, 1], [True, False])) == 0.5  # equal to a wrong one is below it
    assert score(([2, 1], [True, False]), ([1, 2], [True, False])) == 0.75
    assert score() == 0
