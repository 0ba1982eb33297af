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


def _seen(low_nm: float, centre_nm: float, high_nm: float, level: Level = Level.SURFACE) -> Response:
    """One line of the table below."""
    return Response(low_nm=low_nm, centre_nm=centre_nm, high_nm=high_nm, level=level)


RESPONSES: Final[dict[Sensor, dict[Band, Response]]] = {
    Sensor.TM: {
        Band.BLUE: _seen(450, 485, 520),
        Band.GREEN: _seen(520, 560, 600),
        Band.RED: _seen(630, 660, 690),
        Band.NIR: _seen(760, 830, 900),
        Band.SWIR1: _seen(1550, 1650, 1750),
        Band.SWIR2: _seen(2080, 2215, 2350),
    },
    Sensor.ETM: {
        Band.BLUE: _seen(450, 482.5, 515),
        Band.GREEN: _seen(525, 565, 605),
        Band.RED: _seen(630, 660, 690),
        Band.NIR: _seen(775, 837.5, 900),
        Band.SWIR1: _seen(1550, 1650, 1750),
        Band.SWIR2: _seen(2090, 2220, 2350),
    },
    Sensor.OLI: {
        Band.COASTAL: _seen(435, 443, 451),
        Band.BLUE: _seen(452, 482, 512),
        Band.GREEN: _seen(533.5, 562, 590.5),
        Band.RED: _seen(636.5, 655, 673.5),
        Band.NIR: _seen(851, 865, 879),
        Band.CIRRUS: _seen(1363.5, 1374, 1384.5, Level.TOP),
        Band.SWIR1: _seen(1566.5, 1609, 1651.5),
        Band.SWIR2: _seen(2114.5, 2201, 2287.5),
    },
    Sensor.MSI: {
        Band.COASTAL: _seen(425, 443, 461),
        Band.BLUE: _seen(446, 494, 542),
        Band.GREEN: _seen(537.5, 560, 582.5),
        Band.RED: _seen(645.5, 665, 684.5),
        Band.RED_EDGE1: _seen(694, 704, 714),
        Band.RED_EDGE2: _seen(731, 740, 749),
        Band.RED_EDGE3: _seen(767, 781, 795),
        Band.NIR_BROAD: _seen(763.5, 834, 904.5),
        Band.NIR: _seen(847.5, 864, 880.5),
        Band.WATER_VAPOUR: _seen(930.5, 944, 957.5, Level.TOP),
        Band.CIRRUS: _seen(1337, 1375, 1413, Level.TOP),
        Band.SWIR1: _seen(1541, 1612, 1683),
        Band.SWIR2: _seen(2074, 2194, 2314),
    },
}
"""Nominal edges; still to be checked against the agencies' tables."""

SENSOR_OF: Final[dict[Product, Sensor]] = {Product.L30: Sensor.OLI, Product.S30: Sensor.MSI}


def responses(of: Sensor | Product, bands: Sequence[Band]) -> tuple[Response, ...]:
    """What these bands of a sensor see, in the order asked for.

    Raises:
        BandError: The sensor has no such band.

    >>> [response.centre_nm for response in responses(Sensor.TM, (Band.RED, Band.GREEN))]
    [660, 560]
    """
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

    >>> merged(responses(Sensor.MSI, (Band.RED_EDGE1, Band.RED_EDGE2))).width_nm
    55
    """
    if not parts:
        raise InputError("bands to merge: none given, wanted at least one")
    width = sum(part.width_nm for part in parts)
    surface = all(part.level is Level.SURFACE for part in parts)
    return Response(
        low_nm=min(part.low_nm for part in parts),
        centre_nm=sum(part.centre_nm * part.width_nm for part in parts) / width,
        high_nm=max(part.high_nm for part in parts),
        level=Level.SURFACE if surface else Level.TOP,
    )
