"""Chips of several sensors in one folder: a plane for every band, empty where the sensor has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.chips import Chip
from ssc.bands import Band


def spread(chip: Chip, bands: tuple[Band, ...]) -> Chip:
    """The same chip with these bands, in this order: NaN for those it has not, without those not asked for."""
    planes = np.full((len(bands), *chip.reflectance.shape[1:]), np.nan, np.float32)
    for plane, band in zip(planes, bands, strict=True):
        if band in chip.bands:
            plane[:] = chip.reflectance[chip.bands.index(band)]
    return replace(chip, bands=bands, reflectance=planes)
