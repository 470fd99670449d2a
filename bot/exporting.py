"""Exports of what is held about a customer, each noted in the audit log."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from bot.audit import Audit
from memory import Store, history


def export(store: Store, customer_id: str, home: Path, now: datetime) -> dict[str, Any]:
    """Return everything held about a customer, ready for JSON.

    Raises:
        StoreError: nothing is held about such a customer.
        OSError: the audit log cannot be written; nothing is exported.
    """
    held = history.export(store, customer_id)
    audit = Audit(home, lambda: now)
    audit.note("exported", customer=audit.mark(customer_id))
    return held
