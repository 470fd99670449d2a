"""Chatwoot's conversations, pages of messages and single messages are the same conversations."""

from __future__ import annotations

from typing import Any

from bot.replay.readers import Mask
from tests.bot.replay.readers.conftest import KEY, Read, said

CONTACT = {
    "additional_attributes": {},
    "blocked": False,
    "custom_attributes": {},
    "email": "ida@example.com",
    "id": 31,
    "identifier": None,
    "name": "Ida Holm",
    "phone_number": None,
    "thumbnail": "",
    "type": "contact",
}
AGENT = {
    "id": 4,
    "name": "Ravi Nair",
    "available_name": "Ravi",
    "avatar_url": "",
    "type": "user",
    "availability_status": "online",
    "thumbnail": "",
}
BOT = {"id": 1, "name": "Helper", "avatar_url": "", "type": "agent_bot"}
PICTURE = {
    "id": 8,
    "message_id": 50,
    "file_type": "image",
    "account_id": 1,
    "extension": None,
    "data_url": "https://files.example/a/my%20lid.jpg?x=1",
    "thumb_url": "",
    "file_size": 812,
    "width": 20,
    "height": 10,
}


def message(at: int, kind: int, content: str | None, sender: Any = None, **more: Any) -> dict[str, Any]:
    """A message as the API shows it: without a sender or attachments, where there are none."""
    return {
        "id": at,
        "content": content,
        "inbox_id": 3,
        "conversation_id": 12,
        "message_type": kind,
        "content_type": "text",
        "status": "sent",
        "content_attributes": {},
        "created_at": 1_790_000_000 + at,
        "private": False,
        "source_id": None,
        **({"sender": sender} if sender else {}),
        **more,
    }


def page(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A page of a conversation's messages."""
    seen = {"agent_last_seen_at": "2026-09-21T14:20:00.000Z", "assignee_last_seen_at": None}
    meta = {"labels": [], "additional_attributes": {}, "contact": CONTACT, "assignee": AGENT, **seen}
    return {"meta": meta, "payload": messages}


MESSAGES = [
    message(0, 0, "Does the kettle come with a lid?", CONTACT),
    message(9, 3, "We usually answer within an hour"),
    message(10, 1, "Let me look that up.", BOT),
    message(20, 2, "Conversation was marked open"),
    message(30, 1, "lid yes, says the sheet", AGENT, private=True),
    message(40, 1, "It does, Ida.", AGENT),
    message(50, 0, None, CONTACT, attachments=[PICTURE, None]),
    message(60, 0, "  ", CONTACT),
    message(70, 1, "Anything else?", AGENT, content_attributes={"automation_rule_id": 3}),
]
HEARD = [
    ("customer", "Does the kettle come with a lid?"),
    ("bot", "Let me look that up."),
    ("agent", "It does, Ida."),
    ("customer", "[attachment: my lid.jpg]"),
    ("bot", "Anything else?"),
]


def test_a_conversation_is_read_without_notes_events_and_templates(read: Read) -> None:
    (one,) = read([{"id": 12, "meta": {"sender": CONTACT}, "messages": list(reversed(MESSAGES))}])

    assert said(one) == HEARD
    assert (one.conversation_id, one.customer_id) == ("12", "31")
    assert one.started_at.isoformat() == "2026-09-21T14:13:20+00:00"


def test_pages_of_messages_are_put_together(read: Read) -> None:
    (one,) = read([page(MESSAGES[4:]), page(MESSAGES[:4])])

    assert said(one) == HEARD


def test_messages_one_a_line_are_put_together(read: Read) -> None:
    other = {**message(5, 0, "Where are you?", {"id": 32, "type": "contact"}), "conversation_id": 13}

    first, second = read([*MESSAGES, other])

    assert said(first) == HEARD
    assert first.customer_id == "31"
    assert said(second) == [("customer", "Where are you?")]


def test_a_button_that_was_pressed_is_said_after_the_message_that_offered_it(read: Read) -> None:
    items = [{"title": name, "value": name.lower()} for name in ("Kettle", "Mug")]
    offer = {"content_type": "input_select", "content_attributes": {"items": items, "submitted_values": items[1:]}}
    form = {"content_type": "form", "content_attributes": {"submitted_values": [{"name": "gift", "value": "yes"}]}}
    messages = [message(1, 1, "Which one is it?", BOT, **offer), message(2, 1, "And how?", BOT, **form)]

    (one,) = read([MESSAGES[0], *reversed(messages)])

    told = [("bot", "Which one is it?"), ("customer", "Mug"), ("bot", "And how?")]
    assert said(one) == [("customer", "Does the kettle come with a lid?"), *told]


def test_a_page_of_conversations_is_read(read: Read) -> None:
    conversations = [{"id": number, "messages": [message(0, 0, "Hello?", CONTACT)]} for number in (1, 2)]

    assert [one.conversation_id for one in read([{"data": {"payload": conversations}}])] == ["1", "2"]


def test_messages_that_return_after_another_conversation_are_reported(read: Read) -> None:
    problems: list[Any] = []
    other = {**message(5, 0, "Where are you?", CONTACT), "conversation_id": 13}

    assert len(read([MESSAGES[0], other, MESSAGES[5]], problems=problems)) == 2
    assert [problem.place for problem in problems] == ["line 3"]
    assert "put the messages of one together" in problems[0].remedy


def test_marked_names_are_masked(read: Read) -> None:
    (one,) = read(MESSAGES, mask=Mask(KEY))

    assert said(one)[2] == ("agent", "It does, [name].")
