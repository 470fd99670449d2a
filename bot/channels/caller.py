"""Who is calling, proven: a visitor by a signed cookie or token, a portal's customer by a JWT, a server by a key."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from bot.channels.errors import ApiError
from bot.settings import Settings
from bot.ui.visitor import Visitors


@dataclass(frozen=True)
class Caller:
    """Whom a request speaks for.

    `customer_id` is the customer whose memory may be opened; it is empty for a server's key, which names a customer
    with each request and may do what its `scopes` say.
    """

    customer_id: str = ""
    scopes: frozenset[str] = frozenset()

    def customer(self, named: str = "") -> str:
        """Return the customer that is meant: the proven one, or the one that a key names.

        Raises:
            ApiError: a customer names somebody else (403), or a key names nobody (422).
        """
        if self.customer_id:
            if named and named != self.customer_id:
                raise ApiError(
                    403, "not_yours", "Another customer is named than the one whose token or cookie this is."
                )
            return self.customer_id
        if not named:
            raise ApiError(422, "no_customer", "A request with a key must name the customer it is for.")
        return named

    def may(self, scope: str) -> None:
        """Refuse what a key has no scope for; a customer may do everything with what is theirs.

        Raises:
            ApiError: the key has no such scope (403).
        """
        if not self.customer_id and scope not in self.scopes:
            raise ApiError(403, "no_scope", f"This key has no scope {scope!r}. Make one that has: rapport keys add.")


class Callers:
    """Tells who is calling, for every way in."""

    def __init__(self, settings: Settings) -> None:
        self._visitors = Visitors(settings.home)

    def caller(self, request: Request) -> Caller:
        """Return who a request proves to come from; FastAPI calls this as a dependency.

        Raises:
            ApiError: the request proves nobody (401), whatever it claims.
        """
        proven = self._visitors.customer(request.cookies)
        if proven is None:
            raise ApiError(401, "unproven", "Send a token, a key or the cookie of the chat page.")
        return Caller(proven)
