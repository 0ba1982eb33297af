"""The budget as a figure: parts by class of sediment, what masks add, and what they lose."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssc.drafts import drafted
from ssc.report.colours import FAINT, GRID, INK
from tasks.experiments.budget_parts import CLASSES, PARTS
from tasks.experiments.budget_tables import ALL
from tasks.experiments.budget_text import Tables
from tasks.score_figures import CURVES, MARKERS

PLACES: Final = (ALL, *CLASSES)


def draw_budget(path: Path, tables: Tables, *, label: str) -> Path:
    """Three panels over the classes of true SSC: parts with the first masker, mask part and coverage lost by masker.

    Args:
        path: PNG.
        tables: Parts and coverage are drawn.
        label: That the data are simulated, the seeds and the regressor.
    """
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    maskers = list(dict.fromkeys(tables.coverage["masker"]))
    own = tables.parts[tables.parts["masker"] == maskers[0]] if len(tables.parts) else tables.parts
    for place, part in enumerate(PARTS):
        _line(left, own, f"{part}_median_abs", part, place)
    for place, masker in enumerate(maskers):
        of_parts, of_coverage = (table[table["masker"] == masker] for table in (tables.parts, tables.coverage))
        _line(middle, of_parts, "mask_median_abs", masker, place)
        _line(right, of_coverage.assign(percent=100 * of_coverage["lost"]), "percent", masker, place)
    _finish(left, f"parts, masker {maskers[0]}", "median |part|, ln")
    _finish(middle, "mask part by masker", "median |mask part|, ln")
    _finish(right, "estimates lost by the masks", "reach-days lost, %")
    _count(left, own)
    figure.suptitle(f"Error budget of SSC ({label})", color=INK)
    _save(figure, path)
    return path


def _line(axis: Axes, rows: pd.DataFrame, column: str, label: str, place: int) -> None:
    """Values by class; nothing joins across all classes and single ones."""
    style: dict[str, Any] = {
        "color": CURVES[place % len(CURVES)],
        "marker": MARKERS[place % len(MARKERS)],
        "markersize": 5,
    }
    at = [PLACES.index(name) for name in rows["ssc_class"]]
    points = pd.Series(rows[column].to_numpy(), index=at).reindex(range(len(PLACES)))
    axis.plot(points.index[1:], points.iloc[1:], label=label, linewidth=1.2, **style)
    axis.plot(points.index[:1], points.iloc[:1], linestyle="none", **style)


def _finish(axis: Axes, title: str, label: str) -> None:
    axis.set_title(title, color=INK, fontsize=10)
    axis.set_xticks(range(len(PLACES)), PLACES, fontsize=8)
    axis.set_xlabel("true SSC, mg/L")
    axis.set_ylabel(label)
    axis.set(xlim=(-0.5, len(PLACES) - 0.5), ylim=(0, None))
    axis.grid(axis="y", color=GRID)
    axis.set_axisbelow(True)
    axis.legend(frameon=False, fontsize=8)


def _count(axis: Axes, rows: pd.DataFrame) -> None:
    """Reach-days of each class, below its name."""
    counts = dict(zip(rows["ssc_class"], rows["n"], strict=True))
    ticks = [f"{name}\nn={counts.get(name, 0)}" for name in PLACES]
    axis.set_xticks(range(len(PLACES)), ticks, fontsize=7, color=FAINT)


def _save(figure: Figure, path: Path) -> None:
    with drafted(path) as draft:
        figure.savefig(draft, format="png", metadata={"Software": None})
