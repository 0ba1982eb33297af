"""The two ways in which the published networks were fed: chip-wise (training, evaluation) and crop-wise (production).

Both scale by the smallest and largest value of a whole image, all bands together: absolute reflectance is lost, one hot
pixel changes all, and the same pixels give other numbers in another window. Kept as it is for published checkpoints.
Sources: cvl-umass/improv-mask hls_opera.py:88-146 (A) and SWOT-Confluence/ssc_model_deployment
generate_feats_multitask.py:159-181 (B).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.published.facts import CHANNELS
from ssc.errors import InputError

NODATA: Final = -9999
CROP: Final = 512
"""Side of the crop the networks were trained on, px: the upper left of a 768 px chip."""

Chip = NDArray[Any]
"""(H, W, 6) in the order of `ssc.bands.SIX`: surface reflectance x 10000, int16 or float32, -9999 or NaN = no data."""


def prepare_chip(chip: Chip, crop: int = CROP) -> NDArray[np.float32]:
    """Convention A, "published-chip": scaled by the whole chip, cropped, and shifted so that the crop's minimum is 0.

    The crop usually does not reach 1. As published, the minimum is subtracted in the chip's own type: in an int16 chip
    whose values span more than 32767 it wraps round and the result is nonsense. This known defect is kept, because
    published numbers were computed with it; give float32 to avoid it.

    Args:
        chip: (H, W, 6); no data becomes the smallest value.
        crop: Upper left rows and columns kept, px.

    Returns:
        (6, crop, crop) within 0..1; all zero where nothing is valid or all is one value.

    Raises:
        InputError: Not an image of six bands.
    """
    filled = fill(chip)
    with np.errstate(over="ignore"):
        shifted, span = filled - filled.min(), filled.max() - filled.min()
    scaled = (shifted / max(span, 1)).astype(np.float32)[:crop, :crop]
    return stretch(scaled)


def prepare_crop(chip: Chip) -> NDArray[np.float32]:
    """Convention B, "published-crop": shifted and scaled by the image itself, in float32; spans 0..1.

    Args:
        chip: (H, W, 6); no data becomes the smallest value.

    Returns:
        (6, H, W) within 0..1; all zero where nothing is valid or all is one value.

    Raises:
        InputError: Not an image of six bands.
    """
    return stretch(fill(chip).astype(np.float32))


def fill(chip: Chip) -> Chip:
    """No data and NaN become the smallest valid value of all bands (as published, infinity becomes 0)."""
    if chip.ndim != 3 or chip.shape[2] != CHANNELS or not chip.size:
        raise InputError(f"published preparation: found an image of shape {chip.shape}, wanted (H, W, {CHANNELS})")
    valid = (chip != NODATA) & ~np.isnan(chip)
    lowest = chip[valid].min() if valid.any() else chip.dtype.type(0)
    filled = np.where(valid, chip, lowest)
    return np.where(np.isinf(filled), chip.dtype.type(0), filled)


def stretch(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 6) -> (6, H, W): minimum to 0, divided by the largest value if that is over 1."""
    shifted = image - image.min()
    shifted /= max(shifted.max(), np.float32(1))
    return np.ascontiguousarray(shifted.transpose(2, 0, 1))
