"""`/widget.js`, made of the files beside this one, and `/widget`, a page to try it on."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

from fastapi import APIRouter, Request, Response

_HERE = Path(__file__).parent
_PARTS = ("words", "store", "server", "elements", "transcript", "panel", "sending", "conversation", "main")
_KEPT_S = 300  # for how long a browser asks for no newer one


def script() -> bytes:
    """Return the widget as one script that leaves nothing but `Rapport` on the page."""
    style = f"const STYLE = {json.dumps((_HERE / 'style.css').read_text('utf-8'))};\n"
    parts = "\n".join((_HERE / f"{name}.js").read_text("utf-8") for name in _PARTS)
    return f'(() => {{\n"use strict";\n{style}{parts}}})();\n'.encode()


def widget_pages() -> APIRouter:
    """Return the routes; the script is read once."""
    router = APIRouter()
    plain, page = script(), (_HERE / "demo.html").read_bytes()
    packed = gzip.compress(plain, mtime=0)
    headers = {
        "Cache-Control": f"public, max-age={_KEPT_S}",
        "Cross-Origin-Resource-Policy": "cross-origin",  # also for pages that only load what says so
        "Vary": "Accept-Encoding",
    }

    @router.get("/widget.js", include_in_schema=False)
    def widget(request: Request) -> Response:
        packs = "gzip" in request.headers.get("accept-encoding", "")
        body = packed if packs else plain
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        told = {**headers, "ETag": tag, **({"Content-Encoding": "gzip"} if packs else {})}
        known = request.headers.get("if-none-match", "").replace("W/", "").split(", ")
        if tag in known:
            return Response(status_code=304, headers=told)
        return Response(body, media_type="text/javascript; charset=utf-8", headers=told)

    @router.get("/widget", include_in_schema=False)
    def demo() -> Response:
        return Response(page, media_type="text/html; charset=utf-8")

    return router
