"""What the HLS sensors see: bands by meaning, their file codes by product.

HLS User Guide v2.0 (LP DAAC), tables of L30 and S30 spectral bands; the codes below are those of the file names.
"""

from __future__ import annotations

from enum import StrEnum

from ssc.errors import BandError


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
