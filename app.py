"""The composition root: builds everything once, serves the page on one port; also the `rapport` command's entry.

rapport serve            the chat page on http://127.0.0.1:7860
"""

from __future__ import annotations

import errno
import gc
import hashlib
import ipaddress
import math
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bot.audit import Audit
from bot.cli import cli
from bot.problems import RapportError
from bot.settings import Settings, read_settings, settings_as_text
from bot.team import Team
from bot.terminal import DeskOption, HomeOption, err, prepared
from memory import StoreError
from retrieval.loaders import ArticleError
from retrieval.model_folder import ModelError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from bot.chatbot import Chatbot

_KEEP_ALIVE_S = 75  # longer than proxies and clients keep a connection, so that none is closed as it is used again
_POLL_S = 0.02  # how often gradio looks for new messages of its page; by itself a thousand times a second
_COLLECTED = (10_000, 3, 3)  # a turn makes thousands of objects that are gone after it; all are looked over as often
_SHUTDOWN_S = 10  # seconds that requests under way get to end


@cli.command()
def serve(
    desk: DeskOption = None,
    home: HomeOption = None,
    host: str | None = typer.Option(None, help="The address to serve on (RAPPORT_HOST)."),
    port: int | None = typer.Option(None, help="The port to serve on (RAPPORT_PORT)."),
) -> None:
    """Serve the chat page; the models are prepared first where there are none."""
    settings = read_settings(desk=desk, home=home, host=host, port=port)
    refuse_taken_port(settings)
    refuse_open_doors(settings)
    prepared(settings)
    import uvicorn

    from bot.chatbot import Chatbot
    from bot.logs import write_logs

    write_logs(settings.log_level)
    # uvicorn ends by itself and raises the signal again: the bot is closed before this process ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    bot = Chatbot.open(settings=settings)
    try:
        application = build(bot)
        note_settings(settings)
        settle()
        err.print(f"Chat with {bot.desk.settings.name} on http://{settings.host}:{settings.port}", highlight=False)
        uvicorn.run(
            application,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=math.ceil(_SHUTDOWN_S + settings.chat_timeout_s * bool(settings.chat_model)),
        )
    finally:
        bot.close()


def build(bot: Chatbot) -> FastAPI:
    """Return the web application for a bot: the chat page at `/`, the help articles under `/help/`, `/memory`."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read once, while gradio is imported
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import gradio as gr
    from fastapi import FastAPI
    from fastapi.middleware.cors import CORSMiddleware
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    from bot.channels.browsers import SecurityHeaders, cross_origin
    from bot.channels.caller import Callers
    from bot.channels.chatwoot import chatwoot_webhook
    from bot.channels.errors import LastResort, answer_errors
    from bot.channels.memory_api import memory_api
    from bot.channels.monitoring import UNTRACED, monitoring
    from bot.channels.openai import openai_api
    from bot.channels.rasa import rasa_api
    from bot.channels.rate_limits import RateLimits
    from bot.channels.request_limits import RequestLimits
    from bot.channels.rest import rest_api
    from bot.channels.turns import AT_ONCE, TurnQueue
    from bot.channels.widget.pages import widget_pages
    from bot.logs import RequestLog
    from bot.replay.queue import Queue
    from bot.ui.articles import article_pages
    from bot.ui.chat_page import CSS, THEME, chat_page
    from bot.ui.team.door import Door, login_pages
    from bot.ui.team.pages import team_pages
    from bot.ui.team.replay import replay_pages
    from bot.ui.team.template import Templates
    from bot.ui.visitor import VisitorMiddleware

    limits = RateLimits()
    callers = Callers(bot.settings, bot, limits)
    visitors = callers.visitors
    settings, origins = bot.settings, bot.desk.settings.portals.origins
    queue = Queue(settings.home, settings.desk)

    @asynccontextmanager
    async def lifespan(_application: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            queue.close()  # at once, also where the server is made to end

    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan, telemetry=UNTRACED)
    # What is added last sees a request first.
    application.add_middleware(VisitorMiddleware, visitors=visitors)
    application.add_middleware(RequestLimits, settings=settings, callers=callers, limits=limits)
    application.add_middleware(LastResort)
    # Without one of our own, gradio answers every origin with credentials.
    application.add_middleware(CORSMiddleware, **cross_origin(origins))
    application.add_middleware(SecurityHeaders, origins=origins)
    application.add_middleware(RequestLog)
    application.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.trusted_proxies)
    answer_errors(application)
    turns = TurnQueue(settings.max_waiting_turns)
    application.mount("/api/v1", rest_api(bot, callers, turns))
    application.include_router(article_pages(bot.desk))
    application.include_router(widget_pages())
    application.include_router(memory_api(bot, callers))
    application.include_router(openai_api(bot, callers, turns))
    application.include_router(rasa_api(bot, callers, turns))
    if settings.chatwoot_url:
        application.include_router(chatwoot_webhook(bot, turns))
    door, templates = Door(bot, callers, limits), Templates(bot.desk)
    application.include_router(monitoring(bot, callers, door, turns))
    application.include_router(login_pages(door, templates))
    application.include_router(team_pages(bot, door, templates))
    application.include_router(replay_pages(bot, door, templates, queue))
    page = chat_page(bot, visitors).queue(max_size=AT_ONCE + settings.max_waiting_turns)
    mounted: FastAPI = gr.mount_gradio_app(
        application,
        page,
        path="/",
        theme=THEME,
        css=CSS,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        show_error=False,
        max_file_size=1,
        ssr_mode=False,
        pwa=False,
    )
    page._queue.sleep_when_free = page._queue.progress_update_sleep_when_free = _POLL_S
    return mounted


def settle() -> None:
    """Keep the garbage collector from going through all that a server has built, again and again, and from hurrying."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED)


def refuse_taken_port(settings: Settings) -> None:
    """Refuse to start on a port that is in use, before anything slow is done.

    Raises:
        RapportError: the port is in use, or the address is not one of this machine's.
    """
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            if error.errno == errno.EADDRINUSE:
                raise RapportError(f"{where} is in use. Stop the other program or set RAPPORT_PORT.") from None
            raise RapportError(f"{where} cannot be served on ({error.strerror}). Check RAPPORT_HOST.") from None


def refuse_open_doors(settings: Settings) -> None:
    """Refuse to serve other machines before the team has a password.

    Raises:
        RapportError: the address is not this machine's own, and there is no password.
    """
    if not _is_loopback(settings.host) and not Team(settings.home).has_password:
        raise RapportError(
            f"{settings.host} can be reached from other machines, and the team's pages have no password yet. "
            "Set one first: rapport team set-password"
        )


def note_settings(settings: Settings) -> None:
    """Note in the audit log with which settings and which desk.yaml a server starts, where they have changed.

    Raises:
        OSError: the audit log cannot be written.
    """
    audit = Audit(settings.home)
    desk = hashlib.sha256((settings.desk / "desk.yaml").read_bytes()).hexdigest()[:16]
    values = {**settings_as_text(settings, audit.mark), "desk_file": desk}
    audit.note_settings({name: value for name, value in values.items() if value})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main() -> None:
    """Run the `rapport` command: a mistake that a person can put right is one sentence and a non-zero exit."""
    try:
        cli()
    except (RapportError, ModelError, StoreError, ArticleError) as error:
        sys.stderr.write(f"rapport: {error}\n")
        sys.exit(1)
    except OSError as error:
        name = f"{Path(str(error.filename))}: " if error.filename else ""
        where = "there" if name else f"of RAPPORT_HOME and of {tempfile.gettempdir()}"
        sys.stderr.write(f"rapport: {name}{error.strerror or error}. Check the disk space and permissions {where}.\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
