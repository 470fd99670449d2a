"""What is measured is what is served: thresholds and figures come from the exported model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.desk import Desk
from finetune import IntentClassifier
from finetune.corpus import Corpus, make_corpus
from finetune.diagnosis import content_hash


@pytest.fixture(scope="module")
def corpus(starter: Desk) -> Corpus:
    """The starter desk's messages, in conversations of two."""
    texts, intents = zip(*starter.messages, strict=True)
    return make_corpus(texts, intents, starter.out_of_scope, [row // 2 for row in range(len(texts))])


@pytest.fixture(scope="module")
def taught(starter: Desk, corpus: Corpus) -> IntentClassifier:
    texts, intents = zip(*starter.messages, strict=True)
    conversations = corpus.conversations[: len(texts)]
    return IntentClassifier(method="head", epochs=1).fit(
        texts, intents, starter.out_of_scope, conversations=conversations
    )


def test_thresholds_are_solved_on_what_the_exported_model_says_of_held_out_conversations(
    taught: IntentClassifier, corpus: Corpus
) -> None:
    vectors = taught.encode([corpus.texts[row] for row in corpus.held])
    earlier = [vectors[list(rows)] for rows in corpus.messages.only(corpus.held).earlier]
    probabilities, scores = taught.judge(vectors, earlier)

    assert max(map(len, earlier)) == 1
    assert taught.answer_threshold in probabilities.max(axis=1)  # each of them is what some message reached
    assert taught.in_scope_threshold in scores


def test_the_report_counts_what_was_learnt_and_names_all_messages_by_their_hash(
    taught: IntentClassifier, starter: Desk, corpus: Corpus, tmp_path: Path
) -> None:
    taught.save(tmp_path / "model")
    data = json.loads((tmp_path / "model" / "report.json").read_text(encoding="utf-8"))["data"]
    held_outside = [row for row in corpus.held if row >= len(starter.messages)]
    everything = [*starter.messages, *((text, ()) for text in starter.out_of_scope)]

    assert held_outside
    assert data["out_of_scope_messages"] == len(starter.out_of_scope) - len(held_outside)
    assert data["sha256"] == content_hash(*zip(*everything, strict=True))
