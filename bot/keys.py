"""API keys of servers that call the bot: kept hashed in `HOME/keys.json`, rotated without a gap.

A key is `rapport_ID_SECRET`. The secret is random, so that a plain hash of it tells nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from bot.problems import RapportError
from finetune.sheets import write_whole

PREFIX = "rapport_"
KeyScope = Literal["chat", "memory", "team", "metrics"]
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)
_NOTED = timedelta(minutes=1)  # a key in constant use is noted as used this often


class Key(BaseModel):
    """What is kept of a key; several may have one name while one takes the other's place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    scopes: tuple[KeyScope, ...]
    hash: str
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None


_Keys = TypeAdapter(tuple[Key, ...])


class Keys:
    """The keys of one home. Safe to use from several threads and processes."""

    def __init__(self, home: Path, clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> None:
        self._path = home / "keys.json"
        self._clock = clock
        self._read: tuple[object, tuple[Key, ...]] = (None, ())

    def all(self) -> tuple[Key, ...]:
        """Return the keys that count now, oldest first.

        Raises:
            RapportError: the file is damaged.
        """
        return tuple(key for key in self._load() if key.expires is None or key.expires > self._clock())

    def add(self, name: str, scopes: tuple[KeyScope, ...], life: timedelta | None = None) -> str:
        """Return a new key, which cannot be shown again.

        Raises:
            RapportError: there is a key of this name, or the file is damaged.
        """
        with self._locked():
            if any(key.name == name for key in self.all()):
                raise RapportError(f"There is a key {name!r}. Take another name, or: rapport keys rotate {name}")
            return self._append(self.all(), name, scopes, life)

    def rotate(self, name: str, grace: timedelta) -> str:
        """Return a new key of the same name and scopes; the ones before it go on for as long as `grace`.

        Raises:
            RapportError: there is no such key, or the file is damaged.
        """
        with self._locked():
            old = [key for key in self.all() if key.name == name]
            if not old:
                raise _unknown(name)
            ends = self._clock() + grace
            kept = tuple(
                key.model_copy(update={"expires": min(key.expires or ends, ends)}) if key in old else key
                for key in self.all()
            )
            life = old[-1].expires - old[-1].created if old[-1].expires else None
            return self._append(kept, name, old[-1].scopes, life)

    def revoke(self, name: str) -> int:
        """Let the keys of a name count no longer, at once; return how many there were.

        Raises:
            RapportError: there is no such key, or the file is damaged.
        """
        with self._locked():
            kept = tuple(key for key in self.all() if key.name != name)
            if (gone := len(self.all()) - len(kept)) == 0:
                raise _unknown(name)
            self._save(kept)
            return gone

    def prove(self, given: str) -> Key | None:
        """Return the key that is given if it counts, noting that it was used.

        Raises:
            RapportError: the file is damaged.
        """
        key_id, _, secret = given.removeprefix(PREFIX).partition("_")
        key = next((key for key in self.all() if key.id == key_id), None)
        if key is None or not hmac.compare_digest(key.hash, _hash(secret)):
            return None
        now = self._clock()
        if key.last_used is None or now - key.last_used >= _NOTED:
            with self._locked():
                used = {"last_used": now}
                self._save(tuple(one.model_copy(update=used) if one.id == key.id else one for one in self.all()))
        return key

    def _append(self, keys: tuple[Key, ...], name: str, scopes: tuple[KeyScope, ...], life: timedelta | None) -> str:
        key_id, secret, now = secrets.token_hex(4), secrets.token_urlsafe(32), self._clock()
        expires = None if life is None else now + life
        new = Key(id=key_id, name=name, scopes=scopes, hash=_hash(secret), created=now, expires=expires)
        self._save((*keys, new))
        return f"{PREFIX}{key_id}_{secret}"

    def _load(self) -> tuple[Key, ...]:
        try:
            about = self._path.stat()
            seen = (about.st_ino, about.st_mtime_ns, about.st_size)
            if self._read[0] != seen:
                self._read = (seen, _Keys.validate_json(self._path.read_bytes()))
        except FileNotFoundError:
            return ()
        except ValidationError:
            raise RapportError(f"{self._path} is damaged. Remove it and make new keys: rapport keys add") from None
        return self._read[1]

    def _save(self, keys: tuple[Key, ...]) -> None:
        write_whole(self._path, _Keys.dump_json(keys, indent=2) + b"\n")
        self._path.chmod(0o600)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(".keys.lock")):
            yield


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _unknown(name: str) -> RapportError:
    return RapportError(f"There is no key {name!r}. `rapport keys list` shows those there are.")
