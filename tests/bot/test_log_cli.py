"""`rapport log`: what it writes, what it says about a log, and the sentence it refuses one with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from finetune.logs import read_log
from tests.bot.conftest import Run, refusal

TICKET: dict[str, Any] = {
    "id": 9,
    "created_at": "2026-03-02T09:00:00Z",
    "requester": {"id": 77, "name": "Ida Holm"},
    "comments": [
        {"author_id": 77, "public": True, "created_at": "2026-03-02T09:00:00Z", "body": "Ida Holm, ida@mail.example"},
        {"author_id": 5, "public": True, "created_at": "2026-03-02T10:00:00Z", "body": "Thank you"},
    ],
}


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.json"
    path.write_text("".join(json.dumps({**TICKET, "id": number}) + "\n" for number in (9, 10)), encoding="utf-8")
    return path


def test_a_log_is_converted_masked_and_read(rapport: Run, tickets: Path, tmp_path: Path) -> None:
    done = rapport("log", "convert", tickets, "--out", "log.jsonl")
    refused = refusal(rapport("log", "convert", tickets, "--out", "log.jsonl"))
    plain = rapport("log", "convert", tickets, "--out", "plain.jsonl", "--no-mask", "--json")

    (first, second) = read_log(tmp_path / "work" / "log.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Conversations: 2, customers: 1, from 2026-03-02 to 2026-03-02; messages: 2 by" in done.stdout
    assert first.messages[0].text == "[name], [e-mail]"
    assert first.customer_id == second.customer_id != "77"
    assert "already there" in refused
    assert "ida@mail.example" in (tmp_path / "work" / "plain.jsonl").read_text(encoding="utf-8")
    figures = json.loads(plain.stdout)
    assert (figures["conversations"], figures["forms"], figures["masked"], figures["out"]) == (
        2,
        ["zendesk"],
        False,
        "plain.jsonl",
    )


def test_a_wrong_line_stops_a_conversion_or_is_left_out(rapport: Run, tickets: Path, tmp_path: Path) -> None:
    with tickets.open("a", encoding="utf-8") as file:
        file.write('{"id": 11, "requester"')

    stopped = refusal(rapport("log", "convert", tickets, "--out", "log.jsonl"))
    assert "line 3: it is not JSON; the file ends within it, perhaps it was cut short" in stopped
    assert list((tmp_path / "work").iterdir()) == []

    skipped = rapport("log", "convert", tickets, "--out", "log.jsonl", "--on-error", "skip")
    assert skipped.returncode == 0
    assert "line 3: it is not JSON" in skipped.stderr
    assert "1 could not be read" in skipped.stdout

    checked = rapport("log", "check", tickets, "--json")
    assert checked.returncode == 1
    assert [problem["place"] for problem in json.loads(checked.stdout)["problems"]] == ["line 3"]


def test_a_mapping_file_reads_any_other_form(rapport: Run, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "faq.csv").write_text("question,reply\nOpen?,Until six.\n", encoding="utf-8")
    (work / "faq.yaml").write_text("says: {customer: question, agent: reply}\n", encoding="utf-8")

    done = rapport("log", "check", "faq.csv", "--mapping", "faq.yaml")

    assert done.returncode == 0
    assert "Conversations: 1, customers: 1" in done.stdout


def test_what_cannot_be_converted_is_refused_in_a_sentence(rapport: Run, tickets: Path, tmp_path: Path) -> None:
    (tmp_path / "work" / "empty.jsonl").touch()

    assert "There is no file gone.json" in refusal(rapport("log", "convert", "gone.json", "--out", "log.jsonl"))
    assert "There is no folder no" in refusal(rapport("log", "convert", tickets, "--out", "no/log.jsonl"))
    assert "holds no conversation" in refusal(rapport("log", "convert", "empty.jsonl", "--out", "log.jsonl"))
    assert "no country 'UX'" in refusal(rapport("log", "convert", tickets, "--out", "log.jsonl", "--region", "UX"))
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["empty.jsonl"]
