"""Scores of maskers, from counts of pixels.

    tally = Tally()
    tally.add(probability, labels)                   # chip by chip, (5, H, W) each; `UNKNOWN` and NaN never count
    thresholds = best_thresholds(tally)              # one pass over the chips, every threshold of 0.001 ... 0.999
    scores(tally, thresholds)                        # a row per mask

A tally is a histogram, so tallies add up over chips, sources and processes, and any threshold can be asked afterwards.
Scores are pooled over pixels, never means of chips' scores: a chip without water would count as much as a delta. Their
intervals: `models.bootstrap`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from models.packing import UNKNOWN
from ssc.errors import InputError
from ssc.masks import Mask

Counts = NDArray[np.int64]
Ratios = NDArray[np.float64]

BINS: Final = 1000
"""Thresholds a tally can answer are multiples of 1 / BINS."""
EDGES: Final = (np.arange(BINS + 1) / BINS).astype(np.float32)
"""Those thresholds, in float32, the type in which probabilities are compared."""
NAMES: Final = tuple(mask.name.lower() for mask in Mask)
METRICS: Final = ("precision", "recall", "f1", "iou", "accuracy", "balanced_accuracy")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confusion:
    """Known pixels by label and answer, of any number of masks, scenes or resamples at once.

    A ratio without a denominator is NaN: the F1 of something that is neither there nor found says nothing.
    """

    counts: Counts
    """(..., 4) pixels: there and found, found but not there, there but missed, neither."""

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(counts=self.counts + other.counts)

    @property
    def support(self) -> Counts:
        """Pixels where it is there."""
        return self.counts[..., 0] + self.counts[..., 2]

    @property
    def pixels(self) -> Counts:
        """Known pixels."""
        return np.asarray(self.counts.sum(axis=-1))

    @property
    def precision(self) -> Ratios:
        """Share of what was found that is there."""
        return _ratio(self.counts[..., 0], self.counts[..., 0] + self.counts[..., 1])

    @property
    def recall(self) -> Ratios:
        """Share of what is there that was found."""
        return _ratio(self.counts[..., 0], self.support)

    @property
    def f1(self) -> Ratios:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
        tp, fp, fn, _ = np.moveaxis(self.counts, -1, 0)
        return _ratio(2 * tp, 2 * tp + fp + fn)

    @property
    def iou(self) -> Ratios:
        """Intersection over union of what is there and what was found (the positive class alone)."""
        tp, fp, fn, _ = np.moveaxis(self.counts, -1, 0)
        return _ratio(tp, tp + fp + fn)

    @property
    def accuracy(self) -> Ratios:
        """Share of pixels answered rightly."""
        return _ratio(self.counts[..., 0] + self.counts[..., 3], self.pixels)

    @property
    def balanced_accuracy(self) -> Ratios:
        """Mean recall of "there" and "not there": 0.5 for any constant answer; NaN where one class is missing."""
        _, fp, _, tn = np.moveaxis(self.counts, -1, 0)
        return np.asarray((self.recall + _ratio(tn, tn + fp)) / 2)

    @property
    def base_rate_f1(self) -> Ratios:
        """F1 of the answer "everywhere", which a masker must beat to have learnt anything."""
        return _ratio(2 * self.support, self.support + self.pixels)

    def table(self, names: Sequence[str]) -> pd.DataFrame:
        """Every score of (T,) masks, a row per name; support and pixels are counts."""
        columns = {name: getattr(self, name) for name in (*METRICS, "base_rate_f1", "support", "pixels")}
        return pd.DataFrame(columns, index=pd.Index(names, name="mask"))


def count(found: NDArray[np.bool_], labels: NDArray[np.uint8]) -> Confusion:
    """Confusion of answers with labels.

    Args:
        found: (T, ...), True where the masker says it is there.
        labels: Of the same shape: 1, 0, or 255 where it does not count.

    Returns:
        Confusion of shape (T,).
    """
    codes = np.where(labels == UNKNOWN, np.uint8(4), np.uint8(3) - 2 * labels - found)  # 0 TP, 1 FN, 2 FP, 3 TN
    rows = [np.bincount(row.ravel(), minlength=5) for row in codes]
    return Confusion(counts=np.array(rows, dtype=np.int64).reshape(-1, 5)[:, [0, 2, 1, 3]])


def count_clear_water(
    found: NDArray[np.bool_], labels: NDArray[np.uint8], needed: Sequence[Mask] = tuple(Mask)
) -> Confusion:
    """Confusion of clear water: water, and nothing that hides it.

    Args:
        found: (5, ...) in the order of `Mask`.
        labels: Of the same shape: 1, 0, 255 = unknown.
        needed: Masks that decide, on both sides; a pixel counts where all of them are labelled. Leave one out where a
            data set never labels it, else nothing of it counts.

    Returns:
        Confusion of shape ().

    Raises:
        InputError: Water is not among those needed.
    """
    if Mask.WATER not in needed:
        raise InputError(f"no clear water without water: found {' '.join(m.name for m in needed)}, wanted WATER too")
    rows, others = list(needed), [mask for mask in needed if mask is not Mask.WATER]
    known = (labels[rows] != UNKNOWN).all(axis=0)
    truth = (labels[Mask.WATER] == 1) & ~(labels[others] == 1).any(axis=0)
    answer = found[Mask.WATER] & ~found[others].any(axis=0)
    judged = np.where(known, truth, np.uint8(UNKNOWN)).astype(np.uint8)
    return Confusion(counts=count(answer[None], judged[None]).counts[0])


@dataclass(slots=True, eq=False)
class Tally:
    """Histogram of probabilities by label, for T masks; five unless told otherwise."""

    counts: Counts = field(default_factory=lambda: np.zeros((len(Mask), 2, BINS + 1), dtype=np.int64))
    """(T, 2, BINS + 1) known pixels by mask, label and column; see `column_of`."""

    @classmethod
    def empty(cls, masks: int = len(Mask)) -> Tally:
        """Nothing counted yet, for so many masks."""
        return cls(np.zeros((masks, 2, BINS + 1), dtype=np.int64))

    def add(self, probability: NDArray[np.floating], labels: NDArray[np.uint8]) -> None:
        """Count pixels.

        Args:
            probability: (T, ...), 0 to 1, NaN where there is no answer.
            labels: Of the same shape: 1 there, 0 not there, 255 unknown.

        Raises:
            InputError: Shapes differ, or values are neither.
        """
        if probability.shape != labels.shape or len(labels) != len(self.counts):
            found = f"probabilities of {probability.shape} and labels of {labels.shape}"
            raise InputError(f"nothing to count: found {found}, wanted one shape that begins with {len(self.counts)}")
        for mask, (answer, label) in enumerate(zip(probability, labels, strict=True)):
            known = (label != UNKNOWN) & ~np.isnan(answer)
            self.counts[mask] += _histogram(answer[known], label[known])

    def __add__(self, other: Tally) -> Tally:
        """Both together, as if all pixels had been counted in one."""
        return Tally(self.counts + other.counts)

    def confusion(self, thresholds: ArrayLike) -> Confusion:
        """Confusion of shape (T,) at one threshold per mask (or one for all), each rounded to 1 / BINS."""
        columns = np.broadcast_to(np.rint(np.asarray(thresholds, dtype=np.float64) * BINS), len(self.counts))
        above = np.arange(BINS + 1) > columns[:, None]
        found = np.where(above[:, None], self.counts, 0).sum(axis=-1)
        return _confusion(found, self.counts.sum(axis=-1))

    def at_every_threshold(self) -> Confusion:
        """Confusion of shape (T, BINS + 1) at the thresholds 0, 0.001 ... 1."""
        total = self.counts.sum(axis=-1, keepdims=True)
        return _confusion(total - np.cumsum(self.counts, axis=-1), np.broadcast_to(total, self.counts.shape))


def column_of(probability: NDArray[np.float32]) -> NDArray[np.int64]:
    """Column of a tally: 0 holds exactly 0, column k holds (k - 1) / BINS < p <= k / BINS, compared in float32.

    So `p > k / BINS` and `column > k` are the same statement, ties included.

    >>> column_of(np.array([0, 0.0005, 0.3, 0.30000004, 1], np.float32)).tolist()
    [0, 1, 300, 301, 1000]
    """
    column = np.ceil(probability * np.float32(BINS)).astype(np.int64)  # right but for rounding, so one too high or low
    column -= probability <= np.where(column > 0, EDGES[column - 1], np.float32(-1))
    column += probability > EDGES[column]
    return column


def best_thresholds(tally: Tally) -> NDArray[np.float64]:
    """(T,) thresholds of highest pooled F1 among 0.001 ... 0.999; 0.5 for a mask that is nowhere there.

    Where a run of thresholds does equally well, its middle: its ends are chance. 0 is no candidate: it answers
    "everywhere", which wins for masks that nearly always are.
    """
    every = tally.at_every_threshold()
    return np.array(
        [_middle_of_best(f1[1:BINS]) if there else 0.5 for f1, there in zip(every.f1, every.support[:, 0], strict=True)]
    )


def scores(tally: Tally, thresholds: ArrayLike, names: Sequence[str] = NAMES) -> pd.DataFrame:
    """Every score at these thresholds, a row per mask."""
    table = tally.confusion(thresholds).table(names)
    table.insert(0, "threshold", np.broadcast_to(np.asarray(thresholds, dtype=np.float64), len(table)))
    return table


def _histogram(probability: NDArray[Any], label: NDArray[np.uint8]) -> Counts:
    """(2, BINS + 1) pixels by label and column."""
    if probability.size and not (label.max() <= 1 and 0 <= probability.min() <= probability.max() <= 1):
        low, high = probability.min(), probability.max()
        found = f"labels up to {label.max()} and probabilities from {low} to {high}"
        raise InputError(f"nothing to count: found {found}, wanted 0, 1 or {UNKNOWN} and 0 to 1")
    columns = column_of(probability.astype(np.float32, copy=False))
    columns += (BINS + 1) * label.astype(np.int64)
    return np.bincount(columns, minlength=2 * (BINS + 1)).reshape(2, BINS + 1)


def _confusion(found: Counts, total: Counts) -> Confusion:
    """From (T, 2, ...) pixels found and in all, by label."""
    missed = total - found
    return Confusion(counts=np.stack([found[:, 1], found[:, 0], missed[:, 1], missed[:, 0]], axis=-1))


def _middle_of_best(f1: Ratios) -> float:
    """Threshold in the middle of the first run of highest F1, given F1 at 0.001, 0.002 ..."""
    first = int(np.argmax(f1))
    differs = np.flatnonzero(f1[first:] != f1[first])
    last = first + (int(differs[0]) if differs.size else len(f1) - first) - 1
    return ((first + last) // 2 + 1) / BINS


def _ratio(part: Counts, whole: Counts) -> Ratios:
    whole = np.asarray(whole)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
