"""Any GeoTIFF with named bands as reflectance on its grid: what ACOLITE, sen2cor and the like write.

read_raster("20230511.tif", product=Product.S30, scaling=SEN2COR)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ssc.bands import CODES, SIX, Band, Product
from ssc.errors import DataError, InputError
from ssc.gdal import FAILURES, configured, explained, opened

_BEYOND: Final = 2.0
"""Median red reflectance above this is none: unscaled digital numbers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Raster:
    """Reflectance on one grid."""

    bands: tuple[Band, ...]
    reflectance: NDArray[np.float32]
    """(B, H, W) in the order of `bands`, unitless, NaN where there is no data."""
    geobox: GeoBox

    @property
    def six(self) -> NDArray[np.float32]:
        """(6, H, W) in the order of `SIX`."""
        return self.reflectance[[self.bands.index(band) for band in SIX]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """reflectance = digital number x scale + offset."""

    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    """Digital number that means no data, beside the one that the file declares."""


SEN2COR: Final = Scaling(scale=1e-4, offset=-0.1, nodata=0.0)
"""Sentinel-2 Level-2A since processing baseline 04.00 (January 2022): 1000 is added to every digital number."""


def read_raster(
    path: str | Path, *, product: Product, scaling: Scaling = Scaling(), names: Sequence[str] | None = None
) -> Raster:
    """A GeoTIFF whose bands are named as in the product's files ("B8A") or by what they see ("nir").

    Args:
        path: Of the file; its band descriptions name the bands.
        product: Whose file codes they are: B05 is NIR in L30 and a red edge in S30.
        scaling: From digital numbers to reflectance.
        names: Instead of the descriptions, one per band. Bands with other names are passed over.

    Raises:
        DataError: A file that does not read, lacks one of the six bands or a CRS, or holds no reflectance.
    """
    path = Path(path)
    try:
        with configured(str(path)), opened(str(path)) as file:
            told = list(names or file.descriptions)
            numbers, missing = file.read(masked=True), file.crs is None
            geobox = None if missing else GeoBox(file.shape, file.transform, str(file.crs))
    except FAILURES as error:
        raise explained(error, str(path), path.name) from error
    if geobox is None:
        raise DataError(f"no CRS in {path}: wanted one, to know where points lie")
    known = {code: band for band, code in CODES[product].items()} | {band.value: band for band in Band}
    places = {known[name]: place for place, name in enumerate(told) if name in known}
    if lacking := [band.value for band in SIX if band not in places]:
        raise DataError(f"no band {' '.join(lacking)} in {path}: found {told}, wanted names as of {product.value}")
    raster = Raster(
        bands=tuple(places), reflectance=_reflectance(numbers[list(places.values())], scaling), geobox=geobox
    )
    _refuse_unscaled(raster, path)
    return raster


def area_mean(raster: Raster, factor: int) -> Raster:
    """The same on pixels `factor` times as large: means over whole blocks, NaN where one pixel of a block is.

    Blocks start at the upper left corner; what is left over in the south and east is cut off.

    Raises:
        InputError: A factor below 1 or beyond the raster.
    """
    count, rows, cols = raster.reflectance.shape
    high, wide = rows // max(factor, 1), cols // max(factor, 1)
    if factor < 1 or not high or not wide:
        raise InputError(f"factor of larger pixels: found {factor}, wanted 1 to {min(rows, cols)}")
    if factor == 1:
        return raster
    blocks = raster.reflectance[:, : high * factor, : wide * factor].reshape(count, high, factor, wide, factor)
    geobox = raster.geobox[: high * factor, : wide * factor].zoom_out(factor)
    return Raster(bands=raster.bands, reflectance=blocks.mean(axis=(2, 4), dtype=np.float32), geobox=geobox)


def _reflectance(numbers: np.ma.MaskedArray[Any, Any], scaling: Scaling) -> NDArray[np.float32]:
    """Reflectance of digital numbers, NaN where there is no data."""
    hidden = np.ma.getmaskarray(numbers)
    if scaling.nodata is not None:
        hidden = hidden | (numbers.data == scaling.nodata)
    values = numbers.data.astype(np.float64) * scaling.scale + scaling.offset
    return np.where(hidden | ~np.isfinite(values), np.nan, values).astype(np.float32)


def _refuse_unscaled(raster: Raster, path: Path) -> None:
    red = raster.reflectance[raster.bands.index(Band.RED)]
    known = red[np.isfinite(red)]
    if known.size and np.median(known) > _BEYOND:
        raise DataError(
            f"no reflectance in {path}: median red is {np.median(known):g}, wanted 0 to 1; give scale and offset"
        )
