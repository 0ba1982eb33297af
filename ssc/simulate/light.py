"""Light on its way: sun on slopes, sky light in shadow, glint, haze, and light scattered in from beside the pixel.

Everything is a factor or an addition to surface reflectance as an atmospheric correction over flat, uniform ground
would report it: HLS corrects neither topography nor adjacency nor glint.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ssc.bands import Band
from ssc.simulate.noise import Field, enlarge, shrink
from ssc.simulate.optics import WAVELENGTH_UM
from ssc.simulate.terrain import PIXEL_M

AEROSOL_DEPTH = 0.12
"""Aerosol optical depth at 0.55 um on an ordinary day."""

BRIGHTEST = 1.6
"""Most that a slope turned to a low sun gains: snow beyond it would exceed what HLS files hold."""


def _optical_depths(band: Band) -> tuple[float, float]:
    """Rayleigh and aerosol optical depth (Hansen & Travis 1974; Angstrom exponent 1.3)."""
    micrometres = WAVELENGTH_UM[band]
    return 0.0088 * micrometres**-4.05, AEROSOL_DEPTH * (micrometres / 0.55) ** -1.3


def sky_share(band: Band, zenith: float) -> float:
    """Share of the light on flat open ground that comes from the sky, not straight from the sun.

    >>> [round(sky_share(band, 40.0), 2) for band in (Band.BLUE, Band.RED, Band.SWIR1)]
    [0.24, 0.13, 0.03]
    """
    rayleigh, aerosol = _optical_depths(band)
    return 1 - math.exp(-(0.5 * rayleigh + 0.85 * aerosol) / math.cos(math.radians(zenith)))


def sun_on_slopes(dem_m: Field, zenith: float, azimuth: float) -> Field:
    """(H, W) direct sunlight on each slope over that on flat ground, 0 where it is turned away from the sun.

    Args:
        dem_m: (H + 2, W + 2) heights, one pixel more on each side than the result.
        zenith: Of the sun, degrees.
        azimuth: Of the sun, degrees clockwise from grid north.
    """
    south = (dem_m[2:, 1:-1] - dem_m[:-2, 1:-1]) / np.float32(2 * PIXEL_M)
    east = (dem_m[1:-1, 2:] - dem_m[1:-1, :-2]) / np.float32(2 * PIXEL_M)
    tilt = math.tan(math.radians(zenith))
    toward = south * np.float32(tilt * math.cos(math.radians(azimuth)))
    toward -= east * np.float32(tilt * math.sin(math.radians(azimuth)))
    factor = (1 + toward) / np.sqrt(1 + south**2 + east**2)
    return np.asarray(np.clip(factor, 0, BRIGHTEST), dtype=np.float32)


def adjacency_share(band: Band) -> float:
    """Share of a pixel's signal that was scattered in from its surroundings: about a tenth in blue, little in SWIR."""
    rayleigh, aerosol = _optical_depths(band)
    return 0.6 * (1 - math.exp(-(0.5 * rayleigh + 0.6 * aerosol)))


def blur(reflectance: Field, band: Band) -> Field:
    """Mix each pixel with its surroundings: half from within 300 m, half from within a kilometre or so."""
    share = np.float32(adjacency_share(band))
    step = 4
    coarse = shrink(reflectance, step)
    near = ndimage.gaussian_filter(coarse, 150 / (step * PIXEL_M), truncate=3)
    far = ndimage.gaussian_filter(coarse, 600 / (step * PIXEL_M), truncate=3)
    around = enlarge((near + far) / 2, step, reflectance.shape)
    around -= reflectance
    around *= share
    around += reflectance
    return around


def glint(zenith: float, view_zenith: float, relative_azimuth: float, wind_m_s: float | NDArray[np.float32]) -> Field:
    """Reflectance of the sun's image on ruffled water, all bands alike (Cox & Munk 1954, 10.1364/JOSA.44.000838).

    Args:
        zenith: Of the sun, degrees.
        view_zenith: Of the sensor, degrees.
        relative_azimuth: Between sun and sensor as seen from the ground, degrees; 180 looks into the sun's image.
        wind_m_s: Rivers are sheltered: 1 to 5.

    >>> bool(glint(20.0, 8.0, 180.0, 5.0) > 5 * glint(60.0, 8.0, 180.0, 5.0))
    True
    """
    sun, view, turn = (math.radians(angle) for angle in (zenith, view_zenith, relative_azimuth))
    x = math.sin(sun) + math.sin(view) * math.cos(turn)
    y = math.sin(view) * math.sin(turn)
    up = math.cos(sun) + math.cos(view)
    slope_squared = (x * x + y * y) / up**2
    variance = np.asarray(0.003 + 0.00512 * np.asarray(wind_m_s), dtype=np.float32)
    density = np.exp(-slope_squared / variance) / (np.pi * variance)
    fresnel = 0.021  # within 1 % of this for incidence below 40 degrees on the facet
    tilt_cosine4 = 1 / (1 + slope_squared) ** 2
    return np.asarray(np.pi * fresnel * density / (4 * math.cos(sun) * math.cos(view) * tilt_cosine4), np.float32)
