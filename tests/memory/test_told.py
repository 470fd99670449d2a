"""Facts with two times: the value that holds on a day is used on that day, and a later one takes over by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone

import pytest
import regex
from sqlalchemy import text as sql

from memory import ConversationMemory, FactSpec, Store
from memory.boundaries import Boundaries
from memory.erasure import forget
from memory.facts import find_facts
from memory.health import health
from memory.history import export, facts_of
from memory.places import Scope
from memory.retention import retain
from memory.validity import Validity, read_validity
from retrieval import Encoder
from tests.conftest import Clock
from tests.memory.conftest import SPECS, Talk

EMAIL = FactSpec(
    "email", "email address", (regex.compile(r"(?P<value>[\w.+-]+@[\w.-]+\.\w+)"),), case="lower", dated=True
)
TUESDAY = datetime(2026, 11, 24, 10, tzinfo=timezone.utc)
MONDAY, FRIDAY = date(2026, 11, 30), date(2026, 11, 27)


@pytest.fixture
def tell(store: Store, encoder: Encoder, clock: Clock) -> Callable[..., Talk]:
    """Say something to a memory whose facts are found as the chatbot finds them; returns the way to talk."""
    talk = Talk(ConversationMemory(store, encoder, [*SPECS, EMAIL], boundaries=Boundaries(facts=90)), clock)

    def tell(*texts: str, session: str = "s1") -> Talk:
        for text in texts:
            talk(text, session=session, facts={name: values[-1] for name, values in find_facts([EMAIL], text).items()})
        return talk

    return tell


def email(talk: Talk, session: str = "s2") -> str | None:
    fact = talk.load(session=session).facts.get("email")
    return fact and fact.value


@pytest.mark.parametrize(
    ("text", "rest", "valid"),
    [
        ("my email from Monday is a@b.co", "my email is a@b.co", Validity(MONDAY)),
        ("until Friday reach me at a@b.co", "; reach me at a@b.co", Validity(None, FRIDAY)),
        ("I'm moving to 4 High Street on 1 December", "I'm moving to 4 High Street", Validity(date(2026, 12, 1))),
        ("from Monday to Friday: a@b.co", ": a@b.co", Validity(MONDAY, date(2026, 12, 4))),
        ("for the next two weeks use a@b.co", "; use a@b.co", Validity(None, date(2026, 12, 8))),
        ("next week I'm moving to 4 High Street", "; I'm moving to 4 High Street", Validity(MONDAY)),
        ("from next month it's a@b.co", "; it's a@b.co", Validity(date(2026, 12, 1))),
        ("as of 1 March 2028: a@b.co", ": a@b.co", Validity(date(2028, 3, 1))),
        ("I moved to 4 High Street on 3 May", "I moved to 4 High Street", Validity()),
        ("a@b.co from 1 November", "a@b.co", Validity()),  # a past day: it holds already
    ],
)
def test_from_when_and_until_when_a_message_says_that_something_holds(text: str, rest: str, valid: Validity) -> None:
    found, read = read_validity(text, TUESDAY)
    assert read == valid
    assert " ".join(found.split()) == rest


@pytest.mark.parametrize(
    "text",
    [
        "write to a@b.co by Friday",
        "my email since Monday is a@b.co",
        "the parcel for a@b.co should come on Monday",
        "I'm moving to 12 March Road",
        "from last Friday",
    ],
)
def test_other_days_say_nothing_about_how_long_it_holds(text: str) -> None:
    assert read_validity(text, TUESDAY) == (text, Validity())


def test_a_value_for_a_later_day_takes_over_by_itself_when_it_comes(tell: Callable[..., Talk], clock: Clock) -> None:
    talk = tell("my email is old@b.co", "my new email from Monday is new@b.co")
    context = talk.load()
    assert context.facts["email"].value == "old@b.co"
    assert [fact.value for fact in context.later] == ["new@b.co"]
    clock.now = TUESDAY + timedelta(days=5)
    assert email(talk) == "old@b.co"
    clock.now = TUESDAY + timedelta(days=6)
    assert email(talk) == "new@b.co"
    assert [fact.value for fact in talk.memory.values(talk.load(), "email")] == ["new@b.co", "old@b.co"]


def test_a_value_for_some_days_gives_way_again(tell: Callable[..., Talk], clock: Clock) -> None:
    talk = tell("my email is old@b.co", "until Friday reach me at office@b.co")
    assert email(talk) == "office@b.co"
    clock.now = TUESDAY + timedelta(days=3)  # Friday itself
    assert email(talk) == "office@b.co"
    clock.now = TUESDAY + timedelta(days=4)
    assert email(talk) == "old@b.co"


def test_a_correction_keeps_the_time_of_what_it_puts_right(tell: Callable[..., Talk], clock: Clock) -> None:
    talk = tell("my email is old@b.co", "from Monday it's nw@b.co", "no, it's new@b.co")
    assert email(talk) == "old@b.co"
    clock.advance(days=7)
    assert email(talk) == "new@b.co"
    assert [fact.value for fact in talk.memory.values(talk.load(), "email")] == ["new@b.co", "old@b.co"]


def test_what_is_said_for_now_leaves_what_comes_later(tell: Callable[..., Talk], clock: Clock) -> None:
    talk = tell("my email is old@b.co", "from Monday it's new@b.co", "for now use better@b.co")
    assert email(talk) == "better@b.co"
    clock.advance(days=7)
    assert email(talk) == "new@b.co"


def test_the_same_plan_for_another_day_replaces_the_earlier_plan(tell: Callable[..., Talk], clock: Clock) -> None:
    talk = tell("my email is old@b.co", "from Monday it's new@b.co", "new@b.co only from 8 December")
    clock.advance(days=7)
    assert email(talk) == "old@b.co"
    clock.advance(days=7)
    assert email(talk) == "new@b.co"


def test_saying_it_twice_changes_nothing(tell: Callable[..., Talk], store: Store) -> None:
    tell("my email is old@b.co", "from Monday it's new@b.co", "from Monday it's new@b.co")
    assert [fact.value for fact in facts_of(store, "ada", history=True)] == ["new@b.co", "old@b.co"]


def test_of_two_values_in_a_message_each_has_its_own_time() -> None:
    text = "use a@b.co until Friday and b@b.co from Saturday"
    assert EMAIL.validity("b@b.co", text, TUESDAY) == Validity(date(2026, 11, 28))
    text = "from Monday my name is Ann and my email is a@b.co"
    assert EMAIL.validity("a@b.co", text, TUESDAY) == Validity(MONDAY)


def test_both_times_of_every_value_are_kept_and_exported(tell: Callable[..., Talk], store: Store) -> None:
    tell("my email is old@b.co", "until Friday it's office@b.co", "my email is new@b.co")
    newest, office, old = facts_of(store, "ada", history=True)
    assert (newest.superseded_at, newest.valid) == (None, Validity())
    assert office.valid == Validity(None, FRIDAY)
    assert office.superseded_at == old.superseded_at == newest.said_at
    assert [row["valid_until"] for row in export(store, "ada")["facts"]] == [None, "2026-11-27", None]


def test_values_for_other_days_are_no_duplicates_and_no_contradictions(tell: Callable[..., Talk], store: Store) -> None:
    tell("my email is old@b.co", "until Friday it's office@b.co", "from Monday it's old@b.co")
    found = health(store, "ada")
    assert (found.duplicates, found.contradictions) == ((), ())


def test_forgetting_takes_every_value_and_forgetting_a_plan_leaves_the_rest(
    tell: Callable[..., Talk], store: Store, clock: Clock
) -> None:
    talk = tell("my email is old@b.co", "from Monday it's new@b.co")
    forget(talk.memory, Scope("ada", turn_id=2))
    clock.advance(days=7)
    assert email(talk) == "old@b.co"
    tell("from Monday it's newer@b.co")
    forget(talk.memory, Scope("ada", fact="email"))
    assert facts_of(store, "ada", history=True) == []
    assert "@b.co" not in str(export(store, "ada")["turns"])


def test_a_value_crosses_into_other_sessions_for_as_long_as_the_boundary_says(
    tell: Callable[..., Talk], store: Store, clock: Clock
) -> None:
    talk = tell("from 1 December it's new@b.co")
    clock.advance(days=89)
    assert email(talk) == "new@b.co"
    clock.advance(days=2)
    assert email(talk) is None
    assert retain(talk.memory, clock.now) == {"facts": 1}


def test_facts_from_before_they_had_days_hold_always(store: Store, tell: Callable[..., Talk]) -> None:
    talk = tell("my email is old@b.co")
    with store.write() as connection:
        for column in ("valid_from", "valid_until"):
            connection.execute(sql(f"ALTER TABLE facts DROP COLUMN {column}"))
        connection.execute(sql("DELETE FROM schema_version WHERE version > 4"))
    again = Store(store.engine.url.render_as_string())
    again.check()
    again.close()
    assert email(talk) == "old@b.co"
