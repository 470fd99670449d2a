"""The *Replay* page: a log goes in, its run is watched, and the report on it read; runs are compared and deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, RedirectResponse

from bot.channels.errors import ApiError
from bot.chatbot import Chatbot
from bot.problems import RapportError
from bot.replay.gate import read_gate
from bot.replay.queue import Order, Queue
from bot.replay.readers import FORMS, region_named
from bot.replay.report.files import POLICY, report_file
from bot.replay.run_folder import REPLAYS, Run
from bot.ui.team.door import Door
from bot.ui.team.replay_runs import rows, states, whole_runs
from bot.ui.team.template import Templates
from bot.ui.team.uploads import MOST_BYTES, Upload, remove_broken_off, uploaded
from bot.versions import Versions

_PAGE = "/team/replay"
_MOST_GATE = 64 * 1024  # bytes
_MEMORIES = {"recall": "finding past turns", "facts": "remembered details", "summary": "the summary"}
# A report shows what strangers wrote. It runs its own script, but as if it came from nowhere: without the team's login.
_REPORT_HEADERS = {
    "Content-Security-Policy": f"sandbox allow-scripts; {POLICY}; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


def replay_pages(bot: Chatbot, door: Door, templates: Templates, queue: Queue) -> APIRouter:
    """Return the routes under `/team/replay`, for members only."""
    members = [Depends(door.member), Depends(door.own_page)]
    router = APIRouter(prefix=_PAGE, include_in_schema=False, dependencies=members)
    home, desk = bot.settings.home, bot.desk.name
    remove_broken_off(home / REPLAYS)

    def page(problem: str = "", status: int = 200) -> Response:
        return templates.page(
            "replay",
            status,
            scripts=True,
            title="Replay",
            problem=problem,
            rows=rows(home, queue),
            whole=whole_runs(home),
            models=[version.name for version in reversed(Versions(home, desk).all("intent"))],
            memories=_MEMORIES,
            forms=list(FORMS),
            most_gib=MOST_BYTES >> 30,
        )

    @router.get("")
    def show() -> Response:
        return page()

    @router.get("/list")
    def listed() -> Response:
        return templates.page("replay_list", rows=rows(home, queue))

    @router.get("/progress")
    def progress() -> list[Any]:
        return list(states(home, queue))

    @router.get("/page.js")
    def script() -> Response:
        return FileResponse(Path(__file__).with_name("replay.js"), media_type="text/javascript")

    @router.post("")
    async def begin(request: Request) -> Response:
        try:
            async with uploaded(request, home / REPLAYS) as form:
                await run_in_threadpool(_ask, queue, form, home, desk)
        except RapportError as error:
            return await run_in_threadpool(page, str(error), 400)
        except ApiError as error:
            return await run_in_threadpool(page, str(error), error.status)
        except OSError as error:
            problem = f"The log cannot be kept ({error.strerror}). Free some space where RAPPORT_HOME is."
            return await run_in_threadpool(page, problem, 507)
        return RedirectResponse(_PAGE, 303)

    _changes(router, queue, page)
    _reports(router, home)
    return router


def _ask(queue: Queue, form: Upload, home: Path, desk: str) -> None:
    """Put what a form asks for in the queue.

    Raises:
        RapportError: it asks for something that there is not.
    """
    if "log" not in form.files:
        raise RapportError("Choose the file of a log first.")
    file, log = form.files["log"]
    model, against, kind = form.get("model"), form.get("against"), form.get("form")
    if model and model not in {version.name for version in Versions(home, desk).all("intent")}:
        raise RapportError(f"There is no classifier {model!r} any more.")
    if against and against not in whole_runs(home):
        raise RapportError(f"There is no run {against!r} any more.")
    if kind and kind not in FORMS:
        raise RapportError(f"There is no form {kind!r}.")
    without = tuple(name for name in _MEMORIES if name in form.fields.get("without", []))
    order = Order(
        run="",
        log=log,
        form=kind,
        model=model,
        without=without,
        live=bool(form.get("live")),
        mask=bool(form.get("mask")),
        region=region_named(form.get("region")),
        on_error="stop" if form.get("on_error") == "stop" else "skip",
        against=against,
    )
    queue.ask(file, order, _limits(form, file.with_name("gate.yaml"), compared=bool(against or without)))


def _limits(form: Upload, file: Path, *, compared: bool) -> str:
    """Return the gate of a form, typed or uploaded, after it has been read once; empty where there is none."""
    text = form.get("gate")
    if not text and "gate_file" in form.files:
        text = form.files["gate_file"][0].read_bytes()[:_MOST_GATE].decode("utf-8", "replace")
    if text:
        file.write_text(text, encoding="utf-8")
        try:
            read_gate(file, compared=compared)
        except RapportError as error:
            raise RapportError(str(error).replace(str(file), "The gate")) from None
    return text


def _changes(router: APIRouter, queue: Queue, page: Callable[..., Response]) -> None:
    """Add what changes runs that there are."""

    def done(change: Callable[[], None]) -> Response:
        try:
            change()
        except RapportError as error:
            return page(str(error), 409)
        return RedirectResponse(_PAGE, 303)

    @router.post("/reports")
    def report(run: Annotated[str, Form()], against: Annotated[str, Form()] = "") -> Response:
        def ask() -> None:
            for name in filter(None, (run, against)):
                Run(queue.folder(name))
            if run == against:
                raise RapportError("Choose two different runs to compare.")
            queue.add(Order(run, against=against))

        return done(ask)

    @router.post("/runs/{run}/resume")
    def resume(run: str) -> Response:
        return done(lambda: queue.resume(run))

    @router.post("/runs/{run}/cancel")
    def cancel(run: str) -> Response:
        return done(lambda: queue.cancel(run))

    @router.post("/runs/{run}/delete")
    def delete(run: str) -> Response:
        return done(lambda: queue.delete(run))


def _reports(router: APIRouter, home: Path) -> None:
    """Add the reports, each shown as a page that can do nothing in the team's name."""

    def shown(run: str, against: str = "") -> Response:
        if run in whole_runs(home):
            file = report_file(found := Run(home / REPLAYS / run), against or None)
            if (not against or against in found.comparisons()) and file.is_file():
                return FileResponse(file, media_type="text/html", headers=_REPORT_HEADERS)
        raise ApiError(404, "no_report", "There is no such report; it may have been deleted.")

    @router.get("/runs/{run}/report")
    def report(run: str) -> Response:
        return shown(run)

    @router.get("/runs/{run}/against/{against}")
    def comparison(run: str, against: str) -> Response:
        return shown(run, against)
