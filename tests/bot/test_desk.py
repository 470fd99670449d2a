"""The desks that come with the bot are fine, and a desk with mistakes is refused with each of them and its remedy."""

from __future__ import annotations

import csv
import gc
import json
import os
import shutil
from collections.abc import Callable
from datetime import date, datetime, timezone
from pathlib import Path

import pytest
import yaml

from bot.desk import BUNDLED, DESKS, Desk, fill, placeholders
from bot.desk_reader import check_desk, read_desk
from bot.problems import DeskError, Problem
from finetune.data import near_duplicates

STARTER = DESKS / "starter"
ALIKE = 0.75


@pytest.fixture(scope="module")
def starter() -> Desk:
    return read_desk(STARTER)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the starter, to make mistakes in."""
    return Path(shutil.copytree(STARTER, tmp_path / "workshop"))


# The bundled desk


@pytest.mark.parametrize("name", ["tarn_and_thistle", "starter"])
def test_the_desks_that_come_with_the_bot_have_no_mistakes(name: str) -> None:
    assert check_desk(DESKS / name) == []


def test_everything_the_bot_says_for_itself_is_text(desk: Desk) -> None:
    assert all(isinstance(wording, str) for wordings in desk.replies.values() for wording in wordings)


def test_the_bundled_desk_has_enough_of_everything(desk: Desk) -> None:
    wordings = [
        all(len(one) >= 2 for one in ([answer.text] if answer.text else answer.outcomes.values()))
        for answer in desk.answers.values()
    ]
    orders = (BUNDLED / "orders.csv").read_text(encoding="utf-8").splitlines()[1:]

    assert len(desk.answers) >= 40
    assert len(desk.messages) >= 1200
    assert len(desk.test_messages) >= 300
    assert len(desk.out_of_scope) >= 150
    assert sum(wordings) >= 40
    assert len(desk.articles) >= 25
    assert len(orders) >= 80


@pytest.mark.parametrize("name", ["tarn_and_thistle", "starter"])
def test_no_test_message_is_nearly_one_that_was_learnt_from(name: str) -> None:
    desk = read_desk(DESKS / name)
    messages, tests = [text for text, _ in desk.messages], [text for text, _ in desk.test_messages]

    assert [(messages[row], tests[other]) for row, other, _ in near_duplicates(messages, tests, ALIKE)] == []
    assert near_duplicates(desk.out_of_scope, desk.test_out_of_scope, ALIKE) == []


@pytest.mark.parametrize("name", ["tarn_and_thistle", "starter"])
def test_nothing_is_both_in_and_out_of_scope(name: str) -> None:
    desk = read_desk(DESKS / name)
    inside = {text.casefold() for text, _ in (*desk.messages, *desk.test_messages)}

    assert inside & {text.casefold() for text in (*desk.out_of_scope, *desk.test_out_of_scope)} == set()


@pytest.mark.parametrize("name", ["tarn_and_thistle", "starter"])
def test_every_intent_is_tested(name: str) -> None:
    desk = read_desk(DESKS / name)

    assert {intent for _, intent in desk.test_messages} == set(desk.answers)


def test_the_log_holds_conversations_in_order_with_intents_that_the_desk_knows(desk: Desk) -> None:
    lines = (BUNDLED / "conversations.jsonl").read_text(encoding="utf-8").splitlines()
    conversations = [json.loads(line) for line in lines]

    assert len(conversations) >= 40
    assert len({one["customer_id"] for one in conversations}) >= 15
    assert len({one["conversation_id"] for one in conversations}) == len(conversations)
    for one in conversations:
        times = [datetime.fromisoformat(message["at"]) for message in one["messages"]]
        assert all(at.tzinfo for at in times), one["conversation_id"]
        assert times == sorted(set(times)), one["conversation_id"]
        assert datetime.fromisoformat(one["started_at"]) <= times[0], one["conversation_id"]
        for message in one["messages"]:
            assert message["role"] in ("customer", "agent", "bot")
            assert message["text"].strip()
            assert {message.get("intent"), message.get("answer")} - {None} <= set(desk.answers), message


def _column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def test_each_look_up_of_the_bundled_desk_ends_in_an_answer(desk: Desk, tmp_path: Path) -> None:
    desk.make_tools(tmp_path, date(2026, 11, 23))
    # On that day some parcels are on time, some just past their date, some late and one lost.
    tools = desk.make_tools(tmp_path, date(2026, 11, 26))
    columns = {"order_number": "orders.csv", "product": "products.csv"}
    values = {fact: [*_column(BUNDLED / name, fact), "R-99999"] for fact, name in columns.items()}

    for intent, answer in desk.answers.items():
        if answer.tool:
            (fact,) = answer.needs
            outcomes = {tools[answer.tool].invoke({fact: value})["outcome"] for value in values[fact]}
            assert outcomes == set(answer.outcomes), intent


@pytest.mark.parametrize(
    ("text", "value", "near_miss"),
    [
        ("10234", "R-10234", None),
        ("order R-1O234, please", None, "R-1O234"),
        ("its 1023", None, "1023"),
        ("my order is 102345, it never came", None, "102345"),
        ("I paid 1023 for 2 jackets, call 01632 960734", None, None),
    ],
)
def test_order_numbers_are_told_from_what_is_nearly_one(
    desk: Desk, text: str, value: str | None, near_miss: str | None
) -> None:
    spec = desk.facts["order_number"]
    assert (spec.find(text), spec.find_near_miss(text)) == (value, near_miss)


def test_a_parcel_is_late_2_working_days_after_its_date_and_lost_after_10(desk: Desk, tmp_path: Path) -> None:
    desk.make_tools(tmp_path, date(2026, 11, 23))

    def lateness(day: date) -> str:
        return str(desk.make_tools(tmp_path, day)["check_late"].invoke({"order_number": "R-10234"})["outcome"])

    # It is expected on Wednesday 25 November.
    days = [date(2026, 11, 25), date(2026, 11, 26), date(2026, 11, 27), date(2026, 12, 8), date(2026, 12, 9)]
    assert [lateness(day) for day in days] == ["on_time", "past_date", "late", "late", "lost"]


# The starter


def test_the_starter_shows_each_thing_a_newcomer_needs(starter: Desk) -> None:
    counts = [sum(label == intent for _, label in starter.messages) for intent in starter.answers]

    assert 8 <= len(starter.answers) <= 10
    assert min(counts) >= 10
    assert len(starter.out_of_scope) == 25
    assert len(starter.articles) == 3
    assert len(starter.test_messages) == 3 * len(starter.answers)
    assert starter.answers["talk_to_human"].handoff is True
    assert starter.answers["affirm"].means == "yes"
    assert starter.answers["deny"].means == "no"
    assert starter.answers["about_me"].recap == "everything"
    assert starter.make_tools(Path(), datetime.now(timezone.utc).date()) == {}


# One mistake each


def rewrite(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Return a mistake: `old`, which stands in the file, becomes `new`, once."""

    def make(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text, f"the starter's {name} does not hold {old!r}"
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return make


def append(name: str, *lines: str) -> Callable[[Path], None]:
    """Return a mistake: lines that are added to a file, which is made where there is none."""

    def make(folder: Path) -> None:
        before = (folder / name).read_text(encoding="utf-8") if (folder / name).exists() else ""
        (folder / name).write_text(before + "\n".join(lines) + "\n", encoding="utf-8")

    return make


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def only_header(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text("text,intent\n", encoding="utf-8")


def not_utf8(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(b"text\ncaf\xe9\n")


def with_tool(source: str) -> Callable[[Path], None]:
    """Return a mistake: a tools.py, and an answer that calls `look` in it."""

    def make(folder: Path) -> None:
        (folder / "tools.py").write_text(source, encoding="utf-8")
        path = folder / "answers.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["answers"]["thanks"] = {"title": "Thanks", "tool": "look", "outcomes": {"found": ["{thing}"]}}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")

    return make


HOURS, ANSWERS, FACTS = "desk.yaml", "answers.yaml", "facts.yaml"
YES = "    text:\n      - Good. What would you like to know?"
# name: the mistake, its file, its place, words of what is wrong, words of the remedy
MISTAKES: dict[str, tuple[Callable[[Path], None], str, str, str, str]] = {
    "no desk.yaml": (remove("desk.yaml"), HOURS, "", "is missing", "desk new"),
    "no answers.yaml": (remove("answers.yaml"), ANSWERS, "", "is missing", "desk new"),
    "no intents.csv": (remove("intents.csv"), "intents.csv", "", "is missing", "desk new"),
    "empty desk.yaml": (lambda f: (f / HOURS).write_text("{}"), HOURS, "", "does not hold", "Write it"),
    "bad YAML": (
        rewrite(HOURS, "  wed: 09:00", " wed: 09:00"),
        *(HOURS, "row 29", "not valid YAML", "indentation"),
    ),
    "control character": (append(HOURS, "# \x00"), HOURS, "", "not valid YAML", "Check"),
    "answer twice": (
        append(ANSWERS, "  thanks:", "    title: Ta", "    text: [Ta]"),
        *(ANSWERS, "row 116", "'thanks' stands there a second time", "Check"),
    ),
    "answer that is not indented": (
        rewrite(ANSWERS, "  deny:\n", "deny:\n"),
        *(ANSWERS, "deny", "it stands beside `answers:`, where it is not read", "Indent it"),
    ),
    "answers as a list": (
        lambda f: (f / ANSWERS).write_text("answers: [a, b]\n"),
        *(ANSWERS, "answers", "does not hold entries", "one entry for each name"),
    ),
    "not UTF-8": (not_utf8("out_of_scope.csv"), "out_of_scope.csv", "byte 8", "not UTF-8", "encoding UTF-8"),
    "unknown key in desk.yaml": (append(HOURS, "colour: red"), HOURS, "colour", "not permitted", "correct its name"),
    "unknown key in an answer": (
        rewrite(ANSWERS, "    recap:", "    recaps:"),
        *(ANSWERS, "about_me.recaps", "not permitted", "correct its name"),
    ),
    "unknown key in a fact": (
        rewrite(FACTS, "  personal: true", "  private: true"),
        *(FACTS, "name.private", "not permitted", "correct its name"),
    ),
    "no name": (
        rewrite(HOURS, "name: Chainring Cycle Workshop", "# name"),
        *(HOURS, "name", "required", "Correct this entry"),
    ),
    "missing column": (
        rewrite("intents.csv", "text,intent", "text,label"),
        *("intents.csv", "row 1", "lacks the column intent", "text,intent"),
    ),
    "semicolons": (
        rewrite("intents.csv", "text,intent", "text;intent"),
        *("intents.csv", "row 1", "not separated by commas", "not with semicolons"),
    ),
    "empty label": (append("intents.csv", "hello there you,"), "intents.csv", "row 122", "intent is empty", "remove"),
    "empty text": (append("test.csv", '"  ",greeting'), "test.csv", "row 32", "text is empty", "remove"),
    "comma without quotes": (
        append("out_of_scope.csv", "hi, do you sell boats"),
        *("out_of_scope.csv", "row 27", "more columns", "quotes"),
    ),
    "open quote": (append("test.csv", '"hello,greeting'), "test.csv", "row 32", "not valid CSV", "quotes"),
    "unknown intent": (
        append("intents.csv", "can I rent a bike,rental"),
        *("intents.csv", "row 122", "'rental' has no answer", "answers.yaml"),
    ),
    "unknown intent in the test file": (
        append("test.csv", "can I rent a bike,rental"),
        *("test.csv", "row 32", "'rental' has no answer", "answers.yaml"),
    ),
    "two labels": (
        append("intents.csv", "HELLO,thanks"),
        *("intents.csv", "row 122", "stands in row 78 of intents.csv as 'greeting', here as 'thanks'", "Keep the one"),
    ),
    "a label and none": (
        append("out_of_scope.csv", "HELLO"),
        *("out_of_scope.csv", "row 27", "row 78 of intents.csv as 'greeting', here as 'out_of_scope'", "Keep the one"),
    ),
    "tested as something else": (
        append("test_out_of_scope.csv", "text", "hello"),
        *("test_out_of_scope.csv", "row 2", "in row 78 of intents.csv as 'greeting'", "Keep the one"),
    ),
    "a message as long as a book": (
        append("intents.csv", f"{'word ' * 5000},thanks"),
        *("intents.csv", "row 122", "the text has 24,999 characters", "Shorten it to 20,000 characters"),
    ),
    "an out-of-scope message as long as a book": (
        append("out_of_scope.csv", "word " * 5000),
        *("out_of_scope.csv", "row 27", "the text has 24,999 characters", "Shorten it to 20,000 characters"),
    ),
    "a message as long as a library": (
        append("intents.csv", f"{'word ' * 50000},thanks"),
        *("intents.csv", "row 122", "a text has over 131,072 characters", "Shorten it to 20,000 characters"),
    ),
    "out of scope among the intents": (
        append("intents.csv", "sing me a song,out_of_scope"),
        *("intents.csv", "row 122", "the intent 'out_of_scope' has no answer", "Add it to answers.yaml"),
    ),
    "too few messages": (
        append(ANSWERS, "  rental:", "    title: Rent a bike", "    text: [We rent bikes.]"),
        *("intents.csv", "", "'rental' has 0 messages", "at least 5"),
    ),
    "unknown fact": (
        rewrite(ANSWERS, "needs: [ticket]", "needs: [tickets]"),
        *(ANSWERS, "repair_ready", "it needs 'tickets'", "add what is missing"),
    ),
    "no facts.yaml": (remove(FACTS), ANSWERS, "book_repair", "it needs 'bike'", "add what is missing"),
    "unknown tool": (
        with_tool("def make_tools(home, today):\n    return []\n"),
        *(ANSWERS, "thanks", "has no tool 'look'", "Correct the name"),
    ),
    "unknown article": (
        rewrite(ANSWERS, "article: prices", "article: price"),
        *(ANSWERS, "repair_cost", "no article articles/price.md", "Correct the name"),
    ),
    "unknown suggestion": (
        rewrite(ANSWERS, "suggestions: [opening_hours]", "suggestions: [hours]"),
        *(ANSWERS, "repair_ready", "suggests 'hours'", "Correct the name"),
    ),
    "unknown starter": (
        rewrite(HOURS, "starters: [repair_cost", "starters: [costs"),
        *(HOURS, "starters", "no answer 'costs'", "answers.yaml"),
    ),
    "unknown sentence": (
        append(HOURS, "  farewell: [Bye]"),
        *(HOURS, "replies.farewell", "no such sentence", "out_of_scope"),
    ),
    "title twice": (
        rewrite(ANSWERS, "title: Thank you", "title: hello"),
        *(ANSWERS, "thanks", "'hello' is also another", "Correct the name"),
    ),
    "bad pattern": (
        rewrite(FACTS, r"(?<!\w)W[ -]?", r"(?<!\w)W[ -?("),
        *(FACTS, "ticket", "not a regular expression", "Correct the pattern"),
    ),
    "pattern without a group": (
        rewrite(FACTS, r"(?<!\w)W[ -]?(?P<value>\d{4})", r"(?<!\w)W[ -]?(\d{4})"),
        *(FACTS, "ticket", "no group named value", "(?P<value>...)"),
    ),
    "failing example": (
        rewrite(FACTS, "is w-2041 ready: W-2041", "is w-2041 ready: W-2042"),
        *(FACTS, "ticket.examples", "find 'W-2041', not 'W-2042'", "Correct the pattern or the example"),
    ),
    "form without a value": (
        rewrite(FACTS, "form: W-{value}", "form: W-"),
        *(FACTS, "ticket.form", "{value} once", "Correct this entry"),
    ),
    "unclosed brace": (
        rewrite(ANSWERS, "Good. What would you", "Good {name. What would you"),
        *(ANSWERS, "affirm", "the braces are wrong", "{name}"),
    ),
    "unclosed brace in a question": (
        rewrite(FACTS, "Is your name {name}?", "Is your name {name?"),
        *(FACTS, "name", "the braces are wrong", "{name}"),
    ),
    "unclosed brace in the bot's own sentence": (
        rewrite(HOURS, "when we're back ({opening})", "when we're back ({opening)"),
        *(HOURS, "replies.handoff_closed", "the braces are wrong", "{name}"),
    ),
    "unknown name in braces": (
        rewrite(ANSWERS, "Good. What would you", "Good, {surname}. What would you"),
        *(ANSWERS, "affirm", "uses surname, which nothing fills in", "facts.yaml"),
    ),
    "handoff without saying so": (
        rewrite(ANSWERS, "Happily. They'll get a short summary of our chat. {handoff}", "Happily."),
        *(ANSWERS, "talk_to_human", "does not say so", "Add {handoff}"),
    ),
    "handoff that does not happen": (
        rewrite(ANSWERS, YES, YES + " {handoff}"),
        *(ANSWERS, "affirm", "no colleague takes over", "handoff: true"),
    ),
    "no wording": (
        append(ANSWERS, "  rental:", "    title: Rent a bike"),
        *(ANSWERS, "rental", "no wording", "Correct this entry"),
    ),
    "hours that are none": (
        rewrite(HOURS, "tue: 09:00-17:30", "tue: all day"),
        *(HOURS, "hours.tue", "'all day' is not an opening and a closing time like 09:00-18:00", "Correct this entry"),
    ),
    "hours that end before they begin": (
        rewrite(HOURS, "tue: 09:00-17:30", "tue: 17:30-09:00"),
        *(HOURS, "hours.tue", "closes before it opens", "Correct this entry"),
    ),
    "a day that is none": (
        rewrite(HOURS, "tue: 09:00-17:30", "tues: 09:00-17:30"),
        *(HOURS, "hours.tues", "'mon'", "Correct this entry"),
    ),
    "unknown time zone": (
        rewrite(HOURS, "Europe/London", "Europe/Londn"),
        *(HOURS, "timezone", "no time zone 'Europe/Londn'", "Europe/London"),
    ),
    "tools.py that raises": (
        with_tool("raise OSError('no database')\n"),
        *("tools.py", "", "cannot be imported (OSError: no database)", "make_tools(home, today)"),
    ),
    "tools.py that is no Python": (
        with_tool("def make_tools(home, today:\n"),
        *("tools.py", "", "SyntaxError", "make_tools(home, today)"),
    ),
    "tools.py without make_tools": (with_tool("x = 1\n"), "tools.py", "", "AttributeError", "make_tools"),
    "article without a title": (
        rewrite("articles/prices.md", "# What repairs cost\n", "What repairs cost\n"),
        *("articles/prices.md", "row 1", "not a title", "# Title"),
    ),
    "article without text": (
        append("articles/blank.md", "# Blank"),
        *("articles/blank.md", "row 1", "no text under the title", "# Title"),
    ),
}


def found(problems: list[Problem], name: str) -> list[Problem]:
    """Return the problems that report a mistake as the table says."""
    _, file, place, what, remedy = MISTAKES[name]
    return [
        problem
        for problem in problems
        if (problem.file, problem.place) == (file, place) and what in problem.what and remedy in problem.remedy
    ]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_reported_with_its_file_its_place_and_a_remedy(name: str, folder: Path) -> None:
    MISTAKES[name][0](folder)

    assert found(check_desk(folder), name), check_desk(folder)


# A missing fact breaks every answer that uses it, so there the number of problems is that of the answers.
@pytest.mark.parametrize("name", sorted(set(MISTAKES) - {"no facts.yaml", "unknown key in an answer"}))
def test_one_mistake_is_reported_once_and_nothing_beside_it(name: str, folder: Path) -> None:
    MISTAKES[name][0](folder)
    twice = {"title twice": 2, "no wording": 2}  # with the answer of the same title; with its missing messages

    assert len(check_desk(folder)) == twice.get(name, 1), [str(problem) for problem in check_desk(folder)]


def test_several_mistakes_in_different_files_are_reported_at_once(folder: Path) -> None:
    names = [
        *("unknown key in desk.yaml", "unknown suggestion", "title twice", "unclosed brace", "failing example"),
        *("unknown intent", "empty text", "not UTF-8", "article without a title", "tools.py without make_tools"),
        "unknown time zone",
    ]
    for name in names:
        if not name.startswith("tools"):
            MISTAKES[name][0](folder)
    (folder / "tools.py").write_text("x = 1\n", encoding="utf-8")

    problems = check_desk(folder)

    # An unknown key makes desk.yaml as a whole unusable, so its time zone is looked at once that is mended.
    assert [name for name in names if not found(problems, name)] == ["unknown time zone"]


def test_a_test_message_that_was_learnt_with_another_intent_is_no_mistake(folder: Path) -> None:
    append("test.csv", "hello,thanks")(folder)  # in larger data that happens; the report tells

    assert check_desk(folder) == []


def test_a_wrong_desk_is_refused_with_every_mistake_in_the_message(folder: Path) -> None:
    MISTAKES["unknown intent"][0](folder)
    MISTAKES["unknown article"][0](folder)

    with pytest.raises(DeskError) as refusal:
        read_desk(folder)

    assert "has 2 mistakes" in str(refusal.value)
    assert "intents.csv, row 122: the intent 'rental' has no answer." in str(refusal.value)
    assert "answers.yaml, repair_cost: there is no article articles/price.md." in str(refusal.value)


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    (problem,) = check_desk(tmp_path / "nowhere")

    assert "no such folder" in problem.what
    assert "desk new" in problem.remedy


def test_a_file_saved_with_a_byte_order_mark_is_read(folder: Path) -> None:
    text = (folder / "intents.csv").read_text(encoding="utf-8")
    (folder / "intents.csv").write_text(text, encoding="utf-8-sig")

    assert check_desk(folder) == []


# What a desk knows


def test_a_desk_is_named_after_its_folder_however_it_is_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)

    assert read_desk(Path(".")).name == "workshop"


@pytest.mark.parametrize(
    ("moment", "is_open", "back"),
    [
        ("2026-11-24T09:00+00:00", True, "2026-11-25T09:00+00:00"),  # a Tuesday, on the minute
        ("2026-11-24T17:30+00:00", False, "2026-11-25T09:00+00:00"),
        ("2026-11-28T16:00+00:00", False, "2026-12-01T09:00+00:00"),  # Saturday's end: over Sunday and Monday
        ("2026-11-24T08:59+00:00", False, "2026-11-24T09:00+00:00"),
        ("2026-07-07T08:00+00:00", True, "2026-07-08T08:00+00:00"),  # 9 o'clock in a British summer
    ],
)
def test_hours_are_meant_in_the_desks_time_zone(starter: Desk, moment: str, is_open: bool, back: str) -> None:
    now = datetime.fromisoformat(moment)

    assert starter.is_open(now) is is_open
    assert starter.next_opening(now) == datetime.fromisoformat(back)


def test_a_desk_without_hours_is_never_open(folder: Path) -> None:
    content = yaml.safe_load((folder / "desk.yaml").read_text(encoding="utf-8"))
    (folder / "desk.yaml").write_text(yaml.safe_dump({**content, "hours": {}}), encoding="utf-8")
    desk = read_desk(folder)

    assert not desk.is_open(datetime(2026, 11, 24, 10, tzinfo=timezone.utc))
    assert desk.next_opening(datetime(2026, 11, 24, 10, tzinfo=timezone.utc)) is None


def test_what_is_filled_in_is_not_filled_again() -> None:
    assert fill("Hello {name}, {bike}", {"name": "{bike}", "bike": "e-bike"}) == "Hello {bike}, e-bike"


@pytest.mark.parametrize("text", ["{", "}", "{a b}", "{}", "{0}", "{name.x}", "{name!r:{width}}"])
def test_braces_hold_a_name_and_nothing_else(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        placeholders(text)


def test_a_desk_that_has_a_classifier_needs_no_labelled_messages(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED, tmp_path / "desk")
    (tmp_path / "desk" / "intents.csv").unlink()
    with pytest.raises(DeskError):
        read_desk(tmp_path / "desk")
    assert read_desk(tmp_path / "desk", taught=False).answers.keys() == read_desk(BUNDLED).answers.keys()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's list of open files")
def test_a_look_up_leaves_no_file_open(desk: Desk, tmp_path: Path) -> None:
    look_up = desk.make_tools(tmp_path, date(2026, 11, 24))["look_up_order"]
    gc.disable()  # it would close them some time
    try:
        for _ in range(5):
            look_up.invoke({"order_number": "R-10234"})
        files = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
        assert not [file for file in files if str(tmp_path) in file]
    finally:
        gc.enable()
