"""What customers wrote stays out of logs, whatever fails while it is answered."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from langchain_core.tools import tool

from bot.answers import Answers, ToolError
from bot.chatbot import Chatbot
from bot.turn import Answer
from tests.bot.test_generation import Scripted

EMAIL = "nora.wren@kittle.example"


def test_a_database_that_fails_is_logged_without_the_message(bot: Chatbot, caplog: pytest.LogCaptureFixture) -> None:
    bot.respond("hello", "s1", "nora")
    with bot.memory.store.write() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER broken BEFORE INSERT ON facts BEGIN SELECT RAISE(ABORT, 'broken'); END"
        )
    assert bot.respond(f"my email is {EMAIL}", "s1", "nora").action == "failed"
    assert "was not kept" in caplog.text
    assert EMAIL not in caplog.text


def test_a_chat_model_that_fails_is_logged_without_what_it_repeats(
    make_bot: Callable[..., Chatbot], caplog: pytest.LogCaptureFixture
) -> None:
    bot = make_bot(chat_model=Scripted(script=iter([[ValueError(f"refused: {EMAIL}")]])))
    bot.respond("how long does delivery take?", "s1", "nora")
    assert "The chat model failed (ValueError)" in caplog.text
    assert EMAIL not in caplog.text


def test_a_tool_that_fails_says_where_and_not_what_it_was_asked(bot: Chatbot) -> None:
    intent, answer = next((name, one) for name, one in bot.desk.answers.items() if one.tool and one.needs)

    @tool(answer.tool)
    def look_up(order_number: str) -> dict[str, str]:
        """Fail."""
        raise KeyError(order_number)

    context = bot.memory.load("s1", "nora", "hi", bot.clock())
    answers = Answers(bot.desk, {answer.tool: look_up}, bot.recaps)
    with pytest.raises(ToolError, match=r"KeyError in test_personal.py, line \d+") as failed:
        answers.render(Answer(intent, {answer.needs[0]: "R-10234"}), context, [], "R-10234")
    assert "R-10234" not in str(failed.value)
    assert failed.value.__suppress_context__
