"""What Chatwoot's webhooks tell an agent bot, and what of it is to be done; the forms are Chatwoot 4's.

https://developers.chatwoot.com/, and `webhook_data` of the models in https://github.com/chatwoot/chatwoot
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from bot.channels.caller import customer_named
from bot.message import has_words
from memory.boundaries import ANONYMOUS
from memory.deliveries import Delivery

Task = Literal["answer", "keep", "end"]  # a customer's message, a colleague's, the end of the conversation
_ID = re.compile(r"[\w.:-]{1,64}")


class _Numbered(BaseModel):
    id: int = Field(ge=0, le=2**63 - 1)


class _Person(BaseModel):
    id: int = Field(ge=0, le=2**63 - 1)
    type: str | None = None  # of contacts, it may be missing
    identifier: str | None = None


class _ContactInbox(_Numbered):
    hmac_verified: bool = False


class _Meta(BaseModel):
    sender: _Person | None = None


class _Conversation(BaseModel):
    id: int = Field(ge=0, le=2**63 - 1)
    status: str = ""
    contact_inbox: _ContactInbox | None = None
    meta: _Meta = _Meta()

    def customer(self, account: int) -> str:
        """Return whose conversation it is: a customer only where Chatwoot has proof, else whoever uses this channel.

        A contact proves nothing: whoever claims an identifier is shown as the contact that has it. The contact inbox is
        this browser's or this address's own.
        """
        person, inbox = self.meta.sender, self.contact_inbox
        name = person.identifier if person and inbox and inbox.hmac_verified else None
        return (customer_named(name) if name else None) or self.visitor(account)

    def visitor(self, account: int) -> str:
        """Return whose conversation it is as long as Chatwoot has no proof."""
        inbox = self.contact_inbox
        return f"{ANONYMOUS}chatwoot-{account}-{f'conversation-{self.id}' if inbox is None else inbox.id}"


class _Choice(BaseModel):
    title: str | None = None
    value: str | None = None


_CHOICES = TypeAdapter(list[_Choice])


class _Attributes(BaseModel):
    deleted: bool = False
    submitted_values: Any = None  # of buttons a list of choices; forms and surveys have forms of their own


class _Event(BaseModel):
    event: str
    account: _Numbered | None = None


class _MessageEvent(_Event):
    account: _Numbered
    id: int = Field(ge=0, le=2**63 - 1)
    content: str | None = None
    content_type: str | None = None
    content_attributes: _Attributes | None = None
    message_type: str = ""
    private: bool = False
    sender: _Person | None = None
    conversation: _Conversation

    @property
    def attributes(self) -> _Attributes:
        return self.content_attributes or _Attributes()

    def task(self) -> tuple[Task, str] | None:
        """Return what is to be done and the text, None where nothing is."""
        sender = self.sender.type if self.sender else None
        if self.private or self.attributes.deleted:
            return None
        if self.event == "message_updated":
            return self._chosen()
        if self.message_type == "incoming" and sender in (None, "contact") and self.conversation.status == "pending":
            return "answer", self.content or ""
        if self.message_type == "outgoing" and sender == "user" and has_words(self.content or ""):
            return "keep", self.content or ""
        return None

    def _chosen(self) -> tuple[Task, str] | None:
        """Return the button that the customer pressed under one of the bot's messages."""
        chosen = self.attributes.submitted_values
        if self.content_type != "input_select" or not chosen or self.conversation.status != "pending":
            return None
        first = _CHOICES.validate_python(chosen)[0]
        return "answer", first.title or first.value or ""


class _ConversationEvent(_Event, _Conversation):
    messages: list[dict[str, Any]] = []

    @property
    def account_id(self) -> int | None:
        """The account's number, which older Chatwoots name in the last message alone."""
        told = self.messages[0].get("account_id") if self.messages else None
        return self.account.id if self.account else told if isinstance(told, int) else None


def conversation_name(account: int, number: int) -> str:
    """Return what a conversation of Chatwoot is called here; ids of its sessions begin with it."""
    return f"chatwoot:{account}:{number}"


def read_event(body: bytes, delivery_id: str, at: datetime) -> Delivery | None:
    """Return what a webhook's body asks for, None where nothing is to be done.

    A message is known by its own number, since it may be delivered again by another webhook, else by `delivery_id`.

    Raises:
        ValidationError: it is no event.
    """
    event = _Event.model_validate_json(body).event
    if event in ("message_created", "message_updated"):
        return _of_message(_MessageEvent.model_validate_json(body), at)
    if event in ("conversation_resolved", "conversation_status_changed"):
        return _of_conversation(_ConversationEvent.model_validate_json(body), delivery_id, at)
    return None


def _of_message(told: _MessageEvent, at: datetime) -> Delivery | None:
    task = told.task()
    if task is None:
        return None
    account, conversation = told.account.id, told.conversation
    name = conversation_name(account, conversation.id)
    content = {
        "task": task[0],
        "text": task[1],
        "account": account,
        "conversation": conversation.id,
        "visitor": conversation.visitor(account),
    }
    chosen = ":chosen" if told.event == "message_updated" else ""
    return Delivery(f"chatwoot:{account}:{told.id}{chosen}", conversation.customer(account), name, at, content)


def _of_conversation(told: _ConversationEvent, delivery_id: str, at: datetime) -> Delivery | None:
    account = told.account_id
    if account is None or told.status != "resolved" or not _ID.fullmatch(delivery_id):
        return None
    name = conversation_name(account, told.id)
    return Delivery(f"{name}:{delivery_id}", told.customer(account), name, at, {"task": "end"})
