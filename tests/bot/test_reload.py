"""A running bot takes up what is promoted while it serves, and nothing that it could not serve."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bot.chatbot import Chatbot
from bot.desk import Desk
from bot.models import Models, fingerprint
from bot.settings import Settings
from bot.versions import Versions
from memory import Store
from memory.history import transcript
from tests.bot.conftest import AddVersion
from tests.conftest import Clock

RAPPORT = Path(sys.executable).parent / "rapport"
QUESTION = "how long does delivery take?"
PATIENCE_S = 60


class Announcements(logging.Handler):
    """What the bot says about reloading; `wait` returns once it has said something with a word in it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: list[str] = []
        self._said = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._said:
            self._lines.append(record.getMessage())
            self._said.notify_all()

    def wait(self, word: str) -> str:
        with self._said:
            assert self._said.wait_for(lambda: any(word in line for line in self._lines), PATIENCE_S), self._lines
            return next(line for line in self._lines if word in line)


@pytest.fixture
def announced() -> Iterator[Announcements]:
    logger, handler = logging.getLogger("bot.reload"), Announcements()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def bot(versions: Versions, models: Models, bare_home: Path, desk: Desk, clock: Clock) -> Iterator[Chatbot]:
    settings = Settings(home=bare_home)
    loaded = replace(models, version="intent-0001", stamp=versions.stamp())
    bot = Chatbot(desk, loaded, Store(settings.database), settings, clock=clock)
    yield bot
    bot.close()


def models_used(bot: Chatbot, session: str = "s1") -> list[str]:
    return [turn.decision["model"] for turn in transcript(bot.memory.store, session, "nora")]


def test_a_promoted_version_serves_from_the_next_turn_on(
    bot: Chatbot, versions: Versions, desk: Desk, announced: Announcements
) -> None:
    before = bot.respond(QUESTION, "s1", "nora")
    versions.promote("intent-0002", fingerprint(desk))
    announced.wait("Serving intent-0002 now")
    after = bot.respond(QUESTION, "s1", "nora")
    versions.rollback("intent", fingerprint(desk))
    announced.wait("Serving intent-0001 now")
    bot.respond(QUESTION, "s1", "nora")

    assert (before.intent, after.intent) == ("delivery_time", "delivery_time")
    assert models_used(bot) == ["intent-0001", "intent-0002", "intent-0001"]
    assert bot.models.version == "intent-0001"


def test_a_turn_under_way_keeps_the_model_it_began_with(
    bot: Chatbot, versions: Versions, desk: Desk, clock: Clock, announced: Announcements
) -> None:
    def promote_meanwhile() -> object:
        bot.clock = clock
        versions.promote("intent-0002", fingerprint(desk))
        announced.wait("Serving intent-0002 now")
        return clock()

    bot.clock = promote_meanwhile  # type: ignore[assignment]  # the clock is read after the turn's models
    replies = [bot.respond(QUESTION, "s1", "nora") for _ in range(2)]

    assert [reply.action for reply in replies] == ["answer", "answer"]
    assert models_used(bot) == ["intent-0001", "intent-0002"]


def test_a_damaged_version_leaves_the_old_one_serving(
    bot: Chatbot, versions: Versions, desk: Desk, announced: Announcements
) -> None:
    folder = versions.get("intent-0002").folder
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").write_bytes(b"not a model")
    versions.promote("intent-0002", fingerprint(desk))

    said = announced.wait("cannot be used")

    assert "intent-0001 goes on serving" in said
    assert "model.onnx was altered" in said
    assert bot.respond(QUESTION, "s1", "nora").intent == "delivery_time"
    assert models_used(bot) == ["intent-0001"]


def test_a_version_that_has_vanished_leaves_the_old_one_serving(
    bot: Chatbot, versions: Versions, desk: Desk, announced: Announcements, add_version: AddVersion
) -> None:
    folder = versions.get("intent-0002").folder
    versions.promote("intent-0002", fingerprint(desk))
    shutil.rmtree(folder)
    announced.wait("intent-0001 goes on serving")
    versions.promote(add_version(), fingerprint(desk))
    announced.wait("Serving intent-0003 now, after intent-0001")

    assert bot.models.version == "intent-0003"


def test_a_version_with_intents_that_the_desk_cannot_answer_is_left_out(
    bot: Chatbot, versions: Versions, desk: Desk, announced: Announcements, add_version: AddVersion
) -> None:
    versions.promote(add_version(classes=[*sorted(desk.answers), "rental"]), fingerprint(desk))

    assert "which has no answer for rental" in announced.wait("intent-0001 goes on serving")
    assert bot.respond(QUESTION, "s1", "nora").intent == "delivery_time"


def test_damaged_promotions_leave_the_old_one_serving(
    bot: Chatbot, versions: Versions, announced: Announcements
) -> None:
    (versions.folder / "promoted.json").write_text("{", encoding="utf-8")

    assert "promoted.json is damaged" in announced.wait("intent-0001 goes on serving")
    assert bot.respond(QUESTION, "s1", "nora").intent == "delivery_time"


def test_a_closed_bot_looks_no_more(bot: Chatbot) -> None:
    looking = [thread for thread in threading.enumerate() if thread.name == "rapport-reload"]
    bot.close()

    assert [thread.is_alive() for thread in looking].count(False) == 1


def test_a_running_process_takes_up_what_another_process_promotes(versions: Versions, bare_home: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
    surroundings = {**clean, "RAPPORT_HOME": str(bare_home)}
    with subprocess.Popen(
        [RAPPORT, "chat", "--customer", "nora"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=surroundings,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{QUESTION}\n")
        while "3 to 5" not in process.stdout.readline():
            pass
        subprocess.run([RAPPORT, "models", "promote", "intent-0002"], env=surroundings, check=True)
        while models_in(bare_home)[-1] == "intent-0001":
            process.stdin.write(f"{QUESTION}\n")
            while ": " not in process.stdout.readline():
                pass
        _, complaints = process.communicate()  # reads what is left, without which the process could not end
        assert (process.returncode, complaints) == (0, "")

    used = models_in(bare_home)
    assert used == sorted(used)
    assert set(used) == {"intent-0001", "intent-0002"}


def models_in(home: Path) -> list[str]:
    """Return which model understood each turn that a home holds."""
    with closing(sqlite3.connect(home / "rapport.sqlite")) as database:
        return [json.loads(row)["model"] for (row,) in database.execute("SELECT decision FROM turns ORDER BY id")]
