"""The examples of the documentation, run as they stand there against a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bot.chatbot import Chatbot
from tests.bot.channels.conftest import Serve, bearer
from tests.bot.channels.help_desk import SECRET, TOKEN

DOCS = Path(__file__).parents[3] / "docs"


def run_example(page: str, address: str = "") -> None:
    """Run the Python of a page of the documentation, against a server."""
    text = (DOCS / page).read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0].replace("http://127.0.0.1:7860", address.rstrip("/"))
    exec(compile(code, page, "exec"), {})  # noqa: S102 (it is our own)


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("rest.md", "look_up order_status ['R-10234', 'Track your order']\n"),
        ("openai.md", "answer delivery_time\n"),
        ("rasa.md", "nora answer ["),
    ],
)
def test_a_programs_first_message_is_answered_as_the_page_says(
    bot: Chatbot,
    url: str,
    page: str,
    printed: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAPPORT_KEY", bearer(bot, "chat", "memory")["Authorization"].removeprefix("Bearer "))
    run_example(page, url)

    assert capsys.readouterr().out.startswith(printed)


def test_the_pages_webhook_is_taken_for_chatwoots(
    desk: object,
    make_bot: Callable[..., Chatbot],
    serve: Serve,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bot = make_bot(settings={"chatwoot_url": "http://127.0.0.1:1", "chatwoot_token": TOKEN, "chatwoot_secret": SECRET})
    monkeypatch.setattr("time.time", bot.clock().timestamp)
    monkeypatch.setenv("RAPPORT_CHATWOOT_SECRET", SECRET)
    run_example("chatwoot.md", serve(bot))

    assert capsys.readouterr().out == "{'status': 'ignored'}\n"


def test_the_bot_is_a_step_of_somebodys_chain(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_HOME", str(home))
    run_example("python.md")

    printed = capsys.readouterr().out
    assert "working days" in printed
    assert printed.endswith("Fern (answer)\n")
