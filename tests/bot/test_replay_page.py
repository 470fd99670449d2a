"""The *Replay* page behind the team's login: for members, from our own pages, and only for runs that there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from bot.channels.caller import Callers
from bot.channels.errors import answer_errors
from bot.channels.rate_limits import RateLimits
from bot.chatbot import Chatbot
from bot.keys import Keys
from bot.replay.queue import Order, Queue
from bot.replay.report.page import write_report
from bot.replay.run_folder import Run, write_value
from bot.team import Team
from bot.ui.team import uploads
from bot.ui.team.door import Door, login_pages
from bot.ui.team.replay import replay_pages
from bot.ui.team.template import Templates
from tests.bot.replay.written import turn, write_run
from tests.conftest import Clock

PASSWORD = "correct horse battery"  # noqa: S105
OWN = {"Origin": "http://desk.example"}
LOG = {"log": ("log.jsonl", b"{}")}


class Noted(Queue):
    """A queue that begins nothing, so that what is asked for can be looked at."""

    def add(self, order: Order) -> None:
        self.asked = [*getattr(self, "asked", []), order]


@pytest.fixture
def queue(home: Path, bot: Chatbot) -> Noted:
    return Noted(home, bot.settings.desk)


@pytest.fixture
def visit(bot: Chatbot, queue: Noted, clock: Clock) -> Callable[[], TestClient]:
    Team(bot.settings.home, clock).set_password(PASSWORD)
    application, door = FastAPI(), Door(bot, Callers(bot.settings, bot), RateLimits())
    templates = Templates(bot.desk)
    answer_errors(application)
    application.include_router(login_pages(door, templates))
    application.include_router(replay_pages(bot, door, templates, queue))
    return lambda: TestClient(application, "http://desk.example", follow_redirects=False)


@pytest.fixture
def inside(visit: Callable[[], TestClient]) -> Iterator[TestClient]:
    client = visit()
    client.post("/team/login", data={"password": PASSWORD})
    yield client


@pytest.fixture
def run(home: Path) -> str:
    folder = home / "replays" / "2026-10-01-log"
    write_report(write_run(folder, [turn("<b>c</b>", 1, "<i>?</i>", "a", "b")], name="<u>log</u>"))
    return folder.name


def left(home: Path) -> list[str]:
    """Return what there is of runs, beside the vectors of articles that a home comes with."""
    return sorted(path.name for path in (home / "replays").glob("*") if path.name != "passages")


def test_nobody_but_the_team_gets_in(visit: Callable[[], TestClient], home: Path, clock: Clock, run: str) -> None:
    client = visit()
    chat = {"Authorization": f"Bearer {Keys(home, clock).add('shop', ('chat',))}"}
    for method, path in (
        ("GET", ""),
        ("GET", "/list"),
        ("GET", "/progress"),
        ("GET", f"/runs/{run}/report"),
        ("POST", ""),
        ("POST", "/reports"),
        ("POST", f"/runs/{run}/delete"),
    ):
        for headers, status in ((OWN, 401), ({**OWN, **chat}, 403)):
            given = (
                {"files": LOG}
                if method == "POST" and not path
                else {"data": {"run": run}}
                if path == "/reports"
                else {}
            )
            answer = client.request(method, f"/team/replay{path}", headers=headers, **given)  # type: ignore[arg-type]
            assert answer.status_code == status, (method, path)
    assert left(home) == [run]


def test_pages_of_other_sites_change_nothing(inside: TestClient, home: Path, run: str, queue: Noted) -> None:
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        for path in ("", "/reports", f"/runs/{run}/delete", f"/runs/{run}/resume", f"/runs/{run}/cancel"):
            answer = inside.post(f"/team/replay{path}", headers=headers, data={"run": run}, files=None if path else LOG)
            assert answer.status_code == 403, (path, headers)
    assert left(home) == [run]
    assert not hasattr(queue, "asked")
    assert inside.post(f"/team/replay/runs/{run}/delete", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303
    assert left(home) == []


def test_a_log_is_kept_under_a_harmless_name_with_what_was_asked_for(
    inside: TestClient, home: Path, run: str, queue: Noted
) -> None:
    files = {"log": ("../../etc/--passwd <b>.jsonl", b"{}" * 100_000)}
    data = {"without": ["recall", "facts", "everything"], "mask": "yes", "against": run, "gate": "worse_turns: 0"}
    data |= {"region": " us", "on_error": "stop"}
    answer = inside.post("/team/replay", headers=OWN, files=files, data=data)
    assert (answer.status_code, answer.headers["location"]) == (303, "/team/replay")
    (order,) = queue.asked
    assert order.log == "passwd__b_.jsonl"
    assert (order.without, order.mask, order.live, order.against) == (("recall", "facts"), True, False, run)
    assert (order.region, order.on_error) == ("US", "stop")
    assert {"--region=US", "--on-error=stop"} <= set(queue._arguments(order))
    asked = home / "replays" / order.run / "work" / "asked"
    assert (asked / order.log).read_bytes() == b"{}" * 100_000
    assert (asked / "gate.yaml").read_text() == "worse_turns: 0"
    assert (asked / order.log).stat().st_mode & 0o077 == 0
    assert left(home) == sorted([run, order.run])  # nothing is left of the upload itself
    assert "Was interrupted" in inside.get("/team/replay").text


def test_what_cannot_be_replayed_is_said_and_leaves_nothing(inside: TestClient, home: Path, queue: Noted) -> None:
    gate_file = {**LOG, "gate_file": ("gate.yaml", b"alone_share: 7")}
    for data, files, what in (
        ({}, {}, "with the form on this page"),
        ({}, {"log": ("", b"")}, "Choose the file"),
        ({"model": "intent-9999"}, LOG, "no classifier"),
        ({"against": "../models"}, LOG, "no run"),
        ({"form": "pickle"}, LOG, "no form"),
        ({"region": "<x"}, LOG, "no country"),
        ({"gate": "worse_turns: 0"}, LOG, "needs an earlier run"),
        ({"gate": "<b>: 1"}, LOG, "The gate: &lt;b&gt;: Extra inputs"),
        ({}, gate_file, "alone_share: Input should be less"),
    ):
        answer = inside.post("/team/replay", headers=OWN, data=data, files=files)  # type: ignore[arg-type]
        assert answer.status_code == 400, what
        assert what in answer.text
        assert left(home) == []
    assert not hasattr(queue, "asked")


def test_a_log_that_is_too_large_is_refused_while_it_arrives(
    inside: TestClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    answer = inside.post("/team/replay", headers=OWN, files={"log": ("log.jsonl", b"x" * 2000)})
    assert answer.status_code == 413
    assert "too large" in answer.text
    assert left(home) == []


def test_uploads_that_were_broken_off_do_not_stay(home: Path, bot: Chatbot, queue: Noted) -> None:
    place = home / "replays" / "upload-abc"
    place.mkdir(parents=True)
    (place / "tmp1").write_text("half a log")
    door = Door(bot, Callers(bot.settings, bot), RateLimits())
    replay_pages(bot, door, Templates(bot.desk), queue)
    assert left(home) == []


def test_a_report_can_do_nothing_in_the_teams_name(inside: TestClient, run: str) -> None:
    answer = inside.get(f"/team/replay/runs/{run}/report")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none';")
    assert "allow-same-origin" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert "<i>?</i>" not in answer.text
    assert "<u>" not in answer.text
    assert "<u>" not in inside.get("/team/replay").text
    for path in ("runs/%2e%2e/report", "runs/passages/report", f"runs/{run}/against/x", f"runs/{run}/against/..%2f.."):
        assert inside.get(f"/team/replay/{path}").status_code == 404, path


def test_runs_are_compared_and_deleted_by_name(inside: TestClient, home: Path, run: str, queue: Noted) -> None:
    write_run(home / "replays" / "2026-10-02-log", [turn("c", 1, "?", "a", "b")])

    def post(path: str, **data: str) -> int:
        return inside.post(f"/team/replay/{path}", headers=OWN, data=data).status_code

    assert post("reports", run=run, against=run) == 409
    assert post("reports", run="../models") == 409
    assert post("reports", run=run, against="2026-10-02-log") == 303
    assert queue.asked == [Order(run, against="2026-10-02-log")]
    assert post(f"runs/{run}/resume") == 409  # it is whole
    assert post("runs/passages/delete") == 409
    assert post("runs/2026-10-02-log/delete") == 303
    assert left(home) == [run]
    assert [one["name"] for one in inside.get("/team/replay/progress").json()] == [run]


def test_which_records_were_left_out_is_shown(inside: TestClient, home: Path, run: str) -> None:
    folder = home / "replays" / run
    info = Run(folder).info
    write_value(folder / "run.json", replace(info, log=replace(info.log, wrong=2)))
    (folder / "wrong.txt").write_text("log.jsonl, line 7: <it> is not JSON.", encoding="utf-8")
    page = inside.get("/team/replay").text
    assert "2 of the log's records could not be read and were left out" in page
    assert "<li>log.jsonl, line 7: &lt;it&gt; is not JSON.</li>" in page
