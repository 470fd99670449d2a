"""Who is calling, proven: a visitor by a signed cookie or token, a portal's customer by a JWT, a server by a key."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from limits import parse
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request

from bot.channels.errors import ApiError
from bot.channels.jwts import Jwts
from bot.channels.rate_limits import RateLimits
from bot.chatbot import Chatbot
from bot.keys import PREFIX, Keys
from bot.settings import Settings
from bot.ui.visitor import COOKIE, Visitors
from memory.boundaries import ANONYMOUS

IDENTIFIED = "customer:"  # how the ids of customers begin whom a portal names, so that none is a visitor's
_NAME = re.compile(r"[\w.:@+|-]{1,119}")
_PROVEN = "rapport.caller"  # in the scope of a request
_FORM = "1 to 119 letters, digits or _ . : @ + | -"


def customer_named(name: str) -> str | None:
    """Return the id of the customer whom a portal calls so, None where that is no name."""
    return IDENTIFIED + name if _NAME.fullmatch(name) else None


@dataclass(frozen=True)
class Caller:
    """Whom a request speaks for.

    `customer_id` is the customer whose memory may be opened; it is empty for a server's `key`, which names a customer
    with each request and may do what its `scopes` say; each such request is counted for the customer too.
    """

    customer_id: str = ""
    scopes: frozenset[str] = frozenset()
    key: str = ""
    count: Callable[[str], None] = field(default=lambda _customer: None, repr=False, compare=False)

    def customer(self, named: str = "") -> str:
        """Return the id of the customer that is meant: the proven one, or `customer:NAME` for whom a key names.

        Raises:
            ApiError: a customer names somebody else (403), a key names nobody or what is no name (422), or too often
                the same customer (429).
        """
        if self.customer_id:
            if named and named not in (self.customer_id, self.customer_id.removeprefix(IDENTIFIED)):
                raise ApiError(
                    403, "not_yours", "Another customer is named than the one whose token or cookie this is."
                )
            return self.customer_id
        if not named:
            raise ApiError(422, "no_customer", "A request with a key must name the customer it is for.")
        if named.startswith(IDENTIFIED) or (customer := customer_named(named)) is None:
            form = f"{_FORM}, as the portal names them: without `{IDENTIFIED}`"
            raise ApiError(422, "bad_customer", f"A customer's name must be {form}.")
        self.count(customer)
        return customer

    def may(self, scope: str) -> None:
        """Refuse what a key has no scope for; a customer may do everything with what is theirs.

        Raises:
            ApiError: the key has no such scope (403).
        """
        if not self.customer_id and scope not in self.scopes:
            raise ApiError(403, "no_scope", f"This key has no scope {scope!r}. Make one that has: rapport keys add.")


class Callers:
    """Tells who is calling, for every way in."""

    def __init__(self, settings: Settings, bot: Chatbot, limits: RateLimits | None = None) -> None:
        """Read the keys that customers' tokens are checked with; `limits` counts the customers whom keys name.

        Raises:
            RapportError: RAPPORT_JWT_PUBLIC_KEY cannot be used.
        """
        self.visitors = Visitors(bot)
        self._join = bot.join
        self._jwts = Jwts(settings)
        self._keys = Keys(settings.home, bot.clock)
        self._limits, self._rate = limits, parse(settings.rate_customer)

    async def caller(self, request: Request) -> Caller:
        """Return who a request proves to come from; FastAPI calls this as a dependency.

        What is sent as `Authorization` decides, and the cookie only where there is none. A customer who also proves to
        have been a visitor, by the cookie or by a token in `X-Rapport-Visitor`, gets what the visitor said, once.

        Raises:
            ApiError: the request proves nobody (401), whatever it claims.
        """
        caller = self.proven(request)
        if caller.customer_id.startswith(IDENTIFIED) and self._visitors(request):
            await run_in_threadpool(self.join, request, caller.customer_id)
        return caller

    def join(self, request: Request, customer_id: str) -> int:
        """Join the visitors whom a request proves to a customer; return how many conversations came along."""
        visitors = {self.visitors.proven(token) for token in self._visitors(request)}
        return sum(self._join(visitor, customer_id) for visitor in visitors if visitor)

    def _visitors(self, request: Request) -> list[str]:
        """Return what a request shows to have been a visitor by."""
        tokens = (request.headers.get("x-rapport-visitor", ""), request.cookies.get(COOKIE, ""))
        return [token for token in tokens if token]

    def proven(self, request: HTTPConnection) -> Caller:
        """Do what `caller` does, for any connection; what a request has proven is not checked again in it.

        Raises:
            ApiError: it proves nobody (401).
        """
        caller: Caller | None = request.scope.get(_PROVEN)
        if caller is None:
            caller = request.scope[_PROVEN] = self._check(request)
        return caller

    def _check(self, request: HTTPConnection) -> Caller:
        header = request.headers.get("authorization")
        if header is not None:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer":
                raise _unproven("bad_token", "`Authorization` must be `Bearer` and a token or a key.")
            return self._bearer(token.strip())
        visitor = self.visitors.customer(request.cookies)
        if visitor is None:
            raise _unproven("unproven", "Send a token, a key or the cookie of the chat page.")
        return Caller(visitor)

    def _count(self, customer_id: str) -> None:
        if self._limits is not None:
            self._limits.spend(self._rate, "customer", customer_id)

    def _bearer(self, token: str) -> Caller:
        if token.startswith(PREFIX):
            key = self._keys.prove(token)
            if key is None:
                raise _unproven("bad_key", "There is no such key, or it has ended. Make one: rapport keys add.")
            return Caller(scopes=frozenset(key.scopes), key=key.id, count=self._count)
        if token.startswith(ANONYMOUS):
            visitor = self.visitors.proven(token)
            if visitor is None:
                raise _unproven("bad_token", "The visitor's token has expired or is not ours. Ask for another one.")
            return Caller(visitor)
        subject = self._jwts.subject(token)
        if (customer := customer_named(subject)) is None:
            raise _unproven("bad_token", f"The JWT is refused. Its `sub` must be {_FORM}.")
        return Caller(customer)


def _unproven(code: str, message: str) -> ApiError:
    return ApiError(401, code, message, {"WWW-Authenticate": "Bearer"})
