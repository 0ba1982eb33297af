"""Ratios and indices of a water pixel, to be taken per pixel before the median: a ratio of medians is another number.

Bands are those of `SIX`, reflectance unitless. Where a denominator is zero the feature is NaN, which medians leave out.
NDSSI, NDTI and the floating algae index are in common use; FAI after Hu 2009 with the centres of the OLI bands, to
which HLS adjusts S30.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ssc.bands import SIX

Floats = NDArray[np.float32]

FAI_RED, FAI_NIR, FAI_SWIR1 = 654.6, 864.7, 1609.0
"""Centres of OLI bands 4, 5 and 6, nm (Landsat 8 data users handbook)."""
_FAI_SHARE = np.float32((FAI_NIR - FAI_RED) / (FAI_SWIR1 - FAI_RED))


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient, NaN where the denominator is zero or the quotient overflows.

    >>> ratio(np.float32([0.1, 0.1, 0.0]), np.float32([0.2, 0.0, 0.0])).tolist()
    [0.5, nan, nan]
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # each becomes NaN on the next line
        quotient = numerator / denominator
    return np.where(np.isfinite(quotient), quotient, np.float32(np.nan))


def normalised_difference(first: Floats, second: Floats) -> Floats:
    """(first - second) / (first + second), NaN where the sum is zero; beyond -1 to 1 when one of them is negative."""
    return ratio(first - second, first + second)


def floating_algae_index(red: Floats, nir: Floats, swir1: Floats) -> Floats:
    """NIR above the line from red to SWIR1, reflectance; positive over floating plants (Hu 2009)."""
    return nir - (red + (swir1 - red) * _FAI_SHARE)


def pixel_features(reflectance: Floats) -> Iterator[tuple[str, Floats]]:
    """Each ratio column of the results table with its value per pixel, one at a time to keep memory low.

    Args:
        reflectance: (6, n) in the order of `SIX`, NaN where there is no data.

    Yields:
        Column name (`ssc.schema.RATIOS` without `nir_bank`) and (n,) float32, NaN where undefined.
    """
    blue, green, red, nir, swir1, _ = (reflectance[index] for index in range(len(SIX)))
    yield "red_green", ratio(red, green)
    yield "nir_red", ratio(nir, red)
    yield "nir_green", ratio(nir, green)
    yield "blue_green", ratio(blue, green)
    yield "swir1_nir", ratio(swir1, nir)
    yield "ndssi", normalised_difference(blue, nir)
    yield "ndti", normalised_difference(red, green)
    yield "fai", floating_algae_index(red, nir, swir1)
