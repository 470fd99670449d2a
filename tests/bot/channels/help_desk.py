"""A small server that speaks Chatwoot's API as an agent bot meets it, and its webhooks, signed.

Names and types are those that Chatwoot's models and presenters write (`webhook_data`, `push_event_data`).
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import threading
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

TOKEN, SECRET = "the bot's token", "what webhooks are signed with"
ACCOUNT = {"id": 1, "name": "Shop"}
ANNA = {"id": 2, "name": "Anna", "email": "anna@shop.example", "type": "user"}
BOT = {"id": 9, "name": "Rapport", "type": "agent_bot"}
NORA = {
    "additional_attributes": {},
    "blocked": False,
    "custom_attributes": {},
    "email": "nora@example.com",
    "id": 31,
    "identifier": "nora",
    "name": "Nora",
    "phone_number": None,
    "thumbnail": "",
}
_OPENED = 1795514400  # when the conversations began, in seconds


class HelpDesk:
    """Conversations of account 1; `calls` is what the bot asked for, `refusals` what is answered first."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refusals: deque[int] = deque()
        self.status: dict[int, str] = {}
        self.bot: httpx.Client | None = None
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)

    def application(self) -> FastAPI:
        application = FastAPI()

        @application.post("/api/v1/accounts/1/conversations/{number}/{what}")
        async def call(number: int, what: str, request: Request) -> Response:
            assert request.headers["api_access_token"] == TOKEN
            body = await request.json()
            with self._changed:
                if self.refusals:
                    status = self.refusals.popleft()
                    self._changed.notify_all()
                    return Response(status_code=status, headers={"Retry-After": "0"})
                if what == "toggle_status":
                    self.status[number] = body["status"]
                self.calls.append((f"{number}/{what}", body))
                self._changed.notify_all()
            return JSONResponse(_toggled(number, body) if what == "toggle_status" else self._created(number, body))

        return application

    def wait(self, met: Callable[[], bool]) -> None:
        """Wait until something is so that the bot's calls bring about, or what it does after them."""
        with self._changed:
            for _ in range(1500):
                if met():
                    return
                self._changed.wait(0.02)
        raise AssertionError(self.calls)

    def said(self, count: int) -> list[str]:
        """Wait until the bot has written this many messages to customers; return them."""

        def texts() -> list[str]:
            return [body["content"] for path, body in self.calls if path.endswith("messages") and not body["private"]]

        self.wait(lambda: len(texts()) >= count)
        return texts()

    def conversation(self, number: int, verified: bool, contact: dict[str, Any]) -> dict[str, Any]:
        """A conversation as it stands in webhooks."""
        return {
            "account": ACCOUNT,
            "additional_attributes": {"browser": {"device_name": "Unknown"}, "referer": "https://shop.example/"},
            "agent_last_seen_at": 0,
            "can_reply": True,
            "channel": "Channel::WebWidget",
            "contact_inbox": {
                "id": 100 + number,
                "contact_id": contact["id"],
                "inbox_id": 3,
                "source_id": f"browser-{number}",
                "created_at": "2026-11-24T10:00:00.000Z",
                "updated_at": "2026-11-24T10:00:00.000Z",
                "hmac_verified": verified,
                "pubsub_token": "p",
            },
            "contact_last_seen_at": _OPENED,
            "created_at": _OPENED,
            "custom_attributes": {},
            "first_reply_created_at": None,
            "id": number,
            "inbox_id": 3,
            "labels": [],
            "last_activity_at": _OPENED,
            "messages": [_last_message(number, contact)],
            "meta": {
                "sender": {**contact, "type": "contact"},
                "assignee": None,
                "assignee_type": None,
                "team": None,
                "hmac_verified": verified,
            },
            "priority": None,
            "snoozed_until": None,
            "status": self.status.get(number, "pending"),
            "timestamp": _OPENED,
            "unread_count": 1,
            "updated_at": _OPENED + 0.25,
            "waiting_since": _OPENED,
        }

    def message(self, text: str | None, number: int = 5, verified: bool = False, **changed: Any) -> dict[str, Any]:
        """The event of a new message, of Nora's unless something else is said."""
        contact = changed.pop("contact", NORA)
        return {
            "event": "message_created",
            "account": ACCOUNT,
            "additional_attributes": {},
            "content": text,
            "content_attributes": {},
            "content_type": "text",
            "conversation": self.conversation(number, verified, contact),
            "created_at": "2026-11-24T10:00:00.000Z",
            "id": next(self._numbers),
            "inbox": {"id": 3, "name": "Website"},
            "message_type": "incoming",
            "private": False,
            "sender": {**contact, "account": ACCOUNT, "avatar": ""},  # a contact's type is not said here
            "source_id": None,
            **changed,
        }

    def resolved(self, number: int = 5) -> dict[str, Any]:
        """The event of a conversation that the team has ended."""
        self.status[number] = "resolved"
        return {"event": "conversation_resolved", **self.conversation(number, False, NORA)}

    def _created(self, number: int, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": next(self._numbers),
            "content": body["content"],
            "inbox_id": 3,
            "conversation_id": number,
            "message_type": 1,
            "content_type": body.get("content_type", "text"),
            "status": "sent",
            "content_attributes": body.get("content_attributes", {}),
            "created_at": int(self.clock().timestamp()),
            "private": body["private"],
            "source_id": None,
            "sender": {**BOT, "avatar_url": ""},
        }

    def deliver(self, event: dict[str, Any], delivery: str = "", **signature: Any) -> httpx.Response:
        """Send an event to the bot."""
        assert self.bot
        body = json.dumps(event).encode()
        headers = signed(body, str(int(self.clock().timestamp())), **signature)
        headers["X-Chatwoot-Delivery"] = delivery or str(uuid.uuid4())
        return self.bot.post("/webhooks/chatwoot", content=body, headers=headers)

    def says(self, text: str | None, **more: Any) -> None:
        """Let a customer say something."""
        assert self.deliver(self.message(text, **more)).json() == {"status": "taken"}


def _toggled(number: int, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a call for another status; `success` is null where a bot hands over."""
    told = {"success": None, "conversation_id": number, "current_status": body["status"], "snoozed_until": None}
    return {"meta": {}, "payload": told}


def _last_message(number: int, contact: dict[str, Any]) -> dict[str, Any]:
    """The last message of a conversation as it stands within it: numbers where the event itself has words."""
    return {
        "account_id": 1,
        "additional_attributes": {},
        "content": "Good morning",
        "content_attributes": {},
        "content_type": "text",
        "conversation": {
            "assignee_id": None,
            "unread_count": 1,
            "last_activity_at": _OPENED,
            "contact_inbox": {"source_id": f"browser-{number}"},
        },
        "conversation_id": number,
        "created_at": _OPENED,
        "external_source_ids": {},
        "id": 1,
        "inbox_id": 3,
        "message_type": 0,
        "private": False,
        "processed_message_content": "Good morning",
        "sender": {**contact, "type": "contact"},
        "sender_id": contact["id"],
        "sender_type": "Contact",
        "sentiment": {},
        "source_id": None,
        "status": "sent",
        "updated_at": "2026-11-24T10:00:00.000Z",
    }


def signed(body: bytes, stamp: str, secret: str = SECRET) -> dict[str, str]:
    """The headers by which Chatwoot proves a webhook."""
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "X-Chatwoot-Timestamp": stamp,
        "X-Chatwoot-Signature": f"sha256={digest}",
    }
