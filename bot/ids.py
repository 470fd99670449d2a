"""What a caller gives beside a text: the ids of a session and a customer, checked; and a Runnable's input."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig

ChatInput = str | Mapping[str, str]
_ID = re.compile(r"[\w.:@+-]{1,128}")


def checked_ids(session_id: str, customer_id: str) -> tuple[str, str]:
    """Return the ids of a session and its customer; a new session where none is given, its own customer by default.

    Raises:
        ValueError: an id is longer than 128 characters or holds others than letters, digits and `_.:@+-`.
    """
    session_id = session_id or uuid.uuid4().hex
    customer_id = customer_id or f"session:{session_id}"[:128]
    for name, value in (("session id", session_id), ("customer id", customer_id)):
        if not _ID.fullmatch(value):
            raise ValueError(f"the {name} {value[:140]!r} must be 1 to 128 letters, digits or _ . : @ + -")
    return session_id, customer_id


def arguments(given: ChatInput, config: RunnableConfig | None, kwargs: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return text, session id and customer id of a Runnable's call.

    Raises:
        TypeError: the input is neither a text nor a mapping with a text.
    """
    fields: dict[str, Any] = {**((config or {}).get("configurable") or {}), **kwargs}
    if isinstance(given, Mapping):
        fields = {**fields, **given}
    elif isinstance(given, str):
        fields["text"] = given
    if not isinstance(fields.get("text"), str):
        raise TypeError(f"a message is a text, or a mapping with a text under `text`, not {type(given).__name__}")
    return fields["text"], str(fields.get("session_id") or ""), str(fields.get("customer_id") or "")
