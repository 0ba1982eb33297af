"""What clouds make of a DSWx water class: the layers CLOUD, WTR, BWTR and CONF, and the collapsed form in files.

Part of `ssc.legacy.dswx`, where the classes are told. Source: nasa/PROTEUS 1.0.2, dswx_hls.py.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from ssc.errors import InputError
from ssc.legacy import fmask as bits

Classes = NDArray[np.uint8]
AdjacentMode = Literal["mask", "ignore", "cover"]

FILL: Final = 255
OCEAN: Final = 254
CLOUD_MASKED: Final = 253
SNOW_MASKED: Final = 252
SHADOW_BIT: Final = 1
"""Bit of CLOUD: cloud shadow, and adjacent in mode `mask`."""
SNOW_BIT: Final = 2
CLOUD_BIT: Final = 4
AEROSOL_BIT: Final = 8
"""Bit of CLOUD: the aerosol step acted here; no obstruction."""


def cloud(fmask: Classes, remapped: NDArray[np.bool_] | None, wtr2: Classes, mode: AdjacentMode = "mask") -> Classes:
    """CLOUD: 1 shadow, 2 snow, 4 cloud, 8 aerosol step acted, added up; 255 where WTR-2 is 255.

    Args:
        fmask: Raw Fmask bytes.
        remapped: Where the aerosol step acted; None = nowhere.
        wtr2: WTR-2 classes.
        mode: What Fmask's adjacent ring means. `mask`: shadow. `ignore`: nothing. `cover`: snow may grow into it by ten
            pixels, and over WTR-2 water back by seven (two-dimensional arrays only).
    """
    if mode not in {"mask", "ignore", "cover"}:
        raise InputError(f"unknown mode for pixels adjacent to cloud: found {mode!r}, wanted mask, ignore or cover")
    shadow = bits.has(fmask, bits.SHADOW | (bits.ADJACENT if mode == "mask" else 0))
    cloudy = bits.has(fmask, bits.CLOUD)
    snow = bits.has(fmask, bits.SNOW)
    if mode == "cover":
        snow = _cover(snow, bits.has(fmask, bits.ADJACENT), ~(shadow | cloudy), wtr2)
    layer = shadow * np.uint8(SHADOW_BIT) + snow * np.uint8(SNOW_BIT) + cloudy * np.uint8(CLOUD_BIT)
    if remapped is not None:
        layer += remapped * np.uint8(AEROSOL_BIT)
    return np.where(wtr2 == FILL, np.uint8(FILL), layer)


def _cover(
    snow: NDArray[np.bool_], adjacent: NDArray[np.bool_], clear: NDArray[np.bool_], wtr2: Classes
) -> NDArray[np.bool_]:
    """Snow grown over the adjacent ring, and taken back where the ring looks like water from a snow-free side."""
    ring = adjacent & clear
    grown = binary_dilation(snow, iterations=10, mask=ring)
    wet = ring & (wtr2 >= 1) & (wtr2 <= 4)
    return grown & ~binary_dilation(~grown & clear, iterations=7, mask=wet)


_WTR_OF_CLOUD = np.zeros(256, np.uint8)
_WTR_OF_CLOUD[[code for code in range(1, 16) if code != AEROSOL_BIT]] = CLOUD_MASKED
_WTR_OF_CLOUD[[SNOW_BIT, SNOW_BIT | AEROSOL_BIT]] = SNOW_MASKED
_CONF_OF_CLOUD = np.zeros(256, np.uint8)
_CONF_OF_CLOUD[[code for code in range(16) if code not in {0, 2, 8, 10}]] = 10
_CONF_OF_CLOUD[SNOW_BIT] = 20  # but not 10 = snow + aerosol: the original's own inconsistency, unreachable there


def wtr(wtr2: Classes, cloud: Classes) -> Classes:
    """WTR, four classes: WTR-2 with 253 under cloud or shadow and 252 under snow; 254 and 255 stay."""
    masked = _WTR_OF_CLOUD[cloud]
    return np.where((masked == 0) | (wtr2 >= OCEAN), wtr2, masked)


def bwtr(wtr: Classes) -> Classes:
    """BWTR: 1 water of any class, 0 not water; 252-255 as in WTR."""
    return np.where((wtr >= 1) & (wtr <= 4), np.uint8(1), wtr)


def conf(wtr2: Classes, cloud: Classes) -> Classes:
    """CONF: WTR-2 class, + 10 under cloud or shadow, + 20 under snow alone; 254 and 255 stay."""
    return np.where(wtr2 >= OCEAN, wtr2, wtr2 + _CONF_OF_CLOUD[cloud])


def collapse(classes: Classes) -> Classes:
    """Four classes as saved: 1, 2 become 1 (open water), 3, 4 become 2 (partial surface water); the rest stays."""
    return _COLLAPSED[classes]


_COLLAPSED = np.arange(256, dtype=np.uint8)
_COLLAPSED[1:5] = (1, 1, 2, 2)
