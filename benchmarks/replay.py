"""Replaying a log, beside sending the same turns one after another to a running bot.

    python -m benchmarks.replay [--data LOG] [--form FORM] [--home HOME] [--turns 600] [--large 0] --json OUT

The log is the bundled desk's own unless `--data` names another; it is read with personal data masked, as by default.
Both get the same first turns: the replay with as many processes as cores (a short log takes one), the bot as
`rapport serve` in a process of its own, asked over loopback by one client with an API key. `--large N` also replays the
log again and again as other customers' until N turns are reached, and says how much memory that held and whether turns
got slower. Each figure is explained in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import httpx
import numpy as np

from benchmarks.report import ROOT, write
from bot.desk import BUNDLED
from bot.desk_reader import read_desk
from bot.keys import Keys
from bot.models import prepare
from bot.replay.life import Life
from bot.replay.parts import State
from bot.replay.readers import Mask, read_log
from bot.replay.run_folder import Run, TurnTiming, read_lines
from finetune.logs import Conversation, write_log
from memory.secret import read_secret

_WAIT_S = 120


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=BUNDLED / "conversations.jsonl")
    parser.add_argument("--form")
    parser.add_argument("--home", type=Path, help="a home whose models are used; they are made if not given")
    parser.add_argument("--turns", type=int, default=600)
    parser.add_argument("--large", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        home, log = prepared_home(scratch / "home", given.home), scratch / "log.jsonl"
        conversations = list(read_log(given.data, given.form, mask=Mask(read_secret(home))))
        first = _first(conversations, given.turns)
        write_log(log, first)
        run, seconds, resident = _replay(log, home, scratch / "run")
        turns, quality, same = run.info.log.turns, _quality(run), _same_as_alone(run, first, home, scratch)
        sent = _send(first, home)  # last: who wants to be forgotten there leaves the run as well
        results: dict[str, dict[str, float]] = {
            "rapport": {
                "turns": turns,
                "turns_per_s": turns / seconds,
                "resident_mb": resident,
                **quality,
            },
            "chat API": {"turns": turns, "turns_per_s": turns / sent},
            "ratios": {"replay_to_api": sent / seconds, "same_as_alone": same},
        }
        if given.large:
            large = results["rapport, large"] = _large(conversations, given.large, home, scratch)
            again = _send([_another(one, given.large) for one in first], home)  # the machine's speed changes meanwhile
            results["chat API"]["turns_per_s_after_large"] = turns / again
            results["ratios"]["large_replay_to_api"] = large["turns_per_s"] * (sent + again) / 2 / turns
    rounded = {system: {key: round(value, 4) for key, value in own.items()} for system, own in results.items()}
    data = f"{given.data.name}, {len(conversations)} conversations, personal data masked; {turns} turns beside the API"
    write(given.json, "replay", data, rounded)
    print(json.dumps(rounded, indent=2))


def prepared_home(home: Path, models: Path | None) -> Path:
    """Return a home of the benchmark's own with the models of another, or made now."""
    home.mkdir()
    if models is not None:
        (home / "models").symlink_to((models / "models").resolve())
    prepare(read_desk(BUNDLED), home)
    return home


def _first(conversations: Sequence[Conversation], most: int) -> list[Conversation]:
    """Return the first conversations, up to a number of turns."""
    taken, turns = list[Conversation](), 0
    for conversation in conversations:
        turns += sum(message.role == "customer" for message in conversation.messages)
        if turns > most:
            break
        taken.append(conversation)
    return taken


def _replay(log: Path, home: Path, out: Path) -> tuple[Run, float, float]:
    """Return the run of a log, the seconds that the command took from start to end, and its most resident MB."""
    command = [sys.executable, "-m", "app", "replay", str(log), "--home", str(home), "--out", str(out)]
    started = time.perf_counter()
    command += ["--no-mask", "--workers", str(os.cpu_count())]  # it is masked already
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: S603 (our own arguments)
    most = 0.0
    while process.poll() is None:
        most = max(most, _resident(process.pid))
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"the replay ended with {process.returncode}")
    return Run(out), time.perf_counter() - started, most


def _resident(pid: int) -> float:
    """Return the MB that a process and those it began hold."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:
        return 0.0
    own = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return (float(own[1]) / 1024 if own else 0.0) + sum(_resident(int(child)) for child in children)


def _send(conversations: Sequence[Conversation], home: Path) -> float:
    """Return the seconds in which a running bot answers the same turns, one after another."""
    keys = Keys(home)
    key = keys.add(f"benchmark-{len(keys.all())}", ("chat",))
    with _served(home) as url, httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
        sessions = []
        for conversation in conversations:
            asked = {"customer_id": conversation.customer_id}
            sessions.append(client.post("/sessions", json=asked).raise_for_status().json()["session_id"])
        started = time.perf_counter()
        for conversation, session in zip(conversations, sessions, strict=True):
            for message in conversation.messages:
                if message.role == "customer":
                    asked = {"text": message.text, "customer_id": conversation.customer_id}
                    client.post(f"/sessions/{session}/messages", json=asked).raise_for_status()
        return time.perf_counter() - started


@contextmanager
def _served(home: Path) -> Iterator[str]:
    """Serve the bundled desk over a home; give the API's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rates = {f"RAPPORT_RATE_{who}": "1000000/second" for who in ("CUSTOMER", "ADDRESS", "KEY")}
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "serve"],
        cwd=ROOT,
        env={**os.environ, **rates, "RAPPORT_HOME": str(home), "RAPPORT_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/readyz").raise_for_status()
                break
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.terminate()
        process.wait(_WAIT_S)


def _same_as_alone(run: Run, conversations: Sequence[Conversation], home: Path, scratch: Path) -> float:
    """Return the share of turns that are decided the same, word for word, when each is encoded by itself."""
    decided = {record.key: record for record in run.turns()}
    (scratch / "alone").mkdir()
    today = datetime.fromisoformat(run.info.log.last)
    same = []
    with closing(Life(State.open(BUNDLED, home), scratch / "alone", today, ahead=False)) as life:
        by_customer = sorted(conversations, key=lambda one: (one.customer_id, one.messages[0].at))
        for record, _ in life.run(by_customer):
            other = decided[record.key]
            same.append((record.action, record.intent, record.reply) == (other.action, other.intent, other.reply))
    return float(np.mean(same))


def _quality(run: Run) -> dict[str, float]:
    scores = run.scores()
    shares = {name: one.share for name, one in scores.shares.items() if one.share is not None}
    near = {} if scores.similarity is None else {"similarity": scores.similarity}
    return {**shares, **near, "turn_p95_ms": run.timing().turn_p95_ms}


def _large(conversations: Sequence[Conversation], most: int, home: Path, scratch: Path) -> dict[str, float]:
    """Replay a log of many turns; return how fast that was, and how much slower the last tenth of it than the first."""
    own = sum(message.role == "customer" for one in conversations for message in one.messages)
    log, rounds = scratch / "large.jsonl", -(-most // own)
    write_log(log, (_another(one, number) for number in range(rounds) for one in conversations))
    run, seconds, resident = _replay(log, home, scratch / "large")
    spent = [timing.ms.get("total", 0.0) for timing in read_lines(TurnTiming, run.folder / "timings.jsonl")]
    tenth = len(spent) // 10
    shutil.rmtree(run.folder)
    return {
        "turns": len(spent),
        "turns_per_s": len(spent) / seconds,
        "resident_mb": resident,
        "last_tenth_to_first": float(np.median(spent[-tenth:]) / np.median(spent[:tenth])),
    }


def _another(one: Conversation, number: int) -> Conversation:
    ids = {"customer_id": f"{one.customer_id}-{number}", "conversation_id": f"{one.conversation_id}-{number}"}
    return one.model_copy(update=ids)


if __name__ == "__main__":
    main()
