"""A site of another origin that has the widget on its pages, and a network that breaks when it should."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE = """<!doctype html><html lang="en"><head><title>The shop</title>
<meta name="viewport" content="width=device-width">{style}{scripts}
<script src="{chat}/widget.js" {attributes} async></script></head>
<body><header><a href="/" id="home">The shop</a></header><main><h1>Tents</h1><p>All of them are dry.</p>
<button id="chat">Questions?</button> <a href="/about" id="about">About</a></main></body></html>"""


class Shop:
    """Serves the same page under every path, with a policy that allows nothing more than docs/widget.md asks for.

    `files` are paths to scripts and styles of the shop's own, which its pages load.
    """

    def __init__(self) -> None:
        self.chat = ""
        self.files: dict[str, str] = {}
        self.attributes = ""
        self.connects = True  # whether its policy lets pages talk to the chat's server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path in self.files:
            kind, body = "text/css" if path.endswith(".css") else "text/javascript", self.files[path]
        else:
            kind, body = "text/html", self._page()
        reach = self.chat if self.connects else "'none'"
        headers = {
            "content-type": f"{kind}; charset=utf-8",
            "content-security-policy": (
                f"default-src 'none'; script-src 'self' {self.chat}; connect-src {reach}; style-src 'self'; "
                "base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
            ),
            "cross-origin-embedder-policy": "require-corp",
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": body.encode()})

    def _page(self) -> str:
        styles = "".join(f'<link rel="stylesheet" href="{path}">' for path in self.files if path.endswith(".css"))
        scripts = "".join(f'<script src="{path}"></script>' for path in self.files if path.endswith(".js"))
        return PAGE.format(style=styles, scripts=scripts, chat=self.chat, attributes=self.attributes)


class Network:
    """Stands before the application; drops the next replies after the first of their words has been sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.drops = 0
        self.elsewhere = False  # whether pages seem to be of an origin that is not listed
        self.asked: list[tuple[str, str, str]] = []  # method, path, Idempotency-Key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self.elsewhere:
            raw = [(name, value) for name, value in scope["headers"] if name != b"origin"]
            scope = {**scope, "headers": [*raw, (b"origin", b"https://elsewhere.example")]}
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append((scope["method"], scope["path"], headers.get("idempotency-key", "")))
        dropping = self.drops > 0 and scope["method"] == "POST" and scope["path"].endswith("/messages")
        self.drops -= dropping

        async def perhaps(message: Message) -> None:
            if dropping and message["type"] == "http.response.body":
                raise ConnectionError("The cable was pulled.")
            await send(message)

        await self._app(scope, receive, perhaps)
