"""Recall: past turns of one customer, by meaning and by words."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import numpy as np
import pytest
from sqlalchemy import delete, select, update

from memory import recall as recall_module
from memory.migrations import m006_checksums
from memory.recall import Recall
from memory.store import Store
from memory.tables import TURNS, VECTORS
from retrieval import Encoder
from tests.memory.conftest import Talk

SMALL_TALK = ("What time do you open?", "Do you sell gift cards?", "I like your shop", "Is the kettle loud?")


@pytest.fixture
def talk(make_talk: Callable[..., Talk]) -> Talk:
    """A memory whose buffer holds one turn, with some small talk in an older session."""
    talk = make_talk(buffer_turns=1)
    for text in SMALL_TALK:
        talk(text, session="small talk")
    return talk


def _recalled(talk: Talk, text: str, session: str = "new", customer: str = "ada") -> list[str]:
    return [one.turn.text for one in talk.load(text, session, customer).recalled]


def test_a_turn_is_found_by_meaning_without_a_shared_word(talk: Talk) -> None:
    talk("My tent pole snapped in the wind", session="old")
    assert _recalled(talk, "the broken shelter")[0] == "My tent pole snapped in the wind"


def test_a_turn_is_found_by_a_word_that_means_nothing_to_the_encoder(talk: Talk) -> None:
    for number in range(30):
        talk(f"The voucher code is ZX{number}QF", session="vouchers")
    assert _recalled(talk, "zx17qf")[0] == "The voucher code is ZX17QF"


def test_a_turn_is_found_in_the_season_that_the_question_names(talk: Talk) -> None:
    talk.clock.now = datetime(2026, 4, 12, 10, 0, tzinfo=timezone.utc)
    talk("Which socks go with the boots?", session="spring")
    talk.clock.now = datetime(2026, 10, 12, 10, 0, tzinfo=timezone.utc)
    talk("Which socks go with the boots, please?", session="autumn")
    talk.clock.now = datetime(2026, 11, 24, 10, 0, tzinfo=timezone.utc)
    assert _recalled(talk, "the socks I asked about in spring")[0] == "Which socks go with the boots?"
    assert _recalled(talk, "the socks I asked about last month")[0] == "Which socks go with the boots, please?"


def test_a_turn_is_found_by_what_was_said_just_before_it(talk: Talk) -> None:
    talk("I want to wash the quokka jacket", session="old")
    talk("At thirty degrees then", session="old")
    assert _recalled(talk, "quokka")[:2] == ["I want to wash the quokka jacket", "At thirty degrees then"]


def test_a_turn_comes_with_its_neighbours_in_its_session(talk: Talk) -> None:
    texts = ("Is the kettle quiet?", "My tent pole snapped", "Thank you")
    for text in texts:
        talk(text, session="old")
        talk("Something else", session="another")
    best = talk.load("tent pole", "new").recalled[0]
    assert best.before is not None
    assert best.after is not None
    assert (best.before.text, best.turn.text, best.after.text) == texts
    first = next(hit for hit in talk.load("quiet kettle", "new").recalled if hit.turn.text == texts[0])
    assert first.before is None


def test_there_is_more_evidence_for_what_was_said_than_for_what_was_not(talk: Talk) -> None:
    talk("My tent pole snapped", session="old")
    said, unsaid = (talk.load(text, "new").recalled[0].evidence for text in ("my tent pole", "my cat's birthday"))
    assert said > 1 > unsaid


def test_chinese_is_found_by_its_words(talk: Talk) -> None:
    talk("我的帐篷杆断了", session="old")
    assert _recalled(talk, "帐篷")[0] == "我的帐篷杆断了"


def test_a_turn_is_found_by_the_words_of_its_reply(talk: Talk) -> None:
    talk("And the other thing?", "The Wether is filled with Hutterite feathers.", session="old")
    assert _recalled(talk, "hutterite")[0] == "And the other thing?"


def test_earlier_turns_of_the_same_session_are_found_once_they_left_the_buffer(talk: Talk) -> None:
    talk("My tent pole snapped")
    assert "My tent pole snapped" not in _recalled(talk, "tent pole", session="s1")
    talk("Never mind")
    assert _recalled(talk, "tent pole", session="s1")[0] == "My tent pole snapped"


def test_turns_of_the_buffer_are_not_recalled(make_talk: Callable[..., Talk]) -> None:
    talk = make_talk()
    for text in SMALL_TALK:
        talk(text)
    assert _recalled(talk, SMALL_TALK[0], session="s1") == []


def test_no_more_turns_are_recalled_than_allowed(make_talk: Callable[..., Talk]) -> None:
    talk = make_talk(recalled_turns=2)
    for text in SMALL_TALK:
        talk(text, session="old")
    assert len(_recalled(talk, "kettle")) == 2


def test_another_customers_turns_are_never_recalled(talk: Talk) -> None:
    talk("My tent pole snapped", session="bobs", customer="bob")
    assert "My tent pole snapped" not in _recalled(talk, "My tent pole snapped")
    assert _recalled(talk, "My tent pole snapped", customer="bob", session="bobs new") == ["My tent pole snapped"]
    assert _recalled(talk, "My tent pole snapped", customer="eve", session="eves") == []


def test_the_similarity_is_the_cosine_of_the_two_messages(talk: Talk, encoder: Encoder) -> None:
    talk("My tent pole snapped", session="old")
    best = talk.load("tent pole broke", "new").recalled[0]
    old, new = encoder.encode([best.turn.text, "tent pole broke"])
    assert best.similarity == pytest.approx(float(old @ new), abs=1e-5)


def test_recall_catches_up_with_turns_saved_through_another_memory(make_talk: Callable[..., Talk]) -> None:
    here, there = make_talk(buffer_turns=1), make_talk(buffer_turns=1)
    assert _recalled(here, "tent pole") == []
    there("My tent pole snapped", session="old")
    assert _recalled(here, "tent pole") == ["My tent pole snapped"]


def test_what_was_said_is_recalled_after_a_restart(make_talk: Callable[..., Talk]) -> None:
    make_talk()("My tent pole snapped", session="old")
    assert _recalled(make_talk(), "tent pole") == ["My tent pole snapped"]


@pytest.mark.parametrize("damage", ["missing", "another encoder's", "cut short", "a flipped bit"])
def test_a_vector_that_cannot_be_used_is_made_again(store: Store, make_talk: Callable[..., Talk], damage: str) -> None:
    make_talk()("My tent pole snapped", session="old")
    wrong = np.eye(1, 384, dtype="<f4").tobytes()
    changes = {
        "missing": delete(VECTORS),
        "another encoder's": update(VECTORS).values(encoder="older", vector=wrong),
        "a flipped bit": update(VECTORS).values(vector=wrong[:5] + b"\x7f\x3f\x40" + wrong[8:]),
        "cut short": update(VECTORS).values(vector=wrong[:100]),
    }
    with store.write() as connection:
        connection.execute(changes[damage])
    best = make_talk().load("My tent pole snapped", "new").recalled[0]
    assert best.similarity == pytest.approx(1.0, abs=1e-5)


def test_the_stored_vector_is_the_messages(store: Store, talk: Talk, encoder: Encoder) -> None:
    turn_id = talk("My tent pole snapped")
    with store.read() as connection:
        row = connection.execute(select(VECTORS).where(VECTORS.c.turn_id == turn_id)).one()
    np.testing.assert_allclose(np.frombuffer(row.vector, "<f4"), encoder.encode(["My tent pole snapped"])[0], atol=1e-6)
    assert row.encoder == encoder.name


def test_a_turn_that_is_no_longer_there_is_not_recalled(store: Store, talk: Talk) -> None:
    turn_id = talk("My tent pole snapped", session="old")
    assert "My tent pole snapped" in _recalled(talk, "tent pole")
    with store.write() as connection:
        connection.execute(delete(TURNS).where(TURNS.c.id == turn_id))
    assert "My tent pole snapped" not in _recalled(talk, "tent pole")


def test_forgetting_drops_the_index_and_the_rows_that_are_left_are_found(store: Store, talk: Talk) -> None:
    talk("My tent pole snapped", session="old")
    assert _recalled(talk, "tent pole")[0] == "My tent pole snapped"
    with store.write() as connection:
        connection.execute(update(TURNS).where(TURNS.c.session_id == "old").values(text="Zephyr", reply="Quokka"))
        m006_checksums(connection)
    talk.memory.recall.forget("ada")
    assert _recalled(talk, "quokka")[0] == "Zephyr"


def test_a_customer_whose_index_was_pushed_out_is_still_remembered(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall_module, "MOST_TURNS", 1)
    talk("My tent pole snapped", session="bobs", customer="bob")
    for customer in ("ada", "bob", "ada", "bob"):
        found = _recalled(talk, "tent pole", session=f"new of {customer}", customer=customer)
        assert ("My tent pole snapped" in found) == (customer == "bob")


def test_customers_recall_at_the_same_time_without_mixing(store: Store, talk: Talk, encoder: Encoder) -> None:
    names = ("bob", "eve", "kim", "lee")
    for name in names:
        talk(f"The tent of {name} is torn", session=f"{name}'s", customer=name)
    recall, query = Recall(encoder), encoder.encode(["tent"])[0]

    def search(name: str) -> list[str]:
        with store.read() as connection:
            return [one.turn.text for one in recall.search(connection, name, "tent", query, talk.clock.now, 4)]

    with ThreadPoolExecutor(8) as pool:
        for name, found in zip(names * 10, pool.map(search, names * 10), strict=True):
            assert found == [f"The tent of {name} is torn"]
