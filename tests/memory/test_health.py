"""What is the matter with memory is found: duplicates, contradictions, facts that nothing uses, and growth."""

from __future__ import annotations

from sqlalchemy import insert

from memory.health import FactFinding, health
from memory.history import facts_of
from memory.store import Store, to_text
from memory.tables import FACTS
from tests.memory.conftest import Talk


def test_a_near_repeat_of_a_fact_is_merged(store: Store, talk: Talk) -> None:
    talk("the Fellside Fleece", facts={"product": "Fellside Fleece"})
    talk("the fellside-fleece", facts={"product": "fellside-fleece"})
    assert [fact.value for fact in facts_of(store, "ada", history=True)] == ["Fellside Fleece"]
    assert health(store).duplicates == ()


def test_a_duplicate_that_came_in_otherwise_is_found(store: Store, talk: Talk) -> None:
    turn = talk("nora", facts={"name": "Nora"})
    with store.write() as connection:
        row = {"customer_id": "ada", "turn_id": turn, "name": "name", "value": "NORA"}
        connection.execute(insert(FACTS), {**row, "said_at": to_text(talk.clock.now)})
    assert health(store).duplicates == (FactFinding("ada", "name", (turn,)),)
    assert health(store).contradictions == (FactFinding("ada", "name", (turn, turn)),)


def test_a_fact_that_goes_back_and_forth_is_a_contradiction_and_one_correction_is_none(
    store: Store, talk: Talk
) -> None:
    *_, last = [talk(size, facts={"size": size}) for size in ("M", "L", "M")]
    for size in ("M", "L"):
        talk(size, facts={"size": size}, customer="bob", session="his")
    found = health(store)
    assert found.contradictions == (FactFinding("ada", "size", (last,)),)
    assert (found.turns, found.facts, found.superseded) == (5, 2, 3)


def test_a_fact_is_used_once_a_reply_has_drawn_on_it(store: Store, talk: Talk) -> None:
    turn = talk("R-10234, size M", facts={"order_number": "R-10234", "size": "M"})
    talk("where is it?", decision={"sources": [{"kind": "fact", "id": "order_number", "title": "order", "at": ""}]})
    assert health(store).never_used == (FactFinding("ada", "size", (turn,)),)


def test_one_customer_s_health_leaves_the_others_out_and_growth_is_by_month(store: Store, talk: Talk) -> None:
    talk("nora", facts={"name": "Nora"})
    talk("bob", facts={"name": "Bob"}, customer="bob", session="his")
    talk.clock.advance(days=30)
    talk("again")
    found = health(store, "ada")
    assert found.growth == {"2026-11": (1, 1), "2026-12": (1, 0)}
    assert [one.customer_id for one in found.never_used] == ["ada"]
