"""The maskers that need no network weights, behind the same protocol as the neural one.

- `legacy-fmask` (S1): Fmask's bits, and cast shadow when there is an elevation model. The fair baseline.
- `legacy-dswx` (S2): water by OPERA's spectral rules; cloud, cloud shadow and snow from Fmask as OPERA takes them;
  terrain shadow by OPERA's SHAD rule when there is an elevation model.
- `fmask`: the bits alone.
- `mndwi`: water by one index, nothing else; what a first course in remote sensing would do.

Fmask's adjacent ring counts as nothing here: `clear.ClearWaterRule` grows clouds itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ssc.bands import Band
from ssc.errors import InputError
from ssc.legacy import dswx, fmask, shading, terrain
from ssc.legacy.dem import Dem
from ssc.masks import Bool2d, Mask, Masker, Masks
from ssc.observation import Observation

Found = Mapping[Mask, Bool2d]


def load(name: str, *, dem: str | Path | None = None) -> Masker:
    """A masker by name.

    Args:
        name: One of `NAMES`.
        dem: Where an elevation model lies (`legacy.dem`): a raster, a folder, or the URL of Copernicus GLO-30. Without
            one TERRAIN_SHADOW is False everywhere. `fmask` and `mndwi` have no use for it.

    Raises:
        InputError: No such masker, or nothing at `dem`.
    """
    if name not in _RECIPES:
        raise InputError(f"no masker {name!r}: found none of that name, wanted one of {' '.join(NAMES)}")
    rule, shade = _RECIPES[name]
    shadow = None
    if dem is not None and shade is not None:
        shadow = shading.TerrainShadow(dem=Dem(location=str(dem)), shade=shade)
    return PixelMasker(name=name, rule=rule, shadow=shadow)


@dataclass(slots=True, kw_only=True, eq=False)
class PixelMasker:
    """A masker that judges each pixel by itself, terrain apart. Any number of threads may share one."""

    name: str
    rule: Callable[[Observation], Found]
    """Masks found from reflectance and Fmask; those not named are False."""
    shadow: shading.TerrainShadow | None = None
    halo: int = 0

    def __call__(self, observation: Observation) -> Masks:
        """Masks on the grid of the observation's window."""
        valid = observation.valid
        found = dict(self.rule(observation))
        if self.shadow is not None:
            found[Mask.TERRAIN_SHADOW] = self.shadow(observation)
        stack = np.zeros((len(Mask), *valid.shape), bool)
        for mask, there in found.items():
            np.logical_and(there, valid, out=stack[mask])
        return Masks(stack=stack, valid=valid)


def _by_fmask(observation: Observation) -> Found:
    bits = fmask.decode(observation.fmask)
    return {
        Mask.WATER: bits.water,
        Mask.CLOUD: bits.cloud,
        Mask.CLOUD_SHADOW: bits.shadow,
        Mask.SNOW_ICE: bits.snow,
    }


def _by_dswx(observation: Observation) -> Found:
    """DSWx open water, classes 1 and 2, before terrain and clouds take theirs away: those have masks of their own.

    Class 2 stays although OPERA-trained labels leave it out: hyper-turbid water, bright in NIR and blue, fails the two
    partial-water tests and is class 2, and it is the water a sediment product is for. Classes 3 and 4 are mixed pixels.
    """
    reflectance = np.stack([observation.band(band) for band in _DSWX_BANDS])
    layers = dswx.classify(reflectance, observation.fmask, mode="ignore")
    clouds = np.where(observation.valid, layers.cloud, np.uint8(0))
    return {
        Mask.WATER: (layers.wtr2 == 1) | (layers.wtr2 == 2),
        Mask.CLOUD: (clouds & np.uint8(dswx.CLOUD_BIT)) != 0,
        Mask.CLOUD_SHADOW: (clouds & np.uint8(dswx.SHADOW_BIT)) != 0,
        Mask.SNOW_ICE: (clouds & np.uint8(dswx.SNOW_BIT)) != 0,
    }


def _by_mndwi(observation: Observation) -> Found:
    """MNDWI (Xu 2006, Int. J. Remote Sensing 27:3025) above 0.124: the first test of OPERA DSWx-HLS, from DSWE."""
    return {Mask.WATER: dswx.mndwi_water(observation.band(Band.GREEN), observation.band(Band.SWIR1))}


def _opera_shading(dem_m: NDArray[np.floating], pixel_m: float, zenith_deg: float, azimuth_deg: float) -> Bool2d:
    """OPERA's SHAD turned round: True = masked."""
    return ~dswx.shad(dem_m, pixel_m, zenith_deg, azimuth_deg)


_DSWX_BANDS: Final = (Band.BLUE, Band.GREEN, Band.RED, Band.NIR, Band.SWIR1, Band.SWIR2)
_RECIPES: Final[dict[str, tuple[Callable[[Observation], Found], shading.Shade | None]]] = {
    "legacy-dswx": (_by_dswx, _opera_shading),
    "legacy-fmask": (_by_fmask, terrain.cast_shadow),
    "fmask": (_by_fmask, None),
    "mndwi": (_by_mndwi, None),
}
NAMES: Final = {
    "legacy-dswx": "water by the spectral rules of NASA's DSWx-HLS, clouds from Fmask, shading from a DEM",
    "legacy-fmask": "Fmask's bits, cast shadow from a DEM: the standard pipeline done properly",
    "fmask": "Fmask's bits alone",
    "mndwi": "water by one index, no clouds or shadows: the simplest baseline",
}
"""Names `load` knows, and what they are."""
