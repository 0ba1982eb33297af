"""Elevation on the grid of a tile, from whatever elevation rasters there are.

A location is one raster (GeoTIFF, VRT), a folder of rasters, or the https:// or s3:// folder that holds Copernicus
GLO-30 under its public names, for instance https://copernicus-dem-30m.s3.amazonaws.com (free, no login; credit DLR,
Airbus, ESA). GLO-30 has no files over open ocean, and other models call the sea a void: where nothing is known,
elevation is 0. Hence a model should cover the tile and 15 km round it; one that ends inside it leaves a cliff.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.errors import RasterioIOError, WarpOperationError
from rasterio.warp import Resampling, reproject

from ssc.errors import AccessError, DataError, InputError, TransientError
from ssc.gdal import configured, http_status

logger = logging.getLogger(__name__)

GLO30_BASE: Final = "https://copernicus-dem-30m.s3.amazonaws.com"
"""Copernicus GLO-30 as cloud-optimised GeoTIFF, one file a degree (bucket copernicus-dem-30m, eu-central-1)."""

_GLO30_PREFIX: Final = "Copernicus_DSM_COG_10_"
_VOID_M: Final = -9999
"""What marks a void in rasters that do not say."""
_LOWEST_M: Final = -500.0
"""Nothing dry lies lower (Dead Sea shore -430 m): what is left of undeclared voids."""
_SECOND_DEG: Final = 1 / 3600
"""GLO-30 pixels are centred on whole degrees, so a tile reaches half an arc second beyond its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A box on the globe, degrees; `east` may pass 180 where the box crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    def __str__(self) -> str:
        return f"longitude {self.west:.2f} to {self.east:.2f}, latitude {self.south:.2f} to {self.north:.2f}"


def glo30_names(bounds: Bounds) -> list[str]:
    """Names of the GLO-30 tiles a box overlaps, whether or not they exist (there are none over open ocean).

    >>> glo30_names(Bounds(west=-65.9, south=18.2, east=-65.1, north=18.9))
    ['Copernicus_DSM_COG_10_N18_00_W066_00_DEM']
    """
    return [
        _glo30_name(lat, (lon + 180) % 360 - 180)
        for lat in range(math.floor(bounds.south), math.ceil(bounds.north))
        for lon in range(math.floor(bounds.west), math.ceil(bounds.east))
    ]


def _glo30_name(lat: int, lon: int) -> str:
    """Name by the south-west corner, whole degrees."""
    north_south, east_west = "S" if lat < 0 else "N", "W" if lon < 0 else "E"
    return f"{_GLO30_PREFIX}{north_south}{abs(lat):02d}_00_{east_west}{abs(lon):03d}_00_DEM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dem:
    """An elevation model at a location."""

    location: str
    """A file, a folder, or the https:// or s3:// folder of GLO-30."""

    def __post_init__(self) -> None:
        if "://" not in self.location and not Path(self.location).exists():
            raise InputError(f"no elevation model: found nothing at {self.location}, wanted a raster, folder or URL")

    def on(self, grid: GeoBox, core: GeoBox | None = None) -> NDArray[np.float32]:
        """(H, W) elevation in m on a grid, bilinear; 0 where there is none (sea, voids).

        Args:
            grid: Where elevation is wanted.
            core: The centred part of it that matters, the rest being margin; None: all of it.

        Raises:
            DataError: The model covers no pixel of the core, or one of its files is broken.
            TransientError: A remote file timed out.
            AccessError: A remote server refuses us.
        """
        elevation = np.full(grid.shape, np.nan, np.float32)
        for source in self._sources(bounds_of(grid)):
            _warp(source, grid, elevation)
        known = elevation >= _LOWEST_M
        self._check_cover(known, core or grid)
        return np.where(known, elevation, np.float32(0))

    def _check_cover(self, known: NDArray[np.bool_], core: GeoBox) -> None:
        rows, cols = ((whole - part) // 2 for whole, part in zip(known.shape, core.shape, strict=True))
        share = known[rows : rows + core.shape[0], cols : cols + core.shape[1]].mean()
        if share == 0:
            raise DataError(
                f"no elevation under the tile: {self.location} covers none of {bounds_of(core)}, wanted a model "
                "of that area"
            )
        if share < 1:
            logger.info("dem=%s covers=%.3f of the tile, the rest is taken as sea level", self.location, share)

    def _sources(self, bounds: Bounds) -> Iterator[str]:
        names = glo30_names(bounds)
        if "://" not in self.location:
            yield from _local(Path(self.location), set(names))
        elif self.location.lower().endswith((".tif", ".tiff", ".vrt")):
            yield self.location
        else:
            base = self.location.rstrip("/")
            yield from (f"{base}/{name}/{name}.tif" for name in names)


def _local(path: Path, names: set[str]) -> Iterator[str]:
    """A raster itself, or those of a folder; GLO-30 tiles elsewhere on the globe are known by name and left closed."""
    if path.is_file():
        yield str(path)
        return
    for file in sorted(path.rglob("*")):
        elsewhere = file.stem.startswith(_GLO30_PREFIX) and file.stem not in names
        if file.suffix.lower() in {".tif", ".tiff", ".vrt"} and not elsewhere:
            yield str(file)


def bounds_of(grid: GeoBox) -> Bounds:
    """Box in degrees that holds a grid, one arc second wider on each side."""
    lons, lats = _outline(grid)
    if np.ptp(lons) > 180:  # a tile is 1 to 12 degrees wide: it crosses the antimeridian
        lons = lons % 360
    return Bounds(
        west=float(lons.min()) - _SECOND_DEG,
        south=float(lats.min()) - _SECOND_DEG,
        east=float(lons.max()) + _SECOND_DEG,
        north=float(lats.max()) + _SECOND_DEG,
    )


def _outline(grid: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes and latitudes along the edge of a grid: parallels bulge beyond the corners."""
    share = np.linspace(0, 1, 21)
    rows = np.concatenate([share * 0, share * 0 + 1, share, share]) * grid.shape[0]
    cols = np.concatenate([share, share, share * 0, share * 0 + 1]) * grid.shape[1]
    return lonlat(grid, rows, cols)


def lonlat(
    grid: GeoBox, rows: NDArray[np.float64], cols: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes and latitudes, degrees, of places in a grid; (0, 0) is the outer corner of the first pixel."""
    a = grid.affine
    to_degrees = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    lons, lats = to_degrees.transform(a.c + a.a * cols + a.b * rows, a.f + a.d * cols + a.e * rows)
    return lons, lats


def _warp(source: str, grid: GeoBox, elevation: NDArray[np.float32]) -> None:
    """Warp one raster into the elevation where it has data; a remote tile that does not exist leaves it as it is."""
    # Local rasters may have world files or overviews beside them, which the settings for HLS do not look for.
    with configured(source, anonymous=True) if "://" in source else rasterio.Env():
        try:
            with rasterio.open(source) as raster:
                _warp_open(raster, grid, elevation)
        except (RasterioIOError, WarpOperationError) as error:
            status = http_status(error) if "://" in source else None
            if status != 404:
                raise _told(source, str(error), status) from error


def _warp_open(raster: rasterio.DatasetReader, grid: GeoBox, elevation: NDArray[np.float32]) -> None:
    if raster.crs is None:
        raise _told(raster.name, "it has no coordinate system")
    reproject(
        rasterio.band(raster, 1),
        elevation,
        src_nodata=_VOID_M if raster.nodata is None else raster.nodata,
        dst_transform=grid.affine,
        dst_crs=str(grid.crs),
        dst_nodata=np.nan,
        init_dest_nodata=False,  # keep what earlier tiles gave
        resampling=Resampling.bilinear,
    )


def _told(source: str, message: str, status: int | None = None) -> DataError | AccessError | TransientError:
    """The error of ours that a GDAL message amounts to."""
    text = f"cannot read elevation {source}: {message}"
    if "://" not in source:
        return DataError(f"{text}; wanted a georeferenced raster")
    if status in {401, 403}:
        return AccessError(f"{text}; wanted a location open to anonymous readers")
    return TransientError(f"{text}; try again")
