"""The `rapport` command: what it prints, what it refuses, and the sentence it refuses it with."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from bot.chatbot import Chatbot
from bot.desk import BUNDLED, DESKS, Desk
from bot.models import encoder_folder, intent_folder
from tests.bot.conftest import Run, refusal
from tests.conftest import Clock

COMMANDS = [
    *(
        [],
        ["serve"],
        ["chat"],
        ["desk"],
        ["desk", "check"],
        ["desk", "import-rasa"],
        ["desk", "new"],
        ["train"],
        ["train", "intent"],
    ),
    *(["models"], ["models", "list"], ["models", "promote"], ["models", "rollback"], ["models", "delete"]),
    *(["evaluate"], ["ingest"], ["memory"], ["memory", "show"], ["memory", "export"], ["memory", "forget"], ["doctor"]),
    *(["log"], ["log", "convert"], ["log", "check"]),
    *(["memory", "prove"], ["memory", "promises"], ["memory", "settle"], ["memory", "health"]),
    ["keys"],
]


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


# Chatting and what is remembered


def test_a_chat_over_a_pipe_answers_each_line(started: Run) -> None:
    done = started("chat", stdin=b"how long does delivery take?\nmy email is nora@example.com\n\nbye\ncaf\xe9\n")

    assert done.returncode == 0
    assert "3 to 5" in done.stdout  # working days, in whichever wording
    # The greeting and five replies: the empty line's is one, and that to bytes that are no text.
    assert done.stdout.count("Fern: ") == 6
    assert done.stderr == ""


def test_a_process_that_is_refused_ends_with_a_sentence(started: Run) -> None:
    assert "Nothing is held about a customer 'nora'" in refusal(started("memory", "export", "nora"))


def test_what_was_said_in_a_chat_is_shown_exported_and_forgotten(rapport: Run) -> None:
    rapport("chat", "--customer", "nora", stdin="hi, my email is nora@example.com\nwhere is R-10234?\n")
    rapport("chat", "--customer", "tom", stdin="my email is tom@example.com\n")

    everyone = json.loads(rapport("memory", "show", "--json").stdout)
    facts = json.loads(rapport("memory", "show", "nora", "--personal", "--json").stdout)
    held = json.loads(rapport("memory", "export", "nora").stdout)

    assert {one["id"]: one["turns"] for one in everyone} == {"nora": 2, "tom": 1}
    assert {one["fact"]: one["value"] for one in facts} == {"email": "nora@example.com", "order_number": "R-10234"}
    assert {(one["state"], one["from"], one["until"]) for one in facts} == {("now", None, None)}
    assert [turn["text"] for turn in held["turns"]] == ["hi, my email is nora@example.com", "where is R-10234?"]
    assert "tom@example.com" not in json.dumps(held)
    assert "nora@example.com" in rapport("memory", "show", "nora", "--personal").stdout
    masked = rapport("memory", "show", "nora").stdout
    assert "R-10234" in masked
    assert "[personal]" in masked
    assert "nora@example.com" not in masked

    assert "Forgot fact: 1 in facts, 1 in turns" in rapport("memory", "forget", "nora", "--fact", "email").stdout
    assert "nora@example.com" not in rapport("memory", "export", "nora").stdout
    assert "2 in turns" in rapport("memory", "forget", "nora").stdout
    assert "Nothing is held about a customer 'nora'" in refusal(rapport("memory", "export", "nora"))
    assert [one["id"] for one in json.loads(rapport("memory", "show", "--json").stdout)] == ["tom"]


def test_what_is_overdue_is_listed_until_it_is_settled(rapport: Run, bot: Chatbot, clock: Clock) -> None:
    clock.advance(days=-400)
    bot.respond("I want to make a complaint", "s1", "nora")
    bot.respond("what did you promise me?", "s1", "nora")

    (promise,) = json.loads(rapport("memory", "promises", "--overdue", "--json").stdout)
    assert (promise["customer"], promise["due"], promise["state"]) == ("nora", "2025-10-22", "overdue")
    assert promise["promise"] in rapport("memory", "promises", "nora").stdout.replace("\n", " ")
    assert rapport("memory", "promises", "tom").stdout == "Nothing was promised.\n"

    assert rapport("memory", "settle", promise["id"], "kept").stdout == f"Promise {promise['id']} is kept.\n"
    assert rapport("memory", "promises", "--overdue").stdout == "Nothing is overdue.\n"
    assert [one["state"] for one in json.loads(rapport("memory", "promises", "--json").stdout)] == ["kept"]
    assert "There is no promise 99" in refusal(rapport("memory", "settle", 99, "kept"))


def test_the_health_of_memory_is_reported_without_a_value(rapport: Run, bot: Chatbot) -> None:
    bot.respond("my email is nora@example.com", "s1", "nora")
    found = json.loads(rapport("memory", "health", "nora", "--json").stdout)
    shown = rapport("memory", "health").stdout

    assert (found["turns"], found["facts"], found["growth"]) == (1, 1, {"2026-11": [1, 1]})
    assert [one["name"] for one in found["never_used"]] == ["email"]
    assert "never used" in shown
    assert "nora@example.com" not in shown


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
    measured = json.loads(rapport("evaluate", "--desk", "mine", "--json").stdout)
    versions = json.loads(rapport("models", "list", "--desk", "mine", "--json").stdout)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "Preparing the models of the desk Chainring Cycle Workshop" in first.stderr
    assert "£12" in first.stdout
    assert "What repairs cost" in first.stdout  # the article behind the answer
    assert "Source: Talk to a mechanic" in first.stdout  # its wording depends on the opening hours
    assert "Welcome back" in second.stdout
    assert "What does a repair cost?" in second.stdout
    assert second.stderr == ""
    assert measured["accuracy"] >= 0.8  # of ten intents
    assert [(one["name"], one["promoted"]) for one in versions] == [("intent-0001", True)]
