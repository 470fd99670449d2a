"""Logs are read one conversation at a time, checked as a whole, and refused with the line and the remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.desk import BUNDLED
from finetune.logs import Conversation, LogError, LogMessage, read_heard, read_log
from finetune.sheets import SheetError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone.utc))
MESSAGES = st.builds(
    LogMessage,
    role=st.sampled_from(["customer", "agent", "bot"]),
    text=TEXTS,
    at=TIMES,
    intent=st.none() | st.just("order_status"),
    answer=st.none(),
)
CONVERSATIONS = st.lists(
    st.builds(
        Conversation,
        conversation_id=st.uuids().map(str),
        customer_id=st.just("cust-ann"),
        started_at=TIMES,
        messages=st.lists(MESSAGES, max_size=4).map(tuple),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda conversation: conversation.conversation_id,
)


def line(number: int = 1, **changes: Any) -> str:
    message = {"role": "customer", "text": "Where is it?", "at": "2026-11-24T10:00:00+00:00"}
    conversation = {
        "conversation_id": f"c-{number}",
        "customer_id": "cust-ann",
        "started_at": "2026-11-24T10:00:00+00:00",
        "messages": [message],
    }
    return json.dumps({**conversation, **changes})


def with_message(**changes: Any) -> str:
    message = {"role": "customer", "text": "Where is it?", "at": "2026-11-24T10:00:00+00:00"}
    return line(2, messages=[{**message, **changes}])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(conversations=CONVERSATIONS)
def test_what_was_written_is_read(tmp_path: Path, conversations: list[Conversation]) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f"{one.model_dump_json(exclude_none=True)}\n" for one in conversations), encoding="utf-8")

    assert list(read_log(path)) == conversations


def test_the_bundled_log_is_read() -> None:
    conversations = read_log(BUNDLED / "conversations.jsonl")

    assert isinstance(conversations, Iterator)
    assert next(conversations).conversation_id == "c-0001"
    assert next(conversations).messages[0].role == "customer"


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ("{not json", "line 2: it is not JSON in UTF-8 .* Write one whole conversation on each line"),
        ("[]", "line 2: the line: .* Correct it"),
        (line(2, customer_id=""), "line 2: customer_id: .* Correct it"),
        (with_message(role="robot"), "line 2: messages.0.role: .*Write customer, agent or bot"),
        (with_message(at="2026-11-24T10:00:00"), "line 2: messages.0.at: .*Write times with an offset"),
        (with_message(text=None), "line 2: messages.0.text: .* Correct it"),
        (line(2, messages=[{}]), "line 2: messages.0.role: .* Add it"),
        (line(1), "line 2: the conversation_id 'c-1' stands in line 1 already. Give each conversation its own"),
    ],
)
def test_a_wrong_line_is_named_with_the_remedy_and_nothing_is_read(tmp_path: Path, wrong: str, what: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f"{line(1)}\n{wrong}\n{line(3)}\n", encoding="utf-8")

    with pytest.raises(LogError, match=rf"1 mistake; nothing was read:\n.*{what}"):
        next(read_log(path))


def test_the_first_wrong_lines_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("oops\n" * 12, encoding="utf-8")

    with pytest.raises(LogError) as caught:
        next(read_log(path))

    assert "12 mistakes" in str(caught.value)
    assert str(caught.value).endswith("and 7 more")
    assert "line 5:" in str(caught.value)
    assert "line 6:" not in str(caught.value)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(customer_id="cust-zoe").replace("zoe", "zoë").encode("latin-1"))

    with pytest.raises(LogError, match="line 1: it is not JSON in UTF-8"):
        next(read_log(path))


def test_an_empty_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("\n\n")

    with pytest.raises(LogError, match="holds no conversation"):
        next(read_log(tmp_path / "log.jsonl"))


def test_byte_order_marks_blank_lines_and_other_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f"{line(1)}\r\n\r\n{line(2)}\r\n".encode())

    assert [one.conversation_id for one in read_log(path)] == ["c-1", "c-2"]


def test_customer_messages_without_an_intent_are_heard(tmp_path: Path) -> None:
    at = "2026-11-24T10:00:00+00:00"
    messages = [
        {"role": "customer", "text": "Hello Priti", "at": at},
        {"role": "agent", "text": "Hello Ann, Priti here.", "at": at},
        {"role": "customer", "text": "my tent leaks at the seam", "at": at},
        {"role": "bot", "text": "Shall I repeat that?", "at": at},
        {"role": "customer", "text": "please do so Priti", "at": at, "intent": "affirm"},
    ]
    path = tmp_path / "log.jsonl"
    path.write_text(line(messages=messages), encoding="utf-8")

    unlabelled, every = read_heard(path), read_heard(path, labelled=True)

    assert [one.text for one in unlabelled] == ["Hello Priti", "my tent leaks at the seam"]
    assert [one.text for one in every] == ["Hello Priti", "my tent leaks at the seam", "please do so Priti"]
    assert [one.bare for one in every] == ["Hello", "my tent leaks at the seam", "please do so"]
    assert [one.opens for one in every] == [True, True, False]
    assert {one.customer for one in every} == {"cust-ann"}


def test_files_of_lines_and_csv_files_are_heard_too(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("Where is it?\nCan I pay later?\n", encoding="utf-8")
    (tmp_path / "rows.csv").write_text('text,intent\n"Hi, where is it?",\nthanks,thanks\n', encoding="utf-8")

    assert [one.text for one in read_heard(tmp_path / "lines.txt")] == ["Where is it?", "Can I pay later?"]
    assert [one.text for one in read_heard(tmp_path / "rows.csv")] == ["Hi, where is it?"]
    assert len(read_heard(tmp_path / "rows.csv", labelled=True)) == 2


def test_files_that_cannot_be_heard_are_refused(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_bytes("Zoë".encode("latin-1"))
    (tmp_path / "rows.csv").write_text("message\nHello\n", encoding="utf-8")

    with pytest.raises(LogError, match="byte 2: it is not UTF-8 text"):
        read_heard(tmp_path / "lines.txt")
    with pytest.raises(SheetError, match="row 1: the column text is missing"):
        read_heard(tmp_path / "rows.csv")
