"""What the memory tests share: a database each, a few kinds of facts, and a way to talk.

The tests are the specification that every kind of database must pass: all of them run on SQLite, and those that do not
look into its file (`database`) on PostgreSQL too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import regex

from memory import ConversationMemory, FactSpec, Store
from memory.context import Budgets
from retrieval import Encoder
from tests.conftest import Clock


def _compile(*patterns: str) -> tuple[regex.Pattern[str], ...]:
    return tuple(regex.compile(pattern, regex.IGNORECASE) for pattern in patterns)


SPECS = (
    FactSpec(
        "order_number",
        "order number",
        patterns=_compile(r"(?<!\w)R[\s–-]?(?P<value>\d{5})(?!\d)", r"\border\s*#?\s*(?P<value>\d{5})(?!\d)"),
        answers=_compile(r"\D{0,40}?(?P<value>\d{5})(?!\d)\D{0,40}"),
        form="R-{value}",
        keep_days=730,
    ),
    FactSpec(
        "email", "email address", patterns=_compile(r"(?P<value>[\w.+-]+@[\w.-]+\.\w+)"), case="lower", keep_days=30
    ),
    FactSpec("name", "name", patterns=_compile(r"\bmy name is (?P<value>\p{L}+)"), case="title"),
    FactSpec("size", "size", patterns=_compile(r"\bsize (?P<value>xs|s|m|l|xl)\b"), case="upper"),
    FactSpec(
        "product",
        "product",
        patterns=_compile(r"\b(?P<value>fellside fleece|fleece)\b"),
        values={"fellside fleece": "Fellside Fleece", "fleece": "Fellside Fleece"},
    ),
)


class Talk:
    """Says things to a memory, as the chatbot does: load, then save."""

    def __init__(self, memory: ConversationMemory, clock: Clock) -> None:
        self.memory = memory
        self.clock = clock

    def load(self, text: str = "hello", session: str = "s1", customer: str = "ada") -> Any:
        return self.memory.load(session, customer, text, self.clock.now)

    def __call__(
        self,
        text: str,
        reply: str = "Noted.",
        session: str = "s1",
        customer: str = "ada",
        facts: Mapping[str, str] | None = None,
        decision: Mapping[str, Any] | None = None,
        handed_over: bool = False,
    ) -> int:
        context = self.memory.load(session, customer, text, self.clock.now)
        vector = self.memory.encoder.encode([text])[0]
        turn_id = self.memory.save(
            context, text, reply, decision or {}, facts=facts or {}, handed_over=handed_over, vector=vector
        )
        self.clock.advance(minutes=1)
        return turn_id


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on every kind of database that it can run on."""
    if "backend" in metafunc.fixturenames:
        only_sqlite = "database" in metafunc.fixturenames
        metafunc.parametrize("backend", ["sqlite"] if only_sqlite else ["sqlite", "postgresql"], scope="session")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "rapport.db"


@pytest.fixture
def store(backend: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    sqlite = backend == "sqlite"
    store = Store(f"sqlite:///{request.getfixturevalue('database')}" if sqlite else request.getfixturevalue(backend))
    yield store
    store.close()


@pytest.fixture
def make_talk(store: Store, encoder: Encoder, clock: Clock) -> Callable[..., Talk]:
    """Make ways to talk to one database; a second one is what a restart would be."""
    return lambda **budgets: Talk(ConversationMemory(store, encoder, SPECS, Budgets(**budgets)), clock)


@pytest.fixture
def talk(make_talk: Callable[..., Talk]) -> Talk:
    return make_talk()


@pytest.fixture
def memory(talk: Talk) -> ConversationMemory:
    return talk.memory
