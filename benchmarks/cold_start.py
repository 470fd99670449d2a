"""How long `rapport chat` takes from the command to its first reply, and how much memory it holds by then.

Not run by itself; `python -m benchmarks.turn` uses it.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import ROOT

_MESSAGE = "How long does delivery take?\n"


def measure(home: Path, bot_name: str, times: int) -> dict[str, float]:
    """Return the median seconds to the first reply and the median peak of resident memory in MB.

    A start that is not counted comes first: it makes the demo shop's tables, as any first start does once.
    """
    _start(home, bot_name)
    starts = [_start(home, bot_name) for _ in range(times)]
    return {
        "chat_cold_start_s": statistics.median(seconds for seconds, _ in starts),
        "chat_peak_mb": statistics.median(peak for _, peak in starts),
    }


def _start(home: Path, bot_name: str) -> tuple[float, float]:
    """Return one start's seconds and MB.

    Raises:
        RuntimeError: the command ended without a reply.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "chat"],
        cwd=ROOT,
        env={**_surroundings(), "RAPPORT_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        process.stdin.write(_MESSAGE)
        process.stdin.flush()
        said = 0
        for line in process.stdout:
            said += line.startswith(f"{bot_name}: ")
            if said == 2:  # the greeting comes first
                break
        seconds = time.perf_counter() - started
        if said < 2:
            raise RuntimeError(f"`rapport chat` ended after {seconds:.1f} s without a reply")
        peak = _peak_mb(process.pid)
        process.stdin.close()
    return seconds, peak


def _surroundings() -> dict[str, str]:
    """Return the environment without anybody's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}


def _peak_mb(pid: int) -> float:
    """Return the peak of a process's resident memory.

    Not `ru_maxrss`: a child's begins with the memory of the process that started it.
    """
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else float("nan")
