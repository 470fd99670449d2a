"""A mapping file reads any other form; OpenAI's JSONL and a CSV of two columns are built in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bot.problems import RapportError
from bot.replay.readers import Mapping, read_mapping
from tests.bot.replay.readers.conftest import Read, said

NESTED = """
messages: thread.entries
conversation: ref
customer: people.0.id
role: author.type
roles: {customer: [visitor], agent: [staff], bot: [robot], ignore: [system]}
text: body
time: sent
timezone: Europe/London
intent: topic
answer: macro
leave_out: {internal: [true]}
html: true
"""
CHAT = {
    "ref": 5,
    "people": [{"id": "p-1"}],
    "thread": {
        "entries": [
            {"author": {"type": "visitor"}, "body": "<b>Open</b> today?", "sent": "2026-07-01 10:00", "topic": "hours"},
            {"author": {"type": "staff"}, "body": "ask Ravi", "sent": "2026-07-01 10:01", "internal": True},
            {"author": {"type": "robot"}, "body": "Until six.", "sent": "2026-07-01 10:02", "macro": "hours"},
            {"author": {"type": "system"}, "body": "closed", "sent": "2026-07-01 10:03"},
        ]
    },
}


@pytest.fixture
def mapping(tmp_path: Path) -> Any:
    def write(text: str) -> Mapping:
        path = tmp_path / "mapping.yaml"
        path.write_text(text, encoding="utf-8")
        return read_mapping(path)

    return write


def test_nested_json_is_read(read: Read, mapping: Any) -> None:
    (one,) = read([CHAT], mapping=mapping(NESTED))

    assert said(one) == [("customer", "Open today?"), ("bot", "Until six.")]
    assert (one.conversation_id, one.customer_id) == ("5", "p-1")
    assert (one.messages[0].intent, one.messages[1].answer) == ("hours", "hours")
    assert one.started_at.isoformat() == "2026-07-01T10:00:00+01:00"


def test_a_role_that_is_not_named_is_reported(read: Read, mapping: Any) -> None:
    with pytest.raises(RapportError, match=r"line 1: author\.type is 'robot', which roles does not name"):
        read([CHAT], mapping=mapping(NESTED.replace("bot: [robot], ", "")))


def test_rows_of_messages_are_put_together(read: Read, mapping: Any) -> None:
    rows = b"Chat;Who;When;Message\n1;in;24/11/2026 10:00;Hello\n1;out;24/11/2026 10:01;Hi\n2;in;24/11/2026 9:00;Open?"
    text = """
      conversation: Chat
      role: Who
      roles: {customer: [in], agent: [out]}
      text: Message
      time: When
      time_form: "%d/%m/%Y %H:%M"
    """

    first, second = read(rows, "chats.csv", mapping=mapping(text))

    assert said(first) == [("customer", "Hello"), ("agent", "Hi")]
    assert said(second) == [("customer", "Open?")]
    assert second.started_at.isoformat() == "2026-11-24T09:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("says: {customer: q}\ntext: t", "give either text, role and roles, or says"),
        ("text: body", "text needs role and roles"),
        ("says: {visitor: q}", "says.visitor"),
        ("says: {customer: q}\ntimezone: Mars", "there is no timezone 'Mars'"),
        ("says: {customer: q}\nspeed: 3", "speed"),
        ("says: [", "is not YAML"),
    ],
)
def test_a_mapping_that_is_wrong_is_refused(mapping: Any, text: str, complaint: str) -> None:
    with pytest.raises(RapportError, match=complaint):
        mapping(text)


def test_fine_tuning_examples_of_openai_are_read_with_made_times(read: Read) -> None:
    example = [
        {"role": "system", "content": "You sell kettles."},
        {"role": "user", "content": [{"type": "text", "text": "Is there a lid?"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "{}"},
        {"role": "assistant", "content": "There is."},
    ]

    first, second = read([{"messages": example}, {"messages": example}])

    assert said(first) == [("customer", "Is there a lid?"), ("agent", "There is.")]
    assert [one.at.isoformat() for one in first.messages] == ["2000-01-01T01:00:00+00:00", "2000-01-01T01:01:00+00:00"]
    assert (first.conversation_id, second.conversation_id) == ("export.jsonl-1", "export.jsonl-2")
    assert second.started_at > first.started_at
    assert second.customer_id != first.customer_id


def test_each_row_of_a_csv_of_two_columns_is_a_conversation(read: Read) -> None:
    first, second = read('\ufeffcustomer,agent\n"Is there\na lid?",There is.\nOpen?,\n'.encode(), "pairs.csv")

    assert said(first) == [("customer", "Is there\na lid?"), ("agent", "There is.")]
    assert said(second) == [("customer", "Open?")]


def test_a_csv_with_other_columns_asks_for_a_mapping(read: Read) -> None:
    with pytest.raises(RapportError, match=r"its columns are not customer,agent.*mapping"):
        read(b"question,reply\nOpen?,Yes\n", "pairs.csv")


def test_the_mappings_of_the_documentation_are_right(mapping: Any) -> None:
    page = (Path(__file__).parents[4] / "docs" / "logs.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)

    assert len(examples) == 3
    for example in examples:
        mapping(example)
    assert all(f"`{key}`" in page for key in Mapping.model_fields)
