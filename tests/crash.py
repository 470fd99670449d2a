"""Kills the bot at random moments and checks that every reply that was shown is still there, whole.

    python -m tests.crash --kills 100                        a few minutes; exit code 0 only when everything held
    python -m tests.crash --kills 100 --models ~/.rapport    use models that have been prepared already

A child process answers messages in several sessions and writes each reply to a pipe once `respond` has returned it:
that reply counts as shown. The parent kills the child with SIGKILL after a random number of replies and a short random
delay, now and then while it opens the database. The next child opens the same home, is asked to recall what was shown,
and, while it waits, the parent reads the tables. The next child loads its models while the present one answers, but
opens the database only when it is told to.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot import Chatbot

ROOT = Path(__file__).resolve().parent.parent
FIRST_ORDER = 10_000
_ORDERS = 50  # order numbers that are put aside for each life: no fact is ever said twice
_MESSAGES = (
    "Where is my order {order}?",
    "I want to return the jacket from {order}, how does that work?",
    "Can I still change the address on {order}?",
    "My parcel {order} arrived damaged, what now?",
    "Sorry, I meant {order}, not the other one",
    "When do I get my refund for {order}?",
    "I would like to talk to a person about {order}",
    "Is {order} late? It should have been here on Monday",
)
_MOST_REPLIES = 6  # a life ends after at most so many replies
_MOST_DELAY_S = 0.06  # and so many seconds: a turn takes about half of that
_KILLED_OPENING = 1 / 8  # the share of lives that end while the database is opened

_SAME = 0.999  # the least cosine similarity of a message with itself, rounding allowed for

# What must be empty, beside what PRAGMA foreign_key_check finds.
_FLAWS = {
    "turns whose numbers have gaps or repeats": """
        SELECT session_id, count(*), min(number), max(number), count(DISTINCT number) FROM turns GROUP BY session_id
        HAVING min(number) != 1 OR max(number) != count(*) OR count(DISTINCT number) != count(*)""",
    "turns without a vector": "SELECT id FROM turns WHERE id NOT IN (SELECT turn_id FROM vectors)",
    "vectors without a turn": "SELECT turn_id FROM vectors WHERE turn_id NOT IN (SELECT id FROM turns)",
    "vectors of a wrong size": "SELECT turn_id FROM vectors WHERE length(vector) != 4 * 384",
    "turns without a session of the same customer": """
        SELECT turns.id FROM turns LEFT JOIN sessions ON sessions.id = session_id
        WHERE sessions.customer_id IS NOT turns.customer_id""",
    "facts without a turn of the same customer": """
        SELECT facts.id FROM facts LEFT JOIN turns ON turns.id = turn_id
        WHERE turns.customer_id IS NOT facts.customer_id""",
    "facts with several current values": """
        SELECT customer_id, name FROM facts WHERE superseded_at IS NULL GROUP BY customer_id, name
        HAVING count(*) > 1""",
    "sessions without turns": "SELECT id FROM sessions WHERE id NOT IN (SELECT session_id FROM turns)",
    "customers without sessions": "SELECT id FROM customers WHERE id NOT IN (SELECT customer_id FROM sessions)",
    "summaries that cover turns which are not there": """
        SELECT session_id FROM summaries
        WHERE covers > (SELECT max(number) FROM turns WHERE turns.session_id = summaries.session_id)
           OR session_id NOT IN (SELECT id FROM sessions)""",
}


@dataclass
class Outcome:
    """What the kills led to; `problems` is empty when everything held.

    `opening` counts the kills before the first message, `shown` holds every reply that was shown, `unshown` counts the
    turns that are kept although the kill came before they were shown.
    """

    kills: int = 0
    opening: int = 0
    shown: list[dict[str, Any]] = field(default_factory=list)
    unshown: int = 0
    problems: list[str] = field(default_factory=list)


def run(kills: int, prepared: Path, home: Path, seed: int = 0) -> Outcome:
    """Kill the bot `kills` times on a new home whose models are the prepared ones, and return what was found."""
    home.mkdir(parents=True)
    (home / "models").symlink_to((prepared / "models").resolve())
    chance = random.Random(seed)  # noqa: S311
    outcome, recent = Outcome(), list[dict[str, Any]]()
    spare = child = _Child(home)
    try:
        while not outcome.problems:
            child, spare = spare, _Child(home)
            if outcome.kills < kills and chance.random() < _KILLED_OPENING:
                child.tell([])
                time.sleep(chance.uniform(0, _MOST_DELAY_S))
                child.kill()
                outcome.opening += 1
            else:
                missing = child.missing(recent)
                outcome.problems += [f"turn {turn} was shown and is not recalled" for turn in missing]
                outcome.problems += check(home / "rapport.sqlite", outcome)
                if outcome.kills == kills:
                    break
                recent = child.answer(FIRST_ORDER + _ORDERS * outcome.kills, chance.randint(1, _MOST_REPLIES))
                time.sleep(chance.uniform(0, _MOST_DELAY_S))
                recent += child.kill()
                outcome.shown += recent
            outcome.kills += 1
    except _DeathError as error:
        outcome.problems.append(str(error))
    finally:
        child.kill()
        spare.kill()
    return outcome


def check(database: Path, outcome: Outcome) -> list[str]:
    """Return what is wrong in a database that the bot has open; every reply that was shown must be in it, whole."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        problems = [
            f"{name}: {rows}" for name, query in _FLAWS.items() if (rows := connection.execute(query).fetchall())
        ]
        for pragma, sound in (("integrity_check", [("ok",)]), ("foreign_key_check", [])):
            if (rows := connection.execute(f"PRAGMA {pragma}").fetchall()) != sound:
                problems.append(f"{pragma}: {rows}")
        problems += [problem for one in outcome.shown for problem in _compare(connection, one)]
        outcome.unshown = connection.execute("SELECT count(*) FROM turns").fetchone()[0] - len(outcome.shown)
    return problems


def _compare(connection: sqlite3.Connection, shown: dict[str, Any]) -> list[str]:
    """Return in what a stored turn differs from the reply that was shown."""
    turn_id = shown["turn_id"]
    row = connection.execute(
        "SELECT session_id, customer_id, text, reply, decision FROM turns WHERE id = ?", (turn_id,)
    ).fetchone()
    if row is None:
        return [f"turn {turn_id} was shown and is not there"]
    decision = json.loads(row[4])
    facts = connection.execute("SELECT name, value FROM facts WHERE turn_id = ?", (turn_id,)).fetchall()
    same = {
        "session": row[0] == shown["session"],
        "customer": row[1] == shown["customer"],
        "message": row[2] == shown["message"],
        "reply": row[3] == shown["text"],
        "decision": decision["action"] == shown["action"] and decision["facts"] == {"order_number": shown["order"]},
        "facts": facts == [("order_number", shown["order"])],
    }
    return [f"turn {turn_id} was shown with another {name}" for name, holds in same.items() if not holds]


class _DeathError(Exception):
    """A child ended although nobody killed it."""


class _Child:
    """A process that loads the models, and opens a home and answers when it is told to."""

    def __init__(self, home: Path) -> None:
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash", "--child", str(home)],
            cwd=ROOT,
            env=surroundings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def tell(self, value: object) -> None:
        """Send one line of JSON."""
        try:
            self._stdin.write(json.dumps(value) + "\n")
            self._stdin.flush()
        except BrokenPipeError:
            raise _DeathError(f"a child died with status {self._process.wait()}") from None

    def missing(self, shown: list[dict[str, Any]]) -> list[int]:
        """Open the home and return the ids of those turns that the bot does not recall."""
        self.tell(shown)
        missing: list[int] = self._read()
        return missing

    def answer(self, first_order: int, count: int) -> list[dict[str, Any]]:
        """Let the child answer for as long as it lives; return its first `count` replies once they are shown."""
        self.tell(first_order)
        return [self._read() for _ in range(count)]

    def kill(self) -> list[dict[str, Any]]:
        """Kill the child; return the replies it had shown that were not read yet, none the second time."""
        if self._stdout.closed:
            return []
        self._process.send_signal(signal.SIGKILL)
        lines = self._stdout.readlines()
        self._process.wait()
        self._stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def _read(self) -> Any:
        line = self._stdout.readline()
        if not line.endswith("\n"):
            raise _DeathError(f"a child died with status {self._process.wait()}")
        return json.loads(line)


def answer_until_killed(home: Path) -> None:
    """Be the child: load the models; when told to, open the home, recall what was shown, and answer messages."""
    from bot import Chatbot
    from bot.desk import BUNDLED
    from bot.desk_reader import read_desk
    from bot.models import load
    from bot.settings import read_settings
    from memory import Store

    settings = read_settings(home=home, desk=BUNDLED, database_url="", chat_model="")
    desk = read_desk(settings.desk)
    models = load(desk, settings.home)
    shown = json.loads(sys.stdin.readline())
    bot = Chatbot(desk, models, Store(settings.database), settings)
    _show([one["turn_id"] for one in shown if not _recalls(bot, one)])
    first_order = json.loads(sys.stdin.readline())
    for number in itertools.count():
        order = f"R-{first_order + number}"
        message = _MESSAGES[(first_order + number) % len(_MESSAGES)].format(order=order)
        customer = f"customer{number % 2}"
        # Two sessions that go on for ever, and two of this life alone.
        session = f"{customer}.{'long' if number % 4 < 2 else first_order}"
        reply = bot.respond(message, session, customer)
        said = {"session": session, "customer": customer, "message": message, "order": order}
        _show({**said, "turn_id": reply.turn_id, "text": reply.text, "action": reply.action})


def _recalls(bot: Chatbot, shown: dict[str, Any]) -> bool:
    """Return whether a customer who says the same again in a new session is reminded of a turn, by its own vector."""
    text = shown["message"]
    query = bot.models.encoder.encode([text])[0]
    context = bot.memory.load("another", shown["customer"], text, query, bot.clock())
    return any(hit.turn.id == shown["turn_id"] and hit.similarity > _SAME for hit in context.recalled)


def _show(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--models", type=Path, help="a home with prepared models; they are made where there are none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        answer_until_killed(given.child)
        return
    from bot.desk import BUNDLED
    from bot.desk_reader import read_desk
    from bot.models import prepare
    from bot.settings import read_settings

    prepared = read_settings(home=given.models).home.expanduser()
    prepare(read_desk(BUNDLED), prepared)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rapport-") as scratch:
        outcome = run(given.kills, prepared, Path(scratch) / "home", given.seed)
    for problem in outcome.problems:
        sys.stderr.write(problem + "\n")
    sys.stdout.write(
        f"{outcome.kills} kills, {outcome.opening} of them while opening: {len(outcome.shown)} replies were shown, "
        f"{len(outcome.problems)} problems; {outcome.unshown} more turns were kept before they could be shown "
        f"(seed {given.seed}, {time.monotonic() - started:.0f} s)\n"
    )
    sys.exit(bool(outcome.problems))


if __name__ == "__main__":
    main()
