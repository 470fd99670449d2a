"""A Rasa project becomes a desk that is fine, and what has no place in it is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bot.cli import cli
from bot.desk import Desk
from bot.desk_reader import check_desk, read_desk
from bot.problems import RapportError
from bot.rasa.importing import Imported, import_rasa
from tests.bot.conftest import Run

LIBRARY = Path(__file__).parent / "library"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("imported") / "library"


@pytest.fixture(scope="module")
def imported(folder: Path) -> Imported:
    return import_rasa(LIBRARY, folder)


@pytest.fixture(scope="module")
def library(imported: Imported, folder: Path) -> Desk:
    return read_desk(folder)


def notes(imported: Imported, kind: str) -> dict[str, str]:
    return {note.name: note.what for note in imported.notes if note.kind == kind}


def test_examples_of_all_files_are_messages_without_annotations(library: Desk, imported: Imported) -> None:
    assert ("are you open on sunday", "ask_hours") in library.messages
    assert ("renew my loan, card LC-20417", "renew_loan") in library.messages
    assert ("how do I print something", "faq/printing") in library.messages
    assert len(library.messages) == imported.messages == 56
    assert library.out_of_scope == ("order me a pizza", "what's the weather like")


def test_an_intent_is_answered_with_what_its_rule_or_story_says(library: Desk) -> None:
    assert library.answers["ask_hours"].text == (
        "We're open Tuesday to Saturday from 10 to 19.\n\nOn public holidays we're closed.",
        "Tuesday to Saturday, 10 to 19.\n\nOn public holidays we're closed.",
    )
    assert library.answers["goodbye"].text == ("Goodbye, and enjoy your book.",)
    assert library.answers["faq/fees"].text == ("A card is free: you only need an address in town.",)
    assert (library.answers["affirm"].means, library.answers["deny"].means) == ("yes", "no")
    assert not library.answers["greet"].topic


def test_buttons_are_suggestions_and_name_their_intents(library: Desk) -> None:
    assert library.answers["greet"].suggestions == library.settings.starters
    assert library.settings.starters == ("ask_hours", "renew_loan", "book_room")
    assert [library.answers[intent].title for intent in library.settings.starters] == [
        "Opening hours?",
        "Renew a loan",
        "Book room",
    ]


def test_an_answer_asks_for_the_slot_that_its_response_names(library: Desk) -> None:
    assert library.answers["renew_loan"].needs == ("card",)
    assert library.facts["card"].ask == ("What is the number on your library card? It begins with LC.",)


def test_entities_are_facts_found_by_table_synonym_pattern_and_example(library: Desk) -> None:
    assert library.facts["weekday"].find("can I come on Fri?") == "friday"
    assert library.facts["weekday"].find("or the last weekday") == "friday"
    assert library.facts["weekday"].find("sunday") == "sunday"
    assert library.facts["card"].find("it's lc-20417.") == "lc-20417"
    assert library.facts["people"].find("four of us") == "four"


def test_what_rasa_says_without_understanding_is_the_bots_own_sentence(library: Desk) -> None:
    assert library.replies["not_understood"] == ("I did not get that. Could you say it another way?",)
    assert library.replies["out_of_scope"] == ("That is nothing a library can help with.",)


def test_session_config_is_kept(library: Desk) -> None:
    assert library.settings.memory.new_session_after_hours == 1.5
    assert library.settings.memory.next_session.facts == 0


def test_an_intent_without_a_plain_answer_hands_over_and_is_named(library: Desk, imported: Imported) -> None:
    assert library.answers["order_status"].handoff is True
    named = notes(imported, "intent")
    assert "action_order_status" in named["order_status"]
    assert "room_form" in named["book_room"]
    assert "2 examples" in named["lost_book"]
    assert "lost_book" not in library.answers


def test_everything_without_a_place_is_named(imported: Imported) -> None:
    assert set(notes(imported, "custom action")) == {"action_order_status"}
    assert set(notes(imported, "form")) == {"room_form"}
    assert set(notes(imported, "slot")) == {"people", "wants_newsletter"}
    assert set(notes(imported, "entity")) == {"people", "time"}
    assert set(notes(imported, "regex")) == {"greeting_words"}
    assert set(notes(imported, "synonym")) == {"biography"}
    assert set(notes(imported, "rule")) == {"room booked"}
    assert set(notes(imported, "story")) == {"a complaint and a goodbye"}
    assert set(notes(imported, "component")) == {"WhitespaceTokenizer", "DIETClassifier", "RegexEntityExtractor"}
    assert set(notes(imported, "policy")) == {"RulePolicy", "TEDPolicy"}
    assert set(notes(imported, "button")) == {"A room on Friday", "Our website"}
    assert set(notes(imported, "file")) == {"actions/actions.py", "endpoints.yml"}
    said = [f"{note.name} {note.what}" for note in imported.notes if note.kind == "response"]
    for part in ("new_date", "channel slack", "not image", "utter_room_booked no intent"):
        assert any(part in one for one in said), part


def test_the_command_writes_a_desk_that_is_fine(rapport: Run, tmp_path: Path) -> None:
    done = rapport("desk", "import-rasa", LIBRARY, "--out", "library")
    assert done.returncode == 0, done.stderr
    assert "11 intents, 56 messages, 3 facts" in done.stdout
    assert "  custom action action_order_status: write a look-up" in done.stdout
    assert check_desk(tmp_path / "work" / "library") == []


def test_the_command_prints_json(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["desk", "import-rasa", str(LIBRARY), "--out", str(tmp_path / "desk"), "--json"])
    listed = json.loads(done.stdout)
    assert (listed["intents"], listed["messages"], listed["facts"]) == (11, 56, 3)
    assert ("form", "room_form") in {(note["kind"], note["name"]) for note in listed["notes"]}


def test_a_desk_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    with pytest.raises(RapportError, match="library is already there"):
        import_rasa(LIBRARY, tmp_path / "library")
    assert list((tmp_path / "library").iterdir()) == []


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"nlu.yml": "nlu:\n- intent: greet\n  examples: |\n  - hi\n"}, "nlu.yml, row 4 is not valid YAML"),
        ({"nlu.yml": "nlu:\n- intent: greet\n  examples: |\n    - hi\n"}, "lacks two intents with 5 examples"),
        ({"domain.yml": "intents: [greet]"}, "no Rasa training data"),
        ({"nlu.yml": "x: !!python/object/apply:os.system [ls]"}, "no Rasa training data"),
        ({}, "no Rasa training data"),
    ],
)
def test_a_folder_that_cannot_be_a_desk_is_refused(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    (tmp_path / "project").mkdir()
    for name, text in files.items():
        (tmp_path / "project" / name).write_text(text, encoding="utf-8")
    with pytest.raises(RapportError, match=reason):
        import_rasa(tmp_path / "project", tmp_path / "desk")
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=30)
NAME = st.sampled_from(["greet", "affirm", "inform", "a/b", "a_b", "A b", "out_of_scope", "9x", "handoff"])


@st.composite
def projects(draw: st.DrawFn) -> dict[str, Any]:
    """Draw projects of the right form that hold anything."""
    intents = draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    examples = st.lists(TEXT.map(lambda text: " ".join(text.split())), min_size=4, max_size=8)
    marked = st.builds("{} [{}]({})".format, TEXT, TEXT, NAME)
    nlu: list[dict[str, Any]] = [
        {"intent": intent, "examples": "\n".join(f"- {one}" for one in [*draw(examples), draw(marked)])}
        for intent in intents
    ]
    nlu.append({"regex": draw(NAME), "examples": f"- {draw(TEXT)}"})
    nlu.append({"lookup": draw(NAME), "examples": f"- {draw(TEXT)}\n- {draw(TEXT)}"})
    nlu.append({"synonym": draw(TEXT), "examples": f"- {draw(TEXT)}"})
    button = st.fixed_dictionaries({"title": TEXT, "payload": st.builds("/{}".format, NAME)})
    variation = st.fixed_dictionaries(
        {"text": st.builds("{}{}".format, TEXT, st.sampled_from(["", "{a_b}", "{handoff}", "{", "{}"]))},
        optional={"buttons": st.lists(button, max_size=2)},
    )
    responses = {f"utter_{name}": draw(st.lists(variation, max_size=3)) for name in draw(st.lists(NAME, max_size=4))}
    return {"nlu": nlu, "responses": responses, "entities": draw(st.lists(NAME, max_size=2))}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=projects())
def test_whatever_a_project_says_the_desk_is_fine(tmp_path: Path, content: dict[str, Any]) -> None:
    project, out = tmp_path / "project", tmp_path / "desk"
    for folder in (project, out):
        shutil.rmtree(folder, ignore_errors=True)
    project.mkdir()
    (project / "all.yml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    try:
        import_rasa(project, out)
    except RapportError as error:
        assert "which is what a desk needs" in str(error)
    else:
        assert check_desk(out) == []
