"""Requests made from the OpenAPI document, right and wrong ones: none may be a server error or break the document.

    python -m tests.schema_fuzz --cases 2000                        exit code 0 only when nothing was wrong
    python -m tests.schema_fuzz --cases 2000 --models ~/.rapport    use models that have been prepared already

Schemathesis makes the requests, of both kinds for every operation in turn. Half of them name a session that exists and
the customer it belongs to, so that they get behind the door; one in five comes without the key.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis.errors
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import Failure, FailureGroup, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bot.chatbot import Chatbot
from bot.desk import BUNDLED
from bot.desk_reader import read_desk
from bot.keys import Keys
from bot.models import load, prepare
from bot.settings import Settings, read_settings
from memory import Store
from tests.bot.channels.serving import serving, whole

UNLIMITED = dict.fromkeys(("rate_customer", "rate_address", "rate_key"), "100000000/hour")
_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass
class Outcome:
    """What the requests came to."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """How many requests were sent."""
        return self.statuses.total()


def fuzz(bot: Chatbot, cases: int, seed: int = 0) -> Outcome:
    """Send about so many requests to a bot's application and return what was wrong with the answers."""
    outcome = Outcome()
    headers = {"Authorization": f"Bearer {Keys(bot.settings.home).add('fuzz', ('chat', 'memory'))}"}
    with serving(whole(bot)) as client:
        begun = client.post("/api/v1/sessions", json={"customer_id": "nora"}, headers=headers).json()
        known = {"session_id": begun["session_id"], "customer_id": "nora"}
        schema = schemathesis.openapi.from_url(str(client.base_url.join("/api/v1/openapi.json")))
        operations = [found.ok() for found in schema.get_all_operations()]
        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        for operation in operations:
            for mode in modes:
                made = operation.as_strategy(generation_mode=mode)
                _send_all(outcome, made, known, headers, -(-cases // (len(operations) * len(modes))), seed)
    return outcome


def _send_all(
    outcome: Outcome, made: Any, known: dict[str, str], headers: dict[str, str], count: int, seed: int
) -> None:
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(made, st.sampled_from([True, False]), st.sampled_from([True, True, True, True, False]))
    def send(case: Case, is_known: bool, has_key: bool) -> None:
        if is_known:
            _name(case, known)
        answer = case.call(headers=headers if has_key else None)
        outcome.statuses[answer.status_code] += 1
        try:
            case.validate_response(answer, checks=_CHECKS)
        except (Failure, FailureGroup) as error:
            outcome.wrong.append(f"{case.method} {case.formatted_path}: {answer.status_code} {error}"[:2000])

    with suppress(hypothesis.errors.Unsatisfiable):  # an operation without parameters has no wrong requests
        send()


def _name(case: Case, known: dict[str, str]) -> None:
    for place in (case.path_parameters, case.query, case.body):
        if isinstance(place, dict):
            place.update({name: value for name, value in known.items() if name in place})


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--models", type=Path, help="a home with prepared models; they are made where there are none")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    prepared, desk = read_settings(home=chosen.models).home, read_desk(BUNDLED)
    prepare(desk, prepared)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rapport-") as scratch:
        home = Path(scratch)
        (home / "models").symlink_to((prepared / "models").resolve())
        settings = Settings(home=home, **UNLIMITED)  # type: ignore[arg-type]
        bot = Chatbot(desk, load(desk, home), Store(settings.database), settings)
        outcome = fuzz(bot, chosen.cases, chosen.seed)
        bot.close()
    for line in outcome.wrong:
        sys.stderr.write(line + "\n")
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(outcome.statuses.items()))
    seconds = time.monotonic() - started
    sys.stdout.write(f"{outcome.cases} requests, {len(outcome.wrong)} wrong answers ({statuses}; {seconds:.0f} s)\n")
    sys.exit(bool(outcome.wrong))


if __name__ == "__main__":
    main()
