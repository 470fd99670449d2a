"""Intercom's conversations: the first message and the parts that somebody said, by customers, teammates and bots."""

from __future__ import annotations

from typing import Any

import pytest

from bot.problems import RapportError
from tests.bot.replay.readers.conftest import Read, said

IDA = {"type": "user", "id": "u-9", "name": "Ida Holm"}
RAVI = {"type": "admin", "id": "4", "name": "Ravi Nair", "email": "ravi@shop.example"}
OPERATOR = {"type": "admin", "id": "1", "name": "Operator", "email": "operator+ab12@intercom.io"}
FIN = {"type": "bot", "id": "2", "name": "Fin"}


def part(at: int, kind: str, body: str | None, author: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"part_type": kind, "body": body, "created_at": 1_790_000_000 + at, "author": author, **more}


CONVERSATION = {
    "type": "conversation",
    "id": "215",
    "created_at": 1_790_000_000,
    "source": {"delivered_as": "customer_initiated", "author": IDA, "body": "<p>Does the kettle come with a lid?</p>"},
    "contacts": {"contacts": [{"type": "contact", "id": "c-1", "external_id": "shop-31"}]},
    "conversation_parts": {
        "conversation_parts": [
            part(5, "comment", "<p>Do you mean:</p><ul><li>Small</li><li>Large</li></ul>", FIN),
            part(8, "comment", "<p>I will ask the team</p>", OPERATOR),
            part(10, "assignment", None, RAVI),
            part(20, "note", "<p>the small one</p>", RAVI),
            part(40, "close", "<p>It does &amp; it fits.</p>", RAVI),
            part(30, "comment", "<p></p>", IDA, attachments=[{"name": "kettle.png"}]),
            part(50, "comment", "<p>gone</p>", IDA, redacted=True),
        ]
    },
}


def test_a_conversation_is_read_without_notes_and_events(read: Read) -> None:
    (one,) = read([CONVERSATION])

    assert said(one) == [
        ("customer", "Does the kettle come with a lid?"),
        ("bot", "Do you mean:\n\n- Small\n- Large"),
        ("bot", "I will ask the team"),
        ("customer", "[attachment: kettle.png]"),
        ("agent", "It does & it fits."),
    ]
    assert (one.conversation_id, one.customer_id) == ("215", "shop-31")


@pytest.mark.parametrize(("how", "role"), [("admin_initiated", "agent"), ("automated", "bot")])
def test_a_first_message_of_the_team_is_told_from_a_campaign(read: Read, how: str, role: str) -> None:
    source = {"delivered_as": how, "author": RAVI, "body": "<p>Your kettle is in.</p>"}

    (one,) = read([{**CONVERSATION, "source": source}])

    assert said(one)[0] == (role, "Your kettle is in.")


def test_a_list_of_conversations_leaves_parts_out_and_is_refused(read: Read) -> None:
    bare = {key: value for key, value in CONVERSATION.items() if key != "conversation_parts"}

    with pytest.raises(RapportError, match="Retrieve each conversation by its id"):
        read([{"type": "conversation.list", "conversations": [bare]}])
