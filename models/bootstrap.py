"""Intervals of scores, bootstrapped over scenes, because the pixels of one image are not independent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from models.scores import METRICS, NAMES, Confusion, Counts, Ratios, Tally

LEVEL: Final = 0.9
"""Share of resamples inside an interval."""
FEWEST_SCENES: Final = 3
"""Resamples of one or two scenes repeat them: an interval would look certain where nothing is known."""


def bootstrap(
    tallies: Mapping[str, Tally] | Iterable[Tally],
    thresholds: ArrayLike,
    n: int = 1000,
    seed: int = 0,
    names: Sequence[str] = NAMES,
) -> pd.DataFrame:
    """90 % intervals of every score, scenes drawn with replacement: a row per mask, columns `f1_lo`, `f1_hi` and so on.

    Args:
        tallies: One per scene.
        thresholds: One per mask, or one for all.
        n: Resamples.
        seed: Of the draws.
        names: Of the masks.
    """
    listed = list(tallies.values() if isinstance(tallies, Mapping) else tallies)
    by_scene = Confusion(counts=np.stack([tally.confusion(thresholds).counts for tally in listed]))
    return intervals(by_scene, names, n=n, seed=seed)


def intervals(by_scene: Confusion, names: Sequence[str], *, n: int = 1000, seed: int = 0) -> pd.DataFrame:
    """As `bootstrap`, from confusions of shape (scenes, T)."""
    drawn = Confusion(counts=resample(by_scene.counts, n=n, seed=seed))
    columns: dict[str, Ratios] = {}
    for metric in METRICS:
        telling = by_scene.pixels if metric == "accuracy" else by_scene.support
        ends = percentiles(getattr(drawn, metric), (telling > 0).sum(axis=0))
        columns[f"{metric}_lo"], columns[f"{metric}_hi"] = ends
    return pd.DataFrame(columns, index=pd.Index(names, name="mask"))


def resample(counts: Counts, *, n: int, seed: int) -> Counts:
    """(n, ...) sums of (S, ...) counts over S scenes drawn with replacement; empty for fewer than two scenes."""
    scenes = len(counts)
    if scenes < 2:
        return np.zeros((0, *counts.shape[1:]), dtype=np.int64)
    drawn = np.random.default_rng(seed).multinomial(scenes, np.full(scenes, 1 / scenes), size=n)
    sums = drawn.astype(np.float64) @ counts.reshape(scenes, -1).astype(np.float64)  # exact below 2**53, and fast
    return np.asarray(sums.reshape(n, *counts.shape[1:]), dtype=np.int64)


def percentiles(values: Ratios, scenes: Counts) -> tuple[Ratios, Ratios]:
    """Ends of the 90 % interval along the first axis.

    Args:
        values: (n, ...) of n resamples, NaN left out.
        scenes: (...) scenes that tell anything; with fewer than `FEWEST_SCENES` the ends are NaN.
    """
    empty = ~np.isfinite(values).any(axis=0) | (scenes < FEWEST_SCENES)
    if len(values) == 0:
        return np.full(empty.shape, np.nan), np.full(empty.shape, np.nan)
    ends = np.nanquantile(np.where(empty, 0.0, values), ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    low, high = np.where(empty, np.nan, ends)
    return low, high
