"""Fingerprints of what was erased: keyed hashes of short windows of bytes, which can be searched for without the bytes.

A rolling hash (Karp and Rabin, "Efficient randomized pattern-matching algorithms", 1987) under a secret base is
computed at every offset; where it is a known one, HMAC-SHA-256 over the window decides.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WIDTH = 24  # bytes of a window: more than common phrases, less than most messages
_MOST = 4  # windows kept of one text
_HALF = 8  # bytes of either hash in a fingerprint
_BITS = 20  # of the rolling hash that the first look at a window goes by
_CHUNK = 1 << 20


def windows(before: bytes, after: bytes = b"") -> list[bytes]:
    """Return up to four windows of a text, spread over it, that are not in what has taken its place."""
    stays = {after[place : place + WIDTH] for place in range(len(after) - WIDTH + 1)}
    found = [before[place : place + WIDTH] for place in range(len(before) - WIDTH + 1)]
    gone = [window for window in dict.fromkeys(found) if window not in stays]
    if len(gone) <= _MOST:
        return gone
    return [gone[place * (len(gone) - 1) // (_MOST - 1)] for place in range(_MOST)]


class Fingerprints:
    """A set of fingerprints under one key, and the search for them; each is 32 hexadecimal digits."""

    def __init__(self, key: bytes, known: Iterable[str] = ()) -> None:
        self._key = key
        # Odd, so that no byte of a window is multiplied away.
        self._base = int.from_bytes(hmac.digest(key, b"base", "sha256")[:_HALF], "big") | 1
        self._keep(list(known))

    @classmethod
    def of(cls, key: bytes, texts: Iterable[bytes]) -> Fingerprints:
        """Return the fingerprints of windows, each of `WIDTH` bytes."""
        new = cls(key)
        unique = list(dict.fromkeys(texts))
        if unique:
            rolling = new._roll(np.frombuffer(b"".join(unique), np.uint8))[::WIDTH]
            new._keep([new._print(int(value), text) for value, text in zip(rolling, unique, strict=True)])
        return new

    def __len__(self) -> int:
        return len(self.known)

    def without(self, others: Iterable[str]) -> Fingerprints:
        """Return these fingerprints without some of them."""
        return Fingerprints(self._key, self.known - set(others))

    def search(self, data: bytes) -> dict[str, int]:
        """Return the fingerprints that are in some bytes, each with its first offset."""
        if not self.known or len(data) < WIDTH:
            return {}
        rolling = self._roll(np.frombuffer(data, np.uint8))
        likely = np.flatnonzero(self._table[rolling >> np.uint64(64 - _BITS)])
        likely = likely[np.isin(rolling[likely], self._rolling)]
        values, first = np.unique(rolling[likely], return_index=True)
        found: dict[str, int] = {}
        for value, places in ((int(value), likely[place:]) for value, place in zip(values, first, strict=True)):
            offset = int(places[0])
            mark = self._print(value, data[offset : offset + WIDTH])
            if mark in self.known:
                found[mark] = offset
        return found

    def search_all(self, texts: Iterable[bytes]) -> set[str]:
        """Return the fingerprints that are in any of many short texts."""
        found: set[str] = set()
        batch, size = [], 0
        for text in texts:
            batch.append(text)
            size += len(text) + 1
            if size > _CHUNK:
                found |= self.search(b"\0".join(batch)).keys()
                batch, size = [], 0
        return found | self.search(b"\0".join(batch)).keys()

    def search_file(self, path: Path) -> Iterator[tuple[str, int]]:
        """Yield the fingerprints that are in a file, with their offsets.

        Raises:
            OSError: the file cannot be read.
        """
        offset, rest = 0, b""
        with path.open("rb") as file:
            while block := file.read(_CHUNK):
                data = rest + block
                for mark, place in self.search(data).items():
                    yield mark, offset - len(rest) + place
                offset += len(block)
                rest = data[-(WIDTH - 1) :]

    def _keep(self, known: list[str]) -> None:
        self.known = frozenset(known)
        self._rolling = np.array([int(mark[: 2 * _HALF], 16) for mark in self.known], dtype=np.uint64)
        self._table = np.zeros(1 << _BITS, dtype=bool)
        self._table[self._rolling >> np.uint64(64 - _BITS)] = True

    def _print(self, rolling: int, window: bytes) -> str:
        tag = hmac.new(self._key, window, hashlib.sha256).digest()[:_HALF]
        return (rolling.to_bytes(_HALF, "big") + tag).hex()

    def _roll(self, data: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """Return the rolling hash of the window at each offset, `(n,)` to `(n - WIDTH + 1,)`, modulo 2**64."""
        hashes = data.astype(np.uint64)
        width = 1
        while width < 8:
            hashes = hashes[:-width] * self._power(width) + hashes[width:]
            width *= 2
        eight = hashes
        for _ in range(WIDTH // 8 - 1):
            hashes = hashes[: len(hashes) - 8] * self._power(8) + eight[len(eight) - len(hashes) + 8 :]
        return hashes

    def _power(self, exponent: int) -> np.uint64:
        return np.uint64(pow(self._base, exponent, 1 << 64))
