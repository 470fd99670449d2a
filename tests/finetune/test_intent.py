"""The intent classifier: what it learns, what it keeps, what it refuses, and how good it is on the bundled desk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.desk import BUNDLED, Desk
from bot.models import Models, encoder_folder, intent_folder
from finetune import IntentClassifier
from finetune.evaluation import evaluate
from retrieval.model_folder import ModelError

TEXTS = ["where is my order R-10234", "hello", "", "x" * 5000, "你好"]
# Runs in a fresh process: loads a classifier, predicts, and fails if that took a training library.
SERVE = """
import sys
from finetune import IntentClassifier
print(IntentClassifier.load(sys.argv[1]).predict([sys.argv[2]])[0])
heavy = {"torch", "transformers", "sentence_transformers", "sklearn", "onnx"} & set(sys.modules)
sys.exit(f"serving imported {heavy}" if heavy else 0)
"""


@pytest.fixture(scope="module")
def taught(starter: Desk) -> IntentClassifier:
    """A classifier that has just been taught a little on the starter desk's messages."""
    texts, intents = zip(*starter.messages, strict=True)
    untaught = IntentClassifier(method="head", epochs=1)
    return untaught.fit(texts, intents, starter.out_of_scope, about={"desk": "starter"})


def test_probabilities_are_shares_of_one_in_the_order_of_the_classes(models: Models, desk: Desk) -> None:
    probabilities = models.classifier.predict_proba(TEXTS)

    assert models.classifier.classes_ == sorted(desk.answers)
    assert probabilities.shape == (len(TEXTS), len(desk.answers))
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_what_the_desk_handles_scores_higher_than_what_it_does_not(models: Models) -> None:
    inside = models.classifier.in_scope_score(["where is my order R-10234", "can I send these boots back"])
    outside = models.classifier.in_scope_score(["who won the election in 1974", "write me a poem about cheese"])

    assert inside.shape == (2,)
    assert inside.min() > models.classifier.in_scope_threshold > outside.max()


def test_what_is_predicted_is_most_probable(models: Models) -> None:
    best = models.classifier.predict_proba(TEXTS).argmax(axis=1)

    assert models.classifier.predict(TEXTS) == [models.classifier.classes_[place] for place in best]


def test_a_text_means_the_same_alone_and_among_others(models: Models) -> None:
    together = models.classifier.predict_proba(TEXTS)
    alone = np.concatenate([models.classifier.predict_proba([text]) for text in TEXTS])

    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_no_texts_give_no_rows(models: Models) -> None:
    probabilities, scores = models.classifier.assess([])

    assert probabilities.shape == (0, len(models.classifier.classes_))
    assert scores.shape == (0,)
    assert models.classifier.predict([]) == []


def test_what_is_saved_and_loaded_gives_identical_probabilities(models: Models, tmp_path: Path) -> None:
    models.classifier.save(tmp_path / "copy")
    copy = IntentClassifier.load(tmp_path / "copy")

    np.testing.assert_array_equal(copy.predict_proba(TEXTS), models.classifier.predict_proba(TEXTS))
    assert copy.answer_threshold == models.classifier.answer_threshold
    assert copy.in_scope_threshold == models.classifier.in_scope_threshold
    assert copy.manifest == models.classifier.manifest


@pytest.fixture(scope="module")
def copied(models: Models, tmp_path_factory: pytest.TempPathFactory) -> IntentClassifier:
    folder = tmp_path_factory.mktemp("copied") / "model"
    models.classifier.save(folder)
    return IntentClassifier.load(folder)


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=60), max_size=4))
def test_whatever_is_said_a_loaded_model_gives_the_same_probabilities(
    texts: list[str], models: Models, copied: IntentClassifier
) -> None:
    for one, other in zip(copied.assess(texts), models.classifier.assess(texts), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_array_of_texts_is_taken_as_a_list_is(models: Models) -> None:
    assert models.classifier.predict(np.array(TEXTS)) == models.classifier.predict(TEXTS)
    assert models.classifier.predict(np.array([], dtype=str)) == []


def test_another_kind_of_model_is_refused(prepared_home: Path) -> None:
    with pytest.raises(ModelError, match="does not hold an intent classifier"):
        IntentClassifier.load(encoder_folder(prepared_home))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No model in"):
        IntentClassifier.load(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "head.onnx", "tokenizer.json", "weights.safetensors", "report.json"])
def test_a_model_with_altered_bytes_is_refused(models: Models, tmp_path: Path, name: str) -> None:
    models.classifier.save(tmp_path / "copy")
    file = tmp_path / "copy" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with pytest.raises(ModelError, match=rf"{name} was altered"):
        IntentClassifier.load(tmp_path / "copy")


def test_a_classifier_that_has_learnt_nothing_is_refused(tmp_path: Path) -> None:
    untaught = IntentClassifier()

    for use in (untaught.predict_proba, untaught.predict, untaught.in_scope_score):
        for texts in (["hello"], []):
            with pytest.raises(ModelError, match="neither fitted nor loaded"):
                use(texts)
    with pytest.raises(ModelError, match="neither fitted nor loaded"):
        untaught.save(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("texts", "labels", "what"),
    [
        (["hi", "hey"], ["a"], "each text needs its label"),
        (["hi", "hey"], np.array([0, 1]), "the label in row 0 is .*0.*; give labels as strings"),
        (["hi", "hey"], ["a", "a"], "at least 2"),
        (["hi", "hey", "bye", "ciao"], ["a", "a", "b", "b"], "no label has the 5 different texts"),
    ],
)
def test_messages_that_cannot_be_learnt_from_are_refused(texts: list[str], labels: list[str], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        IntentClassifier().fit(texts, labels, ["the weather"])


def test_the_bundled_desk_is_understood(models: Models, desk: Desk) -> None:
    texts, intents = zip(*desk.test_messages, strict=True)

    figures = evaluate(models.classifier, texts, intents, desk.test_out_of_scope)

    assert figures["messages"] == len(desk.test_messages)
    assert figures["out_of_scope_messages"] == len(desk.test_out_of_scope)
    assert figures["accuracy"] >= 0.93
    assert figures["out_of_scope_caught"] >= 0.85
    assert figures["in_scope_kept"] >= 0.95
    assert figures["expected_calibration_error"] <= 0.05
    assert figures["wrong_of_answered"] <= 2 * desk.settings.policy.max_wrong_answers


def test_serving_needs_no_training_library(prepared_home: Path, desk: Desk) -> None:
    said = serve(intent_folder(prepared_home, desk), "where is my order R-10234")

    assert said == "order_status"


def test_a_classifier_just_taught_is_saved_and_served(taught: IntentClassifier, starter: Desk, tmp_path: Path) -> None:
    taught.save(tmp_path / "intent")
    loaded = IntentClassifier.load(tmp_path / "intent")

    assert loaded.classes_ == taught.classes_ == sorted(starter.answers)
    assert loaded.manifest["desk"] == "starter"
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), taught.predict_proba(TEXTS))
    assert serve(tmp_path / "intent", "what do you charge for a puncture") == "repair_cost"


def serve(folder: Path, text: str) -> str:
    """Return what a process that only serves predicts for a text."""
    command = [sys.executable, "-c", SERVE, str(folder), text]
    done = subprocess.run(command, capture_output=True, text=True, cwd=BUNDLED.parents[2], check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
