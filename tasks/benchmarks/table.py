"""The table of cloud benchmarks: F1 of cloud, cloud shadow and clear, published figures beside ours.

The published tables know one class per pixel; our masks may overlap. So a pixel called both is cloud, not shadow, and
clear is what is called neither. Each class counts the pixels where its truth is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.packing import UNKNOWN
from ssc.errors import InputError
from ssc.masks import Mask
from tasks.benchmarks.published import cloud_scores

CLASSES: Final = ("cloud", "cloud_shadow", "clear")
Counts = NDArray[np.int64]
"""(3, 4): per class of CLASSES true positives, false positives, false negatives, true negatives. They add up."""


def class_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(3, H, W) truth of CLASSES, UNKNOWN included, of (5, H, W) labels.

    Clear is known where cloud and shadow both are: in a scene without shadow labels the clouds alone would be known
    "not clear", and clear could only lose there.
    """
    cloud, shadow = labels[Mask.CLOUD], labels[Mask.CLOUD_SHADOW]
    known = (cloud != UNKNOWN) & (shadow != UNKNOWN)
    clear = np.where(known, (cloud == 0) & (shadow == 0), UNKNOWN).astype(np.uint8)
    return np.stack([cloud, shadow, clear])


def class_predictions(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(3, H, W) CLASSES as predicted by (5, H, W) masks: cloud wins over shadow, clear is neither."""
    cloud, shadow = masks[Mask.CLOUD], masks[Mask.CLOUD_SHADOW]
    return np.stack([cloud, shadow & ~cloud, ~(cloud | shadow)])


def count_classes(masks: NDArray[np.bool_], labels: NDArray[np.uint8]) -> Counts:
    """Right and wrong pixels of one chip.

    Args:
        masks: (5, H, W) predicted, in the order of `Mask`.
        labels: (5, H, W) of the chip.

    Raises:
        InputError: Not the same shape.
    """
    if masks.shape != labels.shape:
        raise InputError(f"masks of shape {masks.shape}, labels of {labels.shape}: wanted the same")
    truth, called = class_labels(labels).reshape(3, -1), class_predictions(masks).reshape(3, -1)
    there, absent = truth == 1, truth == 0
    cells = (called & there, called & absent, ~called & there, ~called & absent)
    return np.stack([cell.sum(axis=1) for cell in cells], axis=1).astype(np.int64)


def class_scores(counts: Counts) -> pd.DataFrame:
    """Precision, recall, F1, IoU, accuracy (0..1), positives and known pixels by class; NaN where undefined."""
    right, wrong, missed, rejected = counts.astype(np.float64).T
    with np.errstate(invalid="ignore"):
        scores = {
            "precision": right / (right + wrong),
            "recall": right / (right + missed),
            "f1": 2 * right / (2 * right + wrong + missed),
            "iou": right / (right + wrong + missed),
            "accuracy": (right + rejected) / (right + wrong + missed + rejected),
        }
    numbers = {"positives": counts[:, 0] + counts[:, 2], "known": counts.sum(axis=1)}
    return pd.DataFrame({**scores, **numbers}, index=pd.Index(CLASSES, name="class"))


def beside_published(benchmark: str, ours: Mapping[str, Counts]) -> pd.DataFrame:
    """F1 in percent of our methods above those published for the benchmark; columns as `published.cloud_scores`.

    Print it under `tasks.benchmarks.TOA_NOTE`: other inputs, other splits.
    """
    rows = [
        {"method": name, "pretraining": "", **(100 * class_scores(counts)["f1"]).to_dict(), "source": "this run"}
        for name, counts in ours.items()
    ]
    known = cloud_scores(benchmark)
    mine = pd.DataFrame(rows, columns=known.columns)
    return mine if known.empty else pd.concat([mine, known], ignore_index=True) if rows else known
