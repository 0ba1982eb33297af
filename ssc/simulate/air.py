"""What air and cloud do to colours beyond hiding and dimming: how shadows and cloud tops look after correction.

The defaults add nothing. Real corrected images differ from them in known ways, and from day to day, so training scenes
draw these numbers at random (`tasks.chips.skies.random_air`):

- Light in cloud shadows. A cloud that hides the sun hides the bright sky round it, the aerosol's share; in return cloud
  sides and thin cloud send grey light. And air below the cloud's base is unlit, while the correction subtracts the
  path reflectance of lit air, more so where it took the cloud's edge for haze: shadows end up dark in the blue, at
  times below zero.
- Colour of water clouds. Small droplets (5 um, over land) reflect 0.7 at 1.6 um and 0.55 at 2.2 um, large ones (20 um)
  0.45 and 0.25: rounded from memory of curves like those of Nakajima & King 1990, not read off them.
- Over-correction. Aerosol is not retrieved over clouds, and cloud edges pass for haze: visible bands are lowered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ssc.bands import Band
from ssc.simulate import spectra
from ssc.simulate.optics import WAVELENGTH_UM

_LARGE: Final = {Band.SWIR1: 0.45, Band.SWIR2: 0.25}
_SMALL: Final = {Band.SWIR1: 0.70, Band.SWIR2: 0.55}


@dataclass(frozen=True, slots=True, kw_only=True)
class Air:
    """Colours of one overpass."""

    blue_sky: float = 1.0
    """Share of a clear sky's light that is left in the deepest cloud shadow."""
    grey_light: float = 0.0
    """Light in the deepest cloud shadow from clouds and through them, as a share of full light, alike in all bands."""
    unlit_air: float = 0.0
    """Reflectance in the blue that correction takes away too much in the deepest cloud shadow."""
    over_correction: float = 0.0
    """Reflectance in the blue that correction takes away too much under full cloud."""
    small_droplets: float | None = None
    """Colour of water clouds: 0 large droplets, 1 small ones, None the simulator's own."""

    def cloud_top(self, name: str, band: Band) -> float:
        """Reflectance of "water_cloud" or "ice_cloud" at full thickness."""
        if self.small_droplets is None or name != "water_cloud" or band not in _LARGE:
            return spectra.spectrum(name, band)
        return _LARGE[band] + self.small_droplets * (_SMALL[band] - _LARGE[band])

    def lost_in_shadow(self, band: Band) -> float:
        """Reflectance taken away too much in the deepest cloud shadow: as 1 / wavelength squared, haze and air."""
        return self.unlit_air * _fading(band, 2.0)

    def lost_in_cloud(self, band: Band) -> float:
        """Reflectance taken away too much under full cloud: by aerosol's Angstrom exponent of 1.3."""
        return self.over_correction * _fading(band, 1.3)


CLEAN: Final = Air()
"""The defaults."""


def _fading(band: Band, exponent: float) -> float:
    return (WAVELENGTH_UM[Band.BLUE] / WAVELENGTH_UM[band]) ** exponent
