"""The team's pages: what is owed and who waits, conversations, what is known of a customer, memory's health, models."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse, HTMLResponse, Response

from bot.channels.errors import ApiError
from bot.chatbot import Chatbot
from bot.models import fingerprint
from bot.ui.team.door import Door
from bot.ui.team.template import Templates
from bot.versions import Versions
from memory.commitments import Commitment, commitments
from memory.health import health
from memory.history import Session, facts_of, find_session, handed_over, latest_sessions, sessions, transcript

_REPORT = "report.html"  # in a model's folder
_MOST = 200  # rows of a table
_REPORT_HEADERS = {  # what a model's report may do: be looked at
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def team_pages(bot: Chatbot, door: Door, templates: Templates) -> APIRouter:
    """Return the routes under `/team`, for members only."""
    router = APIRouter(prefix="/team", include_in_schema=False, dependencies=[Depends(door.member)])
    _overview(router, bot, templates)
    _conversations(router, bot, templates)
    _models(router, bot, templates)
    return router


def _minute(bot: Chatbot, moment: datetime) -> str:
    zone = ZoneInfo(bot.desk.settings.timezone)
    return f"{bot.recaps.day(moment)}, {moment.astimezone(zone):%H:%M}"


def _listed(bot: Chatbot, found: Iterable[Session]) -> list[dict[str, Any]]:
    """Return sessions as rows of a table."""
    return [{**vars(one), "last": _minute(bot, one.last_at), "begun": bot.recaps.day(one.started_at)} for one in found]


def _promises(bot: Chatbot, found: Iterable[Commitment]) -> list[dict[str, Any]]:
    """Return promises that are not settled as rows of a table, those first that are due first."""
    today = bot.clock().astimezone(ZoneInfo(bot.desk.settings.timezone)).date()
    owed = sorted((one for one in found if not one.settled), key=lambda one: (one.due or date.max, one.id))
    return [
        {
            **vars(one),
            "due": one.due.isoformat() if one.due else "no day named",
            "overdue": one.state(today) == "overdue",
            "made": bot.recaps.day(one.made_at),
        }
        for one in owed[:_MOST]
    ]


def _overview(router: APIRouter, bot: Chatbot, templates: Templates) -> None:
    store = bot.memory.store

    @router.get("")
    def overview() -> HTMLResponse:
        promises, waiting = _promises(bot, commitments(store)), _listed(bot, handed_over(store, _MOST))
        return templates.page("overview", title="Overview", promises=promises, handed_over=waiting)

    @router.get("/memory")
    def memory() -> HTMLResponse:
        found = health(store)
        findings = {
            "Stored twice": found.duplicates,
            "Contradictions": found.contradictions,
            "Never used": found.never_used,
        }
        return templates.page("memory", title="Memory", health=found, found=findings, most=_MOST)


def _conversations(router: APIRouter, bot: Chatbot, templates: Templates) -> None:
    store, known = bot.memory.store, bot.desk.facts

    @router.get("/conversations")
    def conversations(customer: str = "") -> HTMLResponse:
        """The latest conversations; of one customer, with what is remembered of them."""
        customer = customer.strip()
        found = sessions(store, customer, _MOST) if customer else latest_sessions(store, _MOST)
        facts = [
            {**vars(fact), "label": known[fact.name].label, "said": _minute(bot, fact.said_at)}
            for fact in (facts_of(store, customer) if customer else ())
            if fact.name in known
        ]
        return templates.page(
            "conversations",
            title="Conversations",
            customer=customer,
            facts=facts,
            promises=_promises(bot, commitments(store, customer)) if customer else [],
            found=_listed(bot, found),
        )

    @router.get("/conversations/{session_id}")
    def conversation(session_id: str) -> HTMLResponse:
        session = find_session(store, session_id)
        if session is None:
            raise ApiError(404, "no_session", "There is no such conversation; it may have been forgotten.")
        turns = [
            {**vars(turn), "shown": _minute(bot, turn.at), "summary": turn.decision.get("handoff_summary", "")}
            for turn in transcript(store, session.id, session.customer_id)
        ]
        state = "handed over to a colleague" if session.state == "handed_over" else "open"
        return templates.page(
            "conversation",
            title=f"Conversation of {bot.recaps.day(session.started_at)}",
            customer=session.customer_id,
            state=state,
            turns=turns,
            bot_name=bot.desk.settings.bot_name,
        )


def _models(router: APIRouter, bot: Chatbot, templates: Templates) -> None:
    versions = Versions(bot.settings.home, bot.desk.name)

    @router.get("/models")
    def models() -> HTMLResponse:
        """Every version of the desk's models, the newest first, each with what was measured of it."""
        promoted, desk = versions.promoted(), fingerprint(bot.desk)
        rows = [one.listed(promoted, desk) for one in reversed(versions.all())]
        for row in rows:
            row["trained"] = _minute(bot, datetime.fromisoformat(row["trained_at"])) if row["trained_at"] else ""
            row["has_report"] = (versions.folder / row["name"] / _REPORT).is_file()
        return templates.page("models", title="Models", rows=rows)

    @router.get("/models/{name}/report")
    def report(name: str) -> Response:
        """A model's report, as a page that can do nothing."""
        file = next((one.folder / _REPORT for one in versions.all() if one.name == name), None)
        if file is None or not file.is_file():
            raise ApiError(404, "no_report", "There is no such report; the model may have been deleted.")
        return FileResponse(file, media_type="text/html", headers=_REPORT_HEADERS)
