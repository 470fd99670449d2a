"""The composition root: builds everything once, serves the page on one port; also the `rapport` command's entry.

rapport serve            the chat page on http://127.0.0.1:7860
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bot.cli import cli
from bot.problems import RapportError
from bot.settings import Settings, read_settings
from bot.terminal import DeskOption, HomeOption, err, prepared
from memory import StoreError
from retrieval.loaders import ArticleError
from retrieval.model_folder import ModelError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from bot.chatbot import Chatbot


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
    prepared(settings)
    import uvicorn

    from bot.chatbot import Chatbot

    bot = Chatbot.open(settings=settings)
    try:
        application = build(bot)
        err.print(f"Chat with {bot.desk.settings.name} on http://{settings.host}:{settings.port}", highlight=False)
        uvicorn.run(application, host=settings.host, port=settings.port, log_level="warning")
    finally:
        bot.close()


def build(bot: Chatbot) -> FastAPI:
    """Return the web application for a bot: the chat page at `/`, the help articles under `/help/`, `/memory`."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read once, while gradio is imported
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import gradio as gr
    from fastapi import FastAPI
    from fastapi.middleware.cors import CORSMiddleware

    from bot.channels.caller import Callers
    from bot.channels.errors import answer_errors
    from bot.channels.memory_api import memory_api
    from bot.channels.openai import openai_api
    from bot.channels.rasa import rasa_api
    from bot.channels.rest import rest_api
    from bot.channels.turns import TurnQueue
    from bot.ui.articles import article_pages
    from bot.ui.chat_page import CSS, THEME, chat_page
    from bot.ui.visitor import VisitorMiddleware

    callers = Callers(bot.settings, bot)
    visitors = callers.visitors
    application = FastAPI(title="Rapport", docs_url=None, redoc_url=None, openapi_url=None)
    # Without one of our own, gradio answers every origin with credentials.
    application.add_middleware(CORSMiddleware, allow_origins=[])
    application.add_middleware(VisitorMiddleware, visitors=visitors)
    answer_errors(application)
    application.include_router(article_pages(bot.desk))
    application.include_router(memory_api(bot, callers))
    application.mount("/api/v1", rest_api(bot, callers, TurnQueue(bot.settings.max_waiting_turns)))
    application.include_router(openai_api(bot, callers))
    application.include_router(rasa_api(bot, callers))
    mounted: FastAPI = gr.mount_gradio_app(
        application,
        chat_page(bot, visitors),
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
    return mounted


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
