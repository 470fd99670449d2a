"""The plots of a report, as SVG that needs no colour: told apart by dashes, markers, hatches and greys."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_SIZE = (5.2, 3.5)  # inches; a column on a screen, the whole width of a phone
_BOX = (0.13, 0.15, 0.83, 0.82)  # of the axes: left, bottom, width, height
_PAIRS = 8
_LONGEST = 34  # characters of an intent's name
_STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.family": "sans-serif",
    "font.size": 10.0,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and copied
    "text.parse_math": False,  # a dollar sign in an intent's name is a dollar sign
}


Kind = Literal["intent", "answer"]


@dataclass(frozen=True)
class _Words:
    """What the plots of a kind of classifier say, and the names of what they show."""

    noun: str
    right: str  # in a point of the learning curve
    right_words: str
    right_span: int  # points that the axis covers at least, so that chance does not look like a trend
    threshold: str
    score: str
    inside: str
    outside: str


_WORDS: dict[Kind, _Words] = {
    "intent": _Words(
        noun="messages",
        right="accuracy",
        right_words="right (%), frozen encoder",
        right_span=0,
        threshold="in_scope",
        score="in-scope score",
        inside="the desk handles",
        outside="out of scope",
    ),
    "answer": _Words(
        noun="questions",
        right="map",
        right_words="mean precision (%), frozen encoder",
        right_span=20,
        threshold="answer",
        score="how probable the first text is",
        inside="a text found fits",
        outside="none of them fits",
    ),
}


def draw(report: Mapping[str, Any], kind: Kind = "intent") -> dict[str, str]:
    """Return the plots that there is data for, by name: each an `<svg>` element, the same for the same report."""
    figures = report["figures"] or {}
    drawings: dict[str, tuple[Callable[[Figure, Any, _Words], None], Any]] = {
        "confusions": (_confusions, [pair for pair in figures.get("confusions", ()) if pair["times"] > 1]),
        "learning_curve": (_learning_curve, report["learning_curve"]),
        "history": (_history, len(report["history"]) > 1 and report["history"]),
        "reliability": (_reliability, figures.get("reliability") and figures),
        "risk_coverage": (_risk_coverage, figures.get("risk_coverage") and report),
        "scope": (_scope, figures.get("in_scope_scores") and report),
    }
    plots = {}
    for name, (drawing, data) in drawings.items():
        if data:
            # The salt names what SVG elements refer to; plots that share a page must not share names.
            with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Glyph", UserWarning)  # the browser has fonts of its own
                figure = Figure(figsize=_SIZE)
                drawing(figure, data, _WORDS[kind])
                plots[name] = _svg(figure, name)
    return plots


def _svg(figure: Figure, name: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(
        r'\bid="(figure|axes|patch|line2d|text|xtick|ytick|matplotlib\.axis|legend|PathC)', rf'id="{name}-\1', svg
    )
    return re.sub(
        r'^<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 role="img" xmlns:xlink="http://www.w3.org/1999/xlink">', svg
    )


def _confusions(figure: Figure, confusions: Sequence[Mapping[str, Any]], words: _Words) -> None:
    """Draw a bar for each of the pairs most often confused, its name above it."""
    axes = figure.add_axes(_BOX)
    shown = confusions[:_PAIRS]
    places = range(len(shown), 0, -1)
    height = 0.6 + 0.36 * len(shown)
    figure.set_size_inches(_SIZE[0], height)
    axes.set_position((0.03, 0.45 / height, 0.94, 1 - 0.5 / height))
    axes.barh(places, [pair["times"] for pair in shown], height=0.34, color="0.35")
    for place, pair in zip(places, shown, strict=True):
        name = f"{_short(pair['intent'])} → {_short(pair['taken_for'])}"
        axes.text(0, place + 0.24, name, va="bottom", fontsize=9)
    axes.set_ylim(0.6, len(shown) + 0.8)
    axes.set_xlim(0, max(pair["times"] for pair in shown) * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(words.noun)


def _learning_curve(figure: Figure, points: Sequence[Mapping[str, Any]], words: _Words) -> None:
    axes = figure.add_axes(_BOX)
    axes.plot(
        [point[words.noun] for point in points],
        [100 * point[words.right] for point in points],
        color="black",
        marker="o",
        clip_on=False,
    )
    axes.set_xlim(left=0)
    low, high = axes.get_ylim()
    margin = max(words.right_span - (high - low), 0) / 2
    axes.set_ylim(low - margin, high + margin)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(f"{words.noun} learnt from")
    axes.set_ylabel(words.right_words)


def _history(figure: Figure, epochs: Sequence[Mapping[str, Any]], words: _Words) -> None:
    """Draw the loss and the score on held-out messages, epoch by epoch, with the epoch that was kept."""
    axes = figure.add_axes(_BOX)
    numbers = [epoch["epoch"] for epoch in epochs]
    chosen = next(epoch for epoch in epochs if epoch["kept"])
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    (loss,) = axes.plot(
        numbers, [epoch["loss"] for epoch in epochs], color="0.4", linestyle="--", marker="s", label="loss"
    )
    (score,) = right.plot(numbers, [100 * epoch["score"] for epoch in epochs], color="black", marker="o", label="score")
    (kept,) = right.plot(
        chosen["epoch"],
        100 * chosen["score"],
        "o",
        markersize=13,
        color="black",
        fillstyle="none",
        label="the epoch kept",
    )
    axes.set_xticks(numbers[:: math.ceil(len(numbers) / 12)])
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    right.set_ylabel(f"score on held-out {words.noun} (%)")
    right.yaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axes, [loss, score, kept], columns=3)
    axes.set_position((0.13, 0.15, 0.72, 0.74))
    right.set_position((0.13, 0.15, 0.72, 0.74))


def _reliability(figure: Figure, figures: Mapping[str, Any], _words: _Words) -> None:
    """Draw how often it was right against how sure it was, before and after; larger marks, more messages."""
    axes = figure.add_axes(_BOX)
    axes.plot([0, 100], [0, 100], color="0.6", linestyle=":")
    for key, when, marker, fill in (("_before", "before", "s", "white"), ("", "after", "o", "black")):
        if bins := figures.get(f"reliability{key}"):
            sure, right, share = zip(*bins, strict=True)
            error = 100 * figures[f"expected_calibration_error{key}"]
            axes.scatter(
                [100 * value for value in sure],
                [100 * value for value in right],
                s=[12 + 300 * value for value in share],
                marker=marker,
                facecolors=fill,
                edgecolors="black",
                clip_on=False,
                zorder=3,
            )
            axes.plot(
                [], [], marker, color="black", markerfacecolor=fill, label=f"{when} calibration, error {error:.1f}%"
            )
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_xlabel("how sure it said it was (%)")
    axes.set_ylabel("how often it was right (%)")
    _legend(axes)


def _risk_coverage(figure: Figure, report: Mapping[str, Any], words: _Words) -> None:
    """Draw the share of wrong answers against the share of messages answered, with what is tolerated and chosen."""
    axes = figure.add_axes(_BOX)
    figures, thresholds = report["figures"], report["thresholds"]
    coverage, risk = zip(*figures["risk_coverage"], strict=True)
    axes.plot([100 * value for value in coverage], [100 * value for value in risk], color="black", clip_on=False)
    most = thresholds["max_wrong_answers"]
    axes.axhline(100 * most, color="0.4", linestyle="--", linewidth=1, label=f"tolerated: {100 * most:g}%")
    axes.plot(
        100 * figures["answered"],
        100 * figures["wrong_of_answered"],
        "D",
        color="black",
        fillstyle="none",
        markersize=10,
        clip_on=False,
        label=f"the chosen threshold: {thresholds['answer']:.2f}",
    )
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100 * max(*risk, most) * 1.15)
    axes.set_xlabel(f"{words.noun} answered (%)")
    axes.set_ylabel("of these, wrong (%)")
    _legend(axes)


def _scope(figure: Figure, report: Mapping[str, Any], words: _Words) -> None:
    """Draw how scores are spread over what is in scope and over what is not, with the threshold."""
    axes = figure.add_axes(_BOX)
    scores = report["figures"]["in_scope_scores"]
    edges = scores["edges"]
    styles: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("inside", words.inside, {"color": "0.75", "edgecolor": "0.3"}),
        ("outside", words.outside, {"facecolor": "none", "edgecolor": "black", "hatch": "////"}),
    )
    for kind, label, style in styles:
        counts = scores[kind]
        shares = [100 * count / max(sum(counts), 1) for count in counts]
        axes.stairs(shares, edges, fill=True, label=label, **style)
    threshold = report["thresholds"][words.threshold]
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label=f"the threshold: {threshold:.2f}")
    axes.set_xlabel(words.score)
    axes.set_ylabel(f"{words.noun} of that kind (%)")
    _legend(axes)


def _legend(axes: Axes, handles: Sequence[Artist] = (), columns: int = 1) -> None:
    """Put the legend above the plot, where it hides nothing."""
    handles = handles or axes.get_legend_handles_labels()[0]
    axes.set_position((0.13, 0.15, 0.83, 0.82 - 0.075 * math.ceil(len(handles) / columns)))
    axes.legend(
        handles=handles, ncols=columns, loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderpad=0.2, labelspacing=0.3
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
