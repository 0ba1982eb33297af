"""Level-1 digital numbers to top-of-atmosphere (TOA) reflectance.

The maskers were made for surface reflectance: TOA is brighter in blue by some hundredths and knows no aerosol
correction, so a score on TOA inputs says less about HLS than it seems to.
Sources: USGS, Using the Landsat Level-1 Data Product (rho = (M Q + A) / sin(sun elevation)); ESA, Sentinel-2 Processing
Baseline 04.00 (25 January 2022): rho = (Q + RADIO_ADD_OFFSET) / QUANTIFICATION_VALUE with -1000 and 10000.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ssc.errors import DataError

FILL: Final = 0
"""Digital number of no data, in Landsat Level-1 and in Sentinel-2 Level-1C."""
OFFSET_FROM: Final = 400
"""Processing baseline 04.00, as in file names (N0400): from here on digital numbers are shifted."""
OFFSET: Final = -1000
OFFSET_DAY: Final = "20220125"
"""The day baseline 04.00 began."""
QUANTIFICATION: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Mtl:
    """What a Landsat scene's MTL.txt says about reflectance."""

    sun_elevation: float
    """Degrees above the horizon, of the whole scene's centre."""
    gains: dict[int, tuple[float, float]]
    """(multiplier, addend) by band number; in all scenes of Landsat 8 and 9 so far 2e-5 and -0.1."""

    def reflectance(self, digital: NDArray[Any], bands: tuple[int, ...]) -> NDArray[np.float32]:
        """TOA reflectance of (B, H, W) digital numbers; see `landsat_toa`.

        Args:
            digital: Level-1 digital numbers, one layer per band.
            bands: Their band numbers.

        Raises:
            DataError: The MTL has no gain of a band.
        """
        missing = [band for band in bands if band not in self.gains]
        if missing:
            raise DataError(f"MTL without reflectance gains: found bands {sorted(self.gains)}, wanted also {missing}")
        layers = [
            landsat_toa(layer, self.sun_elevation, *self.gains[band])
            for layer, band in zip(digital, bands, strict=True)
        ]
        return np.stack(layers)


def read_mtl(path: Path) -> Mtl:
    """Read an MTL.txt of any collection: it is lines of NAME = VALUE in groups.

    Raises:
        DataError: No such file, or no sun above the horizon in it.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: found {error.strerror}, wanted the scene's MTL text") from error
    pairs = dict(re.findall(r"^\s*(\w+) = \"?([^\"\n]*?)\"?\s*$", text, re.MULTILINE))
    elevation = _number(path, pairs, "SUN_ELEVATION")
    if not 0 < elevation <= 90:
        raise DataError(f"{path}: found SUN_ELEVATION = {elevation}, wanted a sun above the horizon, in degrees")
    numbers = [int(name.rpartition("_")[2]) for name in pairs if re.fullmatch(r"REFLECTANCE_MULT_BAND_\d+", name)]
    gains = {
        band: (
            _number(path, pairs, f"REFLECTANCE_MULT_BAND_{band}"),
            _number(path, pairs, f"REFLECTANCE_ADD_BAND_{band}"),
        )
        for band in numbers
    }
    return Mtl(sun_elevation=elevation, gains=gains)


def landsat_toa(
    digital: NDArray[Any], sun_elevation: float, multiplier: float = 2e-5, addend: float = -0.1
) -> NDArray[np.float32]:
    """TOA reflectance of Landsat 8/9 Level-1 digital numbers, corrected for the sun's height; NaN for the fill 0.

    >>> landsat_toa(np.array([0, 10_000, 30_000]), 30.0).round(6).tolist()
    [nan, 0.2..., 1.0]
    """
    reflectance = (digital * np.float32(multiplier) + np.float32(addend)) / np.float32(
        math.sin(math.radians(sun_elevation))
    )
    return np.where(digital == FILL, np.float32(np.nan), reflectance).astype(np.float32)


def sentinel2_offset(product: str) -> int:
    """What is added to the digital numbers of a Level-1C product, from its id.

    Without a baseline in the id the day of sensing decides; an id without either, too, is taken for the time before.

    Raises:
        DataError: No baseline in the id, and sensed after baseline 04.00 began: the digital numbers may be either.

    >>> sentinel2_offset("S2A_MSIL1C_20190212T142031_N0207_R010_T19FDF_20190212T191443")
    0
    >>> sentinel2_offset("S2B_MSIL1C_20220601T142039_N0400_R010_T19FDF_20220601T174117")
    -1000
    """
    baseline = re.search(r"_N(\d{4})_", product)
    if baseline:
        return OFFSET if int(baseline[1]) >= OFFSET_FROM else 0
    day = re.search(r"(\d{8})T\d{6}", product)
    if day and day[1] >= OFFSET_DAY:
        raise DataError(
            f"{product}: found no processing baseline, wanted one (_N0400_): sensed since {OFFSET_DAY}, so the digital "
            f"numbers may or may not be shifted by {OFFSET}"
        )
    return 0


def sentinel2_toa(digital: NDArray[Any], offset: int = 0) -> NDArray[np.float32]:
    """TOA reflectance of Sentinel-2 Level-1C digital numbers; NaN for the fill 0.

    >>> sentinel2_toa(np.array([0, 2500], np.uint16), -1000).tolist()
    [nan, 0.15...
    """
    reflectance = (digital.astype(np.float32) + np.float32(offset)) / np.float32(QUANTIFICATION)
    return np.where(digital == FILL, np.float32(np.nan), reflectance).astype(np.float32)


def _number(path: Path, pairs: dict[str, str], name: str) -> float:
    try:
        return float(pairs[name])
    except (KeyError, ValueError):
        raise DataError(f"{path}: found {name} = {pairs.get(name, 'nothing')}, wanted a number") from None
