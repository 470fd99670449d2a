"""The proof of an erasure: every byte under the home is searched for the fingerprints of what was erased.

Of a database server every row is searched; its files, logs and backups belong to whoever runs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from memory.erasure import stored
from memory.fingerprints import Fingerprints
from memory.places import PLACES
from memory.receipt import Receipt, customer_mark, receipt_key
from memory.store import Store
from memory.tables import METADATA


@dataclass(frozen=True)
class Proof:
    """What a search found: `found` lists files with the offset of each fingerprint; empty, it is proven.

    `others` counts the fingerprints that were left out since other customers, or the same one later, said the same.
    """

    files: int
    bytes: int
    fingerprints: int
    others: int
    found: tuple[tuple[str, int], ...]

    @property
    def holds(self) -> bool:
        """Whether nothing of what was erased was found."""
        return not self.found


def prove(
    receipt: Receipt,
    home: Path,
    store: Store,
    progress: Callable[[str, float], None] = lambda _what, _share: None,
    elsewhere: Iterable[Path] = (),
    unpack: Callable[[Path], Iterable[bytes]] = lambda _path: (),
) -> Proof:
    """Search every file under the home, and the database's where it lies elsewhere, for what a receipt says is gone.

    `elsewhere` are folders outside of the home that are searched too. `unpack` gives what a file holds compressed.

    Free pages and write-ahead logs are files like others. A fingerprint counts as found unless a row that another
    customer has, or that was said since the erasure, holds the same bytes.

    Raises:
        StoreError: the database cannot be read.
        OSError: a file cannot be read.
    """
    marks = Fingerprints(receipt_key(home, receipt.salt), receipt.fingerprints)
    paths = sorted({*_files(home), *store.files(), *(path for folder in elsewhere for path in _files(folder))})
    total = sum(path.stat().st_size for path in paths) or 1
    hits: list[tuple[str, str, int]] = []
    searched = 0
    for path in paths:
        progress("Searching", searched / total)
        hits += [(mark, str(path), offset) for mark, offset in marks.search_file(path)]
        hits += [(mark, str(path), 0) for mark in marks.search_all(unpack(path))]
        searched += path.stat().st_size
    if not store.files():
        for table, texts in _rows(store):
            hits += [(mark, f"table {table}", 0) for mark in marks.search_all(texts)]
    progress("Searching", 1.0)
    said = _said_by_right(receipt, home, store, {mark for mark, _, _ in hits})
    left = sorted({(path, offset) for mark, path, offset in hits if mark not in said})
    return Proof(len(paths), searched, len(receipt.fingerprints), len(said), tuple(left))


def _files(home: Path) -> Iterator[Path]:
    """Yield every regular file under a folder once, links followed."""
    seen: set[Path] = set()
    for folder, below, names in os.walk(home, followlinks=True):
        real = Path(folder).resolve()
        if real in seen:
            below.clear()  # a link that leads back
            continue
        seen.add(real)
        yield from (path for name in names if (path := real / name).is_file())


def _rows(store: Store) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield every table's name and what its rows hold."""
    with store.read() as connection:
        for table in METADATA.sorted_tables:
            rows = connection.execute(select(table).execution_options(yield_per=1000))
            yield table.name, (part for row in rows for part in stored(row))


def _said_by_right(receipt: Receipt, home: Path, store: Store, hits: set[str]) -> set[str]:
    """Return those fingerprints that a row holds which the erasure was not about."""
    if not hits:
        return set()
    key = receipt_key(home, receipt.salt)

    def texts() -> Iterator[bytes]:
        with store.read() as connection:
            for place in PLACES:
                for row, whose, first in place.owned(connection):
                    if first > receipt.newest or customer_mark(key, whose) != receipt.customer:
                        yield from stored(row[:-2])

    return Fingerprints(key, hits).search_all(texts())
