"""The `rapport` command: what it prints, what it refuses, and the sentence it refuses it with."""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bot.desk import BUNDLED, DESKS, Desk
from bot.models import encoder_folder, intent_folder
from bot.versions import Versions
from tests.bot.conftest import AddVersion

GIFT_INTENTS = ("delivery_time", "return_policy")
THREE = ["intent-0001", "intent-0002", "intent-0003"]
RAPPORT = Path(sys.executable).parent / "rapport"
COMMANDS = [
    *([], ["serve"], ["chat"], ["desk"], ["desk", "check"], ["desk", "new"], ["train"], ["train", "intent"]),
    *(["models"], ["models", "list"], ["models", "promote"], ["models", "rollback"], ["models", "delete"]),
    *(
        ["evaluate"],
        ["ingest"],
        ["memory"],
        ["memory", "show"],
        ["memory", "export"],
        ["memory", "forget"],
        ["doctor"],
        ["memory", "prove"],
    ),
]

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture
def rapport(tmp_path: Path, home: Path) -> Run:
    """Run the command in a folder of its own, on a home with prepared models."""
    (tmp_path / "work").mkdir()

    def run(*arguments: object, stdin: str | bytes = "", **environment: object) -> Done:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
        given = {"RAPPORT_HOME": home, "COLUMNS": "200", "PYTHONIOENCODING": "utf-8", **environment}
        done = subprocess.run(
            [RAPPORT, *map(str, arguments)],
            input=stdin if isinstance(stdin, bytes) else stdin.encode(),
            capture_output=True,
            env={**clean, **{name: str(value) for name, value in given.items()}},
            cwd=tmp_path / "work",
            check=False,
        )
        return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def refusal(done: Done) -> str:
    """Return the one sentence (it may be followed by a remedy) that a command was refused with."""
    assert done.returncode == 1, done
    assert done.stderr.startswith("rapport: "), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("rapport: ").strip()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "rapport")
def test_every_command_explains_itself(rapport: Run, command: list[str]) -> None:
    done = rapport(*command, "--help")

    assert done.returncode == 0
    assert "Usage:" in done.stdout


# Desks


def test_a_new_desk_is_written_and_is_fine(rapport: Run, tmp_path: Path) -> None:
    made, checked = rapport("desk", "new", "mine"), rapport("desk", "check", "mine")

    assert (made.returncode, checked.returncode) == (0, 0)
    assert "rapport desk check mine" in made.stdout
    assert checked.stdout == "mine is fine.\n"
    names = {path.relative_to(DESKS / "starter") for path in (DESKS / "starter").rglob("*")}
    assert {path.relative_to(tmp_path / "work" / "mine") for path in (tmp_path / "work" / "mine").rglob("*")} == names


def test_a_new_desk_never_replaces_a_folder(rapport: Run, tmp_path: Path) -> None:
    (tmp_path / "work" / "mine").mkdir()

    assert "mine is already there" in refusal(rapport("desk", "new", "mine"))
    assert list((tmp_path / "work" / "mine").iterdir()) == []


@pytest.fixture
def wrong_desk(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(DESKS / "starter", tmp_path / "wrong"))
    with (folder / "intents.csv").open("a", encoding="utf-8") as file:
        file.write("do you rent bikes,rental\n")
    (folder / "articles" / "prices.md").unlink()
    return folder


def test_a_check_lists_every_mistake_and_fails(rapport: Run, wrong_desk: Path) -> None:
    done = rapport("desk", "check", wrong_desk)

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "answers.yaml, repair_cost: there is no article articles/prices.md. Correct the name, or add what is missing",
        "intents.csv, row 122: the intent 'rental' has no answer. Add it to answers.yaml or correct its name",
    ]
    assert done.stderr.startswith("2 mistakes in ")


def test_a_check_gives_its_list_as_json(rapport: Run, wrong_desk: Path) -> None:
    wrong, fine = rapport("desk", "check", wrong_desk, "--json"), rapport("desk", "check", BUNDLED, "--json")

    assert (wrong.returncode, fine.returncode) == (1, 0)
    assert [(one["file"], one["place"]) for one in json.loads(wrong.stdout)] == [
        ("answers.yaml", "repair_cost"),
        ("intents.csv", "row 122"),
    ]
    assert json.loads(fine.stdout) == []


def test_a_chat_on_a_wrong_desk_is_refused_with_every_mistake(rapport: Run, wrong_desk: Path) -> None:
    done = rapport("chat", "--desk", wrong_desk, stdin="hello\n")

    assert done.returncode == 1
    assert "has 2 mistakes" in done.stderr
    assert "articles/prices.md" in done.stderr
    assert "'rental'" in done.stderr
    assert "Traceback" not in done.stderr


# Measuring


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


# Training


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

    again = rapport("train", "intent", "--method", "head", "--no-promote", **surroundings)
    assert again.returncode == 0, again.stderr
    assert "rapport models promote intent-0003" in again.stdout
    listed = json.loads(rapport("models", "list", "--json", **surroundings).stdout)
    assert [one["name"] for one in listed if one["promoted"]] == [made["promoted"]]
    assert [one["for_this_desk"] for one in listed] == [True, True, True]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--method", "full,magic"], "There is no method 'magic'. Use one or several of full, lora"),
        (["--from", "intent-0001", "--method", "head"], "Leave out --method"),
        (["--from", "intent-0099"], "There is no model 'intent-0099'"),
    ],
)
def test_a_training_that_cannot_be_done_is_refused(rapport: Run, options: list[str], sentence: str) -> None:
    assert sentence in refusal(rapport("train", "intent", *options))


def test_a_desk_that_cannot_be_learnt_from_is_refused(rapport: Run, gift_desk: Path, bare_home: Path) -> None:
    with (gift_desk / "intents.csv").open("w", encoding="utf-8") as file:
        file.write("text,intent\n" + f"same again,{GIFT_INTENTS[0]}\n" * 10 + f"the other,{GIFT_INTENTS[1]}\n" * 10)

    done = rapport("train", "intent", "--desk", gift_desk, RAPPORT_HOME=bare_home)

    assert done.returncode == 1
    assert "cannot be learnt from" in done.stderr or "intents.csv" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(rapport("models", "list", "--json", "--desk", gift_desk, RAPPORT_HOME=bare_home).stdout) == []


# Versions


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


# Chatting and what is remembered


def test_a_chat_over_a_pipe_answers_each_line(rapport: Run) -> None:
    done = rapport("chat", stdin="how long does delivery take?\nmy email is nora@example.com\n\nbye\n")

    assert done.returncode == 0
    assert "3 to 5" in done.stdout  # working days, in whichever wording
    assert done.stdout.count("Fern: ") == 5  # the greeting and four replies, the empty line's included
    assert done.stderr == ""


def test_bytes_that_are_no_text_do_not_end_a_chat(rapport: Run) -> None:
    done = rapport("chat", stdin=b"caf\xe9\nhow long does delivery take?\n")

    assert done.returncode == 0
    assert "3 to 5" in done.stdout


def test_what_was_said_in_a_chat_is_shown_exported_and_forgotten(rapport: Run) -> None:
    rapport("chat", "--customer", "nora", stdin="hi, my email is nora@example.com\nwhere is R-10234?\n")
    rapport("chat", "--customer", "tom", stdin="my email is tom@example.com\n")

    everyone = json.loads(rapport("memory", "show", "--json").stdout)
    facts = json.loads(rapport("memory", "show", "nora", "--json").stdout)
    held = json.loads(rapport("memory", "export", "nora").stdout)

    assert {one["id"]: one["turns"] for one in everyone} == {"nora": 2, "tom": 1}
    assert {one["fact"]: one["value"] for one in facts} == {"email": "nora@example.com", "order_number": "R-10234"}
    assert [turn["text"] for turn in held["turns"]] == ["hi, my email is nora@example.com", "where is R-10234?"]
    assert "tom@example.com" not in json.dumps(held)
    assert "nora@example.com" in rapport("memory", "show", "nora").stdout

    assert "Forgot fact: 1 in facts, 1 in turns" in rapport("memory", "forget", "nora", "--fact", "email").stdout
    assert "nora@example.com" not in rapport("memory", "export", "nora").stdout
    assert "2 in turns" in rapport("memory", "forget", "nora").stdout
    assert "Nothing is held about a customer 'nora'" in refusal(rapport("memory", "export", "nora"))
    assert [one["id"] for one in json.loads(rapport("memory", "show", "--json").stdout)] == ["tom"]


def test_forgetting_ends_with_a_receipt_that_proves_it(rapport: Run, home: Path, tmp_path: Path) -> None:
    rapport("chat", "--customer", "nora-of-kendal", stdin="my email is nora@example.com\nI live behind the old mill\n")
    held = tmp_path / "held.json"

    receipt = json.loads(rapport("memory", "forget", "nora-of-kendal", "--export", held, "--json").stdout)
    file = home / "receipts" / f"{receipt['id']}.json"
    proven = json.loads(rapport("memory", "prove", file, "--json").stdout)

    assert [turn["text"] for turn in json.loads(held.read_text(encoding="utf-8"))["turns"]][1] == (
        "I live behind the old mill"
    )
    assert (receipt["what"], receipt["removed"]["turns"], receipt["removed"]["facts"]) == ("everything", 2, 1)
    assert "mill" not in json.dumps(receipt)
    assert proven["holds"]
    assert proven["fingerprints"] == len(receipt["fingerprints"]) > 5
    assert "mill" not in file.read_text(encoding="utf-8")

    (home / "left.txt").write_bytes(b"x" * 99 + held.read_bytes())
    done = rapport("memory", "prove", file)
    assert done.returncode == 1
    assert f"Found in {home / 'left.txt'} at byte" in done.stdout
    assert "nothing was forgotten" in refusal(rapport("memory", "forget", "nora-of-kendal", "--export", held))


def test_a_receipt_that_was_altered_is_refused(rapport: Run, home: Path) -> None:
    rapport("memory", "forget", "nobody")
    (file,) = (home / "receipts").glob("*.json")
    file.write_text(file.read_text(encoding="utf-8").replace('"everything"', '"session"'), encoding="utf-8")

    assert "was altered, or issued by another home" in refusal(rapport("memory", "prove", file))
    assert "is no receipt" in refusal(rapport("memory", "prove", home / "secret"))


def test_an_empty_memory_says_so(rapport: Run) -> None:
    assert rapport("memory", "show").stdout == "Nothing is remembered.\n"
    assert json.loads(rapport("memory", "show", "--json").stdout) == []


def test_a_customer_name_that_cannot_be_used_is_refused(rapport: Run) -> None:
    assert "--customer cannot be used: the customer id 'no spaces'" in refusal(
        rapport("chat", "--customer", "no spaces")
    )


# What goes wrong


@pytest.mark.parametrize(
    ("name", "value"), [("RAPPORT_PORT", "99999"), ("RAPPORT_PORT", "web"), ("RAPPORT_CHAT_TIMEOUT_S", "-1")]
)
def test_a_wrong_setting_is_named_with_its_value(rapport: Run, name: str, value: str) -> None:
    sentence = refusal(rapport("serve", **{name: value}))

    assert name in sentence
    assert value in sentence


def test_a_settings_file_that_cannot_be_read_is_named(rapport: Run, tmp_path: Path) -> None:
    (tmp_path / "work" / "rapport.toml").write_text("port = \n", encoding="utf-8")

    assert "rapport.toml cannot be read" in refusal(rapport("memory", "show"))


def test_a_home_may_begin_with_a_tilde(rapport: Run, home: Path) -> None:
    done = rapport("memory", "show", RAPPORT_HOME="~/home", HOME=home.parent)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_port_in_use_is_named(rapport: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        sentence = refusal(rapport("serve", RAPPORT_PORT=port))

    assert sentence == f"127.0.0.1:{port} is in use. Stop the other program or set RAPPORT_PORT."


def test_an_address_of_another_machine_cannot_be_served_on(rapport: Run) -> None:
    assert "Check RAPPORT_HOST" in refusal(rapport("serve", "--host", "192.0.2.1"))


@pytest.mark.parametrize("command", [["chat"], ["memory", "show"]])
def test_a_damaged_database_is_named_and_left_alone(rapport: Run, home: Path, command: list[str]) -> None:
    database = home / "rapport.sqlite"
    database.write_bytes(b"this is no database" * 500)

    sentence = refusal(rapport(*command, stdin="hello\n"))

    assert f"{database} is damaged" in sentence
    assert database.read_bytes() == b"this is no database" * 500


@pytest.fixture
def own_models(home: Path) -> Path:
    """The prepared models as copies, which a test may damage."""
    source = (home / "models").resolve()
    (home / "models").unlink()
    shutil.copytree(source, home / "models")
    return home


def test_a_missing_model_file_is_named(rapport: Run, own_models: Path) -> None:
    file = encoder_folder(own_models) / "model.onnx"
    file.unlink()

    assert f"{file} is missing" in refusal(rapport("chat", stdin="hello\n"))


def test_a_model_file_with_altered_bytes_is_named(rapport: Run, own_models: Path, desk: Desk) -> None:
    file = intent_folder(own_models, desk) / "model.onnx"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)

    assert f"{file} was altered" in refusal(rapport("chat", stdin="hello\n"))


def test_a_check_up_finds_nothing_or_names_what_is_wrong(rapport: Run, own_models: Path, desk: Desk) -> None:
    version = intent_folder(own_models, desk).name
    healthy = rapport("doctor")
    (own_models / "rapport.sqlite").write_bytes(b"this is no database" * 500)
    (encoder_folder(own_models) / "tokenizer.json").unlink()
    sick = rapport("doctor")

    assert healthy.returncode == 0
    assert healthy.stdout == f"desk: fine ({desk.name})\nmodels: fine ({version})\ndatabase: fine\n"
    assert sick.returncode == 1
    assert [line.partition(":")[0] for line in sick.stdout.splitlines()] == ["desk", "models", "database"]
    assert "tokenizer.json is missing" in sick.stdout
    assert "is damaged" in sick.stdout


# Articles


def test_help_pages_become_articles_of_a_desk(rapport: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DESKS / "starter", tmp_path / "desk"))
    (tmp_path / "work" / "Lost Keys.html").write_text("<h1>Lost keys</h1><p>We keep them.</p>", encoding="utf-8")
    (tmp_path / "work" / "tea.txt").write_text("It is free.", encoding="utf-8")

    done = rapport("ingest", "Lost Keys.html", "tea.txt", "--desk", folder)

    assert done.returncode == 0
    assert (folder / "articles" / "lost-keys.md").read_text(encoding="utf-8") == "# Lost keys\n\nWe keep them.\n"
    assert (folder / "articles" / "tea.md").read_text(encoding="utf-8") == "# Tea\n\nIt is free.\n"
    assert rapport("desk", "check", folder).returncode == 0


@pytest.mark.parametrize(
    ("name", "sentence"), [("scan.pdf", "scan.pdf cannot be read"), ("nothing.txt", "There is no file nothing.txt")]
)
def test_a_file_that_is_no_article_is_refused_before_anything_is_written(
    rapport: Run, tmp_path: Path, name: str, sentence: str
) -> None:
    folder = Path(shutil.copytree(DESKS / "starter", tmp_path / "desk"))
    (tmp_path / "work" / "tea.txt").write_text("It is free.", encoding="utf-8")
    (tmp_path / "work" / "scan.pdf").write_bytes(b"%PDF-1.7")

    assert sentence in refusal(rapport("ingest", "tea.txt", name, "--desk", folder))
    assert not (folder / "articles" / "tea.md").exists()


def test_articles_for_a_desk_that_is_not_there_are_refused(rapport: Run, tmp_path: Path) -> None:
    (tmp_path / "work" / "tea.txt").write_text("It is free.", encoding="utf-8")

    assert "There is no desk nowhere" in refusal(rapport("ingest", "tea.txt", "--desk", "nowhere"))
    assert not (tmp_path / "work" / "nowhere").exists()


# A newcomer's path


def test_a_new_desk_is_taught_by_the_first_chat_and_then_answers(rapport: Run, own_models: Path) -> None:
    rapport("desk", "new", "mine")

    first = rapport("chat", "--desk", "mine", stdin="how much is a puncture\nI want to speak to a mechanic\n")
    second = rapport("chat", "--desk", "mine", stdin="what do you know about me\n")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "Preparing the models of the desk Chainring Cycle Workshop" in first.stderr
    assert "£12" in first.stdout
    assert "What repairs cost" in first.stdout  # the article behind the answer
    assert "Source: Talk to a mechanic" in first.stdout  # its wording depends on the opening hours
    assert "Welcome back" in second.stdout
    assert "What does a repair cost?" in second.stdout
    assert second.stderr == ""
