"""How much clear turbid water a masker loses, and to what.

Sediment makes water bright, and bright water is what cloud, snow and land masks catch by mistake: every pixel so lost
is missing where the sediment is. Scores over all pixels do not show it: turbid water is a small part of a scene.

Counted are pixels that truly are clear water (labels: water 1; cloud, cloud shadow, snow or ice, terrain shadow 0; all
known), by class of sediment where it is known, and by class of red reflectance everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.bootstrap import percentiles, resample
from models.chips import Chip
from ssc.bands import Band
from ssc.masks import Mask

Counts = NDArray[np.int64]

CAUSES: Final = ("cloud", "cloud_shadow", "snow_ice", "terrain_shadow", "land")
"""What lost water is taken for. A pixel taken for several counts for the first; land: not water, and not hidden."""
SSC_EDGES: Final = (10.0, 50.0, 200.0, 600.0)
"""mg/L; a value on an edge belongs above it."""
RED_EDGES: Final = (0.05, 0.10)
"""Surface reflectance; red rises with sediment up to some hundred mg/L (Nechad et al. 2010), then flattens."""
CLASSES: Final = (
    ("all", "all"),
    *(("ssc_mg_l", name) for name in ("0-10", "10-50", "50-200", "200-600", ">600")),
    *(("red", name) for name in ("<0.05", "0.05-0.10", ">0.10")),
)
"""By what, and which class; the rows of what `count_losses` counts."""


def count_losses(
    chip: Chip, found: NDArray[np.bool_], labels: NDArray[np.uint8], needed: Sequence[Mask] = tuple(Mask)
) -> Counts:
    """Clear water of one chip, kept and lost.

    Args:
        chip: For its sediment and red reflectance.
        found: (5, H, W), True where the masker says it is there.
        labels: (5, H, W) of the chip, 255 also where the masker has no answer.
        needed: Masks that decide, on both sides; leave one out where a data set never labels it.

    Returns:
        (classes, 1 + causes) pixels: kept, then lost by cause.
    """
    hiding = [mask for mask in needed if mask is not Mask.WATER]
    clear = (labels[Mask.WATER] == 1) & (labels[hiding] == 0).all(axis=0)
    fate = np.where(found[Mask.WATER][clear], 0, len(CAUSES))
    for mask in sorted(hiding, reverse=True):  # the first cause is written last
        fate[found[mask][clear]] = int(mask)  # CAUSES follow the order of Mask, so cloud is 1
    classes = [np.zeros(len(fate), np.int64), *_classes(chip, clear)]
    table = np.zeros((len(CLASSES), 1 + len(CAUSES)), dtype=np.int64)
    for rows in classes:
        known = rows >= 0
        np.add.at(table, (rows[known], fate[known]), 1)
    return table


def loss_table(by_scene: Mapping[str, Counts], *, n: int, seed: int) -> pd.DataFrame:
    """Shares of clear water lost, a row per class that has any.

    Columns: by, class, clear_px, scenes (with such water), lost, lost_lo, lost_hi (90 %, scenes resampled), and the
    share lost to each of `CAUSES`, which add up to `lost`.
    """
    if not by_scene:
        return pd.DataFrame(columns=["by", "class", "clear_px", "scenes", "lost", "lost_lo", "lost_hi", *CAUSES])
    counts = np.stack(list(by_scene.values()))
    total, scenes = counts.sum(axis=0), (counts.sum(axis=2) > 0).sum(axis=0)
    low, high = percentiles(_lost(resample(counts, n=n, seed=seed)), scenes)
    clear = total.sum(axis=1)
    shares = total[:, 1:] / np.maximum(clear, 1)[:, None]
    table = pd.DataFrame(CLASSES, columns=["by", "class"])
    table["clear_px"] = clear
    table["scenes"] = scenes
    table["lost"], table["lost_lo"], table["lost_hi"] = _lost(total), low, high
    table[list(CAUSES)] = shares
    return table[clear > 0].reset_index(drop=True)


def _lost(counts: Counts) -> NDArray[np.float64]:
    """(...) share lost of (..., 1 + causes) pixels, NaN without any."""
    clear = counts.sum(axis=-1)
    out = np.full(clear.shape, np.nan)
    return np.asarray(np.divide(counts[..., 1:].sum(axis=-1), clear, out=out, where=clear > 0))


def _classes(chip: Chip, clear: NDArray[np.bool_]) -> list[Counts]:
    """Row of `CLASSES` of each clear pixel, -1 where unknown: by sediment, by red reflectance."""
    rows: list[Counts] = []
    if chip.ssc is not None:
        rows.append(_class_of(chip.ssc[clear], SSC_EDGES, first=1))
    if Band.RED in chip.bands:
        rows.append(_class_of(chip.reflectance[chip.bands.index(Band.RED)][clear], RED_EDGES, first=6))
    return rows


def _class_of(values: NDArray[np.float32], edges: Sequence[float], *, first: int) -> Counts:
    return np.where(np.isfinite(values), first + np.digitize(values, np.asarray(edges, dtype=np.float32)), -1)
