"""Figures agree with small cases worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from finetune.evaluation import Outputs, evaluate, figures, interval, risk_coverage

CLASSES = ["greeting", "order_status", "refund"]
# Row by row: right and sure, right and sure, wrong and sure, right and unsure, out of scope by its score.
PROBABILITIES = np.array(
    [[0.1, 0.9, 0.0], [0.05, 0.95, 0.0], [0.0, 0.8, 0.2], [0.3, 0.3, 0.4], [0.7, 0.2, 0.1]], dtype=np.float32
)
LABELS = ["order_status", "order_status", "refund", "refund", "greeting"]
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.1])


def outputs(**changes: object) -> Outputs:
    given = {
        "classes": CLASSES,
        "labels": LABELS,
        "probabilities": PROBABILITIES,
        "scores": SCORES,
        "answer_threshold": 0.75,
        "in_scope_threshold": 0.5,
    }
    return Outputs(**{**given, **changes})  # type: ignore[arg-type]


class Classifier:
    """Answers as it was told to, in the words of a classifier."""

    classes_ = CLASSES
    answer_threshold = 0.75
    in_scope_threshold = 0.5

    def assess(self, texts: list[str]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        if texts[0] == "outside":
            return np.full((2, 3), 1 / 3), np.array([0.2, 0.55])
        return PROBABILITIES, SCORES


def test_the_shares_of_what_happens_to_messages_add_up() -> None:
    got = figures(outputs())

    assert got["messages"] == 5
    assert got["accuracy"] == pytest.approx(4 / 5)
    assert got["answered"] == pytest.approx(3 / 5)
    assert got["wrong_of_answered"] == pytest.approx(1 / 3)
    assert got["clarified"] == pytest.approx(1 / 5)
    assert got["handed_over"] == pytest.approx(1 / 5)
    assert got["in_scope_kept"] == pytest.approx(4 / 5)


def test_each_intent_has_its_figures_worst_first() -> None:
    rows = figures(outputs())["per_intent"]

    assert [row["intent"] for row in rows] == ["refund", "order_status", "greeting"]
    assert rows[0] == {"intent": "refund", "messages": 2, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert rows[1]["precision"] == pytest.approx(2 / 3)
    assert rows[1]["recall"] == 1


def test_averages_count_intents_alike_or_by_their_messages() -> None:
    got = figures(outputs())

    assert got["precision_macro"] == pytest.approx((1 + 2 / 3 + 1) / 3)
    assert got["recall_macro"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert got["f1_macro"] == pytest.approx((1 + 0.8 + 2 / 3) / 3)
    assert got["f1_weighted"] == pytest.approx((1 * 1 + 2 * 0.8 + 2 * 2 / 3) / 5)


def test_confusions_name_the_intent_and_what_it_was_taken_for() -> None:
    probabilities = np.eye(3)[[1, 1, 1, 0, 2]]
    labels = ["refund", "refund", "greeting", "greeting", "greeting"]

    assert figures(outputs(labels=labels, probabilities=probabilities))["confusions"] == [
        {"intent": "refund", "taken_for": "order_status", "times": 2},
        {"intent": "greeting", "taken_for": "order_status", "times": 1},
        {"intent": "greeting", "taken_for": "refund", "times": 1},
    ]


def test_a_label_that_the_classifier_does_not_know_is_a_mistake() -> None:
    got = figures(outputs(labels=["gift_card", *LABELS[1:]]))

    assert got["accuracy"] == pytest.approx(3 / 5)
    assert next(row for row in got["per_intent"] if row["intent"] == "gift_card")["recall"] == 0


def test_calibration_is_compared_with_what_it_was_before() -> None:
    got = figures(outputs(raw=np.eye(3)[[1, 1, 1, 2, 0]]))

    assert got["expected_calibration_error_before"] == pytest.approx(0.2)
    assert got["reliability_before"] == [(1.0, pytest.approx(0.8), 1.0)]
    assert "expected_calibration_error_before" not in figures(outputs())


def test_out_of_scope_messages_are_told_from_the_others_by_score() -> None:
    got = figures(outputs(outside_scores=np.array([0.2, 0.3, 0.65, 0.05])))

    assert got["out_of_scope_messages"] == 4
    assert got["out_of_scope_caught"] == 0.75
    assert got["out_of_scope_false_alarms"] == pytest.approx(0.2)
    # Of 20 pairs, 0.65 is above 0.6, and 0.1 lies below 0.65, 0.3 and 0.2.
    assert got["out_of_scope_auroc"] == pytest.approx(16 / 20)
    assert sum(got["in_scope_scores"]["inside"]) == 5
    assert sum(got["in_scope_scores"]["outside"]) == 4
    assert not [name for name in figures(outputs()) if name.startswith("out_of_scope")]


def test_each_message_may_have_thresholds_of_its_own() -> None:
    got = figures(
        outputs(
            answer_threshold=np.array([0.95, 0.9, 0.75, 0.3, 0.5]),
            in_scope_threshold=np.array([0.5, 0.5, 0.75, 0.5, 0.75]),
            outside_scores=np.array([0.6]),
        )
    )

    assert got["answered"] == pytest.approx(2 / 5)  # the second and the fourth
    assert got["in_scope_kept"] == pytest.approx(3 / 5)
    assert got["out_of_scope_caught"] == 0.5  # by one threshold of the two


def test_messages_with_several_labels_are_right_if_the_likeliest_is_one_of_them() -> None:
    probabilities = np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.6], [0.4, 0.3, 0.2], [0.1, 0.9, 0.2]])
    labels = [("greeting", "order_status"), ("order_status",), ("refund",), ("greeting", "order_status")]

    got = figures(outputs(labels=labels, probabilities=probabilities, scores=SCORES[:4]))

    assert got["accuracy"] == pytest.approx(3 / 4)
    assert got["exact_match"] == pytest.approx(1 / 4)
    # Found 4 of 6 true labels among 5 predicted ones.
    assert got["precision_micro"] == pytest.approx(4 / 5)
    assert got["recall_micro"] == pytest.approx(4 / 6)
    assert got["f1_micro"] == pytest.approx(8 / 11)
    assert [row["intent"] for row in got["per_intent"]] == ["refund", "greeting", "order_status"]
    assert got["confusions"] == []


def test_a_message_without_labels_cannot_be_right() -> None:
    labels = [("greeting",), ()]

    got = figures(outputs(labels=labels, probabilities=np.array([[0.9, 0, 0], [0.1, 0.2, 0.3]]), scores=SCORES[:2]))

    assert (got["accuracy"], got["exact_match"], got["f1_macro"]) == (0.5, 1.0, 1.0)
    nothing = figures(outputs(labels=[()] * 5, probabilities=PROBABILITIES / 2))
    assert (nothing["exact_match"], nothing["f1_macro"]) == (1.0, 0.0)


def test_the_risk_grows_with_what_is_answered() -> None:
    confidences = np.array([0.9, 0.8, 0.7, 0.6])

    got = risk_coverage(confidences, np.array([True, True, False, True]))

    assert got["risk_coverage"] == [[0.25, 0], [0.5, 0], [0.75, pytest.approx(1 / 3)], [1, 0.25]]
    assert got["area_under_risk_coverage"] == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)


def test_messages_of_equal_confidence_are_answered_together() -> None:
    got = risk_coverage(np.array([0.5, 0.5, 0.9, 0.5]), np.array([True, False, True, False]))

    assert got["risk_coverage"] == [[0.25, 0], [1, 0.5]]
    assert got["area_under_risk_coverage"] == pytest.approx((0 + 0.5 * 3) / 4)


@given(rows=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=300))
def test_answering_everything_is_as_wrong_as_all_messages(rows: list[tuple[float, bool]]) -> None:
    confidences, correct = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])

    got = risk_coverage(confidences, correct)

    assert got["risk_coverage"][-1] == [1.0, pytest.approx((~correct).mean())]
    assert len(got["risk_coverage"]) <= 200
    assert [point[0] for point in got["risk_coverage"]] == sorted(point[0] for point in got["risk_coverage"])
    assert 0 <= got["area_under_risk_coverage"] <= 1


def test_the_interval_of_a_share_narrows_with_its_messages() -> None:
    # Clopper and Pearson's interval for 8 of 10 is 44.4% to 97.5%.
    assert interval(np.array([True] * 8 + [False] * 2)) == pytest.approx([0.4439, 0.9748], abs=1e-4)
    low, high = interval(np.array([True] * 800 + [False] * 200))
    assert 0.77 < low < 0.8 < high < 0.83
    assert interval(np.array([True] * 3))[1] == 1


def test_figures_are_plain_values() -> None:
    got = figures(outputs(raw=PROBABILITIES, outside_scores=np.array([0.2])))

    assert json.loads(json.dumps(got, allow_nan=False))["accuracy"] == pytest.approx(0.8)


@pytest.mark.parametrize("labels", [[], LABELS[:4]])
def test_messages_without_their_rows_are_refused(labels: list[str]) -> None:
    with pytest.raises(ValueError, match=f"there are {len(labels)} labels, 5 rows of probabilities, 5 scores"):
        figures(outputs(labels=labels))


def test_a_classifier_is_evaluated_on_texts() -> None:
    got = evaluate(Classifier(), ["inside"] * 5, LABELS, ["outside"] * 2)  # type: ignore[arg-type]

    expected = {
        "messages": 5,
        "accuracy": 0.8,
        "answered": 0.6,
        "wrong_of_answered": 1 / 3,
        "in_scope_kept": 0.8,
        "out_of_scope_messages": 2,
        "out_of_scope_caught": 0.5,
    }
    assert {name: got[name] for name in expected} == pytest.approx(expected)
    assert 0 < got["expected_calibration_error"] < 1
    assert "out_of_scope_caught" not in evaluate(Classifier(), ["inside"] * 5, LABELS)  # type: ignore[arg-type]
