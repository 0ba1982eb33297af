"""What colour water with sediment has: a semi-analytical model, absorption and backscatter in, reflectance out.

    u = bb / (a + bb)                    share of the light that comes back
    rrs = (0.0895 + 0.1247 u) u          below the surface (Gordon et al. 1988; coefficients Lee et al. 2002)
    Rrs = 0.52 rrs / (1 - 1.7 rrs)       above it (Lee et al. 2002, 10.1364/AO.41.005755)
    rho = pi Rrs                         what a reflectance product holds

Both a and bb of sediment grow in proportion to its concentration, so u, and with it the reflectance, saturates where
sediment outweighs water: first in the visible, near 100 mg/L, last in the near infrared.

Sources. Pure water absorption: Pope & Fry 1997 to 0.70 um, Kou et al. 1993 to 1.0 um, Segelstein 1981 beyond, rounded
to the OLI bands. Scattering of fresh water: Morel 1974. Sediment absorption: exponential in wavelength (Babin et al.
2003, 10.1029/2001JC000882: 0.031-0.067 m2/g at 0.443 um, slope 0.0117-0.0128 per nm) on a floor that does not vanish in
the near infrared (Estapa et al. 2012). Backscatter per mass 0.008-0.011 m2/g with a weak power law (Neukermans et al.
2012, 10.4319/lo.2012.57.1.0124).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ssc.bands import Band
from ssc.simulate.noise import Field

WAVELENGTH_UM: Final = {
    Band.COASTAL: 0.443,
    Band.BLUE: 0.482,
    Band.GREEN: 0.561,
    Band.RED: 0.655,
    Band.RED_EDGE1: 0.704,
    Band.RED_EDGE2: 0.740,
    Band.RED_EDGE3: 0.783,
    Band.NIR_BROAD: 0.835,
    Band.NIR: 0.865,
    Band.WATER_VAPOUR: 0.945,
    Band.CIRRUS: 1.373,
    Band.SWIR1: 1.610,
    Band.SWIR2: 2.200,
}
"""Band centres, micrometres."""

WATER_ABSORPTION: Final = {
    Band.COASTAL: 0.0070,
    Band.BLUE: 0.0130,
    Band.GREEN: 0.062,
    Band.RED: 0.365,
    Band.RED_EDGE1: 0.70,
    Band.RED_EDGE2: 2.7,
    Band.RED_EDGE3: 2.4,
    Band.NIR_BROAD: 3.4,
    Band.NIR: 4.6,
    Band.WATER_VAPOUR: 29.0,
    Band.CIRRUS: 500.0,
    Band.SWIR1: 670.0,
    Band.SWIR2: 1700.0,
}
"""Of pure water, 1/m."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sediment:
    """Optical properties per mass of one kind of sediment, m2/g (concentrations in mg/L = g/m3)."""

    absorption: float
    """At 0.443 um, above the floor."""
    absorption_slope: float
    """1/nm."""
    absorption_floor: float
    backscatter: float
    """At 0.555 um."""
    backscatter_exponent: float

    def absorb(self, band: Band) -> float:
        """Absorption per mass in a band, m2/g."""
        nanometres = 1000 * (WAVELENGTH_UM[band] - 0.443)
        return self.absorption_floor + self.absorption * float(np.exp(-self.absorption_slope * nanometres))

    def scatter(self, band: Band) -> float:
        """Backscatter per mass in a band, m2/g."""
        return self.backscatter * (WAVELENGTH_UM[band] / 0.555) ** -self.backscatter_exponent


MINERAL: Final = Sediment(
    absorption=0.033,
    absorption_slope=0.0118,
    absorption_floor=0.0035,
    backscatter=0.0105,
    backscatter_exponent=0.4,
)
"""Bright sand and silt: red reflectance saturates near 0.20, as Nechad et al. 2010 found (C = 0.17-0.20)."""
ORGANIC: Final = Sediment(
    absorption=0.060,
    absorption_slope=0.0125,
    absorption_floor=0.0060,
    backscatter=0.0085,
    backscatter_exponent=0.7,
)
"""Brown, iron-rich clay with organic matter: darker at the same concentration."""

CDOM_SLOPE: Final = 0.017
"""Of dissolved organic matter, 1/nm."""


def reflectance(band: Band, mineral: Field, organic: Field, cdom: Field | float = 0.8) -> Field:
    """Surface reflectance of deep water, unitless, without glint.

    Args:
        band: Which band.
        mineral: Concentration of bright sediment, mg/L.
        organic: Concentration of dark sediment, mg/L.
        cdom: Absorption by dissolved matter at 0.440 um, 1/m.

    >>> clear, turbid = reflectance(Band.RED, np.array([0.0, 200.0]), np.array([0.0, 0.0]))
    >>> bool(clear < 0.002), round(float(turbid), 2)
    (True, 0.17)
    """
    yellow = cdom * np.exp(-CDOM_SLOPE * 1000 * (WAVELENGTH_UM[band] - 0.440))
    absorbed = WATER_ABSORPTION[band] + yellow + mineral * MINERAL.absorb(band) + organic * ORGANIC.absorb(band)
    scattered = _water_backscatter(band) + mineral * MINERAL.scatter(band) + organic * ORGANIC.scatter(band)
    back = scattered / (absorbed + scattered)
    below = (0.0895 + 0.1247 * back) * back
    return np.asarray(np.pi * 0.52 * below / (1 - 1.7 * below), dtype=np.float32)


def _water_backscatter(band: Band) -> float:
    """Half of the scattering of fresh water (Morel 1974), 1/m."""
    return 0.5 * 0.00222 * float((WAVELENGTH_UM[band] / 0.5) ** -4.32)
