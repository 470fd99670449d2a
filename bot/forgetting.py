"""Forgetting for a desk: memory's places, what models keep of messages, the receipt, and the entry in the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path

from bot.audit import Audit
from bot.desk import Desk
from bot.replay.erasing import Replays
from bot.training_rows import TrainingRows
from memory import ConversationMemory
from memory.erasure import forget as erase
from memory.places import Scope
from memory.receipt import Receipt, issue


def forget(memory: ConversationMemory, scope: Scope, desk: Desk, home: Path, now: datetime) -> Receipt:
    """Forget a scope everywhere and return the receipt, kept under `HOME/receipts/` and noted in the audit log.

    Raises:
        StoreError: the database cannot be written, or another program keeps the rows from being overwritten.
        OSError: the receipt or a model's folder cannot be written.
    """
    public = list(public_texts(desk))
    replays = Replays(home, scope.customer_id)
    erased = erase(memory, scope, [TrainingRows(home, public), replays])
    receipt = issue(erased, home, now, chain(public, replays.said_by_others()))
    audit = Audit(home, lambda: now)
    audit.note("erased", what=receipt.what, customer=audit.mark(scope.customer_id), receipt=receipt.id)
    return receipt


def public_texts(desk: Desk) -> Iterator[str]:
    """Yield what the desk says to everybody, and the messages that the team has written or accepted."""
    for answer in desk.answers.values():
        yield from (answer.title, *answer.text, answer.promise or "")
        yield from (wording for wordings in answer.outcomes.values() for wording in wordings)
    yield from (wording for wordings in desk.replies.values() for wording in wordings)
    yield from (passage.text for passage in desk.passages)
    yield from (text for text, _ in (*desk.messages, *desk.test_messages))
    yield from (*desk.out_of_scope, *desk.test_out_of_scope)
