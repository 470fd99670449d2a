"""One turn of the bot: how long it takes, whether that grows, and how it compares with LangChain's classic memories.

    python -m benchmarks.turn --json benchmarks/results/turn.json
    python -m benchmarks.turn --quick --json /tmp/turn.json         a minute instead of about ten, fewer turns
    python -m benchmarks.turn --home ~/.rapport --json ...          use models that have been prepared already

Sizes and systems take turns within one loop, one message at a time, so that whatever else the machine does falls on all
of them alike.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import cold_start, report
from benchmarks.classic import ClassicCustomer
from benchmarks.histories import Sample, fill, fill_others, make_samples, safe_messages, settle
from bot import Chatbot
from bot.desk import BUNDLED, Desk
from bot.desk_reader import read_desk
from bot.models import Models, load, prepare
from bot.settings import read_settings
from memory import Store

SIZES = (10, 100, 1000, 10_000)
# LangChain's buffer memory recounts all messages for each one it drops: at 10,000 turns a turn takes minutes.
CLASSIC_SIZES = (10, 100, 1000)
OTHERS_AT = 100  # the history that is measured among other customers' turns


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    sizes: Sequence[int] = SIZES
    rounds: int = 200
    classic_rounds: int = 30
    others: int = 100_000
    samples: int = 3500
    starts: int = 5


QUICK = Plan(sizes=(10, 100, 1000), rounds=30, classic_rounds=8, others=10_000, samples=400, starts=1)


@dataclass
class Lane:
    """One system at one size: customers take turns, so that a short history stays about as short as it is called."""

    system: str
    name: str
    answer: list[Callable[[str], object]]
    rounds: int
    first_ms: list[float] = field(default_factory=list)
    times_ms: list[float] = field(default_factory=list)

    def warm_up(self, text: str) -> None:
        """Answer once as every customer: what a first turn builds is measured by itself."""
        self.first_ms = [_timed(answer, text) for answer in self.answer]

    def take(self, number: int, text: str) -> None:
        """Measure the turn of round `number`."""
        if number < self.rounds:
            self.times_ms.append(_timed(self.answer[number % len(self.answer)], text))


def main() -> None:
    """Measure everything and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="where the results go")
    parser.add_argument("--home", type=Path, help="a home with prepared models (RAPPORT_HOME)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter histories, fewer rounds")
    given = parser.parse_args()
    plan = QUICK if given.quick else Plan()
    home = read_settings(home=given.home).home.expanduser().resolve()
    desk = read_desk(BUNDLED)
    prepare(desk, home, lambda what, share: _say(f"{what}: {share:.0%}"))
    with tempfile.TemporaryDirectory(prefix="rapport-") as scratch:
        results = measure(plan, home, Path(scratch))
    data = f"bundled desk {desk.name}, its own messages; {plan.rounds} turns of ours, {plan.classic_rounds} of classic"
    report.write(given.json, "turn", data, results)
    _say(f"Wrote {given.json}")


def measure(plan: Plan, home: Path, scratch: Path) -> dict[str, dict[str, float]]:
    """Return the figures of every system."""
    desk = read_desk(BUNDLED)
    started = cold_start.measure(_home(scratch / "cold", home), desk.settings.bot_name, plan.starts)
    _say("Measured the cold start")
    models = load(desk, home)
    with ExitStack() as stack:
        lanes, messages = _lanes(plan, desk, models, home, scratch, stack)
        for lane in lanes:
            lane.warm_up(messages[0])
            _say(f"Warmed up {lane.system} at {lane.name}")
        for number in range(plan.rounds):
            for place in range(len(lanes)):
                lanes[(number + place) % len(lanes)].take(number, messages[number % len(messages)])
            if number % 10 == 9:
                _say(f"Round {number + 1} of {plan.rounds}")
    results: dict[str, dict[str, float]] = {"rapport": started, "langchain_classic": {}}
    for lane in lanes:
        results[lane.system] |= _figures(lane)
    results["ratios"] = _ratios(plan, results)
    return {system: {name: round(value, 3) for name, value in one.items()} for system, one in results.items()}


def _lanes(
    plan: Plan, desk: Desk, models: Models, home: Path, scratch: Path, stack: ExitStack
) -> tuple[list[Lane], list[str]]:
    """Return every lane with its histories in place, and the messages to send."""

    def open_bot(name: str) -> Chatbot:
        settings = read_settings(home=_home(scratch / name, home), desk=BUNDLED, database_url="", chat_model="")
        return stack.enter_context(closing(Chatbot(desk, models, Store(settings.database), settings)))

    teacher = open_bot("teacher")
    samples = make_samples(teacher, plan.samples)
    messages = [text for text, _ in safe_messages(teacher, teacher.desk.test_messages)]
    random.Random(1).shuffle(messages)  # noqa: S311
    _say(f"Encoded {len(samples)} messages")
    lanes = [_ours(plan, open_bot(f"ours-{size}"), str(size), size, samples) for size in plan.sizes]
    for others in (0, plan.others):
        bot = open_bot(f"others-{others}")
        fill_others(bot, others, samples)
        lanes.append(_ours(plan, bot, f"{OTHERS_AT}_others_{others}", OTHERS_AT, samples))
    limits = teacher.desk.settings.memory
    for size in (size for size in CLASSIC_SIZES if size in plan.sizes):
        customers = [
            stack.enter_context(
                closing(
                    ClassicCustomer(
                        scratch / f"classic-{size}-{number}.sqlite",
                        models.encoder,
                        limits.buffer_tokens,
                        limits.recalled_turns,
                        [samples[(number + place) % len(samples)] for place in range(size)],
                    )
                )
            )
            for number in range(_customers(size, plan.classic_rounds))
        ]
        lanes.append(Lane("langchain_classic", str(size), [one.respond for one in customers], plan.classic_rounds))
    return lanes, messages


def _ours(plan: Plan, bot: Chatbot, name: str, size: int, samples: list[Sample]) -> Lane:
    answers = []
    for number in range(_customers(size, plan.rounds)):
        customer = f"customer{number}"
        session = fill(bot, customer, size, samples[number:] + samples[:number])
        answers.append(_respond(bot, session, customer))
    settle(bot.memory.store)
    _say(f"Filled {name}")
    return Lane("rapport", name, answers, plan.rounds)


def _respond(bot: Chatbot, session: str, customer: str) -> Callable[[str], object]:
    def respond(text: str) -> object:
        reply = bot.respond(text, session, customer)
        if not reply.turn_id:
            raise RuntimeError(f"the bot failed on {text!r}")
        return reply

    return respond


def _customers(size: int, rounds: int) -> int:
    """Return how many customers share the rounds, so that their histories hardly grow meanwhile."""
    return math.ceil(rounds / max(1, size // 5))


def _home(folder: Path, prepared: Path) -> Path:
    """Return a new home whose models are the prepared ones."""
    folder.mkdir()
    (folder / "models").symlink_to(prepared / "models")
    return folder


def _figures(lane: Lane) -> dict[str, float]:
    return {
        f"turn_p50_ms@{lane.name}": statistics.median(lane.times_ms),
        f"turn_p95_ms@{lane.name}": statistics.quantiles(lane.times_ms, n=20)[-1],
        f"first_turn_ms@{lane.name}": statistics.median(lane.first_ms),
    }


def _ratios(plan: Plan, results: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return ratios of medians that were measured in one loop."""
    ours, classic = results["rapport"], results["langchain_classic"]

    def ratio(above: dict[str, float], over: str, below: dict[str, float], under: str) -> float:
        return above[f"turn_p50_ms@{over}"] / below[f"turn_p50_ms@{under}"]

    shortest, longest = str(plan.sizes[0]), str(plan.sizes[-1])
    none, many = (f"{OTHERS_AT}_others_{others}" for others in (0, plan.others))
    ratios = {
        f"turn_{longest}_to_{shortest}": ratio(ours, longest, ours, shortest),
        f"others_{plan.others}_to_0": ratio(ours, many, ours, none),
    }
    for size in CLASSIC_SIZES:
        ratios[f"classic_to_rapport@{size}"] = ratio(classic, str(size), ours, str(size))
    return ratios


def _timed(answer: Callable[[str], object], text: str) -> float:
    started = time.perf_counter()
    answer(text)
    return (time.perf_counter() - started) * 1000


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
