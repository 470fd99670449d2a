"""Zendesk tickets become conversations of requester, agents and bots, without internal notes."""

from __future__ import annotations

from typing import Any

import pytest

from bot.problems import RapportError
from bot.replay.readers import Mask
from tests.bot.replay.readers.conftest import KEY, Read, said


def comment(minute: int, author: int, body: str, **more: Any) -> dict[str, Any]:
    at = f"2026-03-02T09:{minute:02}:00Z"
    return {
        "id": minute,
        "type": "Comment",
        "author_id": author,
        "public": True,
        "created_at": at,
        **more,
        "body": body,
    }


TICKET = {
    "id": 4801,
    "created_at": "2026-03-02T09:00:00Z",
    "subject": "Kettle",
    "requester": {"id": 77, "name": "Ida Holm", "email": "ida@example.com"},
    "assignee": {"id": 5, "name": "Ravi Nair"},
    "comments": [
        comment(30, 5, "", html_body='<div class="zd-comment"><p>Hello Ida,</p><p>it does.<br>Ravi</p></div>'),
        comment(0, 77, "Does the kettle come with a lid?", attachments=[{"file_name": "kettle.png"}]),
        comment(10, 5, "she means the small one", public=False),
        comment(11, -1, "Ticket received"),
        comment(12, 5, "Our help page may know.", via={"channel": "answer_bot_for_web_widget"}),
        comment(50, 77, "> it does", html_body="<p>Great</p><blockquote type='cite'>it does</blockquote>"),
    ],
}


def test_a_ticket_is_read_in_order_of_time(read: Read) -> None:
    (one,) = read([TICKET])

    assert said(one) == [
        ("customer", "Does the kettle come with a lid?\n[attachment: kettle.png]"),
        ("bot", "Our help page may know."),
        ("agent", "Hello Ida,\n\nit does.\nRavi"),
        ("customer", "Great"),
    ]
    assert (one.conversation_id, one.customer_id) == ("4801", "77")


def test_tickets_in_a_page_and_with_bare_ids_are_read(read: Read) -> None:
    bare = {**TICKET, "requester": {}, "requester_id": 77}

    (one,) = read([{"tickets": [bare]}])

    assert (one.customer_id, one.messages[0].role) == ("77", "customer")


def test_a_ticket_with_notes_alone_is_left_out(read: Read) -> None:
    assert read([{**TICKET, "comments": [comment(1, 5, "spam?", public=False)]}]) == []


def test_tickets_without_comments_are_refused(read: Read) -> None:
    without = {key: value for key, value in TICKET.items() if key != "comments"}

    with pytest.raises(RapportError, match=r"line 2: a ticket has no comments\. Use the JSON export"):
        read([TICKET, {**without, "id": 4802}])


def test_names_are_masked_in_both_voices(read: Read) -> None:
    (one,) = read([TICKET], mask=Mask(KEY))

    assert said(one)[2] == ("agent", "Hello [name],\n\nit does.\n[name]")
