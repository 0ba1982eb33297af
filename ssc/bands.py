"""What the sensors see: bands by meaning, their file codes by HLS product, their wavelengths by sensor.

HLS User Guide v2.0 (LP DAAC), tables of L30 and S30 spectral bands; the codes below are those of the file names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from ssc.errors import BandError, InputError


class Product(StrEnum):
    """The two HLS v2.0 products."""

    L30 = "L30"
    """Landsat 8 and 9 OLI on the 30 m MGRS grid."""
    S30 = "S30"
    """Sentinel-2 MSI resampled to 30 m and adjusted to the OLI band passes."""


class Band(StrEnum):
    """A spectral band, named by what it sees; `code(product)` is its name in files."""

    COASTAL = "coastal"
    BLUE = "blue"
    GREEN = "green"
    RED = "red"
    RED_EDGE1 = "red_edge1"
    RED_EDGE2 = "red_edge2"
    RED_EDGE3 = "red_edge3"
    NIR_BROAD = "nir_broad"
    NIR = "nir"
    """Narrow near infrared: L30 B05, S30 B8A (not the broad B08)."""
    WATER_VAPOUR = "water_vapour"
    CIRRUS = "cirrus"
    SWIR1 = "swir1"
    SWIR2 = "swir2"

    def code(self, product: Product) -> str:
        """File code of this band.

        Raises:
            BandError: The product has no such band.

        >>> Band.NIR.code(Product.S30), Band.NIR.code(Product.L30)
        ('B8A', 'B05')
        """
        try:
            return CODES[product][self]
        except KeyError:
            known = " ".join(band.value for band in CODES[product])
            raise BandError(f"no band {self.value} in product {product.value}: it has {known}") from None


class Sensor(StrEnum):
    """An imager, whatever product it ends up in."""

    TM = "tm"
    """Landsat 4 and 5."""
    ETM = "etm"
    """Landsat 7 (ETM+)."""
    OLI = "oli"
    """Landsat 8 and 9."""
    MSI = "msi"
    """Sentinel-2."""


class Level(StrEnum):
    """Where the light of a band is measured."""

    SURFACE = "surface"
    """Reflectance of the ground, the atmosphere removed."""
    TOP = "top"
    """Reflectance at the top of the atmosphere: a band that sees the atmosphere itself (cirrus, water vapour)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a band sees: where along the spectrum, and at which level.

    Raises:
        InputError: Not 0 < low < centre < high.
    """

    low_nm: float
    """Lower edge at half of the maximum, nm."""
    centre_nm: float
    high_nm: float
    """Upper edge at half of the maximum, nm."""
    level: Level = Level.SURFACE

    def __post_init__(self) -> None:
        """Refuses what is no band."""
        if not 0 < self.low_nm < self.centre_nm < self.high_nm < inf:
            edges = f"{self.low_nm:g}, {self.centre_nm:g}, {self.high_nm:g}"
            raise InputError(f"response of a band (nm): low, centre, high are {edges}, wanted 0 < low < centre < high")

    @property
    def width_nm(self) -> float:
        """Full width at half of the maximum, nm."""
        return self.high_nm - self.low_nm


class Layer(StrEnum):
    """The layers of a granule that are not reflectance; the value is the file code."""

    FMASK = "Fmask"
    SUN_ZENITH = "SZA"
    SUN_AZIMUTH = "SAA"
    VIEW_ZENITH = "VZA"
    VIEW_AZIMUTH = "VAA"


CODES: dict[Product, dict[Band, str]] = {
    Product.L30: {
        Band.COASTAL: "B01",
        Band.BLUE: "B02",
        Band.GREEN: "B03",
        Band.RED: "B04",
        Band.NIR: "B05",
        Band.SWIR1: "B06",
        Band.SWIR2: "B07",
        Band.CIRRUS: "B09",
    },
    Product.S30: {
        Band.COASTAL: "B01",
        Band.BLUE: "B02",
        Band.GREEN: "B03",
        Band.RED: "B04",
        Band.RED_EDGE1: "B05",
        Band.RED_EDGE2: "B06",
        Band.RED_EDGE3: "B07",
        Band.NIR_BROAD: "B08",
        Band.NIR: "B8A",
        Band.WATER_VAPOUR: "B09",
        Band.CIRRUS: "B10",
        Band.SWIR1: "B11",
        Band.SWIR2: "B12",
    },
}
"""Reflectance bands only; L30 also ships thermal B10 and B11 (degrees C, scale 0.01), which nothing here reads."""

SIX = (Band.BLUE, Band.GREEN, Band.RED, Band.NIR, Band.SWIR1, Band.SWIR2)
"""The six bands both products share, in the order every masker and feature table uses."""


def band_of(code: str, product: Product) -> Band:
    """The band with this file code.

    Raises:
        BandError: The product has no reflectance band of that code.

    >>> band_of("B05", Product.L30), band_of("B05", Product.S30)
    (<Band.NIR: 'nir'>, <Band.RED_EDGE1: 'red_edge1'>)
    """
    for band, known in CODES[product].items():
        if known == code:
            return band
    raise BandError(f"no reflectance band {code} in {product.value}: it has {' '.join(CODES[product].values())}")


def _around(centre_nm: float, width_nm: float, level: Level = Level.SURFACE) -> Response:
    """A band whose agency states centre and full width at half of the maximum."""
    half = width_nm / 2
    return Response(low_nm=centre_nm - half, centre_nm=centre_nm, high_nm=centre_nm + half, level=level)


def _between(low_nm: float, high_nm: float) -> Response:
    """A band whose agency states edges."""
    return Response(low_nm=low_nm, centre_nm=(low_nm + high_nm) / 2, high_nm=high_nm)


RESPONSES: Final[dict[Sensor, dict[Band, Response]]] = {
    # USGS, "What are the band designations for the Landsat satellites?": the design, to 10 nm. Approximate.
    Sensor.TM: {
        Band.BLUE: _between(450, 520),
        Band.GREEN: _between(520, 600),
        Band.RED: _between(630, 690),
        Band.NIR: _between(760, 900),
        Band.SWIR1: _between(1550, 1750),
        Band.SWIR2: _between(2080, 2350),
    },
    # NASA, bands of Landsat 7 beside those of Landsat 8: measured, to 1 nm. USGS lists the design, up to 26 nm off.
    Sensor.ETM: {
        Band.BLUE: _between(441, 514),
        Band.GREEN: _between(519, 601),
        Band.RED: _between(631, 692),
        Band.NIR: _between(772, 898),
        Band.SWIR1: _between(1547, 1749),
        Band.SWIR2: _between(2064, 2345),
    },
    # NASA, "Spectral Response of the Operational Land Imager In-Band, Band-Average" (Barsi et al. 2014,
    # 10.3390/rs61010232): measured, Landsat 8. Landsat 9 (NASA, "OLI-2 Relative Spectral Response") is within 2.1 nm.
    Sensor.OLI: {
        Band.COASTAL: _around(442.96, 15.98),
        Band.BLUE: _around(482.04, 60.04),
        Band.GREEN: _around(561.41, 57.33),
        Band.RED: _around(654.59, 37.47),
        Band.NIR: _around(864.67, 28.25),
        Band.CIRRUS: _around(1373.43, 20.39, Level.TOP),
        Band.SWIR1: _around(1608.86, 84.72),
        Band.SWIR2: _around(2200.73, 186.66),
    },
    # ESA, "Sentinel-2 MSI: spectral resolution": Sentinel-2A, widths to 1 nm. Centres of 2B are within 3.4 nm, only its
    # SWIR 2 is 17 nm off. Trap: many catalogues still carry an older table with wider bands (red 38, broad NIR 145 nm).
    Sensor.MSI: {
        Band.COASTAL: _around(442.7, 21),
        Band.BLUE: _around(492.4, 66),
        Band.GREEN: _around(559.8, 36),
        Band.RED: _around(664.6, 31),
        Band.RED_EDGE1: _around(704.1, 15),
        Band.RED_EDGE2: _around(740.5, 15),
        Band.RED_EDGE3: _around(782.8, 20),
        Band.NIR_BROAD: _around(832.8, 106),
        Band.NIR: _around(864.7, 21),
        Band.WATER_VAPOUR: _around(945.1, 20, Level.TOP),
        Band.CIRRUS: _around(1373.5, 31, Level.TOP),
        Band.SWIR1: _around(1613.7, 91),
        Band.SWIR2: _around(2202.4, 175),
    },
}
"""Half-maximum edges and centres, bands along the spectrum. What was checked against what: docs/bands.md.

Levels are those of HLS v2.0, which corrects neither cirrus nor water vapour for the atmosphere.
"""

SENSOR_OF: Final[dict[Product, Sensor]] = {Product.L30: Sensor.OLI, Product.S30: Sensor.MSI}
"""Whose filters a product saw through.

S30 keeps MSI's numbers although HLS adjusts the bands it shares with L30 to OLI's band passes. The adjustment is one
line per band for every surface: it moves the mean, not what MSI's filter saw of a spectrum. Red edge and broad NIR have
none. And with OLI's numbers a network could not tell the two products apart where they still differ.
"""


def responses(of: Sensor | Product | None, bands: Sequence[Band]) -> tuple[Response, ...]:
    """What these bands see, in the order asked for.

    Args:
        of: A sensor, or a product of one. None where it is not known: OLI where it has the band, else MSI.
        bands: Which bands.

    Raises:
        BandError: The sensor has no such band.

    >>> [response.centre_nm for response in responses(Sensor.TM, (Band.RED, Band.GREEN))]
    [660.0, 560.0]
    """
    if of is None:
        table = RESPONSES[Sensor.MSI] | RESPONSES[Sensor.OLI]
        return tuple(table[band] for band in bands)
    sensor = SENSOR_OF[of] if isinstance(of, Product) else of
    table = RESPONSES[sensor]
    missing = [band.value for band in bands if band not in table]
    if missing:
        known = " ".join(band.value for band in table)
        raise BandError(f"no band {' '.join(missing)} on sensor {sensor.value}: it has {known}")
    return tuple(table[band] for band in bands)


def merged(parts: Sequence[Response]) -> Response:
    """The broad band that averages these bands: from the lowest edge to the highest, gaps between them ignored.

    The centre is the mean of their centres weighted by width. One part at the top of the atmosphere puts it there.

    Raises:
        InputError: No parts.

    >>> both = merged(responses(Sensor.MSI, (Band.RED_EDGE1, Band.RED_EDGE2)))
    >>> both.low_nm, both.centre_nm, both.high_nm
    (696.6, 722.3, 748.0)
    """
    if not parts:
        raise InputError("bands to merge: none given, wanted at least one")
    width = sum(part.width_nm for part in parts)
    return Response(
        low_nm=min(part.low_nm for part in parts),
        centre_nm=sum(part.centre_nm * part.width_nm for part in parts) / width,
        high_nm=max(part.high_nm for part in parts),
        level=Level.TOP if any(part.level is Level.TOP for part in parts) else Level.SURFACE,
    )
