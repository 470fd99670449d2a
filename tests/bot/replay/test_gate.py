"""Gates, and the command that goes by them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.desk import Desk
from bot.desk_reader import read_desk
from bot.models import fingerprint
from bot.problems import RapportError
from bot.replay.causes import compare
from bot.replay.gate import check, read_gate
from bot.replay.report.page import write_report
from bot.replay.run_folder import Run, TurnScore
from bot.replay.wording import compared
from bot.versions import Versions
from tests.bot.conftest import Run as Command
from tests.bot.replay.conftest import Replay
from tests.bot.replay.written import compare_written, turn, write_run


def _gate(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "gate.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_each_limit_gets_a_line_and_one_that_is_broken_fails_the_gate(
    run_log: Replay, home: Path, tmp_path: Path
) -> None:
    before, after = run_log("before"), run_log("after", without=("facts",))
    comparison, _ = compare(before, after, home)
    file = _gate(tmp_path, "worse_turns: 0\nlost_handoffs: 0\np95_ms: 60000\nalone_share: 0.99\n")
    result = check(read_gate(file, compared=True), after, comparison)
    assert not result.passed
    passed = {line.limit: line.passed for line in result.lines}
    assert passed == {"worse_turns": False, "lost_handoffs": True, "p95_ms": True, "alone_share": False}
    assert result.lines[0].sentence == f"FAILED  worse_turns: {comparison.worse} (at most 0; turns that became worse)"
    assert json.loads((after.folder / "gate.json").read_text())["passed"] is False


def test_a_run_of_another_log_has_nothing_to_compare_with_and_the_gate_fails(tmp_path: Path) -> None:
    before = write_run(tmp_path / "before", [turn("january-1", 1, "?", "a", "b")])
    after = write_run(tmp_path / "after", [turn("june-1", 1, "?", "a", "b")])
    compare_written(before, after)
    comparison = after.comparison("before")
    limits = "worse_share: 0.5\nlost_handoffs: 3\nasked_known_share: 0.5\n"
    result = check(read_gate(_gate(tmp_path, limits), compared=True), after, comparison)
    assert not result.passed
    passed = {line.limit: line.passed for line in result.lines}
    assert passed == {"worse_share": False, "lost_handoffs": False, "asked_known_share": True}
    assert result.lines[0].sentence.startswith("FAILED  worse_share: the runs have no such turns in common (")
    assert compared(comparison)[0] == "Nothing can be compared: before has no turn in common with this run."
    figures = json.loads(write_report(after, before).with_suffix(".json").read_text(encoding="utf-8"))["glance"]
    assert figures["sentences"][0].startswith("Nothing can be compared:")
    assert [line["sentence"].partition(": ")[2] for line in figures["gate"]["lines"]] == [
        "the runs have no such messages in common (at most 50\u00a0%)",
        "the runs have no such messages in common (at most 3)",
        "the log does not tell (at most 50\u00a0%)",
    ]


def test_turns_that_became_worse_are_measured_by_those_that_were_answered(tmp_path: Path) -> None:
    wrong = TurnScore(answer=False)
    asked = turn("asked", 1, "?", "a", "Which order?", action="ask", pending={"fact": "order_number"})
    unclear = turn("unclear", 1, "?", "a", "Sorry?", action="clarify", score=wrong)
    answered = [turn(f"answered-{number}", 1, "?", "a", "b") for number in range(4)]
    before = write_run(tmp_path / "before", [*answered, asked, unclear])
    lost = [replace(one, reply="c", intent="other", score=wrong) for one in (answered[0], asked)]
    after = write_run(tmp_path / "after", [lost[0], *answered[1:], lost[1], unclear])
    compare_written(before, after)
    gate = read_gate(_gate(tmp_path, "worse_answered_share: 0.2\nworse_share: 0.4\n"), compared=True)
    result = check(gate, after, after.comparison("before"))
    assert {line.limit: line.value for line in result.lines} == {"worse_share": 2 / 6, "worse_answered_share": 1 / 4}
    sentences = [line.sentence for line in result.lines]
    assert "FAILED  worse_answered_share: 0.25 (at most 0.2; answered turns that became worse)" in sentences
    page = write_report(after, before).read_text(encoding="utf-8")
    assert "Answered messages that became worse: 25\u00a0% (at most 20\u00a0%)" in page


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("worse_shares: 0.1\n", "worse_shares: Extra inputs"),
        ("worse_share: 2\n", "worse_share: Input should be less"),
        ("{}", "names no limit"),
        ("a: [", "cannot be read as YAML"),
        ("worse_share: 0.1\n", "needs an earlier run"),
    ],
)
def test_a_gate_that_cannot_be_gone_by_is_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(RapportError, match=what):
        read_gate(_gate(tmp_path, text), compared=False)


def test_the_command_replays_compares_pins_and_ends_with_what_the_gate_says(
    run_log: Replay, rapport: Command, home: Path, log: Path, tmp_path: Path
) -> None:
    run_log("before")
    file = _gate(tmp_path, "changed_share: 0.05\n")
    common = ("replay", log, "--no-mask", "--against", "before", "--gate", file)
    done = rapport(*common, "--pin", "c-3", "--out", tmp_path / "same")
    assert done.returncode == 0, done.stderr
    assert "The story is" in done.stdout
    assert "ok  changed_share: 0 (at most 0.05; turns that became different)" in done.stdout
    assert (home / "stories" / "tarn_and_thistle" / "c-3.yml").is_file()
    assert str(tmp_path / "same") in rapport("replay", "list").stdout
    other = ("--without", "facts", "--pin", "c-9", "--out", tmp_path / "other")
    done = rapport(*common, *other, "--json")
    assert done.returncode == 1, done.stderr
    assert "no conversation 'c-9'" in done.stderr
    assert (tmp_path / "other" / "comparisons" / "before" / "report.html").is_file()  # what can be done is done
    told = json.loads(done.stdout)
    assert told["gate"]["passed"] is False
    assert told["comparison"]["causes"] == {"memory": told["comparison"]["changed"]}
    done = rapport("replay", "compare", "before", tmp_path / "other")
    assert done.returncode == 0, done.stderr
    assert "What differs: memory: whole -> without facts." in done.stdout


def test_trying_another_desk_leaves_what_serves_alone(
    rapport: Command, add_classifier: Callable[..., str], desk: Desk, home: Path, log: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(desk.folder, tmp_path / desk.name))
    settings = other / "desk.yaml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("max_wrong_answers: 0.05", "max_wrong_answers: 0.01"), encoding="utf-8")
    taught = add_classifier(fingerprint=fingerprint(read_desk(other)))
    before = Versions(home, desk.name).history("intent")

    done = rapport("replay", log, "--no-mask", "--desk", other, "--out", tmp_path / "run")

    assert done.returncode == 0, done.stderr
    assert Run(tmp_path / "run").info.parts["classifier"].name == taught
    assert Versions(home, desk.name).history("intent") == before


def test_a_record_that_cannot_be_read_is_named_and_left_out_or_ends_the_run(
    rapport: Command, log: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jsonl"
    lines = log.read_text(encoding="utf-8").replace("take?", "take? Ring (415) 555-0132").splitlines()
    broken.write_text("\n".join([lines[0], '{"conversation_id": 1}', *lines[1:]]), encoding="utf-8")
    stopped = rapport("replay", broken, "--no-mask", "--out", tmp_path / "stopped", "--on-error", "stop")
    assert stopped.returncode == 1
    assert "line 2" in stopped.stderr
    assert not (tmp_path / "stopped" / "run.json").exists()
    skipped = rapport("replay", broken, "--region", "US", "--out", tmp_path / "skipped")
    assert skipped.returncode == 0
    assert "line 2" in skipped.stderr
    assert "1 record of the log could not be read" in skipped.stdout
    assert "take? Ring [phone number]" in (tmp_path / "skipped" / "turns.jsonl").read_text(encoding="utf-8")
