"""Session ids that carry whose they are, so that a session needs no row before the first message."""

from __future__ import annotations

import secrets
from pathlib import Path

from itsdangerous import Signer

from memory.secret import read_secret


class SessionIds:
    """Issues and checks session ids with the home's secret."""

    def __init__(self, home: Path) -> None:
        secret = Signer(read_secret(home), salt="session").derive_key()  # here, and not again for every request
        self._signer = Signer(secret, key_derivation="none")

    def issue(self, customer_id: str) -> str:
        """Return the id of a new session of a customer."""
        name = secrets.token_hex(16)
        return f"{name}.{self._signature(name, customer_id)}"

    def prove(self, session_id: str, customer_id: str) -> bool:
        """Return whether a session id was issued to a customer."""
        name, _, signature = session_id.partition(".")
        return secrets.compare_digest(self._signature(name, customer_id).encode(), signature.encode())

    def _signature(self, name: str, customer_id: str) -> str:
        return self._signer.get_signature(f"{name}.{customer_id}").decode()
