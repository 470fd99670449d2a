"""Reading a sample that a test writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.problems import Problem
from bot.replay.readers import Mapping, Mask, read_log
from finetune.logs import Conversation

Read = Callable[..., list[Conversation]]
KEY = "a key of the tests' own"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write values as JSON Lines, or bytes as they are, and read them; nothing is masked unless `mask` is given."""

    def read_them(
        content: list[Any] | bytes,
        name: str = "export.jsonl",
        mapping: Mapping | None = None,
        mask: Mask | None = None,
        problems: list[Problem] | None = None,
    ) -> list[Conversation]:
        lines = content if isinstance(content, bytes) else "".join(f"{json.dumps(one)}\n" for one in content).encode()
        path = tmp_path / name
        path.write_bytes(lines)
        if problems is None:
            return list(read_log(path, mapping=mapping, mask=mask))
        return list(read_log(path, mapping=mapping, mask=mask, on_error=problems.append))

    return read_them


def said(conversation: Conversation) -> list[tuple[str, str]]:
    """Return who said what in a conversation."""
    return [(message.role, message.text) for message in conversation.messages]
