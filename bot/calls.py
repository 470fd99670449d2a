"""What a call of the bot names: the text, the session, the customer, and the key of a request."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig

ID = re.compile(r"[\w.:@+|-]{1,128}")

ChatInput = str | Mapping[str, str]


class RepeatedKeyError(Exception):
    """A key was sent again with another message than before."""


def make_ids(session_id: str, customer_id: str) -> tuple[str, str]:
    """Return the ids of a call: a new session where none is named, which is its own customer where none is named.

    Raises:
        ValueError: an id is longer than 128 characters or holds others than letters, digits and `_.:@+|-`.
    """
    session_id = session_id or uuid.uuid4().hex
    customer_id = customer_id or f"session:{session_id}"[:128]
    for name, value in (("session id", session_id), ("customer id", customer_id)):
        if not ID.fullmatch(value):
            raise ValueError(f"the {name} {value[:140]!r} must be 1 to 128 letters, digits or _ . : @ + | -")
    return session_id, customer_id


def arguments(given: ChatInput, config: RunnableConfig | None, kwargs: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return text, session id, customer id and key of a Runnable's call.

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
    session_id, customer_id, key = (str(fields.get(name) or "") for name in ("session_id", "customer_id", "key"))
    return fields["text"], session_id, customer_id, key
