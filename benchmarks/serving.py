"""Serving over loopback: what HTTP adds to a turn, a crowd at once, messages encoded together, memory over many turns.

    python -m benchmarks.serving --json benchmarks/results/serving.json        about four minutes and the memory part
    python -m benchmarks.serving --quick --json /tmp/serving.json              half a minute
    python -m benchmarks.serving --only memory --json /tmp/memory.json         20,000 turns
    python -m benchmarks.serving --home ~/.rapport --json ...                  use models prepared already

Each server runs in a process of its own. Rapport and Gradio's `ChatInterface` around the same bot take turns, some
seconds each, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from benchmarks import report
from benchmarks.report import ROOT
from benchmarks.serving_bot import open_bot
from bot.desk import BUNDLED
from bot.desk_reader import read_desk
from bot.models import load, prepare
from bot.settings import read_settings

PARTS = ("overhead", "crowd", "together", "memory")
_SLICES = 4  # in which the two servers take turns
_TIMEOUT_S = 60
_WAITING = 32  # messages that wait at once where they are encoded together


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    pairs: int = 500
    customers: int = 100
    seconds: float = 60
    turns: int = 20_000
    warm_up: int = 2_000
    turns_a_customer: int = 10


QUICK = Plan(pairs=50, customers=20, seconds=6, turns=600, warm_up=200)


@dataclass
class Server:
    """A server in a process of its own, at `url`; `key` lets customers be named."""

    process: subprocess.Popen[str]
    url: str
    key: str

    def resident_mb(self) -> float:
        """Return the memory that the process holds now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def cpu_s(self) -> float:
        """Return the seconds of processor time that the process has taken."""
        times = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Crowd:
    """What customers met: the times of their replies in ms, and what was no reply."""

    times: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0

    def figures(self) -> dict[str, float]:
        """Return throughput, times and the number of errors."""
        cuts = statistics.quantiles(self.times, n=100)
        times = {f"message_p{share}_ms": round(cuts[share - 1], 1) for share in (50, 95, 99)}
        rate = round(len(self.times) / self.seconds, 2)
        cpu = round(self.cpu_s / len(self.times) * 1000, 2)
        counts = {"messages": len(self.times), "errors": len(self.errors)}
        return {**counts, "messages_per_s": rate, **times, "server_cpu_ms_a_message": cpu}


Say = Callable[[aiohttp.ClientSession, str], Awaitable[str]]
MakeSay = Callable[[str], Say]


@contextmanager
def serving(kind: str, home: Path, models: Path) -> Iterator[Server]:
    """Start a server and give it once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.serving_bot", kind, str(home), str(port), str(models)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            key = process.stdout.readline().strip()
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    httpx.get(url).raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.1)
            yield Server(process, url, key)
        finally:
            process.terminate()


def messages() -> list[str]:
    """Return what customers say in the bundled desk's log, in order."""
    lines = (BUNDLED / "conversations.jsonl").read_text(encoding="utf-8").splitlines()
    said = [message for line in lines for message in json.loads(line)["messages"] if message["role"] == "customer"]
    return [message["text"] for message in said]


def rapport_customer(server: Server) -> MakeSay:
    """Return what makes customers of Rapport's REST API."""
    headers = {"Authorization": f"Bearer {server.key}"}

    def make(name: str) -> Say:
        session = ""

        async def say(client: aiohttp.ClientSession, text: str) -> str:
            nonlocal session
            if not session:
                path, body = f"{server.url}/api/v1/sessions", {"customer_id": name}
                async with client.post(path, json=body, headers=headers) as begun:
                    session = (await begun.json())["session_id"]
            path, body = f"{server.url}/api/v1/sessions/{session}/messages", {"text": text, "customer_id": name}
            async with client.post(path, json=body, headers=headers) as answer:
                return str((await answer.json())["text"])

        return say

    return make


def gradio_customer(server: Server) -> MakeSay:
    """Return what makes customers of the endpoint that Gradio makes of a `ChatInterface`."""

    def make(name: str) -> Say:
        async def say(client: aiohttp.ClientSession, text: str) -> str:
            path = f"{server.url}/gradio_api/call/chat"
            async with client.post(path, json={"data": [text, name]}) as asked:
                event = (await asked.json())["event_id"]
            async with client.get(f"{path}/{event}") as answer:
                kind, _, data = (await answer.text()).rpartition("event: ")[2].partition("\ndata: ")
            if kind != "complete":
                raise ValueError(f"{kind}: {data[:200]}")
            return str(json.loads(data)[0])

        return say

    return make


def client() -> aiohttp.ClientSession:
    """Return what asks servers: a light one, since it takes its time from the same cores."""
    timeout, connector = aiohttp.ClientTimeout(_TIMEOUT_S), aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(timeout=timeout, connector=connector, raise_for_status=True)


async def crowd(make: MakeSay, names: list[str], texts: list[str], seconds: float, most: int = 0) -> Crowd:
    """Let customers talk at once, each waiting for the reply before the next message, for some seconds or messages."""
    met, started, left = Crowd(), time.perf_counter(), most or sys.maxsize

    async def talk(client: aiohttp.ClientSession, place: int, name: str) -> None:
        nonlocal left
        say = make(name)
        for text in islice(cycle(texts), place * 7, None):
            if left <= 0 or time.perf_counter() - started >= seconds:
                return
            left -= 1
            asked = time.perf_counter()
            try:
                if not await say(client, text):
                    raise ValueError("an empty reply")
                met.times.append((time.perf_counter() - asked) * 1000)
            except (aiohttp.ClientError, asyncio.TimeoutError, ValueError, KeyError) as error:
                met.errors.append(f"{type(error).__name__}: {error}")

    async with client() as one:
        await asyncio.gather(*(talk(one, place, name) for place, name in enumerate(names)))
    met.seconds = time.perf_counter() - started
    return met


def measure_overhead(server: Server, scratch: Path, models: Path, plan: Plan) -> report.Results:
    """Return what a request takes beside the same turn in Python, one after the other.

    The requests are those of the standard library's client, on one connection: a heavier one would be measured too.
    """
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    address = httpx.URL(server.url)
    with (
        closing(open_bot(scratch / "direct", models)) as bot,
        closing(HTTPConnection(address.host, address.port or 80, timeout=_TIMEOUT_S)) as connection,
    ):

        def post(path: str, body: dict[str, str]) -> Any:
            connection.request("POST", path, json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            content = json.loads(answer.read())
            if answer.status not in (200, 201):
                raise RuntimeError(f"{answer.status}: {content}")
            return content

        session = post("/api/v1/sessions", {"customer_id": "overhead"})["session_id"]
        found = []
        for text in islice(cycle(messages()), plan.pairs + 20):
            begun = time.perf_counter()
            post(f"/api/v1/sessions/{session}/messages", {"text": text, "customer_id": "overhead"})
            between = time.perf_counter()
            bot.respond(text, "s1", "overhead")
            found.append(((between - begun) * 1000, (time.perf_counter() - between) * 1000))
    asked, direct = (statistics.median(times) for times in zip(*found[20:], strict=True))
    overhead = statistics.median(one - other for one, other in found[20:])
    return {
        "rapport": {"request_p50_ms": round(asked, 2), "request_overhead_p50_ms": round(overhead, 2)},
        "respond": {"turn_p50_ms": round(direct, 2)},
    }


def measure_crowd(rapport: Server, gradio: Server, plan: Plan) -> report.Results:
    """Return what a crowd meets at both servers."""
    texts = messages()
    both = {
        "rapport": (rapport, rapport_customer(rapport), Crowd()),
        "gradio": (gradio, gradio_customer(gradio), Crowd()),
    }
    for part in range(_SLICES):
        names = [f"crowd{part}x{number}" for number in range(plan.customers)]
        for name, (server, make, all_met) in both.items():
            before = server.cpu_s()
            met = asyncio.run(crowd(make, names, texts, plan.seconds / _SLICES))
            all_met.times += met.times
            all_met.errors += met.errors
            all_met.seconds += met.seconds
            all_met.cpu_s += server.cpu_s() - before
            _say(f"{name}: {len(met.times)} messages in {met.seconds:.0f} s, {met.errors[:3] or 'no errors'}")
    figures = {name: all_met.figures() for name, (_, _, all_met) in both.items()}
    ratio = figures["rapport"]["messages_per_s"] / figures["gradio"]["messages_per_s"]
    return {**figures, "ratios": {"messages_per_s_to_gradio": round(ratio, 2)}}


def measure_together(models: Path) -> report.Results:
    """Return what encoding a message for classifier and recall takes, one after the other and many waiting at once.

    They take turns, three times, no message twice; processor time, since waiting costs none.
    """
    served = load(read_desk(BUNDLED), models)
    both = (served.classifier, served.encoder)
    texts = list(dict.fromkeys(messages()))
    alone, together = list[float](), list[float]()

    def spend(found: list[float], part: list[str], at_once: int) -> None:
        before = time.process_time()
        for start in range(0, len(part), at_once):
            for vector in [model.expect(text) for text in part[start : start + at_once] for model in both]:
                vector()
        found.append((time.process_time() - before) * 1000 / len(part))

    size = len(texts) // 6
    for place in range(0, 6 * size, 2 * size):
        spend(alone, texts[place : place + size], 1)
        spend(together, texts[place + size : place + 2 * size], _WAITING)
    found = {"encoding_alone_cpu_ms": statistics.mean(alone), "encoding_together_cpu_ms": statistics.mean(together)}
    return {
        "rapport": {name: round(value, 2) for name, value in found.items()},
        "ratios": {"encoding_alone_to_together": round(statistics.mean(alone) / statistics.mean(together), 2)},
    }


def measure_memory(server: Server, plan: Plan) -> report.Results:
    """Return how a server's memory grows over many turns of customers who come and go."""
    make, texts, done, errors, at = rapport_customer(server), messages(), 0, 0, {}
    while done < plan.turns:
        names = [f"memory{done}x{number}" for number in range(20)]
        met = asyncio.run(crowd(make, names, texts, 1e9, len(names) * plan.turns_a_customer))
        done, errors = done + len(met.times), errors + len(met.errors)
        at[done] = server.resident_mb()
        _say(f"{done} turns, {at[done]:.0f} MB")
    warm = next(mb for turns, mb in at.items() if turns >= plan.warm_up)
    last = list(at.values())[-1]
    figures = {
        "memory_turns": float(done),
        "memory_errors": float(errors),
        "memory_after_warm_up_mb": round(warm, 1),
        "memory_at_the_end_mb": round(last, 1),
        "memory_growth": round(last / warm - 1, 4),
    }
    return {"rapport": figures}


def measure(parts: list[str], models: Path, plan: Plan) -> report.Results:
    """Return the results of some parts."""
    results: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rapport-")))

        def start(kind: str, name: str) -> Server:
            return stack.enter_context(serving(kind, scratch / name, models))

        found: list[report.Results] = []
        if "overhead" in parts or "crowd" in parts:
            rapport = start("rapport", "rapport")
            found += [measure_overhead(rapport, scratch, models, plan)] if "overhead" in parts else []
            found += [measure_crowd(rapport, start("gradio", "gradio"), plan)] if "crowd" in parts else []
        found += [measure_together(models)] if "together" in parts else []
        if "memory" in parts:
            found += [measure_memory(start("rapport", "memory"), plan)]
        for part in found:
            for system, metrics in part.items():
                results.setdefault(system, {}).update(metrics)
    return results


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--only", choices=PARTS, action="append", help="measure some parts alone")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--home", type=Path, help="a home with prepared models; they are made where there are none")
    given = parser.parse_args()
    plan, parts = QUICK if given.quick else Plan(), given.only or list(PARTS)
    models = read_settings(home=given.home).home
    prepare(read_desk(BUNDLED), models)
    results = measure(parts, models, plan)
    data = f"the bundled desk; {plan.customers} customers at once, what they say is the desk's log"
    report.write(given.json, "serving", data, results)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
