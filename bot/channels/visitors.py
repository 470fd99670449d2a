"""`/api/v1/visitors` and `/api/v1/identify`: somebody begins as a visitor, and is identified by their portal."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from bot.channels.caller import IDENTIFIED, Callers
from bot.channels.errors import ApiError


class VisitorToken(BaseModel):
    """What a widget keeps and sends as `Authorization: Bearer`; after `expires_at` it opens nothing."""

    token: str = Field(examples=["web-5d1c0f6f5fb04c0c9f5c29d3b0f4a9d7.1795600000.bWFkZSB1cCBmb3IgZG9jcw"])
    expires_at: datetime


class Identified(BaseModel):
    """Whose memory the JWT opens, and how many conversations of the visitor have become theirs just now."""

    customer_id: str = Field(examples=["customer:nora"])
    joined: int = Field(examples=[1])


def visitor_api(callers: Callers) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["who is talking"])

    @router.post("/visitors", status_code=201, operation_id="beginAsVisitor")
    def begin(request: Request) -> VisitorToken:
        """Begin as an anonymous visitor, on a page of another origin, where our cookie cannot reach.

        Nothing is kept until the visitor says something. Asked with a visitor's token that still counts, it is a fresh
        one of the same visitor.
        """
        scheme, _, known = request.headers.get("authorization", "").partition(" ")
        visitor = callers.visitors.proven(known) if scheme.lower() == "bearer" else None
        token, expires_at = callers.visitors.issue(visitor or "")
        return VisitorToken(token=token, expires_at=expires_at)

    @router.post("/identify", operation_id="identifyVisitor")
    def identify(request: Request) -> Identified:
        """Give what a visitor said to the customer whom the JWT names, once; the visitor's token is then spent.

        The JWT comes as `Authorization: Bearer`, the visitor's token as `X-Rapport-Visitor` (or our cookie). A token
        that is spent, expired or not ours joins nothing.
        """
        customer_id = callers.proven(request).customer_id
        if not customer_id.startswith(IDENTIFIED):
            raise ApiError(403, "not_identified", "Send the JWT of the portal as `Authorization: Bearer`.")
        return Identified(customer_id=customer_id, joined=callers.join(request, customer_id))

    return router
