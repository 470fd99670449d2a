"""The report says what the figures say, whatever is missing, and its page shows messages as text and nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.calibration import AnswerThreshold, Solved
from finetune.diagnosis import LabelledMessages
from finetune.evaluation import Outputs
from finetune.report import Evidence, make_report, write_report
from finetune.verdict import of_hundred, percent, verdict

EVIL = '<script>alert("x")</script><img src=http://example.com/x.png onerror=alert(1)>'
INTENTS = ["cost_in_$", "delivery & <b>more</b>", "refund"]
BOUNDED = AnswerThreshold(threshold=0.62, bounded=True, bound=0.042, wrong=0.02, answered=0.8, held_out=300)
SUNG = ["sing me a song", "what is the weather like"]
UNBOUNDED = AnswerThreshold(threshold=0.62, bounded=False, bound=0.2, wrong=0.04, answered=0.8, held_out=30)


def messages(count: int, seed: int) -> LabelledMessages:
    rng = np.random.default_rng(seed)
    numbers = np.arange(count) % len(INTENTS)
    vectors = np.eye(8)[numbers] + rng.normal(size=(count, 8)) * 0.3
    texts = [f"{EVIL} number {seed}-{row}" for row in range(count)]
    return LabelledMessages(
        texts, [INTENTS[one] for one in numbers], vectors / np.linalg.norm(vectors, axis=1)[:, None]
    )


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """Everything there can be: mistakes, out-of-scope messages, wrong labels, hostile texts."""
    training, measured = messages(60, 0), messages(40, 1)
    training = replace(training, labels=["refund", *training.labels[1:]])
    rng = np.random.default_rng(2)
    raw = np.eye(3)[np.arange(40) % 3] * 0.6 + rng.random((40, 3))
    raw[:6] = raw[:6, [1, 2, 0]]  # taken for one another
    raw /= raw.sum(axis=1, keepdims=True)
    sharp = raw**3 / (raw**3).sum(axis=1, keepdims=True)
    outputs = Outputs(INTENTS, measured.labels, sharp, rng.random(40), 0.62, 0.1, raw, rng.random(15) / 3)
    return Evidence(
        name=f"Desk {EVIL}",
        training=training,
        measured=measured,
        outputs=outputs,
        source="test",
        solved=Solved(0.8, BOUNDED, 0.1),
        max_wrong_answers=0.05,
        max_turned_away=0.03,
        held_out=310,
        sha256="0123",
        base_sha256="53aa",
        made_at="2026-11-25T09:30:00+00:00",
        out_of_scope=20,
        leaks=3,
        history={"losses": [2.0, 1.0, 0.8], "scores": [0.5, 0.8, 0.7], "seconds": [3.0, 6.0, 9.0], "kept": 1},
        settings={"method": "lora", "epochs": 3},
        seconds={"Fine-tuning": 9.0},
        outside=SUNG,
        measured_outside=["Sing me a song!", "who are you"],
        contradictions=[(f"both {EVIL}", [["refund"], []])],
    )


def test_the_report_holds_what_it_is_made_of(evidence: Evidence) -> None:
    report = make_report(evidence)

    assert evidence.outputs is not None
    assert report["figures_from"] == "test"
    assert report["figures"]["accuracy"] == pytest.approx(evidence.outputs.correct.mean())
    assert report["data"]["training_messages"] == 60
    assert report["data"]["sha256"] == evidence.sha256
    assert report["thresholds"]["fewest_messages"] == 45
    assert report["history"][1] == {"epoch": 2, "loss": 1.0, "score": 0.8, "seconds": 6.0, "kept": True}
    assert report["suspected_label_errors"][0]["suggested"] == INTENTS[0]
    assert len(report["mistakes"]) == (~evidence.outputs.correct).sum()
    assert (report["duplicates_found"], len(report["duplicates"])) == (41, 20)  # but for its number each is the same
    assert report["contradictions"] == [{"text": f"both {EVIL}", "labels": [["refund"], []]}]
    assert "1 message stands there with different labels; keep the one that is right." in report["verdict"]
    assert report["learning_curve"][-1]["messages"] == 60
    assert report["settings"] == {"method": "lora", "epochs": 3}
    assert set(report["seconds"]) == {"Fine-tuning", "Report"}


def test_out_of_scope_messages_have_twins_as_well(evidence: Evidence) -> None:
    report = make_report(
        replace(evidence, measured=messages(9, 5), outputs=None, training=messages(9, 4), outside=SUNG)
    )
    twin = {"text": "Sing me a song!", "labels": [], "other_text": SUNG[0], "other_labels": [], "likeness": 1.0}

    assert twin in report["duplicates"]


def test_the_report_is_written_as_json_and_read_back(evidence: Evidence, tmp_path: Path) -> None:
    report = make_report(evidence)
    write_report(tmp_path, report)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report


def test_texts_are_shown_and_never_run(evidence: Evidence, tmp_path: Path) -> None:
    page = Page.of(evidence, tmp_path)

    assert page.tags["script"] == page.tags["img"] == 0
    assert EVIL in page.text
    assert all(name in page.text for name in INTENTS)
    assert f"both {EVIL}" in page.text
    assert "<script" not in page.source.lower() and "<b>more" not in page.source


def test_the_page_asks_for_nothing_from_elsewhere(evidence: Evidence, tmp_path: Path) -> None:
    page = Page.of(evidence, tmp_path)

    assert "default-src 'none'" in page.source
    assert page.references and all(target.startswith("#") for target in page.references)
    assert not re.search(r"@import|url\((?!#)", page.styles)
    assert page.tags["link"] == page.tags["iframe"] == page.tags["object"] == 0
    assert not page.handlers


def test_what_a_plot_refers_to_is_there_once(evidence: Evidence, tmp_path: Path) -> None:
    page = Page.of(evidence, tmp_path)

    assert page.tags["svg"] == 6
    assert max(page.ids.values()) == 1
    assert {target[1:] for target in page.references} <= set(page.ids)


def test_the_same_report_gives_the_same_page(evidence: Evidence, tmp_path: Path) -> None:
    report = make_report(evidence)
    pages = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, report)
        pages.append((tmp_path / name / "report.html").read_bytes())

    assert pages[0] == pages[1]


def several(evidence: Evidence) -> Evidence:
    """Return the evidence of messages that may have several intents."""
    assert evidence.measured is not None and evidence.outputs is not None
    both = [(str(label), INTENTS[row % 3]) for row, label in enumerate(evidence.measured.labels)]
    measured = replace(evidence.measured, labels=both)
    training = replace(evidence.training, labels=[(str(label),) for label in evidence.training.labels])
    return replace(evidence, training=training, measured=measured, outputs=replace(evidence.outputs, labels=both))


def without_mistakes(evidence: Evidence) -> Evidence:
    """Return the evidence of two intents that are never confused, with nothing else to say."""
    training, measured = messages(60, 0), messages(60, 1)
    rows = [row for row in range(60) if row % 3 < 2]
    few, seen = (
        LabelledMessages([one.texts[row] for row in rows], [str(one.labels[row]) for row in rows], one.vectors[rows])
        for one in (training, measured)
    )
    sure = np.eye(2)[[INTENTS.index(str(label)) for label in seen.labels]] * 0.8 + 0.1
    outputs = Outputs(INTENTS[:2], seen.labels, sure, np.ones(40), 0.62, 0.1)
    changes = {"history": {}, "leaks": 0, "source": "held_out", "seconds": {}, "settings": {}}
    changes |= {"contradictions": (), "outside": (), "measured_outside": ()}
    return replace(evidence, training=few, measured=seen, outputs=outputs, **changes)


def unmeasured(evidence: Evidence) -> Evidence:
    """Return the evidence of a desk too small to hold messages out."""
    return replace(evidence, training=messages(6, 0), measured=None, outputs=None, solved=Solved(1.0, UNBOUNDED, 0.1))


@pytest.mark.parametrize(
    ("change", "plots", "says"),
    [
        (several, {"risk_coverage", "reliability", "scope", "learning_curve", "history"}, "All intents right"),
        (
            without_mistakes,
            {"risk_coverage", "reliability", "learning_curve"},
            "It made no mistakes on these messages.",
        ),
        (unmeasured, {"history"}, "Nothing is known yet about how good it is: 6 messages were learnt from"),
    ],
)
def test_what_is_missing_is_left_out_of_the_page(
    evidence: Evidence, tmp_path: Path, change: Any, plots: set[str], says: str
) -> None:
    page = Page.of(change(evidence), tmp_path)

    assert page.tags["svg"] == len(plots)
    assert says in page.text
    assert "None" not in page.text.replace("None: no message", "")
    assert "nan" not in page.text


def test_names_that_are_not_english_are_drawn(evidence: Evidence, tmp_path: Path) -> None:
    assert evidence.outputs is not None and evidence.measured is not None
    names = {name: f"退款 {place} एक" for place, name in enumerate(INTENTS)}
    labels = [names[str(label)] for label in evidence.measured.labels]
    outputs = replace(evidence.outputs, classes=list(names.values()), labels=labels)

    page = Page.of(replace(evidence, outputs=outputs, measured=replace(evidence.measured, labels=labels)), tmp_path)

    assert "退款 0 एक → 退款 1 एक" in page.text


def test_the_verdict_speaks_of_a_hundred_messages(evidence: Evidence) -> None:
    report = make_report(evidence)
    report["figures"] |= {"answered": 0.906, "clarified": 0.04, "handed_over": 0.054, "wrong_of_answered": 0.02}
    report["figures"] |= {"out_of_scope_caught": 0.88, "in_scope_kept": 0.97}

    first, promise, scope, basis, *advice = verdict(report)

    assert first == (
        "Of 100 messages it would answer 91 by itself, about 2 of them wrongly; for 4 it would offer a choice of "
        "intents, and 5 it would decline or hand over."
    )
    assert promise == (
        "The target of at most 5% wrong answers is met, with a confidence of 90%: judged by 300 messages held out from "
        "training, no more than 4.2% of its answers to what the desk handles are wrong."
    )
    assert scope == (
        "Of 100 messages that the desk does not handle it would recognise 88; of 100 that it does handle it would turn "
        "away 3."
    )
    measured = "This was measured on the 40 messages of the test file,"
    assert basis.startswith(f"{measured} some of which it learnt in the same or nearly the same words.")
    (_, _, _, basis, *_) = verdict({**report, "duplicates_found": 0})
    assert basis.startswith(f"{measured} none of which it learnt from.")
    assert any("labelled wrongly" in sentence for sentence in advice)


@pytest.mark.parametrize(
    ("answered", "wrong", "says"),
    [
        (0.9, 0.0, "answer 90 by itself, none of them wrongly"),
        (0.9, 0.004, "answer 90 by itself, fewer than 1 of them wrongly"),
        (0.0, 0.0, "answer none by itself; for"),
    ],
)
def test_few_wrong_answers_are_not_rounded_away(evidence: Evidence, answered: float, wrong: float, says: str) -> None:
    report = make_report(evidence)
    rest = {"clarified": 1 - answered, "handed_over": 0.0}
    report["figures"] |= {"answered": answered, "wrong_of_answered": wrong, **rest}

    assert says in verdict(report)[0]


@pytest.mark.parametrize(
    ("solved_on", "says"),
    [
        (30, "cannot be promised by the 30 messages held out from training: it takes at least 45."),
        (200, "held out from training: there were mistakes even among those it was surest of."),
    ],
)
def test_a_target_that_is_not_shown_is_not_promised(evidence: Evidence, solved_on: int, says: str) -> None:
    report = make_report(replace(evidence, solved=Solved(1.0, replace(UNBOUNDED, held_out=solved_on), 0.1)))

    assert says in report["verdict"][1]
    assert "4% were answered wrongly" in report["verdict"][1]


def test_whole_numbers_sum_to_a_hundred() -> None:
    assert of_hundred([1 / 3, 1 / 3, 1 / 3]) == [34, 33, 33]
    assert of_hundred([0.906, 0.04, 0.054]) == [91, 4, 5]
    assert of_hundred([1.0, 0.0, 0.0]) == [100, 0, 0]


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0%"), (0.05, "5%"), (0.0451, "4.5%"), (0.0999, "10%"), (0.913, "91%"), (1, "100%")]
)
def test_small_shares_keep_a_decimal(share: float, text: str) -> None:
    assert percent(share) == text


class Page(HTMLParser):
    """What a browser would make of a report's page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.text, self.styles = "", ""
        self._inside: list[str] = []
        self.feed(source)

    @classmethod
    def of(cls, evidence: Evidence, folder: Path) -> Page:
        write_report(folder, make_report(evidence))
        return cls((folder / "report.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self._inside.append(tag)
        for name, value in attrs:
            self.handlers += [name] if name.startswith("on") else []
            self.ids.update([value or ""] if name == "id" else [])
            self.references += [value or ""] if name in ("href", "src", "xlink:href", "action", "data") else []
            self.references += re.findall(r"url\(([^)]*)\)", value or "")
            self.styles += f"{value};" if name == "style" else ""

    def handle_data(self, data: str) -> None:
        if self._inside and self._inside[-1] == "style":
            self.styles += data
        else:
            self.text += data
