"""The figures of an evaluation: calibration curves, and sample chips with what each masker says.

Figures are made without pyplot, which keeps global state: any number of threads may draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from models.chips import Chip
from models.packing import UNKNOWN
from ssc.bands import Band
from ssc.drafts import drafted
from ssc.masks import Mask
from ssc.report.colours import FAINT, GRID, INK, MASK_COLOURS, NO_DATA, rgb
from ssc.report.quicklook import MASK_NAMES, stretch

Rgb = NDArray[np.float32]

CURVES: Final = ("#0072b2", "#c04a00", "#00755a", "#7a5ea0", "#8f6500", "#b3261e")
"""One colour per masker, with a marker of its own as well."""
MARKERS: Final = "osD^v*"
LAND: Final = "#f2f2f0"
"""Nothing is there."""
SIDE_IN: Final = 2.1
"""Inches of one small picture."""
HIDING: Final = (Mask.CLOUD, Mask.CLOUD_SHADOW, Mask.SNOW_ICE, Mask.TERRAIN_SHADOW)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One chip and what maskers say of it."""

    chip: Chip
    found: Mapping[str, NDArray[np.uint8]]
    """(5, H, W) by masker: 1 there, 0 not there, 255 no answer."""


def draw_reliability(path: Path, curves: pd.DataFrame) -> Path:
    """Told against found, a panel per mask; columns masker, mask, told, found, pixels."""
    figure = Figure(figsize=(2.8 * len(Mask), 3.7), layout="constrained")
    axes = figure.subplots(1, len(Mask), sharex=True, sharey=True)
    maskers = list(dict.fromkeys(curves["masker"]))
    for axis, mask in zip(axes, Mask, strict=True):
        axis.plot([0, 1], [0, 1], color=GRID, zorder=0)
        axis.set(title=MASK_NAMES[mask], xlim=(0, 1), ylim=(0, 1), box_aspect=1, xlabel="probability told")
        for place, name in enumerate(maskers):
            rows = curves[(curves["masker"] == name) & (curves["mask"] == mask.name.lower())]
            style = {"color": CURVES[place % len(CURVES)], "marker": MARKERS[place % len(MARKERS)]}
            axis.plot(rows["told"], rows["found"], **style, markersize=3.5, linewidth=1, label=name)
    axes[0].set_ylabel("share of pixels where it is there")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(maskers), 6), frameon=False)
    return _save(figure, path)


def draw_samples(path: Path, samples: Sequence[Sample], maskers: Sequence[str]) -> Path:
    """A row per chip: colour, labels, each masker; a legend below."""
    columns, rows = 2 + len(maskers), len(samples)
    figure = Figure(figsize=(SIDE_IN * columns, SIDE_IN * 1.12 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], box_aspect=1)
        axis.spines[:].set_color(GRID)
    for axis, title in zip(axes[0], ("colour", "labels", *maskers), strict=True):
        axis.set_title(title, fontsize=9, color=INK)
    for row, sample in zip(axes, samples, strict=True):
        _draw_row(row, sample, maskers)
    handles = [Patch(facecolor=MASK_COLOURS[mask], label=MASK_NAMES[mask]) for mask in Mask]
    handles += [Patch(facecolor=LAND, edgecolor=FAINT, label="none of them"), Patch(facecolor=NO_DATA, label="unknown")]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8, frameon=False)
    return _save(figure, path)


def paint(stack: NDArray[np.uint8]) -> Rgb:
    """(H, W, 3) of (5, H, W) labels: what hides before what is hidden, water last; dark where neither is known."""
    there, known = stack == 1, stack != UNKNOWN
    picture = np.where(known.any(axis=0)[..., None], rgb(LAND), rgb(NO_DATA)).astype(np.float32)
    for mask in (Mask.WATER, *reversed(HIDING)):  # what is painted last is seen
        picture[there[mask]] = rgb(MASK_COLOURS[mask])
    return picture


def _draw_row(row: NDArray[np.object_], sample: Sample, maskers: Sequence[str]) -> None:
    chip = sample.chip
    row[0].set_ylabel(f"{chip.source}\n{chip.scene}"[:60], fontsize=6, color=FAINT)
    row[0].imshow(_colour(chip), interpolation="nearest")
    row[1].imshow(paint(chip.labels), interpolation="nearest")
    for axis, name in zip(row[2:], maskers, strict=True):
        _draw_found(axis, sample.found.get(name))


def _draw_found(axis: Axes, found: NDArray[np.uint8] | None) -> None:
    if found is None:
        axis.text(0.5, 0.5, "not judged", ha="center", va="center", fontsize=8, color=FAINT, transform=axis.transAxes)
    else:
        axis.imshow(paint(found), interpolation="nearest")


def _colour(chip: Chip) -> Rgb:
    """Red, green, blue, stretched; dark where there is no data. Chips without one of them show their first band."""
    bands = [band if band in chip.bands else chip.bands[0] for band in (Band.RED, Band.GREEN, Band.BLUE)]
    colour = np.stack([chip.reflectance[chip.bands.index(band)] for band in bands], axis=-1)
    hidden = (chip.labels[list(HIDING)] == 1).any(axis=0)
    seen = np.isfinite(colour).all(axis=-1)
    return np.where(seen[..., None], stretch(colour, seen & ~hidden), rgb(NO_DATA))


def _save(figure: Figure, path: Path) -> Path:
    with drafted(path) as draft:
        figure.savefig(draft, format="png", metadata={"Software": None})
    return path
