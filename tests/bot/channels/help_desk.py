"""A small server that speaks Chatwoot's API as an agent bot meets it, and its webhooks, signed."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response

TOKEN, SECRET = "the bot's token", "what webhooks are signed with"
NORA = {"id": 31, "name": "Nora", "email": "nora@example.com", "identifier": "nora", "type": "contact"}
ANNA = {"id": 2, "name": "Anna", "email": "anna@shop.example", "type": "user"}


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
            return Response('{"id": 7}', media_type="application/json")

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
            "additional_attributes": {"browser": {"device_name": "Unknown"}, "referer": "https://shop.example/"},
            "can_reply": True,
            "channel": "Channel::WebWidget",
            "contact_inbox": {
                "id": 100 + number,
                "contact_id": contact["id"],
                "inbox_id": 3,
                "source_id": f"browser-{number}",
                "hmac_verified": verified,
                "pubsub_token": "p",
            },
            "id": number,
            "inbox_id": 3,
            "messages": [{"id": 1, "account_id": 1, "conversation_id": number}],
            "labels": [],
            "meta": {"sender": contact, "assignee": None, "team": None, "hmac_verified": verified},
            "status": self.status.get(number, "pending"),
            "custom_attributes": {},
            "unread_count": 1,
            "timestamp": 1795514400,
        }

    def message(self, text: str | None, number: int = 5, verified: bool = False, **changed: Any) -> dict[str, Any]:
        """The event of a new message, of Nora's unless something else is said."""
        contact = changed.pop("contact", NORA)
        return {
            "event": "message_created",
            "account": {"id": 1, "name": "Shop"},
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
            "sender": contact,
            "source_id": None,
            **changed,
        }

    def resolved(self, number: int = 5) -> dict[str, Any]:
        """The event of a conversation that the team has ended."""
        self.status[number] = "resolved"
        return {"event": "conversation_resolved", **self.conversation(number, False, NORA)}

    def deliver(self, event: dict[str, Any], delivery: str = "", **signature: Any) -> httpx.Response:
        """Send an event to the bot."""
        assert self.bot
        body = json.dumps(event).encode()
        headers = signed(body, str(int(self.clock().timestamp())), **signature)
        return self.bot.post("/webhooks/chatwoot", content=body, headers={**headers, "X-Chatwoot-Delivery": delivery})

    def says(self, text: str | None, **more: Any) -> None:
        """Let a customer say something."""
        assert self.deliver(self.message(text, **more)).json() == {"status": "taken"}


def signed(body: bytes, stamp: str, secret: str = SECRET) -> dict[str, str]:
    """The headers by which Chatwoot proves a webhook."""
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Chatwoot-Timestamp": stamp,
        "X-Chatwoot-Signature": f"sha256={digest}",
    }
