"""How good and how fast intent classifiers are, on data in BANKING77's form (CSV) or CLINC150's (JSON).

    python -m benchmarks.intents full  --data banking77 --json benchmarks/results/intents_full.json
    python -m benchmarks.intents scope --data clinc150  --json benchmarks/results/intents_scope.json

and so on with few, methods, continual, training and serving; README.md beside this file says what each part does.

A folder of `train.csv` and `test.csv` has the columns text,category (or text,intent); a `data_full.json` has train,
val, test and oos_ of each. The test rows are only ever measured on.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import report, speed
from benchmarks.labelled import Labelled, read, sample
from finetune import IntentClassifier
from finetune.methods import METHODS, Method

Figures = dict[str, dict[str, float]]


def full(data: Labelled, seeds: Sequence[int], trainings: int = 1) -> Figures:
    """All training rows, nothing else set, beside logistic regression over the frozen encoder."""
    return _over_seeds(
        seeds,
        lambda seed: {
            "rapport": _fit(data, IntentClassifier(trainings=trainings, seed=seed)),
            "frozen encoder + logistic regression": _fit(data, IntentClassifier(method="head", seed=seed)),
        },
    )


def few(data: Labelled, seeds: Sequence[int]) -> Figures:
    """5 and 10 examples an intent, drawn anew for each seed; with contrastive pre-fitting, without it, and frozen."""

    def once(seed: int) -> Figures:
        found: Figures = defaultdict(dict)
        for count in (5, 10):
            part = sample(data, count, seed)
            for system, classifier in (
                ("rapport", IntentClassifier(seed=seed)),
                ("without pre-fitting", IntentClassifier(seed=seed, contrast=False)),
                ("frozen encoder + logistic regression", IntentClassifier(seed=seed, method="head")),
            ):
                found[system] |= {f"{name}@{count}": value for name, value in _fit(part, classifier).items()}
        return found

    return _over_seeds(seeds, once)


def methods(data: Labelled, seeds: Sequence[int], names: Sequence[Method] = METHODS) -> Figures:
    """Ways to fine-tune, on the same rows."""
    return _over_seeds(
        seeds, lambda seed: {method: _fit(data, IntentClassifier(method=method, seed=seed)) for method in names}
    )


def continual(data: Labelled, seeds: Sequence[int]) -> Figures:
    """All intents but ten first, those ten afterwards; old and new messages of the test file before and after."""

    def once(seed: int) -> Figures:
        new = set(random.Random(seed).sample(sorted(set(data.labels)), 10))  # noqa: S311
        first, later = data.only(lambda label: label not in new), data.only(lambda label: label in new)
        classifier = IntentClassifier(seed=seed)
        classifier.fit(first.texts, first.labels)
        before = _accuracy(classifier, first)
        started = time.monotonic()
        classifier.partial_fit(later.texts, later.labels)
        return {
            "rapport": {
                "old_accuracy_before": before,
                "old_accuracy_after": _accuracy(classifier, first),
                "new_accuracy_after": _accuracy(classifier, later),
                "accuracy_after": _accuracy(classifier, data),
                "minutes": (time.monotonic() - started) / 60,
            }
        }

    return _over_seeds(seeds, once)


def scope(data: Labelled, seeds: Sequence[int]) -> Figures:
    """In scope or not, learnt from the training rows without out-of-scope examples and with them, nothing else set."""
    systems = {"rapport": replace(data, outside=()), "with out-of-scope examples": data}

    def once(seed: int) -> Figures:
        found: Figures = {}
        for system, rows in systems.items():
            classifier = IntentClassifier(seed=seed)
            classifier.fit(rows.texts, rows.labels, rows.outside)
            found[system] = _scope_figures(classifier, data)
        return found

    return _over_seeds(seeds, once)


def _scope_figures(classifier: IntentClassifier, data: Labelled) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    probabilities, inside = classifier.assess(data.test_texts)
    outside = classifier.in_scope_score(data.test_outside)
    best = np.asarray(classifier.classes_)[probabilities.argmax(axis=1)]
    largest = classifier.predict_proba(data.test_outside).max(axis=1)
    truth = np.concatenate([np.ones(len(inside)), np.zeros(len(outside))])
    usual = np.quantile(probabilities.max(axis=1), (inside < classifier.in_scope_threshold).mean())
    return {
        "accuracy": float((best == np.asarray(data.test_labels)).mean()),
        "auroc": float(roc_auc_score(truth, np.concatenate([inside, outside]))),
        "out_of_scope_recall": float((outside < classifier.in_scope_threshold).mean()),
        "turned_away": float((inside < classifier.in_scope_threshold).mean()),
        "largest_probability_auroc": float(roc_auc_score(truth, np.concatenate([probabilities.max(axis=1), largest]))),
        "largest_probability_recall": float((largest < usual).mean()),
    }


def _fit(data: Labelled, classifier: IntentClassifier) -> dict[str, float]:
    started = time.monotonic()
    classifier.fit(data.texts, data.labels)
    manifest = classifier.manifest
    return {
        "accuracy": _accuracy(classifier, data),
        "minutes": (time.monotonic() - started) / 60,
        "parameters_learnt": float(manifest["parameters_learnt"]),
        "learnt_mb": float(manifest["learnt_bytes"]) / 1e6,
        "expected_calibration_error": _calibration_error(classifier, data),
    }


def _calibration_error(classifier: IntentClassifier, data: Labelled) -> float:
    from finetune.calibration import expected_calibration_error

    probabilities = classifier.predict_proba(data.test_texts)
    best = np.asarray(classifier.classes_)[probabilities.argmax(axis=1)]
    return expected_calibration_error(probabilities.max(axis=1), best == np.asarray(data.test_labels))


def _accuracy(classifier: IntentClassifier, data: Labelled) -> float:
    said = classifier.predict(data.test_texts)
    return float(np.mean([one == other for one, other in zip(said, data.test_labels, strict=True)]))


def _over_seeds(seeds: Sequence[int], once: Callable[[int], Figures]) -> Figures:
    """Return means over seeds, and under `_spread` the largest value less the smallest."""
    runs = []
    for seed in seeds:
        runs.append(once(seed))
        print(
            seed,
            {system: {name: round(one, 4) for name, one in own.items()} for system, own in runs[-1].items()},
            flush=True,
        )
    means: Figures = {}
    for system, own in runs[0].items():
        means[system] = {}
        for name in own:
            values = [run[system][name] for run in runs]
            means[system][name] = round(statistics.mean(values), 4)
            if len(values) > 1:
                means[system][f"{name}_spread"] = round(max(values) - min(values), 4)
    return means


PARTS: dict[str, Callable[[Labelled, Sequence[int]], Figures]] = {
    "full": full,
    "few": few,
    "methods": methods,
    "continual": continual,
    "scope": scope,
    "training": speed.training,
    "serving": speed.serving,
}


def main() -> None:
    """Measure one part and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--trainings", type=int, default=1, help="of the part full: the mean of how many trainings")
    parser.add_argument("--methods", default=",".join(METHODS), help="of the part methods: which ones")
    parser.add_argument("--json", type=Path, required=True, help="where the results go")
    given = parser.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    names = [method for method in METHODS if method in given.methods.split(",")]
    asked = {"methods": {"names": names}, "full": {"trainings": given.trainings}}
    part = partial(PARTS[given.part], **asked.get(given.part, {}))
    figures = part(read(given.data), seeds)
    mean = f"; the mean of {given.trainings} trainings" if given.trainings > 1 else ""
    report.write(given.json, f"intents {given.part}", f"{given.data.name}; seeds {given.seeds}{mean}", figures)


if __name__ == "__main__":
    main()
