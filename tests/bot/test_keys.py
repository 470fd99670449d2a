"""API keys: kept hashed, rotated without a gap, told by `rapport keys`."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bot.cli import cli
from bot.keys import Keys
from bot.problems import RapportError
from tests.conftest import Clock


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Keys:
    return Keys(tmp_path, clock)


def test_a_key_is_not_kept_only_its_hash_readable_by_its_owner(keys: Keys, tmp_path: Path) -> None:
    key = keys.add("shop", ("chat", "memory"))

    file = tmp_path / "keys.json"
    assert key.split("_", 2)[2] not in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o077 == 0


def test_a_key_ends_when_it_was_made_to_end(keys: Keys, clock: Clock) -> None:
    key = keys.add("shop", ("chat",), timedelta(days=30))
    clock.advance(days=29)
    assert keys.prove(key) is not None
    clock.advance(days=1)
    assert keys.prove(key) is None
    assert keys.all() == ()


def test_a_rotated_key_goes_on_for_the_stated_time_beside_the_new_one(keys: Keys, clock: Clock) -> None:
    old = keys.add("shop", ("chat",))
    new = keys.rotate("shop", timedelta(hours=24))

    clock.advance(hours=23)
    both = [keys.prove(key) for key in (old, new)]
    assert [(key.name, key.scopes) for key in both if key] == [("shop", ("chat",))] * 2
    clock.advance(hours=1)
    assert keys.prove(old) is None
    assert keys.prove(new) is not None
    assert keys.revoke("shop") == 1
    assert keys.prove(new) is None


def test_a_server_takes_up_what_another_process_changed_and_notes_when_a_key_was_used(
    keys: Keys, tmp_path: Path, clock: Clock
) -> None:
    other = Keys(tmp_path, clock)
    key = keys.add("shop", ("chat",))

    assert other.prove(key) is not None
    assert [one.last_used for one in keys.all()] == [clock.now]
    keys.revoke("shop")
    assert other.prove(key) is None


def test_keys_made_at_once_are_all_kept(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Keys(tmp_path).add(f"server-{number}", ("chat",)), range(16)))

    assert {key.name for key in Keys(tmp_path).all()} == {f"server-{number}" for number in range(16)}


def test_a_damaged_file_is_named_and_opens_nothing(keys: Keys, tmp_path: Path) -> None:
    key = keys.add("shop", ("chat",))
    (tmp_path / "keys.json").write_text('[{"id": 1}]', encoding="utf-8")

    with pytest.raises(RapportError, match=r"keys\.json is damaged"):
        keys.prove(key)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """Run the command in this process, which takes a hundredth of the time."""
    return lambda *arguments: CliRunner().invoke(cli, ["keys", *arguments, "--home", str(tmp_path)])


def test_keys_are_made_listed_rotated_and_revoked_by_command(run: Callable[..., Result], tmp_path: Path) -> None:
    first = run("add", "shop", "--scope", "memory", "--scope", "chat")
    second = run("rotate", "shop", "--grace", "2")
    listed = json.loads(run("list", "--json").stdout)

    key = first.stdout.strip()
    assert key.startswith("rapport_")
    assert "not shown again" in first.stderr
    assert "ends in 2 hours" in second.stderr
    assert "--grace" not in second.stderr  # which would end the new key, too
    assert [(row["name"], row["scopes"]) for row in listed] == [("shop", "chat, memory")] * 2
    assert [row["ends"] == "never" for row in listed] == [False, True]
    assert Keys(tmp_path).prove(key) is not None
    assert "shop" in run("list").stdout
    assert run("revoke", "shop").stdout == "2 keys of shop revoked.\n"
    assert run("list").stdout == "There are no keys. Make one: rapport keys add NAME\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["add", "shop"], "rapport keys rotate shop"),
        (["add", "x", "--scope", "everything"], "The scopes are chat, memory, team"),
        (["add", "no spaces"], "must be 1 to 64"),
        (["rotate", "nobody"], "rapport keys list"),
        (["revoke", "nobody"], "rapport keys list"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_remedy(
    run: Callable[..., Result], arguments: list[str], sentence: str
) -> None:
    run("add", "shop")

    refusal = run(*arguments).exception
    assert isinstance(refusal, RapportError)
    assert sentence in str(refusal)


@pytest.mark.parametrize(
    "arguments", [["add", "till", "--days", "99999999"], ["rotate", "shop", "--grace", "99999999"]]
)
def test_a_time_beyond_the_calendar_is_refused(run: Callable[..., Result], arguments: list[str]) -> None:
    run("add", "shop")

    done = run(*arguments)
    assert done.exit_code == 2
    assert "less than or equal to" in " ".join(done.stderr.split())
