"""A small shop with the chat on its pages; docs/widget.md says what to set first.

python docs/shop.py [PORT]      serves http://127.0.0.1:8000
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

CHAT = os.environ.get("RAPPORT", "http://127.0.0.1:7860")
SECRET = os.environ["RAPPORT_JWT_SECRET"]
PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8000

POLICY = (
    f"default-src 'none'; script-src 'self' {CHAT}; connect-src 'self' {CHAT}; style-src 'self'; form-action 'self'"
)
OUT = '<form action="/login" method="post"><button>Log in as Nora</button></form>'
IN = '<form action="/logout" method="post" id="logout">Hello, {name}. <button>Log out</button></form>'
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A shop</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/shop.css">
<script src="{chat}/widget.js" async></script><script src="/shop.js" defer></script></head>
<body data-customer="{name}"><main><h1>A shop</h1>{form}<p><button id="questions">Questions?</button></p>
<p><a href="/">Tents</a> <a href="/stoves">Stoves</a></p></main></body></html>"""
STYLE = ":root { --rapport-accent: #8a3b12 } body { font: 17px/1.6 system-ui; margin: 3rem }"
SCRIPT = """
window.Rapport ||= [];
if (document.body.dataset.customer) {
  Rapport.push((rapport) => rapport.identify(async () => (await fetch("/chat-token")).text()));
}
document.getElementById("questions").onclick = () => Rapport.push((rapport) => rapport.open());
document.getElementById("logout")?.addEventListener("submit", () => Rapport.push((rapport) => rapport.reset()));
"""
logins: dict[str, str] = {}  # a real shop has its own; what matters is that /chat-token knows who is logged in


class Shop(BaseHTTPRequestHandler):
    """Answers the browser."""

    def do_GET(self) -> None:
        """Serve a page, a file of it, or the token of whoever is logged in."""
        if self.path == "/chat-token":
            if not self.customer:
                return self.answer(403, "text/plain", "Nobody is logged in.")
            claims = {"sub": self.customer, "exp": int(time.time()) + 600}
            return self.answer(200, "text/plain", jwt.encode(claims, SECRET, algorithm="HS256"))
        if self.path == "/shop.js":
            return self.answer(200, "text/javascript", SCRIPT)
        if self.path == "/shop.css":
            return self.answer(200, "text/css", STYLE)
        form = IN.format(name=self.customer) if self.customer else OUT
        return self.answer(200, "text/html", PAGE.format(chat=CHAT, name=self.customer, form=form))

    def do_POST(self) -> None:
        """Log in or out."""
        if self.path == "/login":
            logins[login := secrets.token_urlsafe()] = "nora"
            return self.answer(303, "text/plain", "", {"Location": "/", "Set-Cookie": f"login={login}; HttpOnly"})
        return self.answer(303, "text/plain", "", {"Location": "/", "Set-Cookie": "login=; Max-Age=0"})

    @property
    def customer(self) -> str:
        """Who is logged in, "" for nobody."""
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("login")
        return logins.get(cookie.value, "") if cookie else ""

    def answer(self, status: int, kind: str, text: str, headers: dict[str, str] | None = None) -> None:
        """Send a reply."""
        self.send_response(status)
        sent = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Security-Policy": POLICY,
            "Cache-Control": "no-store",
        }
        for name, value in {**sent, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())


if __name__ == "__main__":
    shop = ThreadingHTTPServer(("127.0.0.1", PORT), Shop)
    print(f"A shop on http://127.0.0.1:{PORT}")  # noqa: T201
    shop.serve_forever()
