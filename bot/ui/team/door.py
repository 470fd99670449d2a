"""Who may see the team's pages: whoever has logged in, or a server with a key that has the scope `team`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from limits import parse

from bot.audit import Audit
from bot.channels.caller import Callers
from bot.channels.errors import ApiError
from bot.channels.rate_limits import RateLimits, network
from bot.chatbot import Chatbot
from bot.team import COOKIE, LIFE, LONGEST, Team
from bot.ui.team.template import Templates

_TRIES = parse("5/minute")  # passwords tried from one address
_TRIES_OF_ALL = parse("120/minute")


class Door:
    """The team's login, and the question whether a request comes from the team."""

    def __init__(self, bot: Chatbot, callers: Callers, limits: RateLimits) -> None:
        self._team = Team(bot.settings.home, bot.clock)
        self._audit = Audit(bot.settings.home, bot.clock)
        self._callers = callers
        self._limits = limits

    def member(self, request: Request) -> None:
        """Refuse a request that does not come from the team; FastAPI calls this as a dependency of pages and routes.

        Raises:
            ApiError: it is somebody else (403), or nobody: then 303 to the login for a browser, 401 for a program.
        """
        if self.is_member(request):
            return
        if "authorization" in request.headers:
            self._callers.proven(request)
            raise ApiError(403, "not_team", "This is for the team. Make a key for it: rapport keys add --scope team.")
        if "text/html" in request.headers.get("accept", ""):
            raise ApiError(303, "log_in", "Log in first.", {"Location": "/team/login"})
        raise ApiError(401, "log_in", "Log in at /team/login, or send a key that has the scope `team`.")

    def is_member(self, request: Request) -> bool:
        """Return whether a request comes from the team.

        Raises:
            ApiError: it brings a token or a key that proves nobody (401).
        """
        if "authorization" in request.headers:
            return "team" in self._callers.proven(request).scopes
        return self._team.is_in(request.cookies.get(COOKIE, ""))

    def own_page(self, request: Request) -> None:
        """Refuse to change anything for a page of another site; FastAPI calls this as a dependency of routes.

        Raises:
            ApiError: another site's page asks, or one without an origin (403).
        """
        if request.method in ("GET", "HEAD") or "authorization" in request.headers:
            return
        origin = urlsplit(request.headers.get("origin", "")).netloc
        same = request.headers.get("sec-fetch-site") == "same-origin"  # a proxy may have changed the host
        if not same and (not origin or origin != request.headers.get("host")):
            raise ApiError(403, "other_site", "Do this on the team's own page.")

    def log_in(self, request: Request, password: str) -> str | None:
        """Return a login's cookie for the right password, None for a wrong one.

        Raises:
            ApiError: too many passwords were tried (429), or there is no password yet (403).
        """
        address = request.client.host if request.client else ""
        self._limits.spend(_TRIES, "login", network(address))
        self._limits.spend(_TRIES_OF_ALL, "login", "all")
        if not self._team.has_password:
            raise ApiError(
                403, "no_password", "There is no team password yet. On the server: rapport team set-password"
            )
        return self._team.log_in(password[:LONGEST], address)

    def log_out(self, request: Request) -> None:
        """Note that somebody logged out."""
        if self._team.is_in(request.cookies.get(COOKIE, "")):
            self._audit.note("logout", address=request.client.host if request.client else "")


def login_pages(door: Door, templates: Templates) -> APIRouter:
    """Return `/team/login` and `/team/logout`."""
    router = APIRouter(prefix="/team", include_in_schema=False)

    @router.get("/login")
    def form(request: Request) -> HTMLResponse:
        return templates.page("login", title="Team login", inside=False, problem="")

    @router.post("/login")
    def enter(request: Request, password: Annotated[str, Form()] = "") -> Response:
        try:
            cookie = door.log_in(request, password)
            problem = ApiError(401, "wrong_password", "That is not the password.")
        except ApiError as error:
            cookie, problem = None, error
        if cookie is None:
            answer: Response = templates.page(
                "login", problem.status, title="Team login", inside=False, problem=str(problem)
            )
            answer.headers.update(problem.headers or {})
            return answer
        answer = RedirectResponse("/team", 303)
        secure = request.url.scheme == "https"
        life = int(LIFE.total_seconds())
        answer.set_cookie(COOKIE, cookie, life, httponly=True, samesite="strict", secure=secure)
        return answer

    @router.post("/logout")
    def leave(request: Request) -> Response:
        door.log_out(request)
        answer = RedirectResponse("/team/login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    return router
