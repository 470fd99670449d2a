"""The help articles as web pages, for the links under the bot's replies."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse
from markdown_it import MarkdownIt

from bot.desk import Desk

_PAGE = """<!doctype html><html lang="{language}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title} · {desk}</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 17px/1.6 system-ui, sans-serif; max-width: 42rem; margin: 2.5rem auto; padding: 0 1.25rem }}
  h1 {{ line-height: 1.2 }} h2 {{ margin-top: 2em; font-size: 1.15rem }}
  table {{ border-collapse: collapse }} td, th {{ border: 1px solid #8886; padding: .3em .7em; text-align: left }}
  header {{ color: #3d6b58; font-weight: 600 }}
</style></head><body><header>{desk}</header>{body}</body></html>"""


def article_pages(desk: Desk) -> APIRouter:
    """Return the routes that show a desk's articles under `/help/SLUG`."""
    router = APIRouter()
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")

    @router.get("/help/{slug}", response_class=HTMLResponse, include_in_schema=False)
    def article(slug: str) -> HTMLResponse:
        if slug not in desk.articles:
            raise HTTPException(404, "There is no such help page.")
        page = _PAGE.format(
            language=escape(desk.settings.language),
            title=escape(desk.article_title(slug)),
            desk=escape(desk.settings.name),
            body=renderer.render(desk.articles[slug]),
        )
        return HTMLResponse(page)

    return router
