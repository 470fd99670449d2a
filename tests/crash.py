"""Kills the bot at random moments: every reply that was shown is still there, whole; nothing that is gone returns.

    python -m tests.crash --kills 200                        some minutes; exit code 0 only when everything held
    python -m tests.crash --kills 200 --models ~/.rapport    use models that have been prepared already

A child process answers messages in several sessions and writes each reply to a pipe once `respond` has returned it:
that reply counts as shown. In between, customers come, say something and are forgotten, or came years ago and are
removed by retention, and a chat model writes summaries. The parent kills the child with SIGKILL after a random number
of reports and a short random delay, now and then while it opens the database. The next child opens the same home, is
asked to recall what was shown, and, while it waits, the parent reads the tables, and the files for what was forgotten.
The next child loads its models while the present one answers, but opens the database only when it is told to.
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
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
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
_MOST_REPLIES = 9  # a life ends after at most so many replies and other reports
_MOST_DELAY_S = 0.06  # and so many seconds: a turn takes about half of that
_KILLED_OPENING = 1 / 8  # the share of lives that end while the database is opened

_SAID_BEFORE_LEAVING = 2  # messages of a customer who is then forgotten
_LEAVING_AFTER = 3  # messages of customers who stay
_LONG_AGO = timedelta(days=1000)  # past whatever a later session may know

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
    turns that are kept although the kill came before they were shown. `leaving` holds the customers whose forgetting,
    or removal by retention, had begun, `forgotten` those for whom it was reported as done.
    """

    kills: int = 0
    opening: int = 0
    shown: list[dict[str, Any]] = field(default_factory=list)
    unshown: int = 0
    leaving: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def take(self, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Note what a life has told; return the replies in it of customers who stay."""
        self.leaving |= {one["leaving"] for one in told if "leaving" in one}
        self.forgotten |= {one["forgotten"] for one in told if "forgotten" in one}
        self.shown = [one for one in [*self.shown, *told] if "turn_id" in one and one["customer"] not in self.leaving]
        return [one for one in told if one in self.shown]


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
                recent = outcome.take(recent)
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
        problems += _returned(database, connection, outcome)
        outcome.unshown = connection.execute("SELECT count(*) FROM turns").fetchone()[0] - len(outcome.shown)
    return problems


def _returned(database: Path, connection: sqlite3.Connection, outcome: Outcome) -> list[str]:
    """Return what is still there of customers who were forgotten; one whose forgetting was cut short may be whole."""
    content = b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))
    problems = [f"{who} was forgotten and is in the files" for who in outcome.forgotten if who.encode() in content]
    for who in outcome.leaving - outcome.forgotten:
        count = connection.execute("SELECT count(*) FROM turns WHERE customer_id = ?", (who,)).fetchone()[0]
        if count not in (0, _SAID_BEFORE_LEAVING):
            problems.append(f"{who} was half forgotten: {count} turns are left")
        elif not count and who.encode() in content:
            problems.append(f"{who} was forgotten before the kill and is in the files")
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
    from langchain_core.language_models import FakeListChatModel

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
    writer = FakeListChatModel(responses=["They asked about several orders.", "Here is what I know."])
    age = _Age()
    bot = Chatbot(desk, models, Store(settings.database), settings, writer, age)
    _show([one["turn_id"] for one in shown if not _recalls(bot, one)])
    first_order = json.loads(sys.stdin.readline())
    for number in itertools.count():
        customer = f"customer{number % 2}"
        # Two sessions that go on for ever, and two of this life alone.
        session = f"{customer}.{'long' if number % 4 < 2 else first_order}"
        _answer(bot, first_order + number, session, customer)
        if number % _LEAVING_AFTER == _LEAVING_AFTER - 1:
            if (first_order // _ORDERS + number // _LEAVING_AFTER) % 2:  # lives begin with the one or the other
                _come_and_fade(bot, age, f"fader-{first_order + number}")
            else:
                _come_and_leave(bot, f"leaver-{first_order + number}")


def _answer(bot: Chatbot, number: int, session: str, customer: str) -> None:
    order = f"R-{number}"
    message = _MESSAGES[number % len(_MESSAGES)].format(order=order)
    reply = bot.respond(message, session, customer)
    said = {"session": session, "customer": customer, "message": message, "order": order}
    _show({**said, "turn_id": reply.turn_id, "text": reply.text, "action": reply.action})


class _Age:
    """The time of the child. The bot's own retention finds nothing due: the child does it itself, and says when."""

    def __init__(self) -> None:
        self.back = timedelta()

    def __call__(self) -> datetime:
        own = threading.current_thread().name == "rapport-retention"
        return datetime.now(timezone.utc) - (_LONG_AGO if own else self.back)


def _come_and_leave(bot: Chatbot, customer: str) -> None:
    """Say something as a new customer, who is then forgotten."""
    _come(bot, customer)
    bot.forget(customer)
    _show({"forgotten": customer})


def _come_and_fade(bot: Chatbot, age: _Age, customer: str) -> None:
    """Say something as a customer of long ago, and let retention remove whoever is past their time."""
    from memory.retention import retain

    age.back = _LONG_AGO
    _come(bot, customer)
    age.back = timedelta()
    retain(bot.memory, bot.clock())
    _show({"forgotten": customer})


def _come(bot: Chatbot, customer: str) -> None:
    for number in range(_SAID_BEFORE_LEAVING):
        bot.respond(f"I am {customer} and my parcel {number} is late", f"{customer}.1", customer)
    _show({"leaving": customer})


def _recalls(bot: Chatbot, shown: dict[str, Any]) -> bool:
    """Return whether a customer who says the same again in a new session is reminded of a turn, by its own vector."""
    text = shown["message"]
    context = bot.memory.load("another", shown["customer"], text, bot.clock())
    return any(hit.turn.id == shown["turn_id"] and hit.similarity > _SAME for hit in context.recalled)


def _show(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
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
    begun = outcome.leaving - outcome.forgotten
    gone = ", ".join(
        f"{sum(who.startswith(kind) for who in outcome.forgotten)} customers {how} and "
        f"{sum(who.startswith(kind) for who in begun)} more begun"
        for kind, how in (("leaver", "forgotten"), ("fader", "removed by retention"))
    )
    sys.stdout.write(
        f"{outcome.kills} kills, {outcome.opening} of them while opening: {len(outcome.shown)} replies were shown, "
        f"{gone}, {len(outcome.problems)} problems; {outcome.unshown} more turns were kept before they could be shown "
        f"(seed {given.seed}, {time.monotonic() - started:.0f} s)\n"
    )
    sys.exit(bool(outcome.problems))


if __name__ == "__main__":
    main()
