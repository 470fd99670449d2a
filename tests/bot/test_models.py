"""Which model serves a desk: the one promoted for it, one taught on it, or one that is taught now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.course import Course, train_intent
from bot.desk import Desk
from bot.models import Models, are_prepared, encoder_folder, fingerprint, intent_folder, load, load_promoted, prepare
from bot.problems import RapportError
from bot.versions import Versions
from retrieval.model_folder import MANIFEST, ModelError, new_folder, write_manifest

INTENTS = ("delivery_time", "return_policy")

Teach = Callable[[Desk], str]


@pytest.fixture(scope="module")
def small(desk: Desk) -> Desk:
    """The bundled desk cut down to two intents of 24 messages each."""
    rows = {intent: [row for row in desk.messages if row[1] == intent][:24] for intent in INTENTS}
    messages = tuple(row for intent in INTENTS for row in rows[intent])
    return replace(desk, messages=messages, out_of_scope=desk.out_of_scope[:12], conversations=(), test_messages=())


@pytest.fixture
def edited(small: Desk) -> Desk:
    return replace(small, messages=(*small.messages, ("until when may I bring back the stove", "return_policy")))


@pytest.fixture
def own_home(tmp_path: Path, desk: Desk, prepared_home: Path) -> Path:
    """A home of the test's own that has the encoder and the passages, but no intent classifier."""
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    encoder = encoder_folder(prepared_home)
    (home / "models" / encoder.name).symlink_to(encoder.resolve())
    shutil.copytree(prepared_home / "desks" / desk.name, home / "desks" / desk.name)
    return home


@pytest.fixture
def versions(own_home: Path, small: Desk) -> Versions:
    return Versions(own_home, small.name)


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
        replace(small, conversations=(small.messages[:2],)),
        edit_policy(small, max_wrong_answers=0.02),
        edit_policy(small, max_turned_away=0.02),
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


def test_a_version_taught_on_exactly_this_desk_is_promoted(small: Desk, own_home: Path, teach: Teach) -> None:
    name = teach(small)
    prepare(small, own_home)

    assert Versions(own_home, small.name).promoted() == [name]
    assert intent_folder(own_home, small).name == name


def test_a_version_that_somebody_went_back_to_stays(
    small: Desk, edited: Desk, own_home: Path, versions: Versions, teach: Teach
) -> None:
    older, newer = teach(edited), teach(small)
    prepare(small, own_home)
    versions.promote(older, fingerprint(small))
    prepare(small, own_home)

    assert intent_folder(own_home, small).name == older != newer
    assert versions.promoted() == [older]


def test_an_edited_desk_is_not_served_by_what_was_promoted_before(
    small: Desk, edited: Desk, own_home: Path, versions: Versions, teach: Teach
) -> None:
    teach(small)
    prepare(small, own_home)

    assert not are_prepared(edited, own_home)
    with pytest.raises(ModelError, match="as it is now"):
        intent_folder(own_home, edited)
    newer = teach(edited)
    prepare(edited, own_home)
    assert versions.promoted() == [newer]


def test_an_edit_taken_back_finds_what_was_promoted_for_the_desk(
    small: Desk, edited: Desk, own_home: Path, versions: Versions, teach: Teach
) -> None:
    chosen, _, other = teach(small), teach(small), teach(edited)
    versions.promote(chosen, fingerprint(small))
    prepare(edited, own_home)
    assert versions.promoted() == [other]

    prepare(small, own_home)

    assert versions.promoted() == [chosen]


def test_nothing_is_written_where_everything_is_prepared(
    small: Desk, own_home: Path, versions: Versions, teach: Teach
) -> None:
    teach(small)
    prepare(small, own_home)
    stamp = versions.stamp()
    prepare(small, own_home)

    assert versions.stamp() == stamp


def test_a_desk_is_taught_promoted_and_served(small: Desk, own_home: Path, versions: Versions) -> None:
    told: list[tuple[str, float]] = []
    prepare(small, own_home, lambda what, share: told.append((what, share)))
    models = load(small, own_home)

    assert (models.version, versions.promoted()) == ("intent-0001", ["intent-0001"])
    assert models.classifier.classes_ == list(INTENTS)
    assert models.classifier.manifest["desk"] == small.name
    assert told[-1][1] == 1
    assert all(0 <= share <= 1 for _, share in told)


def test_an_interrupted_training_shows_nothing_and_goes_on(small: Desk, own_home: Path, versions: Versions) -> None:
    course = Course("adapter", epochs=3)
    shares: list[float] = []

    def interrupt(what: str, share: float) -> None:
        if what == "Fine-tuning" and share > 0.7:
            raise KeyboardInterrupt

    def note(what: str, share: float) -> None:
        if what == "Fine-tuning":
            shares.append(share)

    with pytest.raises(KeyboardInterrupt):
        train_intent(small, own_home, course, interrupt)
    assert versions.all() == []
    trained = train_intent(small, own_home, course, note)

    assert shares[0] > 0.5  # the first two epochs are not taught again
    assert trained.version.name == "intent-0001"
    assert versions.promoted() == []  # that is for who asked for the training
    assert list((versions.folder / ".training").iterdir()) == []


def test_an_edited_desk_forgets_interrupted_trainings(small: Desk, own_home: Path, versions: Versions) -> None:
    old = versions.folder / ".training" / "0123456789ab-0123456789ab.safetensors"
    old.parent.mkdir(parents=True)
    old.touch()
    train_intent(small, own_home, Course("head"))

    assert not old.exists()


def test_a_version_that_the_desk_cannot_answer_for_is_refused(
    models: Models, desk: Desk, prepared_home: Path, own_home: Path
) -> None:
    versions = Versions(own_home, desk.name)
    versions.add("intent", models.classifier.save)
    prepare(desk, own_home)
    lacking = replace(desk, answers={name: one for name, one in desk.answers.items() if name != "return_policy"})

    for use in (lambda: load(lacking, own_home), lambda: load_promoted(replace(models, version=""), lacking, own_home)):
        with pytest.raises(RapportError, match="has no answer for return_policy"):
            use()


def test_a_manifest_that_lacks_something_is_damaged(desk: Desk, prepared_home: Path, own_home: Path) -> None:
    def save(folder: Path) -> None:
        shutil.copytree(intent_folder(prepared_home, desk), folder)
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        del manifest["answer_threshold"]
        (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")

    Versions(own_home, desk.name).add("intent", save)

    with pytest.raises(ModelError, match=r"manifest.json is damaged .*answer_threshold.* Delete .*intent-0001 and"):
        load(desk, own_home)
