"""Files of DSWx-HLS products: which belong together, which granule they were made from, what they hold.

    OPERA_L3_DSWx-HLS_T15SXR_20210907T163901Z_20210909T201511Z_S2A_30_v1.0_B01_WTR.tif
                      tile   acquired         produced

The time acquired is the one in the name of the HLS granule, to the second. Files of other names
(`dswx_hls_v0.1_B01_WTR.tif`) tell their granule in the tag HLS_DATASET.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj.exceptions import CRSError

from ssc.cogs import SOUTH_M, utm_zone
from ssc.errors import DataError, GranuleNameError, GridError, InputError
from ssc.gdal import FAILURES, configured, explained, opened
from ssc.granules import Granule, parse
from tasks.chips.dswx_labels import Layers

_FILE = re.compile(r"(?P<product>.+)_B\d\d_(?P<layer>WTR|BWTR|CONF|DIAG|WTR-1|WTR-2|LAND|SHAD|CLOUD|DEM)\.tiff?")
_PRODUCT = re.compile(r"OPERA_L3_DSWx[-_]HLS_T(?P<tile>[0-9A-Z]{5})_(?P<time>\d{8}T\d{6})Z_(?P<made>\d{8}T\d{6})Z_.+")
_VERSION = re.compile(r"_v(\d+\.\d+)$")
_WANTED: Final = "OPERA_L3_DSWx-HLS_T<tile>_<time>Z_<time>Z_<satellite>_30_v<version>_B<nn>_<LAYER>.tif"
_NEEDED: Final = ("WTR", "CONF", "CLOUD")
_NOT_PROVIDED: Final = "(not provided)"
"""What a tag DEM_... says of a product made without elevation."""

Codes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class DswxProduct:
    """The files of one DSWx-HLS product."""

    name: str
    """What its file names have in common."""
    tile: str
    """MGRS tile without the T."""
    acquired: datetime
    """Aware UTC, whole seconds: the time in the name of the HLS granule it was made from."""
    produced: str
    """Time of production as in the name, which sorts; empty when the name does not tell."""
    files: Mapping[str, Path]
    """By layer: "WTR", "CLOUD", ..."""


def group_files(folder: Path) -> dict[Path, dict[str, Path]]:
    """The files of each product in a folder, searched deeply: layer -> path, by path without layer and ending.

    Raises:
        InputError: No such folder, or no files of DSWx-HLS in it.
    """
    if not folder.is_dir():
        raise InputError(f"no such folder: {folder}")
    products: dict[Path, dict[str, Path]] = {}
    for path in sorted(folder.rglob("*.tif*")):
        if match := _FILE.fullmatch(path.name):
            products.setdefault(path.parent / match["product"], {})[match["layer"]] = path
    if not products:
        raise InputError(f"no DSWx-HLS products in {folder}: wanted files named {_WANTED}")
    return products


def identify(stem: Path, files: Mapping[str, Path]) -> DswxProduct:
    """The product that files of one group are.

    Raises:
        DataError: Neither name nor tags tell the granule, or a file without official name is damaged.
    """
    match = _PRODUCT.fullmatch(stem.name)
    if match is not None:
        acquired = _time(match["time"], stem.name)
        return DswxProduct(name=stem.name, tile=match["tile"], acquired=acquired, produced=match["made"], files=files)
    path = next(iter(files.values()))
    with _Raster(path) as raster:
        source = raster.source()
    if source is None:
        raise DataError(
            f"product of no known granule: {stem.name}: found no HLS granule in the tag HLS_DATASET of {path}, "
            f"wanted one, or files named {_WANTED}"
        )
    return DswxProduct(name=stem.name, tile=source.tile, acquired=source.acquired, produced="", files=files)


def read_product(product: DswxProduct, granule: Granule, grid: GeoBox) -> tuple[Layers, str]:
    """Layers of a product that lie on a granule's grid, and the product's version ("" when nothing tells).

    Raises:
        DataError: A needed file is missing, damaged, of another kind or of another granule.
        GridError: A file lies on another grid.
    """
    missing = [name for name in _NEEDED if name not in product.files]
    if missing:
        raise DataError(
            f"no {' '.join(missing)} in {product.name}: found {' '.join(sorted(product.files))}, "
            f"wanted {' '.join(_NEEDED)}"
        )
    layers: dict[str, Codes] = {}
    for name in (*_NEEDED, "SHAD", "WTR-1"):
        if name in product.files:
            with _Raster(product.files[name]) as raster:
                raster.check(granule, grid)
                layers[name] = raster.read()
    with _Raster(product.files["WTR"]) as raster:
        tags = raster.tags
    told = _VERSION.search(product.name)
    return Layers(
        wtr=layers["WTR"],
        conf=layers["CONF"],
        cloud=layers["CLOUD"],
        shad=layers.get("SHAD"),
        wtr1=layers.get("WTR-1"),
        has_dem=not any(tag.startswith("DEM") and said == _NOT_PROVIDED for tag, said in tags.items()),
    ), told[1] if told else tags.get("PRODUCT_VERSION", "")


class _Raster:
    """One open layer; a context manager."""

    def __init__(self, path: Path) -> None:
        """Open a file and read its header.

        Raises:
            DataError: Missing, damaged, or not one band of uint8.
        """
        self.path = path
        with configured(str(path)):
            try:
                self._dataset: rasterio.DatasetReader = opened(str(path))
            except FAILURES as error:
                raise explained(error, str(path), path.name) from error
        self.tags: Mapping[str, str] = self._dataset.tags()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._dataset.close()

    def source(self) -> Granule | None:
        """The granule it was made from, by its tags; None when they do not tell."""
        try:
            return parse(self.tags.get("HLS_DATASET", ""))
        except GranuleNameError:
            return None

    def check(self, granule: Granule, grid: GeoBox) -> None:
        """Refuse what is not codes of that granule on that grid."""
        data, source = self._dataset, self.source()
        if (data.count, data.dtypes[0]) != (1, "uint8"):
            raise self._wrong("kind", f"{data.count} bands of {data.dtypes[0]}", "1 of uint8")
        if source not in {None, granule}:
            raise self._wrong("granule", f"HLS_DATASET {source.name if source else ''}", granule.name)
        if self._grid() != grid:
            raise self._wrong("grid", self._grid(), grid, GridError)

    def read(self) -> Codes:
        """(H, W) codes."""
        with configured(str(self.path)):
            try:
                return self._dataset.read(1)
            except FAILURES as error:
                raise explained(error, str(self.path), self.path.name) from error

    def _grid(self) -> GeoBox:
        """Its grid in EPSG:326zz, as `ssc.cogs` has that of HLS files."""
        crs, a = self._dataset.crs, self._dataset.transform
        try:
            zone, south = utm_zone(crs.wkt if crs else "")
        except CRSError:
            raise self._wrong("CRS", crs.to_string()[:80] if crs else "none", "UTM on WGS 84", GridError) from None
        affine = Affine(a.a, a.b, a.c, a.d, a.e, a.f - SOUTH_M * south)
        return GeoBox(self._dataset.shape, affine, f"EPSG:{32600 + zone}")

    def _wrong(self, what: str, found: object, wanted: object, kind: type[DataError] = DataError) -> DataError:
        texts = (_described(thing) if isinstance(thing, GeoBox) else thing for thing in (found, wanted))
        return kind("wrong {}: {}: found {}, wanted {}".format(what, self.path, *texts))


def _described(grid: GeoBox) -> str:
    rows, cols = grid.shape
    return f"{rows} x {cols} px of {grid.affine.a:g} m from ({grid.affine.c:.0f}, {grid.affine.f:.0f}) in {grid.crs}"


def _time(text: str, name: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise DataError(f"no such time in {name}: found {text}, wanted YYYYMMDDTHHMMSS") from None
