"""`rapport suggest` writes a sheet of messages worth a label, and takes a filled-in sheet into the desk."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from bot.desk import BUNDLED, DESKS
from bot.desk_reader import check_desk, read_desk
from bot.labels import Accepted, accept
from bot.models import fingerprint
from bot.problems import DeskError, RapportError
from bot.suggest_cli import suggest
from bot.versions import Versions
from finetune.sheets import SheetError, read_sheet
from tests.bot.conftest import AddVersion

COURSES = Path(__file__).parents[1] / "finetune" / "courses.jsonl"
Run = Callable[..., Result]


@pytest.fixture
def rapport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `suggest` in a folder of its own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("COLUMNS", "200")
    app = typer.Typer()
    app.command()(suggest)
    return lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def desk_folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DESKS / "starter", tmp_path / "starter"))


def sheet_of(folder: Path, rows: Sequence[tuple[str, str]]) -> Path:
    """Return a sheet that a person filled in."""
    path = folder / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "intent"), *rows])
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def refusal(done: Result) -> str:
    assert isinstance(done.exception, RapportError), done
    return str(done.exception)


@pytest.fixture
def small(tmp_path: Path, bare_home: Path, add_version: AddVersion) -> tuple[str, Path, str, Path]:
    """The options for the bundled desk with five messages an intent, which are soon compared, and its classifier."""
    folder = Path(shutil.copytree(BUNDLED, tmp_path / BUNDLED.name))
    (folder / "conversations.jsonl").unlink()
    with (folder / "intents.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    with (folder / "intents.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *few(rows)])
    Versions(bare_home, folder.name).promote(add_version(), fingerprint(read_desk(folder)))
    return "--desk", folder, "--home", bare_home


def few(rows: Sequence[list[str]]) -> Iterator[list[str]]:
    """Yield the first five rows of each intent."""
    seen = Counter[str]()
    for text, intent in rows:
        seen[intent] += 1
        if seen[intent] <= 5:
            yield [text, intent]


def test_a_log_becomes_a_sheet(rapport: Run, small: Sequence[object]) -> None:
    done = rapport(COURSES, *small, "--limit", 30)

    assert done.exit_code == 0, done
    rows = read_sheet(Path("courses.suggestions.csv"), ("text", "count", "why", "group", "intent"))
    assert len(rows) == 30
    assert {row["intent"] for row in rows} == {""}
    assert "Perhaps a new intent" in done.stdout
    assert "rapport suggest --accept courses.suggestions.csv" in done.stdout
    assert "masked where simple patterns find them, in 2" in done.stdout


def test_results_are_printed_as_json(rapport: Run, small: Sequence[object]) -> None:
    done = rapport(COURSES, *small, "--out", "mine.csv", "--json")

    found = json.loads(done.stdout)
    assert found["read"] == 67
    assert [group["size"] for group in found["groups"]] == [8]
    assert found["rows"][0].keys() == {"text", "count", "suggested_intent", "confidence", "why", "group"}
    assert len(read_sheet(Path(found["sheet"]), ("text",))) == len(found["rows"])


def test_a_sheet_with_labels_is_not_written_over(rapport: Run) -> None:
    Path("courses.suggestions.csv").write_text("text,intent\nhello,greeting\n")

    assert "is already there, perhaps with labels in it" in refusal(rapport(COURSES))


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "Name either a file of messages, or --accept with a sheet"),
        ([COURSES, "--accept", COURSES], "Name either a file of messages, or --accept with a sheet"),
        (["nowhere.jsonl"], "There is no file nowhere.jsonl"),
        (["--accept", "nowhere.csv"], "There is no file nowhere.csv"),
        (["empty.txt"], "empty.txt holds no customer message without an intent"),
        (["bad.jsonl"], "line 1: it is not JSON in UTF-8"),
        (["--accept", "bad.jsonl"], "row 1: the column text and intent is missing"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_remedy(rapport: Run, arguments: list[object], what: str) -> None:
    Path("empty.txt").touch()
    Path("bad.jsonl").write_text("no conversation\n")

    assert what in refusal(rapport(*arguments))


def test_accepted_labels_are_in_the_desk(rapport: Run, desk_folder: Path, tmp_path: Path) -> None:
    intent = next(iter(read_desk(desk_folder).answers))
    sheet = sheet_of(
        tmp_path, [("A wording, not heard before", intent), ("hm", ""), ("do you cut hair on boats", "out_of_scope")]
    )

    done = rapport("--accept", sheet, "--desk", desk_folder)

    desk = read_desk(desk_folder)
    assert done.exit_code == 0, done
    assert desk.messages[-1] == ("A wording, not heard before", intent)
    assert desk.out_of_scope[-1] == "do you cut hair on boats"
    assert "Added 1 messages to intents.csv and 1 to out_of_scope.csv" in done.stdout
    assert "rapport train intent" in done.stdout


def test_accepting_twice_adds_nothing_twice(desk_folder: Path, tmp_path: Path) -> None:
    intent = next(iter(read_desk(desk_folder).answers))
    taught = read_desk(desk_folder).messages[0]
    rows = [("Something new", intent), ("something NEW", intent), (taught[0].upper(), taught[1])]
    sheet = sheet_of(tmp_path, rows)

    assert accept(sheet, desk_folder) == Accepted(intents=1, out_of_scope=0, there=2)
    before = contents(desk_folder)
    assert accept(sheet, desk_folder) == Accepted(intents=0, out_of_scope=0, there=3)
    assert contents(desk_folder) == before


def test_an_intent_without_an_answer_is_refused(desk_folder: Path, tmp_path: Path) -> None:
    intent = next(iter(read_desk(desk_folder).answers))
    before = contents(desk_folder)
    sheet = sheet_of(tmp_path, [("Something new", intent), ("Do you run courses?", "courses")])

    with pytest.raises(RapportError, match=r"row 3: courses\nAdd the answer first, or correct the name"):
        accept(sheet, desk_folder)

    assert contents(desk_folder) == before


def test_a_desk_that_would_have_mistakes_is_left_alone(desk_folder: Path, tmp_path: Path) -> None:
    with (desk_folder / "answers.yaml").open("a", encoding="utf-8") as file:
        file.write("\n  courses:\n    title: Mending courses\n    text: [We run none.]\n")
    before = contents(desk_folder)
    few = [(f"Do you run courses on {day}s?", "courses") for day in ("Monday", "Tuesday", "Friday")]

    with pytest.raises(RapportError, match=r"nothing was changed:\n.*the intent 'courses' has 3 messages"):
        accept(sheet_of(tmp_path, few), desk_folder)
    assert contents(desk_folder) == before

    enough = [*few, ("any course for beginners?", "courses"), ("can I learn to sew with you?", "courses")]
    assert accept(sheet_of(tmp_path, enough), desk_folder).intents == 5
    assert check_desk(desk_folder) == []


def test_a_label_that_contradicts_the_desk_is_refused(desk_folder: Path, tmp_path: Path) -> None:
    desk = read_desk(desk_folder)
    (text, intent), other = desk.messages[0], next(name for name in desk.answers if name != desk.messages[0][1])
    before = contents(desk_folder)

    with pytest.raises(RapportError, match=f"row 2: .* is {other} here, and {intent} in the desk or in a row above"):
        accept(sheet_of(tmp_path, [(text, other)]), desk_folder)
    with pytest.raises(RapportError, match=f"row 3: .* is {other} here, and {intent}"):
        accept(sheet_of(tmp_path, [("Something new", intent), ("something new", other)]), desk_folder)

    assert contents(desk_folder) == before


def test_a_folder_that_is_no_desk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeskError, match="there is no such folder"):
        accept(sheet_of(tmp_path, [("hello", "greeting")]), tmp_path / "nowhere")


def test_the_files_keep_their_form(desk_folder: Path, tmp_path: Path) -> None:
    path = desk_folder / "intents.csv"
    intent = next(iter(read_desk(desk_folder).answers))
    rows = path.read_text(encoding="utf-8").splitlines()
    header, *others = [",".join((row, "note" if row == rows[0] else "")) for row in rows]
    path.write_bytes("\r\n".join(["\ufeff" + header, *others]).encode())  # no line end after the last row

    accept(sheet_of(tmp_path, [("'=1+1 is what?", intent), ("Ça va, Zoë?", intent)]), desk_folder)

    content = path.read_bytes().decode()
    assert content.startswith("\ufefftext,intent,note\r\n")
    assert content.endswith(f'\r\n=1+1 is what?,{intent},\r\n"Ça va, Zoë?",{intent},\r\n')
    assert content.count("\n") == content.count("\r\n")


def test_out_of_scope_messages_begin_a_file_where_there_was_none(desk_folder: Path, tmp_path: Path) -> None:
    (desk_folder / "out_of_scope.csv").unlink()

    accept(sheet_of(tmp_path, [("do you cut hair", "out_of_scope")]), desk_folder)

    assert (desk_folder / "out_of_scope.csv").read_text() == "text\ndo you cut hair\n"


def test_a_message_of_the_test_files_is_not_taught(desk_folder: Path, tmp_path: Path) -> None:
    text, intent = read_desk(desk_folder).test_messages[0]

    assert accept(sheet_of(tmp_path, [(text, intent)]), desk_folder).there == 1
    (desk_folder / "test_out_of_scope.csv").write_text("text\ndo you cut hair\n", encoding="utf-8")
    assert accept(sheet_of(tmp_path, [("Do you cut hair", "out_of_scope")]), desk_folder).there == 1


def test_a_sheet_that_nobody_filled_in_is_refused(desk_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SheetError, match="no intent is filled in"):
        accept(sheet_of(tmp_path, [("hello", "")]), desk_folder)
