"""Which model serves a desk: the one promoted for it, one taught on it, or one that is taught now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from bot.answer_course import train_answer
from bot.course import Course, train_intent
from bot.desk import Desk
from bot.models import (
    Models,
    Progress,
    are_prepared,
    encoder_folder,
    fingerprint,
    intent_folder,
    load,
    load_promoted,
    prepare,
    prepare_encoder,
)
from bot.problems import RapportError
from bot.versions import Versions
from finetune.rehearsal import read_rehearsal
from retrieval.model_folder import MANIFEST, ModelError, new_folder, write_manifest

INTENTS = ("delivery_time", "return_policy")
NEW_INTENTS = ("gift_card", "invoice_request")

Teach = Callable[[Desk], str]


@pytest.fixture(scope="module")
def small(desk: Desk) -> Desk:
    """The bundled desk cut down to two intents of 24 messages each."""
    rows = {intent: [row for row in desk.messages if row[1] == intent][:24] for intent in INTENTS}
    messages = tuple(row for intent in INTENTS for row in rows[intent])
    return replace(desk, messages=messages, out_of_scope=desk.out_of_scope[:12], test_messages=())


@pytest.fixture
def edited(small: Desk) -> Desk:
    return replace(small, messages=(*small.messages, ("until when may I bring back the stove", "return_policy")))


@pytest.fixture
def versions(bare_home: Path, small: Desk) -> Versions:
    return Versions(bare_home, small.name)


@pytest.fixture
def teach(versions: Versions) -> Teach:
    """Add what a version taught on a desk looks like from outside."""

    def teach(desk: Desk) -> str:
        def save(folder: Path) -> None:
            with new_folder(folder) as draft:
                classes = sorted({intent for _, intent in desk.messages})
                write_manifest(draft, {"kind": "intent", "fingerprint": fingerprint(desk), "classes": classes})

        return versions.add("intent", save).name

    return teach


def edit_policy(desk: Desk, **changes: float) -> Desk:
    policy = desk.settings.policy.model_copy(update=changes)
    return replace(desk, settings=desk.settings.model_copy(update={"policy": policy}))


def test_a_fingerprint_changes_with_what_is_learnt_and_with_nothing_else(small: Desk, edited: Desk) -> None:
    learnt = [
        edited,
        replace(small, out_of_scope=()),
        edit_policy(small, max_wrong_answers=0.02),
        edit_policy(small, max_turned_away=0.02),
        replace(small, answers={name: answer for name, answer in small.answers.items() if name != small.talk[0]}),
    ]
    others = [
        replace(small, passages=()),
        replace(small, test_messages=small.messages[:3]),
        replace(small, articles={}),
    ]

    assert len({fingerprint(desk) for desk in [small, *learnt]}) == 6
    assert {fingerprint(desk) for desk in others} == {fingerprint(small)}


def test_a_home_without_models_says_how_to_make_them(small: Desk, tmp_path: Path) -> None:
    assert not are_prepared(small, tmp_path)
    with pytest.raises(ModelError, match="Run `rapport train intent`"):
        load(small, tmp_path)


def test_of_processes_that_start_together_on_a_new_home_one_exports_the_encoder(
    prepared_home: Path, tmp_path: Path
) -> None:
    started, both_export = Event(), Event()

    def export(_what: str, _share: float) -> None:
        started.set()
        both_export.wait(0.5)
        encoder_folder(tmp_path).symlink_to(encoder_folder(prepared_home))  # what the export ends in, without its time
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as processes:
        first = processes.submit(prepare_encoder, tmp_path, export)
        started.wait()
        second = processes.submit(prepare_encoder, tmp_path, lambda _what, _share: both_export.set())

    assert isinstance(first.exception(), KeyboardInterrupt)
    assert second.exception() is None
    assert not both_export.is_set()


def test_what_a_killed_export_left_behind_is_removed(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path)
    left_behind = folder.with_name(f".{folder.name}-killed")
    left_behind.mkdir(parents=True)
    (left_behind / "model.onnx").write_bytes(b"half of it")

    def there(_what: str, _share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_encoder(tmp_path, there)  # another export begins
    assert not left_behind.exists()


def test_a_version_taught_on_exactly_this_desk_is_promoted(small: Desk, bare_home: Path, teach: Teach) -> None:
    name = teach(small)
    prepare(small, bare_home)

    assert Versions(bare_home, small.name).promoted() == [name]
    assert intent_folder(bare_home, small).name == name


def test_a_version_that_somebody_went_back_to_stays(
    small: Desk, edited: Desk, bare_home: Path, versions: Versions, teach: Teach
) -> None:
    older, newer = teach(edited), teach(small)
    prepare(small, bare_home)
    versions.promote(older, fingerprint(small))
    prepare(small, bare_home)

    assert intent_folder(bare_home, small).name == older != newer
    assert versions.promoted() == [older]


def test_an_edited_desk_is_not_served_by_what_was_promoted_before(
    small: Desk, edited: Desk, bare_home: Path, versions: Versions, teach: Teach
) -> None:
    teach(small)
    prepare(small, bare_home)

    assert not are_prepared(edited, bare_home)
    with pytest.raises(ModelError, match="as it is now"):
        intent_folder(bare_home, edited)
    newer = teach(edited)
    prepare(edited, bare_home)
    assert versions.promoted() == [newer]


def test_an_edit_taken_back_finds_what_was_promoted_for_the_desk(
    small: Desk, edited: Desk, bare_home: Path, versions: Versions, teach: Teach
) -> None:
    chosen, _, other = teach(small), teach(small), teach(edited)
    versions.promote(chosen, fingerprint(small))
    prepare(edited, bare_home)
    assert versions.promoted() == [other]

    prepare(small, bare_home)

    assert versions.promoted() == [chosen]


def test_nothing_is_written_where_everything_is_prepared(
    small: Desk, bare_home: Path, versions: Versions, teach: Teach
) -> None:
    teach(small)
    prepare(small, bare_home)
    stamp = versions.stamp()
    prepare(small, bare_home)

    assert versions.stamp() == stamp


@pytest.mark.parametrize("trainings", [1, 2])
def test_an_interrupted_training_shows_nothing_and_goes_on(
    trainings: int, small: Desk, bare_home: Path, versions: Versions
) -> None:
    course = Course("adapter", epochs=3, trainings=trainings)
    of_older_desk = versions.folder / ".training" / "0123456789ab-0123456789ab.safetensors"
    of_older_desk.parent.mkdir(parents=True)
    of_older_desk.touch()
    told: list[tuple[str, float]] = []

    def interrupt(what: str, share: float) -> None:
        if what == "Fine-tuning" and share > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_intent(small, bare_home, course, interrupt)
    assert versions.all() == []
    trained = train_intent(small, bare_home, course, lambda what, share: told.append((what, share)))

    assert next(share for what, share in told if what == "Fine-tuning") >= 0.5  # the epochs before are not taught again
    assert all(0 <= share <= 1 for _, share in told)
    assert told[-1][1] == 1
    assert trained.classifier.classes_ == list(INTENTS)
    assert trained.classifier.manifest["desk"] == small.name
    assert trained.version.name == "intent-0001"
    assert versions.promoted() == []  # that is for who asked for the training
    assert list((versions.folder / ".training").iterdir()) == []


def first_share(train: Callable[[Progress], object], stop_after: float) -> float:
    """Interrupt a training once so much of it is done; return how much was done when its fine-tuning began."""
    told: list[float] = []

    def interrupt(what: str, share: float) -> None:
        if what == "Fine-tuning":
            told.append(share)
            if share > stop_after:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(interrupt)
    return told[0]


def test_a_training_does_not_go_on_from_what_was_taught_on_another_log(
    small: Desk, bare_home: Path, tmp_path: Path
) -> None:
    def write(intent: str) -> None:
        at = "2026-11-24T10:00:00+00:00"
        said = [{"role": "customer", "text": text, "at": at, "intent": INTENTS[0]} for text in ("when", "which day")]
        said.append({"role": "customer", "text": "and back", "at": at, "intent": intent})
        about = {"customer_id": "c", "started_at": at, "messages": said}
        lines = [json.dumps({"conversation_id": str(number), **about}) for number in range(9)]
        (tmp_path / "log.jsonl").write_text("\n".join(lines), encoding="utf-8")

    course = Course("head", epochs=2, log=str(tmp_path / "log.jsonl"))

    def train(progress: Progress) -> object:
        return train_intent(small, bare_home, course, progress)

    write(INTENTS[0])
    assert first_share(train, 0.5) <= 0.5
    write(INTENTS[1])
    assert first_share(train, 0.0) <= 0.5


def test_an_answer_training_does_not_go_on_from_what_was_taught_on_other_help_pages(
    small: Desk, bare_home: Path
) -> None:
    course = Course("head", epochs=2)
    tiny = replace(small, messages=(*small.messages[:5], *small.messages[-5:]), out_of_scope=())
    edited = replace(tiny, passages=tuple(replace(one, text=f"New. {one.text}") for one in tiny.passages))

    def train(desk: Desk, stop_after: float) -> float:
        return first_share(lambda progress: train_answer(desk, bare_home, course, (), progress), stop_after)

    assert train(tiny, 0.5) <= 0.5
    assert train(edited, 0.0) <= 0.5


def test_a_version_goes_on_with_what_is_new_to_it(small: Desk, desk: Desk, bare_home: Path, versions: Versions) -> None:
    first = train_intent(small, bare_home, Course("head")).version.name
    added = [row for intent in NEW_INTENTS for row in desk.messages if row[1] == intent]
    (corrected, was), (removed, _), *others = small.messages
    label = next(intent for intent in INTENTS if intent != was)
    grown = replace(small, messages=((corrected, label), *others, *added))
    second = train_intent(grown, bare_home, Course(start=first))

    assert second.classifier.classes_ == [*INTENTS, *NEW_INTENTS]
    assert (second.version.fingerprint, second.classifier.method) == (fingerprint(grown), "head")
    rehearsed = [(one["text"], one["labels"]) for one in read_rehearsal(second.version.folder).sample]
    assert not any(text == removed or (text == corrected and labels != [label]) for text, labels in rehearsed)
    assert second.classifier.manifest["lasting"]["new_after"] > second.classifier.manifest["lasting"]["new_before"]
    with pytest.raises(RapportError, match="intent-0002 has learnt all messages"):
        train_intent(grown, bare_home, Course(start="intent-0002"))
    with pytest.raises(RapportError, match="There is no model 'intent-0009'"):
        train_intent(grown, bare_home, Course(start="intent-0009"))


def test_a_version_that_the_desk_cannot_answer_for_is_refused(
    models: Models, desk: Desk, prepared_home: Path, bare_home: Path
) -> None:
    versions = Versions(bare_home, desk.name)
    versions.add("intent", models.classifier.save)
    prepare(desk, bare_home)
    lacking = replace(desk, answers={name: one for name, one in desk.answers.items() if name != "return_policy"})

    for use in (
        lambda: load(lacking, bare_home),
        lambda: load_promoted(replace(models, version=""), lacking, bare_home),
    ):
        with pytest.raises(RapportError, match="has no answer for return_policy"):
            use()


def test_a_manifest_that_lacks_something_is_damaged(desk: Desk, prepared_home: Path, bare_home: Path) -> None:
    def save(folder: Path) -> None:
        shutil.copytree(intent_folder(prepared_home, desk), folder)
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        del manifest["answer_threshold"]
        (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")

    Versions(bare_home, desk.name).add("intent", save)

    with pytest.raises(ModelError, match=r"manifest.json is damaged .*answer_threshold.* Delete .*intent-0001 and"):
        load(desk, bare_home)
