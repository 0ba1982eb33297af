"""How chips are stored: reflectance as int16, labels as bit planes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ssc.masks import Mask

UNKNOWN: Final = 255
"""Label of a pixel about which nothing is known: not labelled, obscured, or no data."""
SCALE: Final = 1e-4
FILL: Final = -9999
"""int16 reflectance as in HLS files: value x SCALE, FILL where there is no data."""
MOST_MG_L: Final = 65_000.0
"""float16 ends at 65504."""


def pack_reflectance(reflectance: NDArray[np.float32]) -> NDArray[np.int16]:
    """Reflectance as in files: rounded to 1e-4, FILL for NaN, cut to what int16 holds."""
    scaled = np.clip(np.rint(reflectance / np.float32(SCALE)), FILL + 1, 32767)
    return np.where(np.isfinite(reflectance), scaled, FILL).astype(np.int16)


def unpack_reflectance(stored: NDArray[np.int16]) -> NDArray[np.float32]:
    """float32 reflectance, NaN for FILL.

    >>> [f"{value:.4f}" for value in unpack_reflectance(np.array([1234, -9999], np.int16))]
    ['0.1234', 'nan']
    """
    return np.where(stored == FILL, np.float32(np.nan), stored * np.float32(SCALE))


def pack_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(5, H, W) labels as (2, H, W) bit planes: bit of the mask set where known, and where there."""
    weights = (1 << np.arange(len(labels), dtype=np.uint8))[:, None, None]
    planes = [((labels != UNKNOWN) * weights).sum(axis=0), ((labels == 1) * weights).sum(axis=0)]
    return np.stack(planes).astype(np.uint8)


def unpack_labels(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(5, H, W) labels of (2, H, W) bit planes."""
    bits = np.arange(len(Mask), dtype=np.uint8)[:, None, None]
    known, there = ((plane[None] >> bits) & 1 for plane in planes)
    return np.where(known == 1, there, UNKNOWN).astype(np.uint8)
