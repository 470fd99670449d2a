"""Dialogues of STAR and transcripts of tau-bench are read as conversations of customers and agents."""

from __future__ import annotations

from bot.replay.readers import Mask
from tests.bot.replay.readers.conftest import KEY, Read, said

PROFILE = '{"name": {"first_name": "Ida", "last_name": "Holm"}, "orders": []}'


def test_what_was_sent_in_a_star_dialogue_is_read(read: Read) -> None:
    events = [
        {"Agent": "UserGuide", "Action": "instruct", "Text": "Be in a hurry.", "UnixTime": 1_590_000_000},
        {"Agent": "User", "Action": "utter", "Text": "Is the kettle in?", "UnixTime": 1_590_000_001},
        {"Agent": "Wizard", "Action": "request_suggestions", "Text": "it is", "UnixTime": 1_590_000_005},
        {"Agent": "KnowledgeBase", "Action": "return_item", "Item": {}, "TotalItems": 1},
        {
            "Agent": "Wizard",
            "Action": "pick_suggestion",
            "ActionLabel": "stock_yes",
            "Text": "It is.",
            "UnixTime": 1_590_000_009,
        },
        {"Agent": "User", "Action": "complete", "UnixTime": 1_590_000_010},
    ]

    (one,) = read([{"DialogueID": 7, "Events": events}])

    assert said(one) == [("customer", "Is the kettle in?"), ("agent", "It is.")]
    assert (one.conversation_id, one.messages[1].answer) == ("star-7", "stock_yes")


def test_both_forms_of_a_tau_bench_transcript_say_the_same(read: Read) -> None:
    steps = [
        ("user", "Hi,\n\nis my kettle on its way? Ida"),
        ("assistant", "None"),
        ("tool", "ida_holm_1234"),
        ("tool", PROFILE),
        ("assistant", "It is, Ida."),
        ("user", "###STOP###"),
    ]
    shown = "\n".join(f"{role}: {text}" for role, text in steps)
    traj = [{"role": role, "content": None if text == "None" else text} for role, text in steps]

    first, second = read([{"messages_display": shown}, {"task_id": 3, "traj": traj}])
    (masked,) = read([{"messages_display": shown}], mask=Mask(KEY))

    assert said(first) == [("customer", "Hi,\n\nis my kettle on its way? Ida"), ("agent", "It is, Ida.")]
    assert said(second) == said(first)
    assert first.customer_id == second.customer_id == "ida_holm_1234"
    assert said(masked)[1] == ("agent", "It is, [name].")
