"""A portal that signs tokens for its customers."""

from __future__ import annotations

import time
from typing import Any

import jwt

SECRET = "a shared secret of the portal, 32+"  # noqa: S105


def sign(sub: Any = "nora", key: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """Return a JWT as a portal makes it: for an hour, unless `exp` is given; a claim that is None is left out."""
    given = {"sub": sub, "exp": int(time.time()) + 3600, **claims}
    return jwt.encode({name: value for name, value in given.items() if value is not None}, key, algorithm)
