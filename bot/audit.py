"""The audit log: who was let in, which keys there are, what was erased, exported and set; `HOME/audit.jsonl`.

Each line's hash covers the line before it, under the home's secret: a line that was altered, removed or put in is
noticed, but for lines cut off at the end, which `verify` notices by a hash that was noted down elsewhere. Customers
stand in it as keyed hashes alone, so that nothing is left of who was erased.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from filelock import FileLock

from memory.secret import read_secret

Event = Literal[
    "login", "login_failed", "logout", "password", "key_added", "key_rotated", "key_revoked", "erased", "exported",
    "settings",
]  # fmt: skip
_TAIL = 1 << 16  # bytes: more than any line


@dataclass(frozen=True)
class Entry:
    """What happened; `about` says more, never in customers' words."""

    number: int
    at: str
    event: str
    about: Mapping[str, str]
    hash: str = ""


@dataclass(frozen=True)
class Verdict:
    """How many entries are unbroken from the first on, the last one's hash, and what is wrong after them, if at all."""

    entries: int
    last: str
    broken: str = ""


class Audit:
    """The audit log of a home. Safe to use from several threads and processes."""

    def __init__(self, home: Path, clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> None:
        self._path = home / "audit.jsonl"
        self._secret = read_secret(home).encode()
        self._clock = clock

    def note(self, event: Event, **about: str) -> None:
        """Add an entry, on disk when this returns.

        Raises:
            OSError: the log cannot be written.
        """
        with FileLock(self._path.with_name(".audit.lock")), self._path.open("ab+") as file:
            last = self._last(file.fileno())
            # Whole seconds: the time of a turn, to the millisecond, may be what was erased.
            at = self._clock().astimezone(timezone.utc).isoformat(timespec="seconds")
            draft = Entry(last.number + 1, at, event, about)
            entry = replace(draft, hash=self._hash(draft, last.hash))
            file.write(json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def note_settings(self, values: Mapping[str, str]) -> None:
        """Add an entry if these settings are others than those that were noted last.

        Raises:
            OSError: the log cannot be read or written.
        """
        noted = [entry.about for entry in self.entries() if entry.event == "settings"]
        if not noted or noted[-1] != dict(values):
            self.note("settings", **values)

    def mark(self, value: str) -> str:
        """Return a keyed hash of a customer's id, or of a secret, as the log holds it."""
        return hmac.digest(self._secret, f"audit mark {value}".encode(), "sha256").hex()[:16]

    def entries(self) -> list[Entry]:
        """Return the entries that can be read, oldest first.

        Raises:
            OSError: the log cannot be read.
        """
        return [entry for entry in self._read() if entry is not None]

    def verify(self, known: str = "") -> Verdict:
        """Return how far the log is unbroken; `known` is a hash that must be among its entries'.

        Raises:
            OSError: the log cannot be read.
        """
        last = Entry(0, "", "", {})
        for line, entry in enumerate(self._read(), 1):
            if entry is None:
                return Verdict(last.number, last.hash, f"line {line} is no entry")
            if entry.number != last.number + 1 or not hmac.compare_digest(entry.hash, self._hash(entry, last.hash)):
                return Verdict(last.number, last.hash, f"line {line} does not follow from the one before it")
            last = entry
            known = "" if entry.hash == known else known
        return Verdict(last.number, last.hash, f"no entry has the hash {known}: the end is missing" if known else "")

    def _read(self) -> Iterator[Entry | None]:
        """Yield every line's entry, None for a line that is none."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            yield from map(_entry, file)

    def _last(self, file: int) -> Entry:
        """Return the last entry of an open log; a line that a crash cut short was never finished, and is removed."""
        size = os.fstat(file).st_size
        tail = os.pread(file, _TAIL, max(size - _TAIL, 0))
        whole = tail[: tail.rfind(b"\n") + 1]
        os.ftruncate(file, size - len(tail) + len(whole))
        lines = whole.splitlines()
        entry = _entry(lines[-1]) if lines else None
        # After a line that is no entry the chain begins anew, and `verify` says so.
        return entry or Entry(0, "", "", {})

    def _hash(self, entry: Entry, previous: str) -> str:
        content = json.dumps({**asdict(entry), "hash": previous}, sort_keys=True).encode()
        return hmac.digest(self._secret, b"audit " + content, "sha256").hex()


def _entry(line: bytes) -> Entry | None:
    try:
        given = json.loads(line)
        entry = Entry(**given)
        sound = isinstance(entry.number, int) and isinstance(entry.about, dict) and isinstance(entry.hash, str)
    except (ValueError, TypeError, RecursionError):
        return None
    return entry if sound and entry.hash.isascii() else None
