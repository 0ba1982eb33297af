"""Colours of land, snow and cloud: surface reflectance per cover and band.

Rounded from the kind of spectra that the ECOSTRESS and USGS spectral libraries hold (Meerdink et al. 2019,
10.1016/j.rse.2019.05.015; Kokaly et al. 2017, 10.3133/ds1035), convolved by eye with the OLI bands and lowered for the
shade inside canopies. What matters to a masker is the shape: a red edge over plants, soils that rise to the short-wave
infrared, snow and liquid clouds that fall there, and wet sand that looks like very turbid water.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

from ssc.bands import Band
from ssc.simulate.noise import Field


class Cover(IntEnum):
    """Land cover classes of the simulator."""

    CONIFER = 0
    RIPARIAN = 1
    GRASS = 2
    CROP = 3
    FALLOW = 4
    DARK_SOIL = 5
    URBAN = 6
    ROCK = 7
    SAND = 8
    WET_SAND = 9


ORDER: Final = (
    Band.COASTAL,
    Band.BLUE,
    Band.GREEN,
    Band.RED,
    Band.RED_EDGE1,
    Band.RED_EDGE2,
    Band.RED_EDGE3,
    Band.NIR_BROAD,
    Band.NIR,
    Band.WATER_VAPOUR,
    Band.SWIR1,
    Band.SWIR2,
)
"""Order of the numbers below. The cirrus band never sees the ground: water vapour absorbs all of it."""

_GREEN: Final = {  # in full leaf
    Cover.CONIFER: (0.018, 0.022, 0.042, 0.028, 0.055, 0.160, 0.200, 0.215, 0.225, 0.210, 0.110, 0.050),
    Cover.RIPARIAN: (0.025, 0.030, 0.062, 0.040, 0.095, 0.290, 0.360, 0.385, 0.400, 0.380, 0.200, 0.090),
    Cover.GRASS: (0.035, 0.045, 0.085, 0.065, 0.120, 0.250, 0.300, 0.320, 0.335, 0.320, 0.260, 0.150),
    Cover.CROP: (0.025, 0.032, 0.075, 0.040, 0.110, 0.360, 0.450, 0.470, 0.490, 0.460, 0.230, 0.110),
}
_DRY: Final = {  # bare or cured
    Cover.CONIFER: (0.022, 0.027, 0.043, 0.036, 0.055, 0.130, 0.160, 0.175, 0.185, 0.175, 0.115, 0.060),
    Cover.RIPARIAN: (0.045, 0.055, 0.080, 0.095, 0.120, 0.160, 0.180, 0.195, 0.205, 0.205, 0.220, 0.150),
    Cover.GRASS: (0.060, 0.075, 0.115, 0.150, 0.185, 0.212, 0.235, 0.250, 0.265, 0.270, 0.355, 0.260),
    Cover.CROP: (0.070, 0.088, 0.130, 0.172, 0.200, 0.220, 0.236, 0.252, 0.265, 0.270, 0.355, 0.290),
    Cover.FALLOW: (0.080, 0.100, 0.145, 0.190, 0.215, 0.235, 0.250, 0.265, 0.280, 0.285, 0.370, 0.310),
    Cover.DARK_SOIL: (0.050, 0.060, 0.085, 0.115, 0.135, 0.150, 0.165, 0.180, 0.190, 0.195, 0.260, 0.215),
    Cover.URBAN: (0.100, 0.115, 0.140, 0.160, 0.170, 0.185, 0.195, 0.205, 0.210, 0.215, 0.240, 0.220),
    Cover.ROCK: (0.090, 0.105, 0.130, 0.155, 0.165, 0.170, 0.175, 0.185, 0.190, 0.195, 0.230, 0.200),
    Cover.SAND: (0.140, 0.175, 0.245, 0.300, 0.320, 0.335, 0.350, 0.360, 0.370, 0.375, 0.430, 0.390),
    Cover.WET_SAND: (0.075, 0.095, 0.140, 0.175, 0.185, 0.190, 0.195, 0.200, 0.200, 0.190, 0.160, 0.100),
}
_OTHER: Final = {
    "snow": (0.92, 0.93, 0.92, 0.90, 0.89, 0.87, 0.85, 0.83, 0.80, 0.72, 0.11, 0.07),
    "ice": (0.56, 0.58, 0.56, 0.51, 0.47, 0.43, 0.39, 0.34, 0.30, 0.22, 0.03, 0.02),
    "water_cloud": (0.66, 0.67, 0.68, 0.69, 0.69, 0.69, 0.69, 0.69, 0.68, 0.58, 0.50, 0.36),
    "ice_cloud": (0.62, 0.63, 0.63, 0.64, 0.64, 0.64, 0.63, 0.63, 0.62, 0.55, 0.30, 0.22),
}


def table(band: Band, *, green: bool) -> Field:
    """(covers,) reflectance of each cover in a band, in leaf or bare; zeros in the cirrus band."""
    if band is Band.CIRRUS:
        return np.zeros(len(Cover), dtype=np.float32)
    place = ORDER.index(band)
    spectra = {**_DRY, **_GREEN} if green else _DRY
    return np.array([spectra[cover][place] for cover in Cover], dtype=np.float32)


def spectrum(name: str, band: Band) -> float:
    """Reflectance of "snow", "ice", "water_cloud" or "ice_cloud"; 0 in the cirrus band."""
    return 0.0 if band is Band.CIRRUS else _OTHER[name][ORDER.index(band)]
