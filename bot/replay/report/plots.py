"""The plots of a report, as SVG that needs no colour: told apart by lengths, markers, hatches and greys."""

from __future__ import annotations

import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bot.replay.report import words
from bot.replay.report.words import name_of
from bot.replay.run_folder import Difference
from bot.replay.scores import share

_WIDTH = 5.2  # inches; a column on a screen, the whole width of a phone
_ROW = 0.52  # inches
_INTENTS = 14
_LONGEST = 44  # characters of a label
_STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.family": "sans-serif",
    "font.size": 10.0,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "savefig.transparent": True,
    "svg.fonttype": "none",  # text stays text: it can be searched and copied
    "text.parse_math": False,  # a dollar sign in an intent's name is a dollar sign
}
_NOW: Mapping[str, Any] = {"color": "0.35"}
_BEFORE: Mapping[str, Any] = {"facecolor": "none", "edgecolor": "black", "hatch": "////"}


def actions(figure: Figure, now: Mapping[str, int], before: Mapping[str, int] | None = None) -> None:
    """Draw what the bot did, in shares of the messages; before, too, where there is a before."""
    names = [name for name, _ in Counter({**(before or {}), **now}).most_common()]
    axes = _axes(figure, [name_of(words.ACTIONS, name) for name in names], legend=before is not None)
    for counts, label, style, up in ((now, "this run", _NOW, 0.0), (before, "the earlier run", _BEFORE, -0.2)):
        if counts:
            shares = [100 * counts.get(name, 0) / sum(counts.values()) for name in names]
            places = np.arange(len(names), 0, -1) + up
            axes.barh(places, shares, height=0.18 if before else 0.3, label=label, **style)
    axes.set_xlim(left=0)
    axes.set_xlabel("messages (%)")
    if before:
        _legend(axes)


def intents(figure: Figure, by_intent: Mapping[str, tuple[int, int]]) -> None:
    """Draw for the commonest intents how often the bot did what was right, with intervals of 95 %."""
    common = sorted(by_intent.items(), key=lambda one: (-one[1][0], one[0]))[:_INTENTS]
    axes = _axes(figure, [f"{name} ({of})" for name, (of, _) in common])
    places = np.arange(len(common), 0, -1)
    found = [share(right, of) for _, (of, right) in common]
    lows, highs = (
        [100 * (value or 0) for value in values] for values in zip(*((s.low, s.high) for s in found), strict=True)
    )
    axes.hlines(places, lows, highs, color="0.5", linewidth=2)
    axes.plot([100 * (one.share or 0) for one in found], places, "D", color="black", clip_on=False)
    axes.set_xlim(0, 100)
    axes.set_xlabel("right (%), of the messages in brackets")


def stages(figure: Figure, spent: Mapping[str, Sequence[float]]) -> None:
    """Draw how long each stage of a turn takes: the middle one of all turns, and what 95 % stay below."""
    names = [name for name in words.STAGES if name in spent]
    axes = _axes(figure, [name_of(words.STAGES, name) for name in names], legend=True)
    places = np.arange(len(names), 0, -1)
    middle, most = (np.array([np.percentile(spent[name], at) for name in names]) for at in (50, 95))
    axes.barh(places, middle, height=0.3, label="half of the turns take less", **_NOW)
    axes.plot(most, places, "|", color="black", markersize=12, markeredgewidth=2, label="95 % take less")
    axes.set_xlim(left=0)
    axes.set_xlabel("milliseconds a turn")
    _legend(axes)


def harm(figure: Figure, kinds: Mapping[str, Counter[str]]) -> None:
    """Draw how many messages changed in which way, and whether for the worse."""
    names = sorted(kinds, key=lambda name: (-kinds[name]["worse"], -sum(kinds[name].values()), name))
    axes = _axes(figure, [name_of(words.CHANGES, name) for name in names], legend=True)
    places, left = np.arange(len(names), 0, -1), np.zeros(len(names))
    styles: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("worse", {"color": "black"}),
        ("neutral", {"color": "0.75"}),
        ("better", _BEFORE),
    )
    for verdict, style in styles:
        counts = np.array([kinds[name][verdict] for name in names])
        axes.barh(places, counts, left=left, height=0.3, label=verdict, **style)
        left = left + counts
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("messages that changed")
    _legend(axes)


def by_kind(differences: Iterable[Difference]) -> dict[str, Counter[str]]:
    """Return how many turns of each kind of change became worse, better or neither."""
    kinds: dict[str, Counter[str]] = {}
    for one in differences:
        kinds.setdefault(one.kind, Counter())[one.verdict] += 1
    return kinds


def drawn(name: str, drawing: Callable[..., None], *data: Any) -> str:
    """Return a plot as an `<svg>` element, the same for the same data; `name` is unique in its page."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # the browser has fonts of its own
        figure = Figure(figsize=(_WIDTH, 3))
        drawing(figure, *data)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\1{name}-", svg[svg.index("<svg") :])
    return re.sub(r'^<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 xmlns:xlink="http://www.w3.org/1999/xlink">', svg)


def _axes(figure: Figure, labels: list[str], *, legend: bool = False) -> Axes:
    """Return axes with a row for each label, which stands above its row, so that a long one fits a phone."""
    top, bottom = 0.35 if legend else 0.05, 0.5
    height = top + bottom + _ROW * len(labels)
    figure.set_size_inches(_WIDTH, height)
    axes = figure.add_axes((0.03, bottom / height, 0.94, _ROW * len(labels) / height))
    for place, label in zip(range(len(labels), 0, -1), labels, strict=True):
        short = label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
        axes.text(0, place + 0.2, short, va="bottom", fontsize=9, transform=axes.get_yaxis_transform())
    axes.set_ylim(0.6, len(labels) + 0.62)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return axes


def _legend(axes: Axes) -> None:
    """Put the legend above the plot, where it hides nothing."""
    axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderpad=0.1, columnspacing=1.2)
