"""No request made from the OpenAPI document is a server error; `python -m tests.schema_fuzz` sends two thousand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.chatbot import Chatbot
from tests.schema_fuzz import UNLIMITED, fuzz


def test_requests_right_and_wrong_are_answered_as_the_document_says(make_bot: Callable[..., Chatbot]) -> None:
    outcome = fuzz(make_bot(settings=UNLIMITED), 250)

    assert outcome.wrong == []
    assert outcome.cases > 200
    assert {200, 401, 404, 422} <= outcome.statuses.keys()


def test_a_server_error_is_noticed(make_bot: Callable[..., Chatbot], monkeypatch: pytest.MonkeyPatch) -> None:
    bot = make_bot(settings=UNLIMITED)
    monkeypatch.setattr(bot, "export", None)

    assert any("500" in line for line in fuzz(bot, 60).wrong)
