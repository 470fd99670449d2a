"""Logs of every form are read one conversation at a time; what cannot be read is told with its place."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.desk import BUNDLED
from bot.problems import Problem, RapportError
from bot.replay.readers import FORMS, Mapping, Mask, read_log
from bot.replay.readers import records as records_module
from bot.replay.readers.draft import FormError
from finetune.logs import Conversation, LogMessage, write_log
from finetune.logs import read_log as read_rapport_log
from tests.bot.replay.readers.conftest import KEY, Read, said

PAIR = [{"role": "user", "content": "Is there a lid?"}, {"role": "assistant", "content": "There is."}]
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone.utc))
MESSAGES = st.builds(
    LogMessage,
    role=st.sampled_from(["customer", "agent", "bot"]),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | st.sampled_from(["write to ida@mail.example", "4111 1111 1111 1111", "my PIN is 4821"]),
    at=TIMES,
    intent=st.none() | st.just("opening_hours"),
)
CONVERSATIONS = st.lists(
    st.builds(
        Conversation,
        conversation_id=st.uuids().map(str),
        customer_id=st.sampled_from(["ida", "ravi@mail.example"]),
        started_at=TIMES,
        messages=st.lists(MESSAGES, max_size=4).map(tuple),
    ),
    max_size=4,
    unique_by=lambda conversation: conversation.conversation_id,
)


MASKED = Mask(KEY)
GOOD = json.dumps({"messages": PAIR}).encode() + b"\n"


def openai(number: int) -> list[Any]:
    return [{"messages": PAIR} for _ in range(number)]


# Laws


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(conversations=CONVERSATIONS, masked=st.booleans())
def test_a_log_that_was_read_and_written_is_read_the_same(
    tmp_path: Path, conversations: list[Conversation], masked: bool
) -> None:
    path, copy, mask = tmp_path / "log.jsonl", tmp_path / "copy.jsonl", Mask(KEY) if masked else None
    write_log(path, conversations)
    read = list(read_log(path, mask=mask))
    write_log(copy, read)

    assert list(read_log(copy, mask=mask)) == read
    assert [one.conversation_id for one in read] == [
        one.conversation_id for one in conversations if any(message.text.strip() for message in one.messages)
    ]
    for one in read:
        assert all(earlier.at <= later.at for earlier, later in pairwise(one.messages))
        assert all(message.text.strip() for message in one.messages)


def test_the_bundled_log_is_read_as_it_is() -> None:
    path = BUNDLED / "conversations.jsonl"

    assert list(read_log(path, mask=None)) == list(read_rapport_log(path))


# Where a log lies


def test_a_compressed_log_a_json_array_and_pretty_json_are_read(read: Read) -> None:
    lines = "".join(json.dumps(one) + "\n" for one in openai(3)).encode()
    array = json.dumps(openai(3), indent=2).encode()
    pretty = "\n".join(json.dumps(one, indent=2) for one in openai(3)).encode()

    as_lines = [said(one) for one in read(lines)]
    for name, content in {"a.jsonl.gz": gzip.compress(lines), "a.json": array, "b.json": pretty}.items():
        assert [said(one) for one in read(content, name)] == as_lines
    assert len(as_lines) == 3


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for name in ("b.jsonl", "a.jsonl", "more/c.jsonl"):
        (tmp_path / name).write_text(json.dumps({"messages": PAIR}), encoding="utf-8")
    (tmp_path / "a.csv").write_text("customer,agent\nOpen?,Yes\n", encoding="utf-8")
    (tmp_path / "LICENSE").write_text("Anyone may read this.", encoding="utf-8")
    (tmp_path / ".b.jsonl.draft.jsonl").write_text("{", encoding="utf-8")

    reading = read_log(tmp_path, mask=None)

    assert [one.conversation_id for one in reading] == ["a.csv-1", "a.jsonl-1", "b.jsonl-1", "more/c.jsonl-1"]
    assert reading.forms == {"openai", "csv"}
    assert reading.share == 1.0


def test_a_log_of_any_length_stands_in_memory_one_conversation_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for _ in range(20_000):
            file.write(json.dumps({"messages": PAIR}) + "\n")

    reading = read_log(path, mask=None)
    first = next(reading)

    assert first.conversation_id == "long.jsonl-1"
    assert reading.share < 0.02  # what follows has not been read yet
    assert sum(1 for _ in reading) == 19_999
    assert reading.share == 1.0


def test_an_array_is_read_element_by_element(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    path.write_text(json.dumps(openai(20_000)), encoding="utf-8")

    reading = read_log(path, mask=None)
    next(reading)

    assert reading.share < 0.2
    assert sum(1 for _ in reading) == 19_999


# What is wrong


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", GOOD + b'{"mess', "line 2: it is not JSON; the file ends within it"),
        ("a.jsonl", b'\n{"a": 1},\n{}', "line 2: it is not JSON. Write one JSON value on each line"),
        ("a.jsonl", b'{"a": "caf\xe9"}\n', "line 1: byte 10 is not UTF-8. Save it with the encoding UTF-8"),
        ("a.json", json.dumps(openai(2)).encode()[:-40], "element 2: it is not JSON in UTF-8, or it was cut short"),
        ("a.jsonl.gz", gzip.compress(GOOD * 999)[:-20], "its compressed data is damaged or cut short"),
        ("a.jsonl", b"PK\x03\x04 and more", "it is a zip archive. Unpack it"),
        ("a.csv", "customer,agent\nOpen?,Yes\n".encode("utf-16"), "it is UTF-16 text. Save it with the encoding UTF-8"),
        ("a.csv", b"customer,agent\nOpen?,Yes\ncaf\xe9?,No\n", "line 3: it is not UTF-8. Save it as CSV"),
        ("a.csv", b"customer,agent\nHi, open?,Yes\n", "line 2: it has more cells than there are columns"),
        ("a.csv", b'customer,agent\n"Open?,Yes\n', "it is not valid CSV"),
        ("a.csv", b"customer,agent\n" + b"x" * 2_000_000 + b",Yes\n", "line 2: message 1 has 2,000,000 characters"),
        ("a.jsonl", b'{"kettles": 3}\n', "line 1: it is of no form that is known. Name one with --form"),
        ("a.jsonl", b'{"conversation_id": "c", "messages": [{}]}\n', "line 1: customer_id: field required. Add it"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_with_its_place(read: Read, name: str, content: bytes, complaint: str) -> None:
    with pytest.raises(RapportError) as refused:
        read(content, name)

    assert complaint in str(refused.value)
    assert name in str(refused.value)


def test_what_is_wrong_is_left_out_where_asked(read: Read) -> None:
    problems: list[Problem] = []
    good = json.dumps({"messages": PAIR})

    assert len(read(f"{good}\nnonsense\n{good}\n[1]\n{good}\n".encode(), problems=problems)) == 3
    assert [problem.place for problem in problems] == ["line 2", "line 4"]


def test_records_and_files_of_no_form_are_left_out_where_asked(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n" + GOOD)
    (tmp_path / "prices.csv").write_text("product,price\nkettle,30\nlid,5\n", encoding="utf-8")
    (tmp_path / "users.json").write_text('{"users": []}', encoding="utf-8")
    problems: list[Problem] = []

    read = list(read_log(tmp_path, mask=None, on_error=problems.append))

    assert [one.conversation_id for one in read] == ["a.jsonl-2"]
    assert [(Path(one.file).name, one.place) for one in problems] == [
        ("a.jsonl", "line 1"),
        ("prices.csv", ""),
        ("users.json", "line 1"),
    ]


def test_a_log_of_no_form_at_all_is_refused_whatever_was_asked(read: Read) -> None:
    with pytest.raises(RapportError, match=r"line 1: it is of no form that is known\. Name one with --form"):
        read(b"{}\n{}\n", problems=[])


@pytest.mark.parametrize("mask", [None, MASKED])
def test_half_a_pair_of_surrogates_ends_nothing(read: Read, mask: Mask | None) -> None:
    mapping = Mapping(
        messages="said",
        conversation="id",
        customer="who",
        role="by",
        roles={"customer": ["c"]},
        text="text",
        intent="of",
    )
    said = [{"by": "c", "text": "Open \ud83d?", "of": "hours\udc00"}]

    (one,) = read([{"id": "\ud800", "who": "\ud800", "said": said}], mapping=mapping, mask=mask)

    assert one.messages[0].text == "Open ??"
    assert one.messages[0].intent == "hours?"
    assert one.model_dump_json()


def test_a_record_without_an_end_is_not_read_into_memory(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "LARGEST", 1000)
    problems: list[Problem] = []
    good = json.dumps({"messages": PAIR}).encode()

    assert len(read(good + b'\n{"a": "' + b"x" * 5000 + b'"}\n' + good, problems=problems)) == 2
    assert [(problem.place, problem.what) for problem in problems] == [("line 2", "it is longer than 1,000 bytes")]


def test_a_conversation_that_stands_twice_is_read_once(read: Read) -> None:
    problems: list[Problem] = []
    at = "2026-11-24T10:00:00Z"
    one = {"conversation_id": "c", "customer_id": "ida", "started_at": at}
    one["messages"] = [{"role": "customer", "text": "Open?", "at": at}]  # type: ignore[assignment]

    assert len(read([one, one], problems=problems)) == 1
    assert "a conversation with its id has been read already" in problems[0].what


def test_messages_with_and_without_times_are_refused(read: Read) -> None:
    problems: list[Problem] = []
    events = [{"Agent": "User", "Action": "utter", "Text": "Open?"}]

    assert read([{"DialogueID": 1, "Events": events}], problems=problems) == []
    assert problems[0].what == "a time is missing"


@pytest.mark.parametrize(("form", "path"), [("zendesk2", "a.jsonl"), (None, "none.jsonl"), (None, "empty")])
def test_unknown_forms_and_missing_files_are_refused(tmp_path: Path, form: str | None, path: str) -> None:
    (tmp_path / "a.jsonl").write_text("{}", encoding="utf-8")
    (tmp_path / "empty").mkdir()

    with pytest.raises(RapportError, match=r"There is no form|There is no file|holds no log"):
        read_log(tmp_path / path, form, mask=None)


def test_nothing_is_written_where_reading_stops(tmp_path: Path) -> None:
    def broken() -> Iterable[Conversation]:
        yield from read_rapport_log(BUNDLED / "conversations.jsonl")
        raise RapportError("stop")

    with pytest.raises(RapportError, match="stop"):
        write_log(tmp_path / "log.jsonl", broken())

    assert list(tmp_path.iterdir()) == []


KEYS = st.sampled_from(
    "messages payload data meta message_type conversation_id sender content created_at id tickets comments requester "
    "requester_id source conversation_parts conversations author type role Events DialogueID Agent Action traj turns "
    "messages_display customer_id sessions facts public attachments via".split()
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)


@settings(max_examples=400, deadline=None)
@given(value=ANYTHING)
def test_a_record_of_any_shape_is_read_or_refused_in_words(value: Any) -> None:
    for form in FORMS.values():
        form.recognises(value)
        with contextlib.suppress(FormError):
            for draft in form.read(value):
                MASKED.apply(draft).finished(1)
