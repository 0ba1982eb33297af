"""Masks and clear water.

In every mask True means: the thing named is there. Sources of the opposite polarity (OPERA SHAD, the published
`sun_mask` head, GRASS r.sunmask output) are turned round at their own door, never here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssc.observation import Observation

Bool2d = NDArray[np.bool_]


class Mask(IntEnum):
    """The five masks, in the order of every (5, H, W) stack. True or 1 = the thing named is there."""

    WATER = 0
    CLOUD = 1
    CLOUD_SHADOW = 2
    SNOW_ICE = 3
    TERRAIN_SHADOW = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masks:
    """What a masker says of one observation."""

    stack: NDArray[np.bool_]
    """(5, H, W) in the order of `Mask`; True = the thing named is there; False where there is no data."""
    valid: Bool2d
    """(H, W), True where there were data to judge."""

    def __getitem__(self, mask: Mask) -> Bool2d:
        """(H, W), True where the thing named is there."""
        return self.stack[mask]

    @property
    def obstructed(self) -> Bool2d:
        """(H, W), True where cloud, cloud shadow, snow, ice or terrain shadow hides or alters the surface."""
        return np.any(self.stack[Mask.CLOUD :], axis=0)


class Masker(Protocol):
    """Anything that tells water, cloud, cloud shadow, snow/ice and terrain shadow apart."""

    @property
    def name(self) -> str:
        """As on the command line and in the results table."""
        ...

    @property
    def halo(self) -> int:
        """Pixels of context the masker needs round a pixel before its answer no longer depends on the window."""
        ...

    def __call__(self, observation: Observation) -> Masks:
        """Masks on the grid of the observation's window."""
        ...


def clear_water(masks: Masks) -> Bool2d:
    """(H, W), True on water that is seen: valid, and under no cloud, shadow, snow, ice or terrain shadow."""
    return masks[Mask.WATER] & masks.valid & ~masks.obstructed
