"""Help pages are looked for only where they may matter, and quoted only where they fit well enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from bot.desk import Desk
from bot.policy import Thresholds, decide
from bot.turn import Answer, Ask, Clarify, Quote, Say, ServeAll, Understood
from memory import Context, Turn
from retrieval import Candidate

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=timezone.utc)
CONTEXT = Context("s", "c", NOW)
THRESHOLDS = Thresholds(answer=0.8, passage=0.6, fit=0.7)
UNSURE = Understood((("order_status", 0.3), ("greeting", 0.1)), in_scope=True)


def never() -> Sequence[Candidate]:
    raise AssertionError("help pages were looked for")


def after(pending: dict[str, str], *decisions: dict[str, object]) -> Context:
    """Return the context after a turn in which the bot asked for something, and after others."""
    made = [{"pending": pending}, *decisions]
    return replace(CONTEXT, buffer=tuple(Turn(at, "s", at, NOW, "", "", one) for at, one in enumerate(made, 1)))


def found(desk: Desk, *fits: tuple[float, float | None]) -> list[Candidate]:
    """Return candidates of given similarities and fits."""
    return [Candidate(desk.passages[place], similarity, fit=fit) for place, (similarity, fit) in enumerate(fits)]


def test_a_sure_intent_is_answered_without_looking_at_help_pages(desk: Desk) -> None:
    action, candidates = decide(desk, THRESHOLDS, Understood((("thanks", 0.95),), True), CONTEXT, never)

    assert action == Answer("thanks", {})
    assert candidates == ()


def test_close_intents_are_offered_without_looking_at_help_pages(desk: Desk) -> None:
    close = Understood((("return_item", 0.5), ("refund_status", 0.4)), True)

    action, _ = decide(desk, THRESHOLDS, close, CONTEXT, never)

    assert action == Clarify(("return_item", "refund_status"))


@pytest.mark.parametrize(
    ("asked", "facts", "does"),
    [
        (["payment_methods", "gift_card"], {}, [Answer("payment_methods"), Answer("gift_card")]),
        (["order_status", "gift_card"], {}, [Answer("gift_card"), Ask("order_status", "order_number")]),
        (
            ["order_status", "gift_card"],
            {"order_number": "R-10234"},
            [
                Answer("order_status", {"order_number": "R-10234"}),
                Answer("gift_card", {"order_number": "R-10234"}),
            ],
        ),
        (["order_status", "refund_status"], {}, [Ask("order_status", "order_number", also=("refund_status",))]),
        (["order_status", "stock_check"], {}, None),  # two things to ask
        (["gift_card", "forget_me"], {}, None),
        (["gift_card", "payment_methods", "store_visit", "price_match"], {}, None),  # too much for one reply
    ],
)
def test_several_things_that_are_surely_asked_are_served_in_one_reply(
    desk: Desk, asked: list[str], facts: dict[str, str], does: list[Answer | Ask] | None
) -> None:
    likely = tuple((intent, 1 / len(asked)) for intent in asked)
    understood = Understood(likely, in_scope=True, facts=facts, asked={intent: {} for intent in asked})

    action, _ = decide(desk, THRESHOLDS, understood, CONTEXT, never)

    if does is None:
        assert isinstance(action, Clarify)
    else:
        assert action == (ServeAll(tuple(does)) if len(does) > 1 else does[0])


def test_each_question_of_a_message_is_served_with_the_facts_of_its_own_sentence(desk: Desk) -> None:
    own = {"stock_check": {"product": "Fellside Fleece"}, "product_price": {}}
    understood = Understood(
        (("stock_check", 0.5), ("product_price", 0.5)), True, {"product": "Cairn Beanie"}, asked=own
    )

    action, _ = decide(desk, THRESHOLDS, understood, CONTEXT, never)

    assert action == ServeAll(
        (
            Answer("stock_check", {"product": "Fellside Fleece"}),
            Answer("product_price", {"product": "Cairn Beanie"}),
        )
    )


@pytest.mark.parametrize("kind", ["ask", "confirm"])
def test_all_that_needed_a_fact_is_served_once_it_is_there(desk: Desk, kind: str) -> None:
    context = after({"kind": kind, "intent": "order_status", "fact": "order_number", "also": ["change_address"]})
    told = Understood((("give_information", 0.95),), True, {"order_number": "R-10234"})
    denied = Understood((("deny", 0.95),), True)

    served = (Answer("order_status", told.facts), Answer("change_address", told.facts))
    assert decide(desk, THRESHOLDS, told, context, never)[0] == ServeAll(served)
    if kind == "confirm":
        again = Ask("order_status", "order_number", also=("change_address",))
        assert decide(desk, THRESHOLDS, denied, context, never)[0] == again


@pytest.mark.parametrize(
    ("likely", "does"),
    [
        (("order_status", 0.7), Answer("order_status", {"order_number": "R-10234"})),  # it is looked up by the number
        (("item_damaged", 0.7), Clarify(("item_damaged",))),  # needs the number, and looks nothing up
        (("return_policy", 0.7), Say("fact_noted", facts={"order_number": "R-10234"})),
        (("order_status", 0.3), Say("fact_noted", facts={"order_number": "R-10234"})),
    ],
)
def test_a_bare_fact_is_noted_unless_what_needs_it_is_likely(
    desk: Desk, likely: tuple[str, float], does: object
) -> None:
    number = {"order_number": "R-10234"}
    understood = Understood((likely, ("give_information", 0.2)), in_scope=True, facts=number)

    assert decide(desk, THRESHOLDS, understood, CONTEXT, never)[0] == does


@pytest.mark.parametrize(
    ("close", "facts", "does"),
    [
        ([("order_status", 0.7)], {"order_number": "R-10234"}, Answer("order_status", {"order_number": "R-10234"})),
        ([("order_status", 0.7)], {}, Clarify(("order_status",))),
        ([("cancel_order", 0.7)], {"order_number": "R-10234"}, Clarify(("cancel_order",))),  # a colleague may take over
        (
            [("order_status", 0.5), ("return_received", 0.3)],
            {"order_number": "R-10234"},
            Clarify(("order_status", "return_received")),
        ),
    ],
)
def test_what_alone_is_likely_is_looked_up_where_the_message_gives_what_that_takes(
    desk: Desk, close: list[tuple[str, float]], facts: dict[str, str], does: object
) -> None:
    understood = Understood((*close, ("greeting", 0.1)), in_scope=True, facts=facts)

    assert decide(desk, THRESHOLDS, understood, CONTEXT, never)[0] == does


def test_what_was_asked_for_stays_asked_while_something_else_is_told(desk: Desk) -> None:
    told = Understood((("give_information", 0.9),), in_scope=True, facts={"product": "Brock 2 Tent"})
    pending = {"kind": "ask", "intent": "item_damaged", "fact": "order_number"}

    assert decide(desk, THRESHOLDS, told, after(pending), never)[0] == Ask(
        "item_damaged", "order_number", noted={"product": "Brock 2 Tent"}
    )


@pytest.mark.parametrize(
    ("between", "intent"),
    [
        ([{}, {}], "item_damaged"),
        ([{}, {}, {}, {}], None),  # too long ago
        ([{"facts": {"order_number": "R-10250"}}], None),  # it has been told since
        ([{"intent": "deny"}, {}], None),  # "no, leave it"
    ],
)
def test_what_was_asked_for_a_few_turns_ago_can_still_be_told(
    desk: Desk, between: list[dict[str, object]], intent: str | None
) -> None:
    told = Understood((("give_information", 0.9),), in_scope=True, facts={"order_number": "R-10234"})
    context = after({"kind": "ask", "intent": "item_damaged", "fact": "order_number"}, *between)
    noted = Say("fact_noted", facts=told.facts)

    assert decide(desk, THRESHOLDS, told, context, never)[0] == (Answer(intent, told.facts) if intent else noted)


@pytest.mark.parametrize(
    ("offered", "said", "facts", "served"),
    [
        (["return_item", "order_status"], "give_information", {"order_number": "R-10234"}, "order_status"),
        (["opening_hours", "return_policy"], "give_information", {"order_number": "R-10234"}, None),
        (["return_policy"], "affirm", {}, "return_policy"),
        (["return_policy", "return_item"], "affirm", {}, None),
        (["return_policy"], "deny", {}, None),
    ],
)
def test_what_is_offered_is_chosen_by_a_fact_that_it_needs_or_by_a_yes(
    desk: Desk, offered: list[str], said: str, facts: dict[str, str], served: str | None
) -> None:
    asked = Turn(1, "s", 1, NOW, "hm", "Which?", {"pending": {"kind": "clarify", "intents": offered}})
    context = replace(CONTEXT, buffer=(asked,))

    action, _ = decide(desk, THRESHOLDS, Understood(((said, 0.95),), True, facts), context, list)

    assert (action == Answer(served or "", facts)) == (served is not None)


@pytest.mark.parametrize(
    ("intents", "in_scope", "served"),
    [
        ([("return_policy", 0.55), ("store_visit", 0.3)], True, "return_policy"),
        ([("store_visit", 0.3), ("return_policy", 0.26)], True, None),  # it is about something else
        ([("return_policy", 0.9)], False, None),
    ],
)
def test_what_was_offered_is_served_where_the_message_is_likely_about_it(
    desk: Desk, intents: list[tuple[str, float]], in_scope: bool, served: str | None
) -> None:
    context = after({"kind": "clarify", "intents": ["return_policy", "delivery_time"]})

    action, _ = decide(desk, THRESHOLDS, Understood(tuple(intents), in_scope), context, list)

    assert (action == Answer(served or "")) == (served is not None)


MISTYPED = {"order_number": "R-1023"}


def test_what_is_mistyped_is_asked_for_again_whatever_was_known(desk: Desk) -> None:
    context = replace(after({}), buffer=(Turn(1, "s", 1, NOW, "", "", {"about": {"order_number": "R-10234"}}),))
    where = Understood((("order_status", 0.95),), True, near_misses=MISTYPED)

    assert decide(desk, THRESHOLDS, where, context, never)[0] == Ask("order_status", "order_number", typed="R-1023")


@pytest.mark.parametrize("kind", ["ask", "confirm"])
def test_a_mistyped_answer_to_a_question_is_asked_for_again(desk: Desk, kind: str) -> None:
    context = after({"kind": kind, "intent": "cancel_order", "fact": "order_number"})
    told = Understood((("give_information", 0.95),), True, near_misses=MISTYPED)

    assert decide(desk, THRESHOLDS, told, context, never)[0] == Ask("cancel_order", "order_number", typed="R-1023")


@pytest.mark.parametrize(("close", "intent"), [(("order_status", 0.7), "order_status"), (("return_policy", 0.7), "")])
def test_what_is_mistyped_is_asked_for_by_what_is_likely(desk: Desk, close: tuple[str, float], intent: str) -> None:
    said = Understood((close, ("give_information", 0.2)), True, {"name": "Bo"}, near_misses=MISTYPED)

    asked = Ask(intent, "order_number", noted={"name": "Bo"}, typed="R-1023")
    assert decide(desk, THRESHOLDS, said, CONTEXT, never)[0] == asked


def test_who_introduces_themselves_is_noted_however_they_put_it(desk: Desk) -> None:
    said = Understood((("talk_to_human", 0.3),), False, {"name": "Tommy"})
    asks, names = replace(said, questions=True), replace(said, facts={"product": "Solo Tarp"})

    assert decide(desk, THRESHOLDS, said, CONTEXT, never)[0] == Say("fact_noted", facts={"name": "Tommy"})
    for other in (asks, names):
        action, _ = decide(desk, THRESHOLDS, other, CONTEXT, list)
        assert isinstance(action, Say)
        assert action.reply == "out_of_scope"


def test_what_is_told_after_a_handoff_is_for_the_colleague(desk: Desk) -> None:
    told = Understood((("give_information", 0.95),), True, {"order_number": "R-10234"})
    context = replace(CONTEXT, handed_over=True)

    assert decide(desk, THRESHOLDS, told, context, never)[0] == Say("fact_passed_on", facts=told.facts)


def test_a_choice_holds_for_all_that_was_listed_when_it_was_offered(desk: Desk) -> None:
    number, both = {"order_number": "R-10250"}, {"order_number": ("R-10234", "R-10250")}
    listing = Understood((("change_order", 0.7), ("give_information", 0.2)), True, number, listed=both)
    offered, _ = decide(desk, THRESHOLDS, listing, CONTEXT, never)
    pending = {"kind": "clarify", "intents": ["change_order"], "listed": {"order_number": ["R-10234", "R-10250"]}}
    context = replace(CONTEXT, buffer=(Turn(1, "s", 1, NOW, "", "", {"about": number, "pending": pending}),))

    yes, other = Understood((("affirm", 0.95),), True), {"order_number": "R-10266"}
    only_this = Understood((("give_information", 0.95),), True, other)

    assert offered == Clarify(("change_order",), both)
    assert decide(desk, THRESHOLDS, yes, context, never)[0] == Answer("change_order", number, both)
    assert decide(desk, THRESHOLDS, only_this, context, never)[0] == Answer("change_order", other)


@pytest.mark.parametrize(
    ("fits", "quoted"),
    [
        ([(0.7, None), (0.5, None)], 0),  # similar enough
        ([(0.5, None), (0.65, None)], 1),
        ([(0.59, None)], None),
        ([(0.95, 0.6), (0.1, 0.65)], None),  # similar, but the answer classifier doubts it
        ([(0.2, 0.75), (0.9, 0.65)], 0),  # hardly similar, but it fits
        ([], None),
    ],
)
def test_a_page_is_quoted_where_it_fits_well_enough(
    desk: Desk, fits: list[tuple[float, float | None]], quoted: int | None
) -> None:
    candidates = found(desk, *fits)

    action, seen = decide(desk, THRESHOLDS, UNSURE, CONTEXT, lambda: candidates)

    nothing_fits = Say("not_understood", failure=True, near=("order_status",))
    assert action == (nothing_fits if quoted is None else Quote(quoted))
    assert seen == candidates


def test_what_is_surely_mere_talk_gets_a_nod_whatever_kind_of_talk_it_is(desk: Desk) -> None:
    talk = Understood((("thanks", 0.5), ("goodbye", 0.35)), True)
    perhaps_not = Understood((("thanks", 0.5), ("goodbye", 0.2), ("order_status", 0.15)), True)

    assert decide(desk, THRESHOLDS, talk, CONTEXT, list)[0] == Say("acknowledged")
    assert decide(desk, THRESHOLDS, perhaps_not, CONTEXT, list)[0] == Say(
        "not_understood", failure=True, near=("order_status",)
    )


def test_what_is_out_of_scope_and_fits_no_page_is_declined(desk: Desk) -> None:
    outside = Understood((("order_status", 0.9),), in_scope=False)

    action, _ = decide(desk, THRESHOLDS, outside, CONTEXT, lambda: found(desk, (0.3, 0.1)))

    assert action == Say("out_of_scope", near=("order_status",))
