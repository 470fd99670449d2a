"""The files of a report: where its page lies, the script in it, and all that the page may do."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from bot.replay.run_folder import COMPARISONS, Run

PAGE = "report.html"
SCRIPT = Path(__file__).with_name("report.js").read_text(encoding="utf-8")
_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
# The page may run this one script and load nothing; plots have styles of their own.
POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
)


def report_file(run: Run, against: str | None = None) -> Path:
    """Return where the report of a run lies, or the one that compares it with an earlier run."""
    return (run.folder / COMPARISONS / against if against else run.folder) / PAGE
