"""`POST /api/v1/visitors`: a token for a visitor on a page of another origin, where our cookie cannot reach."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from bot.ui.visitor import Visitors


class VisitorToken(BaseModel):
    """What the widget keeps and sends as `Authorization: Bearer`; after `expires_at` it opens nothing."""

    token: str = Field(examples=["web-5d1c0f6f5fb04c0c9f5c29d3b0f4a9d7.1795600000.bWFkZSB1cCBmb3IgZG9jcw"])
    expires_at: datetime


def visitor_api(visitors: Visitors) -> APIRouter:
    """Return the route; nothing is kept until the visitor says something."""
    router = APIRouter(prefix="/api/v1", tags=["who is talking"])

    @router.post("/visitors", status_code=201)
    def begin() -> VisitorToken:
        """Begin as a new anonymous visitor."""
        token, expires_at = visitors.issue()
        return VisitorToken(token=token, expires_at=expires_at)

    return router
