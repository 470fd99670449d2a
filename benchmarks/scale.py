"""One customer among many: what a recall and an opening cost in a store of a million turns of others.

    python -m benchmarks.scale --json benchmarks/results/scale.json          # about ten minutes, 4 GB of disk
    python -m benchmarks.scale --turns 50000 --json /tmp/scale.json

Both stores hold the same customer; one holds nothing else, the other a million turns besides. Each is measured in a
process of its own: resident memory cannot be measured twice in one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, event, insert

from benchmarks.report import write
from bot.models import encoder_folder, prepare_encoder
from bot.settings import read_settings
from memory import ConversationMemory, Store
from memory.store import to_text
from memory.tables import CUSTOMERS, SESSIONS, TURNS, VECTORS
from retrieval import Encoder

OWN_TURNS = 1000
SESSION_TURNS = 20
CUSTOMER_TURNS = 100
QUERIES = 200
_BATCH = 10_000
_CUSTOMER = "customer"
_SUBJECTS = "parcel jacket boots refund tent voucher stove invoice zip sleeve order size delivery colour strap".split()
_NOW = datetime(2026, 11, 24, 10, tzinfo=timezone.utc)


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=1_000_000, help="turns of other customers")
    parser.add_argument("--home", type=Path, help="a home with a prepared encoder (default: RAPPORT_HOME)")
    parser.add_argument("--json", type=Path, required=True, help="where the report goes")
    given = parser.parse_args()
    home = read_settings(home=given.home).home
    prepare_encoder(home, lambda what, _share: _say(what))
    with tempfile.TemporaryDirectory() as scratch:
        sizes = {"alone": 0, "among_others": given.turns}
        files = {name: Path(scratch) / f"{name}.sqlite" for name in sizes}
        for name, turns in sizes.items():
            fill(files[name], turns, Encoder(encoder_folder(home)))
        rounds = [
            {name: _measured(encoder_folder(home), file) for name, file in files.items()} for _ in range(3)
        ]  # in turns, so that a busy moment hits both
    results = {
        name: {metric: statistics.median(one[name][metric] for one in rounds) for metric in rounds[0][name]}
        for name in sizes
    }
    alone, among = results["alone"], results["among_others"]
    results["ratios"] = {
        "recall_among_others_to_alone": among["recall_p50_ms"] / alone["recall_p50_ms"],
        "more_resident_mb": among["resident_mb"] - alone["resident_mb"],
    }
    write(given.json, "scale", f"{OWN_TURNS} turns of one customer, {given.turns} of others", results)
    print(json.dumps(results, indent=2))


def fill(file: Path, others: int, encoder: Encoder) -> None:
    """Write a store with a customer of 1,000 turns amid `others` turns of other customers, 100 each."""
    store = Store(f"sqlite:///{file}")
    event.listen(store.engine, "connect", _fast)
    store.engine.dispose()  # the connection that is made next is the fast one
    draws = np.random.default_rng(0)
    texts = [_message(draws) for _ in range(2000)]
    vectors = encoder.encode(texts).astype("<f4")
    owners = [f"other{number}" for number in range(others // CUSTOMER_TURNS)]
    owners.insert(len(owners) // 2, _CUSTOMER)
    blobs = [vector.tobytes() for vector in vectors]
    first = 1
    rows: list[tuple[str, int, int]] = []
    for place, owner in enumerate(owners):
        count = OWN_TURNS if owner == _CUSTOMER else CUSTOMER_TURNS
        rows.append((owner, first, count))
        first += count
        if sum(size for *_, size in rows) >= _BATCH or place == len(owners) - 1:
            with store.write() as connection:
                _insert(connection, rows, texts, blobs, encoder.name)
            rows.clear()
    store.close()
    _say(f"Filled {file.name} with {first - 1:,} turns, {file.stat().st_size / 1e9:.2f} GB")


def _fast(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def _measured(encoder: Path, file: Path) -> dict[str, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (encoder, file))


def measure(encoder_at: Path, file: Path) -> dict[str, float]:
    """Return the cost of opening a store and of recalls in it; the encoder is loaded before the clock starts."""
    encoder = Encoder(encoder_at)
    draws = np.random.default_rng(1)
    texts = [_message(draws) for _ in range(QUERIES)]
    queries = encoder.encode(texts)
    started = time.perf_counter()
    memory = ConversationMemory(Store(f"sqlite:///{file}"), encoder)

    def recall(place: int) -> float:
        begun = time.perf_counter()
        text, query, most = texts[place], queries[place], memory.budgets.recalled_turns
        with memory.store.read() as connection:
            recalled = memory.recall.search(connection, _CUSTOMER, text, query, _NOW, most)
        assert recalled and all(hit.turn.session_id.startswith(f"{_CUSTOMER}.") for hit in recalled)
        return (time.perf_counter() - begun) * 1000

    recall(0)
    opened = time.perf_counter() - started
    times = [recall(place) for place in range(QUERIES)]
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    resident = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    memory.store.close()
    return {
        "open_and_recall_s": opened,
        "recall_p50_ms": statistics.median(times),
        "recall_p99_ms": statistics.quantiles(times, n=100)[-1],
        "resident_mb": int(resident[1]) / 1024 if resident else float("nan"),
    }


def _message(draws: np.random.Generator) -> str:
    return f"Hello, about the {' and the '.join(draws.choice(_SUBJECTS, 3))} of order {draws.integers(10_000, 99_999)}"


def _insert(
    connection: Connection,
    owners: Sequence[tuple[str, int, int]],
    texts: Sequence[str],
    vectors: Sequence[bytes],
    name: str,
) -> None:
    customers: list[dict[str, Any]] = []
    sessions: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    kept: list[dict[str, Any]] = []
    for owner, first, count in owners:
        customers.append({"id": owner, "created_at": to_text(_NOW - timedelta(days=400))})
        for start in range(0, count, SESSION_TURNS):
            session, at = f"{owner}.{start}", to_text(_NOW - timedelta(days=400 - 300 * start / count))
            row = {"id": session, "customer_id": owner, "state": "open", "started_at": at, "last_at": at}
            sessions.append(row)
            for number in range(start, min(start + SESSION_TURNS, count)):
                which = (first + number) * 7919 % len(texts)
                turns.append(
                    {
                        "id": first + number,
                        "session_id": session,
                        "customer_id": owner,
                        "number": number - start + 1,
                        "at": at,
                        "text": texts[which],
                        "reply": "Let me look that up for you. It should be with you within three working days.",
                        "tokens": 40,
                        "decision": {"action": "answer", "intent": "order_status", "topic": "Where is my order?"},
                    }
                )
                kept.append({"turn_id": first + number, "encoder": name, "vector": vectors[which]})
    for table, rows in ((CUSTOMERS, customers), (SESSIONS, sessions), (TURNS, turns), (VECTORS, kept)):
        connection.execute(insert(table), rows)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
