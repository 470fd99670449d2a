"""Boundaries: what one session tells the next, and for how long; whatever crosses is asked for here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from memory.summary import Digest

Kind = Literal["facts", "promises", "summary", "recall"]
ANONYMOUS = "web-"  # how the ids of customers begin whom nobody has identified


@dataclass(frozen=True)
class Boundaries:
    """For how many days what was said in a session is known in later ones; 0 days: it does not cross at all.

    `anonymous` days after its last turn nothing is left of a session of somebody who was never identified.
    """

    facts: int = 730
    promises: int = 730
    summary: int = 730
    recall: int = 730
    anonymous: int = 365

    @property
    def longest(self) -> int:
        """Days after which nothing of a session is known any more."""
        return max(self.facts, self.promises, self.summary, self.recall)

    def cross(self, kind: Kind, said_at: datetime, now: datetime) -> bool:
        """Return whether something that was said in another session may be known now."""
        days: int = getattr(self, kind)
        return now - said_at < timedelta(days=days)

    def digest(self, digest: Digest, ended_at: datetime, now: datetime) -> Digest:
        """Return what another session's digest tells now: all of it, or nothing."""
        return digest if self.cross("summary", ended_at, now) else Digest()
