"""Receipts: what was forgotten, where, how many and when, with fingerprints to prove it by; never what it said.

A receipt is JSON, kept under `HOME/receipts/`. Its fingerprints are keyed by the home's secret and the receipt's own
salt, so that nobody can try out guesses without the home; its hash is keyed too, so that an altered one is refused.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import Any

from memory.erasure import Erased
from memory.fingerprints import Fingerprints
from memory.secret import read_secret


class ReceiptError(Exception):
    """A receipt cannot be read or is not one of this home's; the message says what to do."""


@dataclass(frozen=True)
class Receipt:
    """What was forgotten: `what` is `everything`, `session`, `turn` or `fact`; `removed` counts by place.

    `customer` is a keyed hash of the customer's id; `newest` the id of the newest turn of any customer at that time.
    """

    id: str
    what: str
    at: str
    removed: Mapping[str, int]
    customer: str
    newest: int
    salt: str
    fingerprints: tuple[str, ...]
    hash: str = ""

    @property
    def turns(self) -> int:
        """How many turns were removed or redacted."""
        return self.removed.get("turns", 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the receipt as plain values, ready for JSON."""
        return asdict(self)


def issue(erased: Erased, home: Path, now: datetime, public: Iterable[str] = ()) -> Receipt:
    """Write the receipt of an erasure under the home and return it.

    `public` are texts that everybody gets to see, such as the desk's approved answers: they prove nothing.

    Raises:
        OSError: the receipt cannot be written; what was forgotten stays forgotten.
    """
    salt = secrets.token_hex(16)
    key = receipt_key(home, salt)
    found = Fingerprints.of(key, erased.evidence)
    found = found.without(found.search_all(chain(erased.stays, (text.encode() for text in public))))
    # Whole seconds: the time of a turn, which rows hold to the millisecond, is evidence.
    moment = now.astimezone(timezone.utc).isoformat(timespec="seconds")
    draft = Receipt(
        id=f"{moment[:19].replace(':', '')}-{secrets.token_hex(4)}",
        what=erased.scope.what,
        at=moment,
        removed=erased.removed,
        customer=customer_mark(key, erased.scope.customer_id),
        newest=erased.newest,
        salt=salt,
        fingerprints=tuple(sorted(found.known)),
    )
    receipt = replace(draft, hash=_hash(home, draft))
    folder = home / "receipts"
    folder.mkdir(exist_ok=True)
    file = folder / f".{receipt.id}.draft"
    with file.open("w", encoding="utf-8") as opened:
        json.dump(receipt.to_dict(), opened)
        opened.flush()
        os.fsync(opened.fileno())
    file.replace(folder / f"{receipt.id}.json")
    return receipt


def read_receipt(path: Path, home: Path) -> Receipt:
    """Return a receipt that this home has issued.

    Raises:
        ReceiptError: the file is no receipt, was altered, or comes from another home.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        receipt = Receipt(**{**given, "fingerprints": tuple(given["fingerprints"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ReceiptError(f"{path} is no receipt ({error}). Name a file of HOME/receipts.") from None
    if not hmac.compare_digest(str(receipt.hash), _hash(home, receipt)):
        raise ReceiptError(f"{path} was altered, or issued by another home. Name the home with --home.")
    return receipt


def receipt_key(home: Path, salt: str) -> bytes:
    """Return the key of a receipt's fingerprints."""
    return hmac.digest(read_secret(home).encode(), f"fingerprints {salt}".encode(), "sha256")


def customer_mark(key: bytes, customer_id: str) -> str:
    """Return a customer's id as a receipt holds it."""
    return hmac.digest(key, f"customer {customer_id}".encode(), "sha256").hex()


def _hash(home: Path, receipt: Receipt) -> str:
    content = json.dumps({**receipt.to_dict(), "hash": ""}, sort_keys=True).encode()
    return hmac.digest(read_secret(home).encode(), b"receipt " + content, "sha256").hex()
