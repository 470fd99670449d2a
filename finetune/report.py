"""The report beside a trained intent classifier: report.json, and report.html for people, which needs nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from finetune.calibration import Solved, fewest_messages
from finetune.diagnosis import (
    LabelledMessages,
    duplicates,
    hardest_mistakes,
    learning_curve,
    suspected_label_errors,
)
from finetune.evaluation import Outputs, figures
from finetune.plots import Kind, draw
from finetune.verdict import percent, verdict

_MISTAKES = 20
_SUSPECTS = 30
_DUPLICATES = 20
_PAGES: dict[Kind, str] = {"intent": "report.html.jinja", "answer": "answer_report.html.jinja"}


@dataclass(frozen=True)
class Evidence:
    """What a report is made of.

    Attributes:
        name: what the classifier is for: the desk's name.
        training: the messages it learnt from, without out-of-scope ones, with vectors of the frozen encoder.
        measured: the messages that the figures are about, none of them learnt from, with vectors of the same encoder;
            None where there are too few.
        outputs: what the classifier said about `measured`, row by row; None where that is None. With `source`
            `held_out`, probabilities and thresholds are those of `calibration.halves`.
        source: where `measured` comes from: a `test` file, or messages `held_out` from training.
        solved: the temperature and thresholds that the model carries.
        max_wrong_answers: the share of wrong answers that was asked for, a fraction of 1.
        max_turned_away: the share of in-scope messages that may be taken as out of scope, a fraction of 1.
        interchangeable: intents that may be taken for each other without that counting as a wrong answer.
        held_out: how many in-scope messages were held out from training.
        out_of_scope: how many out-of-scope messages were learnt from.
        outside: those messages.
        measured_outside: the out-of-scope messages that were measured.
        contradictions: messages that stand there with different labels, and those, none for out of scope.
        leaks: how many messages were not held out because they are near duplicates of ones learnt from.
        history: `losses`, `scores` (0 to 1) and `seconds` since the start, one value for each epoch, and the number
            of the one that was `kept`, counted from 0.
        settings: how it was trained; plain values by name.
        sha256: the hash of all messages, those held out and those out of scope as well.
        base_sha256: the hash of the weights that training started from.
        seconds: how long each part of the work took, by name.
        made_at: when, in ISO 8601.
    """

    name: str
    training: LabelledMessages
    measured: LabelledMessages | None
    outputs: Outputs | None
    source: Literal["test", "held_out"]
    solved: Solved
    max_wrong_answers: float
    max_turned_away: float
    held_out: int
    sha256: str
    base_sha256: str
    made_at: str
    out_of_scope: int = 0
    leaks: int = 0
    history: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    interchangeable: Sequence[str] = ()
    outside: Sequence[str] = ()
    measured_outside: Sequence[str] = ()
    contradictions: Sequence[tuple[str, Sequence[Sequence[str]]]] = ()


def make_report(evidence: Evidence) -> dict[str, Any]:
    """Return everything worth knowing about a trained classifier, as plain values that JSON can hold.

    Takes about 7 s for 3,500 messages of 70 intents, most of it for suspected label errors and the learning curve.

    Raises:
        ValueError: arrays and messages differ in length.
    """
    started = time.perf_counter()
    training, measured, outputs = evidence.training, evidence.measured, evidence.outputs
    empty = LabelledMessages((), (), training.vectors[:0])
    suspects = suspected_label_errors(training)
    twins = duplicates(
        _with_outside(measured or empty, evidence.measured_outside), _with_outside(training, evidence.outside)
    )
    mistakes = hardest_mistakes(training, measured, outputs, _MISTAKES) if measured and outputs else []
    report: dict[str, Any] = {
        "name": evidence.name,
        "made_at": evidence.made_at,
        "figures_from": evidence.source if outputs else "none",
        "data": _data(evidence),
        "thresholds": _thresholds(evidence),
        "figures": figures(outputs) if outputs else None,
        "learning_curve": [asdict(point) for point in learning_curve(training, measured or empty)],
        "history": epochs(evidence.history),
        "mistakes": [asdict(mistake) for mistake in mistakes],
        "suspected_label_errors": [asdict(suspect) for suspect in suspects[:_SUSPECTS]],
        "suspected_label_errors_found": len(suspects),
        "duplicates": [asdict(twin) for twin in twins[:_DUPLICATES]],
        "duplicates_found": len(twins),
        "contradictions": [{"text": text, "labels": labels} for text, labels in evidence.contradictions[:_DUPLICATES]],
        "contradictions_found": len(evidence.contradictions),
        "settings": dict(evidence.settings),
        "base_sha256": evidence.base_sha256,
    }
    report["verdict"] = verdict(report)
    report["seconds"] = {**evidence.seconds, "Report": round(time.perf_counter() - started, 1)}
    plain: dict[str, Any] = json.loads(json.dumps(report, allow_nan=False))
    return plain


def write_report(folder: Path, report: Mapping[str, Any], kind: Kind = "intent") -> None:
    """Write `report.json` and `report.html`, the page of that kind of classifier, into a folder that exists."""
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    (folder / "report.html").write_text(_render(report, kind), encoding="utf-8")


def _render(report: Mapping[str, Any], kind: Kind) -> str:
    """Return the page; texts in it are escaped, only the plots are markup."""
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    pages.filters |= {"percent": percent, "breakable": _breakable}
    plots = {name: Markup(svg) for name, svg in draw(report, kind).items()}  # noqa: S704 (matplotlib escapes what it writes)
    return pages.get_template(_PAGES[kind]).render(report, plots=plots)


def _breakable(name: str) -> Markup:
    """Return a name that may be broken into lines after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def _with_outside(messages: LabelledMessages, outside: Sequence[str]) -> LabelledMessages:
    """Return messages, without their vectors, followed by out-of-scope ones, which have no labels."""
    texts, labels = [*messages.texts, *outside], [*messages.label_tuples, *[()] * len(outside)]
    return LabelledMessages(texts, labels, np.zeros((len(texts), 0)))


def _data(evidence: Evidence) -> dict[str, Any]:
    training = evidence.training
    return {
        "training_messages": len(training.texts),
        "intents": len({label for labels in training.label_tuples for label in labels}),
        "several": training.several,
        "held_out_messages": evidence.held_out,
        "measured_messages": len(evidence.measured.texts) if evidence.measured else 0,
        "out_of_scope_messages": evidence.out_of_scope,
        "leaks": evidence.leaks,
        "sha256": evidence.sha256,
    }


def _thresholds(evidence: Evidence) -> dict[str, Any]:
    answer = evidence.solved.answer
    return {
        "temperature": evidence.solved.temperature,
        "answer": answer.threshold,
        "bounded": answer.bounded,
        "wrong_answers_bound": answer.bound,
        "wrong_answers_seen": answer.wrong,
        "solved_on": answer.held_out,
        "fewest_messages": fewest_messages(evidence.max_wrong_answers),
        "max_wrong_answers": evidence.max_wrong_answers,
        "in_scope": evidence.solved.in_scope,
        "max_turned_away": evidence.max_turned_away,
        "interchangeable": list(evidence.interchangeable),
    }


def epochs(history: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what happened in each epoch, for the plot of a training."""
    columns = (history.get(name, ()) for name in ("losses", "scores", "seconds"))
    return [
        {"epoch": number, "loss": loss, "score": score, "seconds": seconds, "kept": number - 1 == history["kept"]}
        for number, (loss, score, seconds) in enumerate(zip(*columns, strict=True), 1)
    ]
