"""Where a cloud ends: nobody can say to the pixel, so labels do not pretend to.

A cloud is frayed, its light spills over onto the ground beside it, and Sentinel-2's bands see it from slightly
different places. The product's own Fmask grows clouds and shadows by three pixels (HLS User Guide v2.0). Here the first
pixel round a cloud counts as cloud and the second is UNKNOWN; the first pixel round a shadow is UNKNOWN.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.packing import UNKNOWN

Bools = NDArray[np.bool_]
_NEXT: Final = np.ones((3, 3), bool)


def rimmed(cloud: Bools, shadow: Bools) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(H, W) labels of cloud and of cloud shadow from where they are; what is cloud is no shadow.

    >>> line = np.eye(1, 7, 0, dtype=bool)
    >>> rimmed(line, ~line & False)[0].tolist()
    [[1, 1, 255, 0, 0, 0, 0]]
    """
    grown = ndimage.binary_dilation(cloud, _NEXT)
    beyond = ndimage.binary_dilation(grown, _NEXT)
    near = ndimage.binary_dilation(shadow, _NEXT)
    clouds = np.where(grown, 1, np.where(beyond, UNKNOWN, 0))
    shadows = np.where(grown, 0, np.where(shadow, 1, np.where(near, UNKNOWN, 0)))
    return clouds.astype(np.uint8), shadows.astype(np.uint8)
