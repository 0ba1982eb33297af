"""Colours of the report: told apart by people with any colour vision, and never the only sign.

Categories follow Okabe and Ito 2008; concentrations follow viridis (perceptually uniform, Smith and van der Walt 2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import NDArray

from ssc.bands import Product
from ssc.masks import Mask

INK: Final = "#1f2933"
FAINT: Final = "#6b7785"
"""Secondary text: 4.5 to 1 on white."""
GRID: Final = "#dfe3e8"
ABSENT: Final = "#a9b1ba"
"""A reach without an estimate."""

PRODUCTS: Final = {Product.L30.value: "#0072b2", Product.S30.value: "#c04a00"}
"""Blue and a vermilion darkened until small marks keep 4.5 to 1 on white."""
INSITU: Final = "#1f2933"
TRUTH: Final = "#00755a"

MASK_COLOURS: Final = {
    Mask.WATER: "#0072b2",
    Mask.CLOUD: "#f0e442",
    Mask.CLOUD_SHADOW: "#cc79a7",
    Mask.SNOW_ICE: "#8be0ff",
    Mask.TERRAIN_SHADOW: "#d55e00",
}
CLEAR: Final = "#0072b2"
HIDDEN: Final = "#f0d08c"
NO_DATA: Final = "#4a5058"

STATUS: Final = {
    "estimated": "#00755a",
    "cloudy": "#66717d",
    "no_water": "#8f6500",
    "no_reach": "#7a5ea0",
    "set_aside": "#b3261e",
}
"""Colour of a granule by what became of it, dark enough for white letters."""

_CLASSES: Final = 24
"""Steps of the concentration scale: finer than an eye tells apart, few enough to group lines by colour."""
_BRIGHTEST: Final = 0.93
"""Share of viridis used: its last yellow is lost on white."""


def rgb(colour: str) -> NDArray[np.float32]:
    """(3,) red, green, blue from 0 to 1."""
    return np.array(to_rgb(colour), dtype=np.float32)


@cache
def ramp() -> tuple[str, ...]:
    """Colours of the concentration classes, low to high."""
    return tuple(to_hex(colormaps["viridis"](share)) for share in np.linspace(0, _BRIGHTEST, _CLASSES))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogScale:
    """Concentrations to colours, equal ratios to equal steps."""

    low: float
    """mg/L at the first colour."""
    high: float
    """mg/L at the last colour."""

    @classmethod
    def over(cls, values: NDArray[np.float64]) -> LogScale:
        """A scale that holds all finite positive values, at least a factor of ten wide.

        >>> LogScale.over(np.array([3.0, 70.0]))
        LogScale(low=3.0, high=70.0)
        """
        seen = values[np.isfinite(values) & (values > 0)]
        if seen.size == 0:
            return cls(low=1.0, high=100.0)
        low, high = float(seen.min()), float(seen.max())
        if high < 10 * low:
            middle = math.sqrt(low * high)
            low, high = middle / math.sqrt(10), middle * math.sqrt(10)
        return cls(low=low, high=high)

    def classes(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Class of each value, 0 to the last; -1 where there is none."""
        known = np.isfinite(values) & (values > 0)
        share = np.log(np.where(known, values, self.low) / self.low) / math.log(self.high / self.low)
        return np.where(known, np.clip((share * _CLASSES).astype(np.int64), 0, _CLASSES - 1), -1)

    def share(self, value: float) -> float:
        """Where a value stands on the scale, 0 to 1."""
        return math.log(value / self.low) / math.log(self.high / self.low)
