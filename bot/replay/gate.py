"""A gate: limits that a run must keep to before a change ships, read from a YAML file."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.problems import RapportError
from bot.replay.run_folder import GATE, Comparison, GateLine, GateResult, Run, write_value

Rate = Field(default=None, ge=0, le=1)


class Gate(BaseModel):
    """`gate.yaml`: every limit is optional, one at least must be there.

    Those of the first group are about what became different, and need an earlier run (`--against`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    worse_share: float | None = Rate  # at most, of all turns
    worse_answered_share: float | None = Rate  # at most, of the turns that the earlier run answered
    worse_turns: int | None = Field(default=None, ge=0)
    changed_share: float | None = Rate
    lost_handoffs: int | None = Field(default=None, ge=0)  # turns that were handed over, and are not now
    lost_answers: int | None = Field(default=None, ge=0)

    wrong_share: float | None = Rate  # at most, of the turns that the log can judge
    unanswered_share: float | None = Rate
    asked_known_share: float | None = Rate
    late_handoff_share: float | None = Rate
    needless_handoff_share: float | None = Rate
    p95_ms: float | None = Field(default=None, gt=0)
    intent_share: float | None = Rate  # at least
    alone_share: float | None = Rate  # at least, of the conversations


_COMPARED = ("worse_share", "worse_answered_share", "worse_turns", "changed_share", "lost_handoffs", "lost_answers")
_AT_LEAST = ("intent_share", "alone_share")
_SHARES = {
    "unanswered_share": "unanswered",
    "asked_known_share": "asked_known",
    "late_handoff_share": "handoff_late",
    "needless_handoff_share": "handoff_needless",
    "intent_share": "intent",
    "alone_share": "alone",
}
_WORDS = {
    "worse_share": "turns that became worse",
    "worse_answered_share": "answered turns that became worse",
    "worse_turns": "turns that became worse",
    "changed_share": "turns that became different",
    "lost_handoffs": "handoffs that are gone",
    "lost_answers": "answers that are gone",
    "wrong_share": "turns that did not get what was right",
    "unanswered_share": "turns left unanswered",
    "asked_known_share": "questions asked for what was known",
    "late_handoff_share": "handoffs too late or not at all",
    "needless_handoff_share": "needless handoffs",
    "p95_ms": "ms that 95 % of turns take at most",
    "intent_share": "messages understood as their label",
    "alone_share": "conversations resolved alone",
}


def read_gate(path: Path, *, compared: bool) -> Gate:
    """Return the limits in a file; `compared` says whether there is an earlier run to compare with.

    Raises:
        RapportError: it cannot be read, names a limit that there is not or that needs an earlier run, or none.
    """
    try:
        gate = Gate.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RapportError(f"{path} cannot be read ({error.strerror}). Name a file of limits.") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RapportError(f"{path} cannot be read as YAML ({type(error).__name__}). Correct it.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RapportError(f"{path}: {where}: {first['msg']}. Limits are: {', '.join(Gate.model_fields)}.") from None
    if not gate.model_dump(exclude_none=True):
        raise RapportError(f"{path} names no limit. Limits are: {', '.join(Gate.model_fields)}.")
    if not compared and (about := [name for name in gate.model_dump(exclude_none=True) if name in _COMPARED]):
        raise RapportError(f"{path}: {', '.join(about)} needs an earlier run. Add --against RUN.")
    return gate


def check(gate: Gate, run: Run, comparison: Comparison | None) -> GateResult:
    """Return whether a run keeps to all limits, and keep that in its folder.

    Where the log cannot tell, a limit is kept to, and its sentence says so. Limits on what became different are broken
    where there is nothing to compare: the earlier run is one of another log.

    Raises:
        OSError: the result cannot be written.
    """
    limits = gate.model_dump(exclude_none=True)
    measured = _measured(run, comparison)
    lines = tuple(_line(name, measured[name], bound) for name, bound in limits.items())
    result = GateResult(all(line.passed for line in lines), lines)
    write_value(run.folder / GATE, result)
    return result


def _measured(run: Run, comparison: Comparison | None) -> dict[str, float | None]:
    shares = run.scores().shares
    measured: dict[str, float | None] = {name: shares[own].share for name, own in _SHARES.items()}
    right = shares["answer"].share
    measured |= {"wrong_share": None if right is None else round(1 - right, 4), "p95_ms": run.timing().turn_p95_ms}
    if comparison is not None:
        measured |= _compared(comparison)
    return measured


def _compared(comparison: Comparison) -> dict[str, float | None]:
    if not comparison.turns:
        return dict.fromkeys(_COMPARED)
    return {
        "worse_share": comparison.worse / comparison.turns,
        "worse_answered_share": comparison.answered_worse / comparison.answered if comparison.answered else None,
        "worse_turns": comparison.worse,
        "changed_share": comparison.changed / comparison.turns,
        "lost_handoffs": comparison.kinds.get("handoff_lost", 0),
        "lost_answers": comparison.kinds.get("answer_lost", 0),
    }


def _line(name: str, value: float | None, bound: float) -> GateLine:
    least = name in _AT_LEAST
    if value is None:
        passed = name not in _COMPARED
        found = "the log does not tell" if passed else "the runs have no such turns in common"
    else:
        passed = value >= bound if least else value <= bound
        found = f"{value:.4g}"
    limit = f"at {'least' if least else 'most'} {bound:.4g}"
    return GateLine(
        name, value, bound, passed, f"{'ok' if passed else 'FAILED'}  {name}: {found} ({limit}; {_WORDS[name]})"
    )
