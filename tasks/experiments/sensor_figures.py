"""The figures of the sensor experiment. Every one says what its data are, and of how many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssc.drafts import drafted
from ssc.masks import Mask
from ssc.report.colours import FAINT, GRID, INK, PRODUCTS, TRUTH
from ssc.report.quicklook import MASK_NAMES
from tasks.experiments.sensor_scores import METRICS, ORDER
from tasks.score_figures import CURVES, MARKERS

STYLES: Final = {
    "S30": {"color": PRODUCTS["S30"], "marker": "s", "linestyle": "--"},
    "L30": {"color": PRODUCTS["L30"], "marker": "o", "linestyle": ":"},
    "both": {"color": TRUTH, "marker": "D", "linestyle": "-"},
}
"""A colour, a marker and a line for each: told apart without any one of them."""
TITLES: Final = {"accuracy": "accuracy", "f1": "F1", "precision": "precision", "recall": "recall"}


def draw_windows(
    path: Path,
    cover: pd.DataFrame,
    differences: pd.DataFrame,
    *,
    kind: str,
    tested_on: str,
    pair: tuple[str, str],
    side: int,
) -> Path:
    """Clouds in windows by cloud cover: scores of each network above, paired differences below."""
    seen = cover[(cover["tested_on"] == tested_on) & (cover["mask"] == Mask.CLOUD.name)]
    better, than = pair
    gaps = differences[(differences["tested_on"] == tested_on) & (differences["mask"] == Mask.CLOUD.name)]
    gaps = gaps[(gaps["trained_on"] == better) & (gaps["minus"] == than) & (gaps["cover_to"] - gaps["cover_from"] < 1)]
    bins = seen[["cover_from", "cover_to"]].drop_duplicates().sort_values("cover_from")
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    axes = figure.subplots(2, len(METRICS), sharex=True, sharey="row")
    ticks = _covers(seen, bins)
    for column, metric in enumerate(METRICS):
        of = seen[seen["metric"] == metric]
        axes[0, column].set_title(TITLES[metric], color=INK)
        for place, (name, rows) in enumerate(of.groupby("trained_on", sort=False)):
            axes[0, column].plot(_at(rows, bins), 100 * rows["mean"], label=name, **_style(str(name), place))
        _differences(axes[1, column], gaps[gaps["metric"] == metric], bins)
        axes[1, column].set_xticks(range(len(bins)), ticks, fontsize=7)
        axes[1, column].set_xlabel("cloud cover of the window, % (n windows)", fontsize=8)
    axes[0, 0].set_ylabel("mean over windows, %")
    axes[1, 0].set_ylabel(f"{better} minus {than}, percentage points\n(bar: 90 %; small: n windows where defined)")
    _finish(figure, axes.flat, f"Clouds in windows of {side} px, tested on {tested_on} ({kind})")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, title="trained on", loc="outside right upper", frameon=False)
    return _save(figure, path)


def draw_subsets(path: Path, table: pd.DataFrame, *, kind: str) -> Path:
    """Mean F1 against the number of bands: mean over random subsets, and from the lowest to the highest of them."""
    names = list(dict.fromkeys(table["tested_on"]))
    figure = Figure(figsize=(5.6 * len(names), 4.4), layout="constrained")
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axis, name in zip(axes, names, strict=True):
        rows = table[table["tested_on"] == name]
        for place, (trained, of) in enumerate(rows.groupby("trained_on", sort=False)):
            _spread(axis, of, str(trained), place)
        draws = rows[rows["random"]].groupby(["trained_on", "bands"]).size().max()
        chips = rows["chips"].max()
        axis.set(
            title=f"tested on {name}", xlabel=f"bands given (up to {draws} random subsets each, n = {chips} chips)"
        )
        axis.set_xticks(sorted(rows["bands"].unique()))
    axes[0].set_ylabel("mean F1 of the masks that are there, %")
    _finish(figure, axes, f"Fewer bands ({kind}); shaded: lowest to highest subset; star: the six standard bands")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="trained on", loc="outside right upper", frameon=False)
    return _save(figure, path)


def draw_leave_one_out(path: Path, table: pd.DataFrame, *, kind: str, trained_on: str) -> Path:
    """Drop of F1 by mask and missing band, a panel per sensor."""
    names = list(dict.fromkeys(table["tested_on"]))
    rows = table[table["trained_on"] == trained_on]
    widths = [rows.loc[rows["tested_on"] == name, "missing"].nunique() for name in names]
    figure = Figure(figsize=(2.6 + 0.62 * sum(widths), 3.9), layout="constrained")
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False, width_ratios=widths)[0]
    most = max(float(np.nanmax(np.abs(100 * rows["drop"].to_numpy()), initial=0.0)), 0.5)
    for axis, name in zip(axes, names, strict=True):
        of = rows[rows["tested_on"] == name]
        grid = 100 * of.pivot_table(index="mask", columns="missing", values="drop", sort=False, dropna=False)
        grid = grid.reindex([mask.name.lower() for mask in ORDER])
        image = axis.imshow(grid.to_numpy(), cmap="PuOr_r", vmin=-most, vmax=most, aspect="auto")
        _numbers(axis, grid, most)
        axis.set_xticks(
            range(grid.shape[1]), [str(band).replace("_", " ") for band in grid.columns], rotation=50, ha="right"
        )
        axis.set(title=f"tested on {name} (n = {of['chips'].max()} chips)", xlabel="band missing")
    axes[0].set_yticks(range(len(ORDER)), [MASK_NAMES[mask] for mask in ORDER])
    figure.colorbar(image, ax=axes, label="F1 lost, percentage points", shrink=0.8)
    figure.suptitle(f"What each band is worth to the network trained on {trained_on} ({kind})", color=INK)
    return _save(figure, path)


def _differences(axis: Axes, rows: pd.DataFrame, bins: pd.DataFrame) -> None:
    at, middle = _at(rows, bins), 100 * rows["difference"].to_numpy(np.float64)
    ends = 100 * rows[["low", "high"]].to_numpy(np.float64)
    axis.axhline(0, color=FAINT, linewidth=1)
    axis.vlines(at, ends[:, 0], ends[:, 1], color=TRUTH, linewidth=2)
    axis.plot(at, middle, color=TRUTH, marker="D", linestyle="none")
    for place, value, pairs in zip(at, middle, rows["pairs"], strict=True):
        if np.isfinite(value):
            axis.annotate(
                f"{pairs}", (place, value), xytext=(5, 0), textcoords="offset points", fontsize=6, color=FAINT
            )


def _at(rows: pd.DataFrame, bins: pd.DataFrame) -> list[int]:
    """Place of each row's bin of cloud cover."""
    return [list(bins["cover_from"]).index(start) for start in rows["cover_from"]]


def _covers(rows: pd.DataFrame, bins: pd.DataFrame) -> list[str]:
    count = rows.groupby("cover_from")["windows"].max()
    pairs = bins[["cover_from", "cover_to"]].itertuples(index=False)
    return [f"{100 * low:g}-{100 * high:g}\nn={count[low]}" for low, high in pairs]


def _spread(axis: Axes, rows: pd.DataFrame, name: str, place: int) -> None:
    style = _style(name, place)
    by_number = 100 * rows[rows["random"]].groupby("bands")["mean_f1"].agg(["mean", "min", "max"])
    axis.plot(by_number.index, by_number["mean"], label=name, **style)
    axis.fill_between(
        by_number.index, by_number["min"], by_number["max"], color=style["color"], alpha=0.15, linewidth=0
    )
    six = rows[~rows["random"]]
    axis.plot(six["bands"], 100 * six["mean_f1"], color=style["color"], marker="*", markersize=11, linestyle="none")


def _numbers(axis: Axes, grid: pd.DataFrame, most: float) -> None:
    for (row, column), value in np.ndenumerate(grid.to_numpy()):
        colour = "white" if abs(value) > 0.55 * most else INK
        text = f"{value:.1f}" if np.isfinite(value) else "none"
        axis.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)


def _style(name: str, place: int) -> dict[str, Any]:
    other = {"color": CURVES[place % len(CURVES)], "marker": MARKERS[place % len(MARKERS)], "linestyle": "-."}
    return {**STYLES.get(name, other), "markersize": 4, "linewidth": 1.4}


def _finish(figure: Figure, axes: Sequence[Axes] | np.flatiter[Any], title: str) -> None:
    figure.suptitle(title, color=INK)
    for axis in axes:
        axis.grid(color=GRID, linewidth=0.7)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, path: Path) -> Path:
    with drafted(path) as draft:
        figure.savefig(draft, format="png", dpi=130, metadata={"Software": None})
    return path
