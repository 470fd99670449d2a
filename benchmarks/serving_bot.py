"""The servers that `benchmarks.serving` asks: Rapport's application, and the same bot behind Gradio's `ChatInterface`.

python -m benchmarks.serving_bot rapport HOME PORT MODELS      prints a key once it serves
python -m benchmarks.serving_bot gradio HOME PORT MODELS
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import uvicorn

from bot.chatbot import Chatbot
from bot.desk import BUNDLED
from bot.desk_reader import read_desk
from bot.keys import Keys
from bot.models import load
from bot.settings import Settings
from memory import Store

_UNLIMITED = dict.fromkeys(("rate_customer", "rate_address", "rate_key"), "100000000/second")


def open_bot(home: Path, models: Path) -> Chatbot:
    """Return a bot of the bundled desk with an empty memory and models that have been prepared elsewhere."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "models").exists():
        (home / "models").symlink_to((models / "models").resolve())
    settings = Settings(home=home, **_UNLIMITED)  # type: ignore[arg-type]
    desk = read_desk(BUNDLED)
    return Chatbot(desk, load(desk, home), Store(settings.database), settings)


async def _rapport(bot: Chatbot) -> Any:
    from app import build, settle

    application = build(bot)
    settle()
    return application


async def _gradio(bot: Chatbot) -> Any:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr
    from fastapi import FastAPI

    def answer(message: str, history: list[Any], customer: str) -> str:
        return bot.respond(message, f"s-{customer}", f"c-{customer}").text

    page = gr.ChatInterface(answer, additional_inputs=[gr.Textbox()], api_name="chat", analytics_enabled=False)
    return gr.mount_gradio_app(FastAPI(), page, path="/")


def main() -> None:
    """Serve until the process is ended."""
    kind, home, port, models = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    bot = open_bot(home, models)
    application = asyncio.run(_rapport(bot) if kind == "rapport" else _gradio(bot))
    print(Keys(home).add("benchmark", ("chat",)), flush=True)
    uvicorn.run(application, port=port, log_config=None, access_log=False, timeout_keep_alive=75)
    bot.close()


if __name__ == "__main__":
    main()
