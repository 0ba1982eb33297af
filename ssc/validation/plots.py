"""Pictures of a contest, PNG by Agg: matplotlib's own style stays as it is for everybody else.

Colours after Okabe and Ito 2008, told apart by people with any colour vision, and a marker for each besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from ssc.drafts import drafted
from ssc.validation.contest import Contest
from ssc.validation.groups import NAMES, classes
from ssc.validation.metrics import METRICS, Pairs, inside, ln_ratio

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
INK: Final = "#1f2933"
FONT: Final = 11
DPI: Final = 130
PANEL: Final = 3.9
"""Inches a side."""
COLUMNS: Final = 3
NOMINAL: Final = 90.0
CROWDED: Final = 300
"""With more points than this they are drawn fainter."""


def scatter(found: Contest, path: Path) -> None:
    """Estimate against observation, a panel per contender, 1:1 line and a factor of two."""
    pairs = {name: found.pairs(name) for name in found.answers}
    ends = _ends(np.concatenate([np.concatenate([one.observed, one.predicted]) for one in pairs.values()]))
    figure, axes = _panels(len(pairs))
    for number, (axis, (name, one)) in enumerate(zip(axes, pairs.items(), strict=False)):
        _points(axis, one.observed, one.predicted, number)
        axis.plot(ends, ends, color=INK, linewidth=1.2, label="1:1")
        for factor in (0.5, 2.0):
            axis.plot(ends, factor * ends, color=INK, linewidth=0.9, linestyle="--", label="factor 2")
        _log(axis, "observed SSC, mg/L", "estimated SSC, mg/L", xlim=ends, ylim=ends)
        axis.set_aspect("equal")
        _title(axis, name, one)
    _save(figure, path)


def residuals(found: Contest, path: Path) -> None:
    """Ratio of estimate to observation against the estimate, with the running median of tenths of the rows.

    Against the estimate, not the observation: there any estimator that shrinks to its mean shows a slope.
    """
    pairs = {name: found.pairs(name) for name in found.answers}
    across = _ends(np.concatenate([one.predicted for one in pairs.values()]))
    up = _ends(np.exp(np.concatenate([ln_ratio(one) for one in pairs.values()])))
    figure, axes = _panels(len(pairs))
    for number, (axis, (name, one)) in enumerate(zip(axes, pairs.items(), strict=False)):
        ratio = np.exp(ln_ratio(one))
        _points(axis, one.predicted, ratio, number)
        axis.axhline(1.0, color=INK, linewidth=1.2)
        for factor in (0.5, 2.0):
            axis.axhline(factor, color=INK, linewidth=0.9, linestyle="--")
        axis.plot(*_running_median(one.predicted, ratio), color=INK, linewidth=2.2)
        _log(axis, "estimated SSC, mg/L", "estimate / observation", xlim=across, ylim=up)
        _title(axis, name, one)
    _save(figure, path)


def coverage(found: Contest, path: Path) -> bool:
    """Share of observations inside their 90 % interval, by class of observed SSC; False, no file, without intervals."""
    bounded = {name: known for name in found.answers if (known := found.pairs(name).bounded()) is not None}
    if not bounded:
        return False
    figure = _figure(7.5, 4.6)
    axis = figure.subplots()
    for place, (name, one) in enumerate(bounded.items()):
        number, shift = list(found.answers).index(name), 0.12 * (place - (len(bounded) - 1) / 2)
        held, number_of = inside(one), classes(one.observed)
        shares = [100 * held[number_of == n].mean() if (number_of == n).any() else np.nan for n in range(len(NAMES))]
        axis.plot(np.arange(len(NAMES)) + shift, shares, linestyle="none", label=name, **_mark(number, 8))
    axis.axhline(NOMINAL, color=INK, linewidth=1.2, label="nominal 90 %")
    rows = np.bincount(classes(found.rows["observed"][found.judged()]), minlength=len(NAMES))
    axis.set_xticks(range(len(NAMES)), [f"{name}\nn = {n}" for name, n in zip(NAMES, rows, strict=True)])
    axis.set_ylim(-3, 103)
    _label(axis, "observed SSC, mg/L", "observations inside the 90 % interval, %")
    _legend(axis)
    _save(figure, path)
    return True


def learning(curve: pd.DataFrame, names: Sequence[str], path: Path, metric: str = "mdsa") -> None:
    """Error by number of local samples: on the rows left, and on the same rows for all.

    Args:
        curve: Of `learning.curve`, with a column `contender`.
        names: All contenders of the contest, so that each keeps its colour.
        path: PNG to write.
        metric: Of `learning.FIGURES`.
    """
    figure = _figure(2 * PANEL + 1.6, PANEL + 0.5)
    titles = {"rest": "scored on the rows left", "same": "scored on the same rows for all k"}
    for axis, (rows, title) in zip(figure.subplots(1, 2, sharey=True), titles.items(), strict=True):
        for name, part in curve[curve["rows"] == rows].groupby("contender", sort=False):
            number, k = list(names).index(str(name)), part["k"].to_numpy(dtype=float)
            low, high = part[f"{metric}_min"].to_numpy(dtype=float), part[f"{metric}_max"].to_numpy(dtype=float)
            axis.fill_between(k, low, high, color=_colour(number), alpha=0.18, linewidth=0)
            axis.plot(k, part[metric].to_numpy(dtype=float), label=str(name), **_mark(number, 6))
        axis.set_title(title, fontsize=FONT)
        axis.set_xticks(np.unique(curve["k"]))
        _label(axis, "local samples per site", METRICS[metric].title if rows == "rest" else "")
        axis.grid(visible=True, color="#dfe3e8", linewidth=0.6)
    _legend(axis)
    _save(figure, path)


def _points(axis: Axes, x: NDArray[np.float64], y: NDArray[np.float64], number: int) -> None:
    alpha = 0.45 if len(x) > CROWDED else 0.75
    axis.plot(x, y, linestyle="none", alpha=alpha, markeredgewidth=0, **_mark(number, 4.5))


def _running_median(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    parts = [rows for rows in np.array_split(np.argsort(x, kind="stable"), 10) if len(rows)]
    return [float(np.median(x[rows])) for rows in parts], [float(np.median(y[rows])) for rows in parts]


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    figure = _figure(PANEL * columns, (PANEL + 0.3) * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[count:]:
        axis.set_axis_off()
    return figure, list(axes[:count])


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _log(axis: Axes, x: str, y: str, *, xlim: NDArray[np.float64], ylim: NDArray[np.float64]) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(*xlim)
    axis.set_ylim(*ylim)
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(LogLocator(numticks=7))
        side.set_major_formatter(StrMethodFormatter("{x:g}"))
        side.set_minor_formatter(NullFormatter())
    axis.grid(visible=True, color="#dfe3e8", linewidth=0.6)
    _label(axis, x, y)


def _label(axis: Axes, x: str, y: str) -> None:
    axis.set_xlabel(x, fontsize=FONT)
    axis.set_ylabel(y, fontsize=FONT)
    axis.tick_params(labelsize=FONT - 2)


def _title(axis: Axes, name: str, pairs: Pairs) -> None:
    n = len(pairs.observed)
    told = f"{name}\nn = {n}" + (f", MdSA {METRICS['mdsa'].of(pairs):.1f} %" if n else "")
    axis.set_title(told, fontsize=FONT)


def _legend(axis: Axes) -> None:
    axis.legend(fontsize=FONT - 2, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0))


def _mark(number: int, size: float) -> dict[str, Any]:
    return {"color": _colour(number), "marker": MARKERS[number % len(MARKERS)], "markersize": size}


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _ends(values: NDArray[np.float64] | Sequence[float]) -> NDArray[np.float64]:
    """Ends of a logarithmic axis; a decade about 10 where there is nothing to show."""
    known = np.asarray(values, float)
    return np.array([known.min() / 1.3, known.max() * 1.3]) if known.size else np.array([3.0, 30.0])


def _save(figure: Figure, path: Path) -> None:
    with drafted(path) as draft:
        figure.savefig(draft, dpi=DPI, format="png", metadata={"Software": None})
