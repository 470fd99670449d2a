"""Forgetting: nothing of what was forgotten is left in a table, in recall or in the database's files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from memory import ConversationMemory, StoreError
from memory.deliveries import Delivery, take_in
from memory.erasure import forget
from memory.history import export, facts_of, rate, session_digest, transcript
from memory.places import PLACES, Scope
from memory.redaction import GONE
from memory.store import Store
from memory.tables import VECTORS
from retrieval import Encoder
from tests.memory.conftest import Talk


def forget_customer(memory: ConversationMemory, customer: str) -> int:
    return forget(memory, Scope(customer)).removed["turns"]


def forget_session(memory: ConversationMemory, customer: str, session: str) -> int:
    return forget(memory, Scope(customer, session_id=session)).removed["turns"]


def forget_turn(memory: ConversationMemory, customer: str, turn: int) -> int:
    return forget(memory, Scope(customer, turn_id=turn)).removed["turns"]


def forget_fact(memory: ConversationMemory, customer: str, name: str) -> int:
    return forget(memory, Scope(customer, fact=name)).removed["facts"]


def _rows(store: Store) -> dict[str, int]:
    with store.read() as connection:
        return {
            place.table.name: connection.scalar(select(func.count()).select_from(place.table)) or 0 for place in PLACES
        }


def _bytes(database: Path) -> bytes:
    """Return the database's files, the write-ahead log and whatever else lies beside it included."""
    return b"".join(path.read_bytes() for path in database.parent.glob(f"{database.name}*"))


def _fill(talk: Talk, customer: str, mark: str, turns: int = 3) -> list[int]:
    decision = {"topic": mark, "promise": f"{mark} by Friday"}
    ids = [
        talk(f"{mark} {n} R-10001", f"{mark} reply", f"{customer}'s", customer, {"name": mark}, decision)
        for n in range(turns)
    ]
    rate(talk.memory.store, customer, ids[0], 1, talk.clock.now)
    take_in(
        talk.memory.store,
        Delivery(f"chat.{customer}", customer, "chat:1", talk.clock.now, {"text": f"{customer} waits"}),
    )
    return ids


@pytest.fixture
def talk(make_talk: Callable[..., Talk]) -> Talk:
    return make_talk(buffer_turns=2)


def test_a_forgotten_customer_is_in_no_table(store: Store, talk: Talk) -> None:
    _fill(talk, "ada", "Zanzibar")
    talk.memory.summarise("ada's", "ada", lambda prose, turns: "Zanzibar prose")
    assert all(_rows(store).values())
    assert forget_customer(talk.memory, "ada") == 3
    assert not any(_rows(store).values())


def test_a_forgotten_customer_is_new_when_they_come_back(talk: Talk) -> None:
    _fill(talk, "ada", "Zanzibar")
    talk.load("Zanzibar", "ada's")
    forget_customer(talk.memory, "ada")
    context = talk.load("Zanzibar", "ada's")
    assert context.is_new
    assert (context.buffer, context.facts, context.recalled) == ((), {}, ())


def test_the_bytes_of_a_forgotten_customer_are_nowhere_in_the_files(database: Path, talk: Talk) -> None:
    _fill(talk, "ada-lovelace", "Zanzibar")
    _fill(talk, "bob", "Timbuktu")
    assert b"Zanzibar" in _bytes(database)
    forget_customer(talk.memory, "ada-lovelace")
    left = _bytes(database)
    assert b"Zanzibar" not in left
    assert b"ada-lovelace" not in left
    assert b"Timbuktu" in left


def test_forgetting_a_customer_leaves_others_untouched(store: Store, talk: Talk) -> None:
    _fill(talk, "ada", "Zanzibar")
    _fill(talk, "bob", "Timbuktu")
    before = export(store, "bob")
    forget_customer(talk.memory, "ada")
    assert export(store, "bob") == before


@pytest.mark.parametrize("forget", [forget_customer, lambda memory, who: forget_fact(memory, who, "name")])
def test_forgetting_somebody_unknown_changes_nothing(
    database: Path, store: Store, talk: Talk, forget: Callable[[ConversationMemory, str], int]
) -> None:
    _fill(talk, "ada", "Zanzibar")
    before, file = export(store, "ada"), database.read_bytes()
    assert forget(talk.memory, "nobody") == 0
    assert export(store, "ada") == before
    assert database.read_bytes() == file  # writing it anew would keep everybody else waiting


def test_a_forgotten_session_is_gone_and_the_customers_others_stay(database: Path, store: Store, talk: Talk) -> None:
    _fill(talk, "ada", "Zanzibar")
    talk("Timbuktu", session="other")
    assert forget_session(talk.memory, "ada", "ada's") == 3
    assert b"Zanzibar" not in _bytes(database)
    assert [row["id"] for row in export(store, "ada")["sessions"]] == ["other"]
    assert [turn.text for turn in transcript(store, "other", "ada")] == ["Timbuktu"]


def test_a_forgotten_session_is_not_recalled(talk: Talk) -> None:
    _fill(talk, "ada", "Zanzibar")
    assert talk.load("Zanzibar", "new").recalled
    forget_session(talk.memory, "ada", "ada's")
    assert not talk.load("Zanzibar", "new").recalled


def test_another_customers_session_and_turn_cannot_be_forgotten(store: Store, talk: Talk) -> None:
    ids = _fill(talk, "ada", "Zanzibar")
    before = export(store, "ada")
    assert forget_session(talk.memory, "bob", "ada's") == 0
    assert forget_turn(talk.memory, "bob", ids[0]) == 0
    assert export(store, "ada") == before


def test_a_forgotten_turn_takes_its_facts_vector_and_rating_with_it(database: Path, store: Store, talk: Talk) -> None:
    ids = _fill(talk, "ada", "Zanzibar", turns=1)
    talk("Timbuktu", session="ada's")
    assert forget_turn(talk.memory, "ada", ids[0]) == 1
    assert b"Zanzibar" not in _bytes(database)
    rows = _rows(store)
    assert (rows["turns"], rows["vectors"], rows["facts"], rows["feedback"]) == (1, 1, 0, 0)


def test_a_forgotten_turn_leaves_the_digest_and_the_talk_goes_on(store: Store, talk: Talk) -> None:
    ids = [talk(f"about {topic}", decision={"topic": topic}) for topic in "abcd"]
    forget_turn(talk.memory, "ada", ids[0])
    forget_turn(talk.memory, "ada", ids[3])
    talk("about e", decision={"topic": "e"})
    assert [topic for topic, _ in talk.load().digest.topics] == ["b"]
    assert [topic for topic, _ in session_digest(store, "s1").topics] == ["b", "c", "e"]


def test_a_session_whose_turns_were_all_forgotten_can_go_on(store: Store, talk: Talk) -> None:
    for turn_id in [talk("one"), talk("two"), talk("three")]:
        forget_turn(talk.memory, "ada", turn_id)
    talk("four")
    assert [(turn.number, turn.text) for turn in transcript(store, "s1", "ada")] == [(1, "four")]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("order_number", "R-10234", "R-10234"),
        ("order_number", "R-10234", "r 10234"),
        ("order_number", "R-10234", "R10234"),
        ("order_number", "R-10234", "10234"),
        ("order_number", "R-10234", "order10234"),
        ("email", "nora.b@example.com", "Nora.B@Example.com"),
        ("name", "Nora", "NORA"),
        ("name", "Nora", "'Nora'"),
        ("name", "Nora", "‘Nora’"),
        ("name", "Nora", "Nora's"),
        ("product", "Fellside Fleece", "fellside  fleece"),
        ("product", "Fellside Fleece", "my fleece, please"),
    ],
)
def test_a_forgotten_fact_is_redacted_however_it_was_typed(
    store: Store, talk: Talk, name: str, value: str, said: str
) -> None:
    decision = {"facts": {"it": value}, "said": [{"as": said}], "score": 0.5, "topic": "parcel"}
    talk(f"so, {said} it is", f"You said {said}, that is {value}.", facts={name: value}, decision=decision)
    assert forget_fact(talk.memory, "ada", name) == 1
    (turn,) = transcript(store, "s1", "ada")
    core = {"order_number": "10234", "product": "fleece", "name": "nora"}.get(name, "nora.b")
    assert core not in f"{turn.text} {turn.reply} {turn.decision}".lower()
    assert turn.text.startswith("so, ")
    assert GONE in turn.text
    assert turn.reply.endswith(f"that is {GONE}.")
    assert (turn.decision["score"], turn.decision["topic"]) == (0.5, "parcel")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("size", "S", "It's fine, it’s a shirt, sun, as is."),
        ("name", "Ann", "The annual plan in Annecy"),
        ("order_number", "R-10234", "Call 07710234555 about R-102345"),
        ("product", "Fellside Fleece", "Fleeced on the fellside"),
    ],
)
def test_what_only_looks_like_a_forgotten_fact_stays(
    store: Store, talk: Talk, name: str, value: str, said: str
) -> None:
    talk(said, said, facts={name: value})
    forget_fact(talk.memory, "ada", name)
    (turn,) = transcript(store, "s1", "ada")
    assert (turn.text, turn.reply) == (said, said)


def test_a_forgotten_facts_bytes_are_nowhere_in_the_files(database: Path, talk: Talk) -> None:
    for value in ("R-10001", "R-10234"):
        talk(f"It's {value}", f"Order {value}?", facts={"order_number": value}, decision={"topic": f"order {value}"})
    talk("one")
    talk("two")
    talk.memory.summarise("s1", "ada", lambda prose, turns: "They asked about R-10234.")
    assert forget_fact(talk.memory, "ada", "order_number") == 2
    left = _bytes(database)
    assert b"10001" not in left
    assert b"10234" not in left


def test_only_that_fact_and_only_that_customers_is_forgotten(store: Store, talk: Talk) -> None:
    for customer in ("ada", "bob"):
        facts = {"order_number": "R-10234", "name": "Nora"}
        talk("Nora, R-10234", session=customer, customer=customer, facts=facts)
    forget_fact(talk.memory, "ada", "order_number")
    assert [fact.name for fact in facts_of(store, "ada", history=True)] == ["name"]
    assert transcript(store, "ada", "ada")[0].text == f"Nora, {GONE}"
    assert transcript(store, "bob", "bob")[0].text == "Nora, R-10234"
    assert len(facts_of(store, "bob")) == 2


def test_earlier_values_of_a_forgotten_fact_are_redacted_too(store: Store, talk: Talk) -> None:
    talk("R-10001", facts={"order_number": "R-10001"})
    talk("no, R-10002", facts={"order_number": "R-10002"}, session="s2")
    assert forget_fact(talk.memory, "ada", "order_number") == 2
    assert transcript(store, "s1", "ada")[0].text == GONE
    assert transcript(store, "s2", "ada")[0].text == f"no, {GONE}"


def test_a_redacted_turn_gets_the_vector_of_what_is_left(store: Store, talk: Talk, encoder: Encoder) -> None:
    talk("My name is Nora", facts={"name": "Nora"})
    forget_fact(talk.memory, "ada", "name")
    with store.read() as connection:
        vector = np.frombuffer(connection.scalar(select(VECTORS.c.vector)), "<f4")
    np.testing.assert_allclose(vector, encoder.encode([f"My name is {GONE}"])[0], atol=1e-5)


def test_recall_no_longer_knows_a_forgotten_fact(talk: Talk, encoder: Encoder) -> None:
    talk("My name is Nora", facts={"name": "Nora"}, session="old")
    assert talk.load("My name is Nora", "new").recalled[0].similarity == pytest.approx(1.0, abs=1e-5)
    forget_fact(talk.memory, "ada", "name")
    asked, left = encoder.encode(["My name is Nora", f"My name is {GONE}"])
    (recalled,) = talk.load("My name is Nora", "new").recalled
    assert recalled.similarity == pytest.approx(float(asked @ left), abs=1e-5)


def test_the_digest_is_made_again_without_a_forgotten_fact(talk: Talk) -> None:
    talk("R-10234", facts={"order_number": "R-10234"}, decision={"topic": "R-10234 is late", "promise": "find R-10234"})
    for text_ in ("one", "two", "three"):
        talk(text_)
    forget_fact(talk.memory, "ada", "order_number")
    talk("four")
    digest = talk.load().digest
    assert digest.topics == ((f"{GONE} is late", "open"),)
    assert digest.particulars == ()


def test_a_fact_that_the_desk_no_longer_describes_can_be_forgotten(store: Store, talk: Talk) -> None:
    talk("I like teal", facts={"colour": "teal"})
    assert forget_fact(talk.memory, "ada", "colour") == 1
    assert transcript(store, "s1", "ada")[0].text == f"I like {GONE}"


def test_nothing_is_held_about_a_forgotten_customer(store: Store, talk: Talk) -> None:
    _fill(talk, "ada", "Zanzibar")
    forget_customer(talk.memory, "ada")
    with pytest.raises(StoreError, match="Nothing is held about a customer 'ada'"):
        export(store, "ada")
