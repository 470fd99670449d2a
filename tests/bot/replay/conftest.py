"""A small log, and runs of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bot.desk import BUNDLED, Desk
from bot.models import Models, fingerprint, intent_folder
from bot.replay.parts import State
from bot.replay.readers import read_log
from bot.replay.replaying import Plan, open_state, replay
from bot.replay.run_folder import Run
from bot.replay.staging import stage
from bot.versions import Versions
from finetune.logs import Conversation, LogMessage, write_log
from retrieval.model_folder import MANIFEST, new_folder

_BEGUN = datetime(2026, 9, 1, 10, tzinfo=timezone.utc)
Said = tuple[str, ...]  # who, what, and the label of it


def conversation(name: str, customer: str, day: int, *said: Said) -> Conversation:
    """A conversation, a message a minute; the third of what is said is an intent, or an answer of an agent's."""
    begun = _BEGUN + timedelta(days=day)
    messages = []
    for place, (role, text, *labels) in enumerate(said):
        named = {"intent" if role == "customer" else "answer": labels[0]} if labels else {}
        messages.append(LogMessage(role=role, text=text, at=begun + timedelta(minutes=place), **named))
    return Conversation(conversation_id=name, customer_id=customer, started_at=begun, messages=tuple(messages))


SMALL = (
    conversation(
        "c-1",
        "ann",
        0,
        ("customer", "How long does a delivery take?", "delivery_time"),
        ("agent", "Three to five working days.", "delivery_time"),
        ("customer", "My order number is R-10192.", "give_information"),
        ("agent", "Thank you, I have noted R-10192."),
    ),
    conversation(
        "c-2",
        "bob",
        1,
        ("customer", "Where is my order?", "order_status"),
        ("agent", "Which order number is it, please?"),
        ("customer", "R-10199", "give_information"),
        ("agent", "It waits for you at the pick-up point.", "order_status"),
    ),
    conversation(
        "c-3",
        "ann",
        5,
        ("customer", "Did I ask you about delivery before?", "earlier_topic"),
        ("agent", "You did, on the first of September.", "earlier_topic"),
        ("customer", "Where is my order?", "order_status"),
        ("agent", "R-10192 should have come by now, I am having it looked for.", "order_status"),
        ("customer", "I want to talk to a human", "talk_to_human"),
        ("agent", "You are talking to one, this is Hazel.", "talk_to_human"),
    ),
    conversation(
        "c-4",
        "cem",
        6,
        ("customer", "Can I pay with PayPal?", "payment_methods"),
        ("bot", "Yes, we take PayPal.", "payment_methods"),
        ("customer", "What is your return policy?", "return_policy"),
        ("bot", "I did not get that."),
        ("agent", "You have 60 days to send it back.", "return_policy"),
    ),
)
Replay = Callable[..., Run]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "log.jsonl"
    write_log(file, SMALL)
    return file


@pytest.fixture
def run_log(tmp_path: Path, home: Path, log: Path, desk: Desk, models: Models) -> Replay:
    """Replay the small log, or conversations, under a name; options are those of a Plan."""

    def run(name: str, conversations: Sequence[Conversation] = (), **options: object) -> Run:
        given = log
        if conversations:
            given = tmp_path / f"{name}.jsonl"
            write_log(given, conversations)
        plan = Plan(**{"desk": BUNDLED, "home": home, **options})  # type: ignore[arg-type]
        folder = home / "replays" / name
        folder.mkdir(parents=True, exist_ok=True)
        own = {"desk", "home", "model"} & options.keys()
        state = open_state(plan) if own else State(desk, models, plan.without)
        return replay(
            plan, state, folder, lambda file: stage(read_log(given, mask=None), given.name, file, masked=False)
        )

    return run


@pytest.fixture
def add_classifier(home: Path, desk: Desk, prepared_home: Path) -> Callable[..., str]:
    """Add a version of the bundled desk's classifier that its manifest says something else about."""
    source = intent_folder(prepared_home, desk)
    (home / "models").unlink()
    (home / "models" / desk.name).mkdir(parents=True)
    for folder in (*(prepared_home / "models").glob("encoder-*"), source):
        place = home / "models" / (desk.name if folder == source else "") / folder.name
        place.symlink_to(folder.resolve())
    versions = Versions(home, desk.name)
    versions.promote(source.name, fingerprint(desk))

    def save(folder: Path, **about: object) -> None:
        with new_folder(folder) as draft:
            for file in source.iterdir():
                if file.name != MANIFEST:
                    shutil.copy(file, draft / file.name)
            manifest = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
            (draft / MANIFEST).write_text(json.dumps({**manifest, **about}), encoding="utf-8")

    return lambda **about: versions.add("intent", lambda folder: save(folder, **about)).name
