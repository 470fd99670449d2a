"""The home's secret, under which visitors' cookies, receipts and fingerprints are signed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def read_secret(home: Path) -> str:
    """Return the secret in a file that only this user can read, making it first where there is none."""
    path = home / "secret"
    home.mkdir(parents=True, exist_ok=True)
    draft = home / f".secret-{secrets.token_hex(4)}"
    if not path.exists():
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
            os.link(draft, path)  # whole, or not there; somebody else's stays
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)
    return path.read_text(encoding="ascii").strip()
