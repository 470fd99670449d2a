"""What is personal is masked; the same customer stays the same under the same key."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bot.desk import BUNDLED
from bot.replay.readers import Mask
from bot.replay.readers.draft import Draft, Said
from finetune.logs import read_log
from finetune.masking import mask
from finetune.names import people
from tests.bot.replay.readers.conftest import KEY

MASK = Mask(KEY)


def masked(*texts: str, names: Any = (), mask: Mask = MASK, **ids: str) -> Draft:
    said = tuple(Said("customer", text, None) for text in texts)
    draft = Draft(ids.get("own", "c-1"), ids.get("customer", "ida"), said, names=frozenset(names))
    return mask.apply(draft)


def texts(draft: Draft) -> list[str]:
    return [one.text for one in draft.messages]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("I am ida holm, ring 07700 900461", "I am [name], ring [phone number]"),
        ("Ida's order R-10234", "[name]'s order R-10234"),
        ("ida@mail.example paid by 4111 1111 1111 1111", "[e-mail] paid by [card number]"),
        ("to GB29 NWBK 6016 1331 9268 19", "to [account number]"),
        ("Idaho is far", "Idaho is far"),
    ],
)
def test_personal_data_and_marked_names_are_masked(text: str, shown: str) -> None:
    once = masked(text, names=["Ida Holm"])

    assert texts(once) == [shown]
    assert texts(MASK.apply(once)) == [shown]


def test_a_name_that_is_a_word_in_the_conversation_stays() -> None:
    assert texts(masked("Will it come?", "it will", "Will Hart", names=["Will Hart"])) == [
        "Will it come?",
        "it will",
        "[name]",
    ]


def test_a_name_is_masked_however_it_is_written_and_whoever_writes_it_small() -> None:
    said = texts(masked("hi, i'm anna", "Hello Anna", "ANNA HOLM here, anna's parcel", "Annabel", names=["Anna Holm"]))

    assert said == ["hi, i'm [name]", "Hello [name]", "[name] here, [name]'s parcel", "Annabel"]


def test_a_name_that_is_a_word_is_masked_where_it_cannot_be_the_word() -> None:
    said = texts(masked("Thanks, Will", "Will you? I will", "Regards,\nWill", "WILL IT?", names=["Will Hart"]))

    assert said == ["Thanks, [name]", "Will you? I will", "Regards,\n[name]", "WILL IT?"]


def test_words_for_those_who_answer_stay_in_what_was_said() -> None:
    said = ["The support was kind, my order came", "Support is open today", "my name is on the account"]

    assert texts(masked(*said, names=["Support Team", "Order Bot", "Account Name"])) == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Refund Team", "I want a refund please"),
        ("Shipping Support", "how much is shipping?"),
        ("My Account", "where is my order"),
        ("Jan de Vries", "ik wil de bestelling"),
    ],
)
def test_a_name_made_of_small_words_takes_none_of_them_away(name: str, said: str) -> None:
    assert texts(masked(said, names=[name])) == [said]


def test_a_name_is_found_whatever_its_first_letter_is_in_small() -> None:
    assert texts(masked("I am İlker", "thanks, İLKER", names=["İlker Yılmaz"])) == ["I am [name]", "thanks, [name]"]


def test_masks_and_addresses_are_no_names() -> None:
    said = masked("mail ida@shop.example, see shop.example", names=["ida@shop.example", "E-Mail Phone"])

    assert texts(said) == ["mail [e-mail], see shop.example"]


def test_no_ordinary_word_of_the_bundled_log_is_taken_for_a_name() -> None:
    log = list(read_log(BUNDLED / "conversations.jsonl"))
    names = people(message.text for one in log for message in one.messages)
    for one in log:
        before = [message.text for message in one.messages]
        after = texts(masked(*before, names=[*(name.title() for name in names), "Order Support"]))
        for old, new in zip(before, after, strict=True):
            found = re.fullmatch("(.+?)".join(map(re.escape, new.split("[name]"))), mask(old), re.DOTALL)
            assert found is not None
            assert {word.lower() for word in found.groups()} <= names, new


def test_numbers_as_a_country_writes_them_are_masked_where_it_is_named() -> None:
    text = "call (202) 555-0143 about R-10234"

    assert texts(masked(text)) == [text]
    assert texts(masked(text, mask=Mask(KEY, "US"))) == ["call [phone number] about R-10234"]


def test_customers_are_told_apart_by_ids_that_say_nothing() -> None:
    ida, again, ravi = masked("a"), masked("b"), masked("a", customer="ravi@mail.example")

    assert ida.customer_id == again.customer_id != ravi.customer_id
    assert ida.customer_id.startswith("masked-")
    assert masked("a", mask=Mask("another key")).customer_id != ida.customer_id
    assert masked("a", customer=ida.customer_id).customer_id == ida.customer_id


def test_the_id_of_a_conversation_gives_no_customer_away() -> None:
    assert masked("a", own="c-1").conversation_id == "c-1"
    for own, customer in (("ida@mail.example", "x"), ("ida", "ida")):
        assert masked("a", own=own, customer=customer).conversation_id.startswith("masked-")
