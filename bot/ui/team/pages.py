"""The team's pages: what was promised, which conversations wait for a colleague, and how memory is doing."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from bot.channels.errors import ApiError
from bot.chatbot import Chatbot
from bot.ui.team.door import Door
from bot.ui.team.template import Templates
from memory.commitments import commitments
from memory.health import health
from memory.history import find_session, handed_over, transcript

_MOST = 200  # rows of a table


def team_pages(bot: Chatbot, door: Door, templates: Templates) -> APIRouter:
    """Return the routes under `/team`, for members only."""
    router = APIRouter(prefix="/team", include_in_schema=False, dependencies=[Depends(door.member)])
    store, day = bot.memory.store, bot.recaps.day
    zone = ZoneInfo(bot.desk.settings.timezone)

    def minute(moment: datetime) -> str:
        return f"{day(moment)}, {moment.astimezone(zone):%H:%M}"

    @router.get("")
    def overview() -> HTMLResponse:
        today = bot.clock().astimezone(zone).date()
        owed = [one for one in commitments(store) if not one.settled]
        owed.sort(key=lambda one: (one.due or date.max, one.id))
        promises = [
            {
                **vars(one),
                "due": one.due.isoformat() if one.due else "no day named",
                "overdue": one.state(today) == "overdue",
                "made": day(one.made_at),
            }
            for one in owed[:_MOST]
        ]
        waiting = [
            {**vars(one), "last": minute(one.last_at), "begun": day(one.started_at)}
            for one in handed_over(store, _MOST)
        ]
        return templates.page("overview", title="Overview", promises=promises, handed_over=waiting)

    @router.get("/conversations/{session_id}")
    def conversation(session_id: str) -> HTMLResponse:
        session = find_session(store, session_id)
        if session is None:
            raise ApiError(404, "no_session", "There is no such conversation; it may have been forgotten.")
        turns = [
            {**vars(turn), "shown": minute(turn.at), "summary": turn.decision.get("handoff_summary", "")}
            for turn in transcript(store, session.id, session.customer_id)
        ]
        state = "handed over to a colleague" if session.state == "handed_over" else "open"
        return templates.page(
            "conversation",
            title=f"Conversation of {day(session.started_at)}",
            customer=session.customer_id,
            state=state,
            turns=turns,
            bot_name=bot.desk.settings.bot_name,
        )

    @router.get("/memory")
    def memory() -> HTMLResponse:
        found = health(store)
        findings = {
            "Stored twice": found.duplicates,
            "Contradictions": found.contradictions,
            "Never used": found.never_used,
        }
        return templates.page("memory", title="Memory", health=found, found=findings, most=_MOST)

    return router
