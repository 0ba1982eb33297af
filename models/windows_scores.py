"""Scores per window of 128 x 128 px by cloud cover, and how two maskers differ window by window.

One number per image hides where a masker fails; a window says it, and two maskers seen in the same windows can be
compared pair by pair (after A. Francis, Sensor-Independent Deep Learning for Cloud Masking, talk at MSSL/Phi-lab).

Rules at the edges, for they decide the means:
- UNKNOWN pixels never count, nor do pixels without a prediction (NaN).
- A window counts for a mask when at least half of its size^2 pixels are known, also where the edge cuts it. Its cloud
  cover is the share of cloud among pixels of known CLOUD label, of which there must be half, too.
- Undefined is NaN, never 1: precision when nothing was called, recall when nothing is there, F1 when neither. Each
  mean says of how many windows it is.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from models.packing import UNKNOWN
from ssc.errors import InputError
from ssc.masks import Mask

SIZE: Final = 128
EDGES: Final = (0.0, 0.01, 0.2, 0.4, 0.6, 0.8, 0.99, 1.0)
"""Bins of cloud cover, [from, to), the last [from, to]; clear and overcast windows are many: each has its own bin."""
METRICS: Final = ("accuracy", "f1", "precision", "recall")
KEY: Final = ("scene", "row", "col", "mask")
"""What names a row of a table of windows; row and col count windows."""

_CELLS: Final = ("right", "wrong", "missed", "rejected")
_ALL: Final = "all"


def window_scores(
    probability: NDArray[np.floating[Any]],
    labels: NDArray[np.uint8],
    thresholds: ArrayLike = 0.5,
    *,
    scene: str = "",
    size: int = SIZE,
) -> pd.DataFrame:
    """Scores of one scene, window by window.

    Args:
        probability: (5, H, W) in the order of `Mask`; NaN = no prediction.
        labels: (5, H, W) of 0, 1 and UNKNOWN.
        thresholds: One, or one per mask; above it (strictly) the thing is called.
        scene: Name that goes into the table.
        size: Pixels per side of a window.

    Returns:
        A row per window and mask: KEY, cloud (share, 0..1), known (pixels), METRICS.

    Raises:
        InputError: Shapes that do not fit.
    """
    if probability.shape != labels.shape or len(labels) != len(Mask) or size < 1:
        raise InputError(
            f"windows of {size} px: found probabilities {probability.shape} and labels {labels.shape}, "
            f"wanted both ({len(Mask)}, H, W)"
        )
    called = probability > np.broadcast_to(np.asarray(thresholds, np.float64), len(Mask))[:, None, None]
    judged = ~np.isnan(probability)
    there, absent = (labels == 1) & judged, (labels == 0) & judged
    layers = (called & there, called & absent, ~called & there, ~called & absent)
    cells = {name: _per_window(layer, size) for name, layer in zip(_CELLS, layers, strict=True)}
    cover, enough = _cover(labels, size)
    known = sum(cells.values(), np.zeros_like(cells["right"]))
    mask, row, col = np.nonzero((2 * known >= size**2) & enough)
    picked = {name: counts[mask, row, col] for name, counts in cells.items()}
    return pd.DataFrame(
        {
            "scene": np.full(len(row), scene, dtype=object),
            "row": row,
            "col": col,
            "mask": [Mask(int(number)).name for number in mask],
            "cloud": cover[row, col],
            "known": known[mask, row, col],
            **metrics(**picked),
        }
    )


def metrics(
    right: NDArray[np.int64], wrong: NDArray[np.int64], missed: NDArray[np.int64], rejected: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """METRICS of counts of true positives, false positives, false negatives and true negatives; NaN = undefined."""
    return {
        "accuracy": _share(right + rejected, right + wrong + missed + rejected),
        "f1": _share(2 * right, 2 * right + wrong + missed),
        "precision": _share(right, right + wrong),
        "recall": _share(right, right + missed),
    }


def by_cover(table: pd.DataFrame, edges: ArrayLike = EDGES) -> pd.DataFrame:
    """Mean of each metric per mask and bin of cloud cover.

    Args:
        table: Of `window_scores`, of one scene or of many.
        edges: Rising, from 0 to 1.

    Returns:
        mask, cover_from, cover_to, metric, mean, defined (windows in the mean), windows.

    Raises:
        InputError: Edges that do not rise, or leave windows out.
    """
    groups = _binned(table, edges).groupby(["mask", "cover_from", "cover_to"], sort=False)
    lines = [
        {
            **dict(zip(("mask", "cover_from", "cover_to"), key, strict=True)),
            "metric": metric,
            "mean": float(group[metric].mean()),
            "defined": int(group[metric].notna().sum()),
            "windows": len(group),
        }
        for key, group in groups
        for metric in METRICS
    ]
    columns = ["mask", "cover_from", "cover_to", "metric", "mean", "defined", "windows"]
    return _sorted(pd.DataFrame(lines, columns=columns))


def paired_differences(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    edges: ArrayLike = EDGES,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.9,
) -> pd.DataFrame:
    """How much better (positive) the second masker is than the first, in the same windows.

    Windows of one scene resemble each other, so scenes are drawn, not windows. A window where a metric is undefined
    for either is left out of that metric.

    Args:
        first: Of `window_scores`.
        second: The same windows by another masker.
        edges: Bins of cloud cover.
        draws: Of the bootstrap.
        seed: Of the bootstrap.
        level: Share of the draws within the interval.

    Returns:
        mask, cover_from, cover_to, metric, difference (mean of second - first), low, high (NaN with fewer than two
        scenes), pairs, scenes; a line over all covers per mask comes first, from 0 to 1.

    Raises:
        InputError: Not the same windows, or bad edges.
    """
    pairs = _differences(first, second)
    everywhere = pairs.assign(cover_from=0.0, cover_to=1.0, bin=_ALL)
    both = pd.concat([everywhere, _binned(pairs, edges).assign(bin="")], ignore_index=True)
    lines = []
    for (mask, low, high, _), group in both.groupby(["mask", "cover_from", "cover_to", "bin"], sort=False):
        for metric in METRICS:
            summary = _bootstrapped(group.dropna(subset=[metric]), metric, draws, seed, level)
            lines.append({"mask": mask, "cover_from": low, "cover_to": high, "metric": metric, **summary})
    names = ["mask", "cover_from", "cover_to", "metric", "difference", "low", "high", "pairs", "scenes"]
    return _sorted(pd.DataFrame(lines, columns=names))


def _per_window(layers: NDArray[np.bool_], size: int) -> NDArray[np.int64]:
    """(B, rows, cols) True pixels per window; the last windows may be cut by the edge."""
    count, height, width = layers.shape
    padded = np.pad(layers, ((0, 0), (0, -height % size), (0, -width % size)))
    blocks = padded.reshape(count, padded.shape[1] // size, size, padded.shape[2] // size, size)
    return blocks.sum(axis=(2, 4), dtype=np.int64)


def _cover(labels: NDArray[np.uint8], size: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(rows, cols) share of cloud in the label, and True where half the window is known."""
    cloud = labels[Mask.CLOUD][None]
    there, known = _per_window(cloud == 1, size)[0], _per_window(cloud != UNKNOWN, size)[0]
    return _share(there, known), 2 * known >= size**2


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _binned(table: pd.DataFrame, edges: ArrayLike) -> pd.DataFrame:
    """The table with the bin of each window."""
    bounds = np.asarray(edges, np.float64)
    if bounds.ndim != 1 or len(bounds) < 2 or (np.diff(bounds) <= 0).any() or bounds[0] > 0 or bounds[-1] < 1:
        raise InputError(f"bins of cloud cover: found edges {bounds.tolist()}, wanted rising ones from 0 to 1")
    places = np.clip(np.searchsorted(bounds, table["cloud"], side="right") - 1, 0, len(bounds) - 2)
    return table.assign(cover_from=bounds[places], cover_to=bounds[places + 1])


def _differences(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """KEY, cloud and the difference of each metric, of windows in both."""
    key = list(KEY)
    left, right = (table.set_index(key).sort_index() for table in (first, second))
    if not left.index.is_unique or not left.index.equals(right.index):
        raise InputError(
            f"paired windows: found {len(left)} and {len(right)} rows that do not pair off, wanted the same scenes, "
            "windows and masks once each (predictions missing in one of them?)"
        )
    gaps = right[list(METRICS)] - left[list(METRICS)]
    return pd.concat([left["cloud"], gaps], axis=1).reset_index()


def _bootstrapped(group: pd.DataFrame, metric: str, draws: int, seed: int, level: float) -> dict[str, float]:
    """Mean over windows and its interval, scenes drawn with replacement."""
    sums = group.groupby("scene")[metric].agg(["sum", "count"]).to_numpy(np.float64)
    summary = {"difference": np.nan, "low": np.nan, "high": np.nan, "pairs": len(group), "scenes": len(sums)}
    if len(sums):
        summary["difference"] = float(sums[:, 0].sum() / sums[:, 1].sum())
    if len(sums) > 1:
        drawn = sums[np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))].sum(axis=1)
        tail = 50 * (1 - level)
        summary["low"], summary["high"] = np.percentile(drawn[:, 0] / drawn[:, 1], [tail, 100 - tail]).tolist()
    return summary


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """By mask, the line over all covers first, then by cover; metrics keep their order."""
    order = [Mask[name].value for name in table["mask"]]
    whole = (table["cover_to"] - table["cover_from"]).lt(1).to_numpy()
    ranked = table.assign(_order=order, _part=whole)
    sort = ranked.sort_values(["_order", "_part", "cover_from"], kind="stable")
    return sort.drop(columns=["_order", "_part"]).reset_index(drop=True)
