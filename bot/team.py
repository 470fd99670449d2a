"""The team's login: one password, kept as an Argon2id hash in `HOME/team.json`; there is none by default."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from itsdangerous import BadSignature, Signer

from bot.audit import Audit
from bot.problems import RapportError
from finetune.sheets import write_whole
from memory.secret import read_secret

COOKIE = "rapport_team"
LIFE = timedelta(hours=12)  # of a login
_SHORTEST, LONGEST = 12, 1000  # characters of a password


class Team:
    """The team of one home, its password and its logins. A new password ends all logins."""

    def __init__(self, home: Path, clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> None:
        self._path = home / "team.json"
        self._home = home
        self._clock = clock
        self._hasher = PasswordHasher()

    @property
    def has_password(self) -> bool:
        """Whether a password has been set."""
        return bool(self._hash())

    def set_password(self, password: str) -> None:
        """Set the password; everybody has to log in again.

        Raises:
            RapportError: it is too short or too long.
            OSError: it cannot be kept.
        """
        if not _SHORTEST <= len(password) <= LONGEST:
            raise RapportError(
                f"The password must have at least {_SHORTEST} characters and at most {LONGEST:,}. Take a sentence."
            )
        self._home.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, json.dumps({"hash": self._hasher.hash(password)}).encode() + b"\n")
        self._path.chmod(0o600)
        Audit(self._home, self._clock).note("password")

    def log_in(self, password: str, address: str) -> str | None:
        """Return a login's cookie for the right password, else None; both are noted in the audit log.

        Raises:
            RapportError: the password's file is damaged.
        """
        known, audit = self._hash(), Audit(self._home, self._clock)
        try:
            self._hasher.verify(known, password)
        except InvalidHashError:
            raise self._damaged() from None
        except Argon2Error:
            audit.note("login_failed", address=address)
            return None
        audit.note("login", address=address)
        expires = int((self._clock() + LIFE).timestamp())
        return self._signer(known).sign(str(expires)).decode()

    def is_in(self, cookie: str) -> bool:
        """Return whether a cookie is that of a login that goes on.

        Raises:
            RapportError: the password's file is damaged.
        """
        known = self._hash()
        try:
            expires = int(self._signer(known).unsign(cookie)) if known else 0
        except (BadSignature, ValueError):
            return False
        return expires > self._clock().timestamp()

    def _signer(self, known: str) -> Signer:
        return Signer(read_secret(self._home), salt=f"team {hashlib.sha256(known.encode()).hexdigest()}")

    def _hash(self) -> str:
        try:
            return str(json.loads(self._path.read_bytes())["hash"])
        except FileNotFoundError:
            return ""
        except (ValueError, TypeError, KeyError):
            raise self._damaged() from None

    def _damaged(self) -> RapportError:
        return RapportError(f"{self._path} is damaged. Set the password again: rapport team set-password")
