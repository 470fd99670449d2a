"""The team's pages as HTML: everything that is filled in is escaped."""

from __future__ import annotations

from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from bot.desk import Desk

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
}


class Templates:
    """The templates in this folder, for one desk."""

    def __init__(self, desk: Desk) -> None:
        self._environment = Environment(
            loader=PackageLoader("bot.ui.team", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._desk = desk.settings.name

    def page(
        self, name: str, status: int = 200, *, inside: bool = True, scripts: bool = False, **values: Any
    ) -> HTMLResponse:
        """Return a page; `inside` shows what only the team may do. It is kept in no cache and shown in no frame.

        With `scripts`, it may run the scripts that we serve, and they may ask us.
        """
        template = self._environment.get_template(f"{name}.html.jinja")
        filled = template.render(desk=self._desk, inside=inside, **values)
        answer = HTMLResponse(filled, status, headers=_HEADERS)
        if scripts:
            answer.headers["Content-Security-Policy"] += "; script-src 'self'; connect-src 'self'"
        return answer
