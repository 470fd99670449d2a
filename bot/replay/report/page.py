"""write_report(): the report's page, in one file that asks for nothing else, and report.json beside it."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bot.replay import shelf
from bot.replay.report import plots, words
from bot.replay.report.files import POLICY, SCRIPT, report_file
from bot.replay.report.glance import compared_with, glance, interval
from bot.replay.report.packing import pack, to_json
from bot.replay.report.tally import Tally, tally
from bot.replay.report.transcripts import MOST, fitting, transcripts
from bot.replay.run_folder import TIMINGS, Difference, Run, TurnTiming, read_lines
from finetune.sheets import write_whole

_NAMES = {
    "outcomes": words.OUTCOMES,
    "actions": words.ACTIONS,
    "verdicts": words.VERDICTS,
    "harms": words.HARMS,
    "changes": words.CHANGES,
    "parts": words.PARTS,
    "memories": words.MEMORIES,
    "sources": words.SOURCES,
    "stages": words.STAGES,
}


def write_report(run: Run, against: Run | None = None, out: Path | None = None) -> Path:
    """Write the report of a run, and its figures as report.json beside it; return the page's file.

    `against` is an earlier run that it has been compared with; its report lies with the comparison.

    Raises:
        RapportError: a file of a run is gone or damaged, or there is no such comparison.
        OSError: the report cannot be written.
    """
    with shelf.reading(run.folder):  # nobody is forgotten between reading and writing
        return _written(run, against, out)


def _written(run: Run, against: Run | None, out: Path | None) -> Path:
    differences = list(run.differences(against.name)) if against else []
    harms: dict[str, int] = defaultdict(int)
    for one in differences:
        harms[one.conversation] += max(one.harm, 0)
    counted = tally(run, MOST, harms)
    before = tally(against) if against else None
    figures = glance(run, counted, against, before)
    file = out or report_file(run, against.name if against else None)
    shown = transcripts(run, fitting(counted.worth), differences)
    data = {"of": figures["log"]["conversations"], "names": _NAMES, "compared": bool(against)}
    page = _page().generate(
        figures=figures,
        plots=_plots(run, counted, before, differences),
        data=_embedded(data),
        rows=pack(map(to_json, shown.rows)),
        blocks=shown.blocks,
        shown=len(shown.rows),
        script=Markup(SCRIPT),  # noqa: S704 - our own file
        policy=POLICY,
        words=words,
        interval=interval,
        turns_file=run.folder / "turns.jsonl",
    )
    write_whole(file.with_name(f"{file.stem}.json"), _json(figures, compared_with(run)))
    write_whole(file, (piece.encode() for piece in page))
    return file


def _plots(run: Run, counted: Tally, before: Tally | None, differences: list[Difference]) -> dict[str, Markup]:
    spent: dict[str, array[float]] = defaultdict(lambda: array("d"))
    for one in read_lines(TurnTiming, run.folder / TIMINGS):
        for stage, ms in one.ms.items():
            spent[stage].append(ms)
    by_intent = run.scores().by_intent
    made = {
        "actions": plots.drawn("actions", plots.actions, counted.actions, before.actions if before else None),
        "harm": plots.drawn("harm", plots.harm, plots.by_kind(differences)) if differences else "",
        "intents": plots.drawn("intents", plots.intents, by_intent) if by_intent else "",
        "stages": plots.drawn("stages", plots.stages, spent) if spent else "",
    }
    return {name: Markup(svg) for name, svg in made.items() if svg}  # noqa: S704 - matplotlib escapes the labels


def _page() -> Any:
    environment = Environment(
        loader=PackageLoader("bot.replay.report", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"percent": words.percent, "number": words.number}
    return environment.get_template("report.html.jinja")


def _embedded(data: Any) -> Markup:
    """Return values as JSON that can stand in a script element: nothing in it ends the element or begins a comment."""
    content = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&":
        content = content.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(content)  # noqa: S704 - escaped just now


def _json(figures: Any, comparisons: Any) -> bytes:
    return json.dumps({"glance": figures, "comparisons": comparisons}, indent=1, ensure_ascii=False).encode() + b"\n"
