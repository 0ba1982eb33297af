"""What an image must be before a network is asked about it, and how its bands and its sensor are named."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ssc.bands import Band, Product, Sensor
from ssc.errors import BandError, InputError

HIGHEST_MEDIAN: Final = 2.0
"""A median above it is no reflectance: the brightest snow reaches about 1.6, while integers start in the hundreds."""
FILLS: Final = (-9999.0, -0.9999)
"""What HLS writes where there is no data, before and after somebody scaled it."""
_SAMPLE: Final = 256
"""Rows and columns looked at for the median."""


def as_band(name: Band | str) -> Band:
    """A band by its name.

    Raises:
        BandError: No such band.
    """
    try:
        return Band(name)
    except ValueError:
        raise BandError(f"no band {name!r}: wanted some of {' '.join(Band)}") from None


def as_source(name: Product | Sensor | str | None) -> Product | Sensor | None:
    """A product or a sensor by its name; None stays unknown.

    Raises:
        InputError: Neither.
    """
    if name is None:
        return None
    if name in [*Sensor]:
        return Sensor(name)
    try:
        return Product(name)
    except ValueError:
        raise InputError(f"no product {name!r}: wanted one of {' '.join([*Product, *Sensor])}") from None


def check_image(reflectance: NDArray[Any], bands: list[Band]) -> None:
    """Refuse what is not (B, H, W) floats with one band named for each layer.

    Raises:
        InputError: It is not.
    """
    if not np.issubdtype(reflectance.dtype, np.floating):
        raise InputError(
            f"not reflectance: found {reflectance.dtype}, wanted float32, unitless, NaN = no data; "
            "multiply digital numbers by 0.0001"
        )
    if reflectance.ndim != 3 or len(reflectance) != len(bands) or reflectance.size == 0:
        raise InputError(f"reflectance of shape {reflectance.shape} with {len(bands)} bands named, wanted (B, H, W)")
    if len(set(bands)) < len(bands):
        raise InputError(f"a band named twice: found {' '.join(bands)}")


def check_values(planes: list[NDArray[np.floating]]) -> None:
    """Refuse what networks would swallow without a sound: unscaled numbers, and fill that was never made NaN.

    Raises:
        InputError: There are such.
    """
    rows, cols = (-(-side // _SAMPLE) for side in planes[0].shape)
    sample = np.stack([plane[::rows, ::cols] for plane in planes])
    sample = sample[np.isfinite(sample)]
    median = float(np.median(sample)) if sample.size else 0.0
    if median > HIGHEST_MEDIAN:
        raise InputError(
            f"not reflectance: found a median of {median:.4g}, wanted 0 to 1; multiply digital numbers by 0.0001"
        )
    for lowest in (float(np.fmin.reduce(plane, axis=None)) for plane in planes):
        if any(abs(lowest - fill) < 1e-6 for fill in FILLS):
            raise InputError(f"not reflectance: found fill {lowest:.4g}, wanted NaN where there is no data")


def finite(planes: list[NDArray[np.floating]]) -> NDArray[np.bool_]:
    """(H, W), True where every band holds a number; plane by plane, to spare memory."""
    keep = np.isfinite(planes[0])
    for plane in planes[1:]:
        keep &= np.isfinite(plane)
    return keep
