"""What was promised is kept with a date and a state, for the next session and for the team."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text, update

from memory.commitments import commitments, overdue, settle
from memory.due import due_date
from memory.erasure import forget
from memory.history import export
from memory.places import Scope
from memory.redaction import GONE
from memory.store import Store, StoreError
from memory.summary import Digest, store_digest
from memory.tables import COMMITMENTS, SUMMARIES
from tests.memory.conftest import Talk

_TUESDAY = datetime(2026, 11, 24, 10, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("promise", "due"),
    [
        ("We'll refund it by Friday", date(2026, 11, 27)),
        ("We'll call you by Tuesday", date(2026, 11, 24)),
        ("We'll call you next Tuesday", date(2026, 12, 1)),
        ("an answer within 5 working days", date(2026, 12, 1)),
        ("refunded in 5 to 7 business days", date(2026, 12, 3)),
        ("refunded, which takes 2-3 days", date(2026, 11, 27)),
        ("a call within 24 hours", date(2026, 11, 25)),
        ("a call in two weeks", date(2026, 12, 8)),
        ("done by tomorrow", date(2026, 11, 25)),
        ("done by the end of the week", date(2026, 11, 27)),
        ("done by the end of the month", date(2026, 11, 30)),
        ("sent on 3 May", date(2027, 5, 3)),
        ("sent by December 3rd, 2026", date(2026, 12, 3)),
        ("acknowledged within 2 working days and settled within 10", date(2026, 11, 26)),
        ("sent on 31 June", None),
        ("we will look into it", None),
    ],
)
def test_the_day_a_promise_is_due_is_read_from_its_words(promise: str, due: date | None) -> None:
    assert due_date(promise, _TUESDAY) == due


def test_the_desk_s_promise_is_kept_with_its_turn_and_its_day(store: Store, talk: Talk) -> None:
    turn = talk("where is it?", decision={"promise": "a colleague will answer by Friday", "written_by": "desk"})
    (one,) = commitments(store, "ada")
    assert (one.turn_id, one.session_id, one.text) == (turn, "s1", "a colleague will answer by Friday")
    assert (one.made_at, one.due) == (_TUESDAY, date(2026, 11, 27))


@pytest.mark.parametrize("writer", ["desk", "chat_model"])
def test_what_the_bot_says_to_everybody_or_repeats_is_no_promise(store: Store, talk: Talk, writer: str) -> None:
    talk("refunds?", reply="We will refund you within 5 days.", decision={"written_by": writer})
    assert commitments(store) == []


def test_what_a_colleague_promises_is_found_in_the_reply(store: Store, talk: Talk) -> None:
    reply = "Oh dear. We'll refund you by Friday. Anything else?"
    talk("my tent is torn", reply=reply, decision={"written_by": "colleague"})
    assert [(one.text, one.due) for one in commitments(store)] == [("We'll refund you by Friday", date(2026, 11, 27))]


def test_a_promise_is_open_until_its_day_has_passed_and_then_overdue(store: Store, talk: Talk) -> None:
    talk("torn", decision={"promise": "an answer by Friday"})
    (one,) = commitments(store)
    assert one.state(date(2026, 11, 27)) == "open"
    assert one.state(date(2026, 11, 28)) == "overdue"
    assert overdue(store, date(2026, 11, 27)) == []
    assert overdue(store, date(2026, 11, 28)) == [one]


@pytest.mark.parametrize("state", ["kept", "cancelled"])
def test_a_settled_promise_is_neither_overdue_nor_owed(store: Store, talk: Talk, state: str) -> None:
    talk("torn", decision={"promise": "an answer by Friday"})
    settle(store, commitments(store)[0].id, state, talk.clock.now)  # type: ignore[arg-type]
    assert [one.state(date(2027, 1, 1)) for one in commitments(store)] == [state]
    assert overdue(store, date(2027, 1, 1)) == []
    assert talk.load().promises == ()


def test_a_promise_that_is_not_there_cannot_be_settled(store: Store) -> None:
    with pytest.raises(StoreError, match="There is no promise 7"):
        settle(store, 7, "kept", _TUESDAY)


def test_the_next_session_knows_what_is_owed_and_other_customers_do_not(talk: Talk) -> None:
    talk("torn", decision={"promise": "an answer by Friday"}, session="old")
    assert [one.text for one in talk.load(session="new").promises] == ["an answer by Friday"]
    assert talk.load(session="his", customer="bob").promises == ()


def test_a_promise_repeated_while_it_is_open_is_one_promise(store: Store, talk: Talk) -> None:
    for _ in range(2):
        talk("torn", decision={"promise": "an answer by Friday"})
    assert len(commitments(store)) == 1


def test_a_promise_goes_with_its_turn_and_with_its_customer(store: Store, talk: Talk) -> None:
    first = talk("torn", decision={"promise": "an answer by Friday"})
    talk("late", decision={"promise": "a parcel by Monday"})
    forget(talk.memory, Scope("ada", turn_id=first))
    assert [one.text for one in commitments(store)] == ["a parcel by Monday"]
    forget(talk.memory, Scope("ada"))
    with store.read() as connection:
        assert connection.execute(select(COMMITMENTS)).all() == []


def test_a_forgotten_fact_is_gone_from_promises(store: Store, talk: Talk) -> None:
    talk("R-10234", facts={"order_number": "R-10234"}, decision={"promise": "find R-10234"})
    forget(talk.memory, Scope("ada", fact="order_number"))
    assert [one.text for one in commitments(store)] == [f"find {GONE}"]


def test_an_export_holds_the_promises(store: Store, talk: Talk) -> None:
    talk("torn", decision={"promise": "an answer by Friday"})
    assert [one["text"] for one in export(store, "ada")["commitments"]] == ["an answer by Friday"]


def test_a_database_from_before_promises_had_a_table_keeps_them(database: Path, store: Store, talk: Talk) -> None:
    talk("torn", decision={"promise": "an answer by Friday"})
    with store.write() as connection:
        store_digest(connection, "s1", "ada", Digest(topics=(("torn", "open"),), covers=1))
        old = {"topics": [["torn", "open"]], "promises": [["2026-11-24T10:00:00.000+00:00", "an answer by Friday"]]}
        connection.execute(update(SUMMARIES).values(content=old))
        connection.execute(delete(COMMITMENTS))
        connection.execute(text("DROP TABLE commitments"))
        connection.execute(text("DELETE FROM schema_version WHERE version > 1"))
    store.close()
    upgraded = Store(f"sqlite:///{database}")
    assert [(one.text, one.due) for one in commitments(upgraded)] == [("an answer by Friday", date(2026, 11, 27))]
    assert talk.load().digest == Digest()  # derived: made again when the next turn leaves the buffer
    upgraded.close()


def test_a_promise_made_late_in_the_week_counts_working_days_only() -> None:
    friday = _TUESDAY + timedelta(days=3)
    assert due_date("within one working day", friday) == date(2026, 11, 30)
    assert due_date("within 1 working day", friday + timedelta(days=1)) == date(2026, 11, 30)
