"""Reaches and tiles: which share of a reach a tile holds.

HLS tiles are Sentinel-2's: 109.8 km squares in UTM, in 60 zones, that overlap by up to 9.8 km inside a zone and by any
amount across zones. All work is done in the CRS of the tile, where nothing special happens at the antimeridian.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ssc.lonlat import Geometries, touching
from ssc.reaches import Reaches

_FOOTPRINT_POINTS, _FOOTPRINT_PAD = 16, 0.02
"""Points per side of a tile's outline, and degrees around it that make up for the curved sides between them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileLines:
    """The reaches near a tile, drawn in its CRS."""

    index: NDArray[np.intp]
    """(n,) which rows of the reaches."""
    lines: Geometries
    """(n,) whole centrelines, metres in the tile's CRS."""
    share: NDArray[np.float64]
    """(n,) share of the centreline inside the tile, 0 to 1; 0 for reaches that only come near."""


def on_tile(reaches: Reaches, tile: GeoBox) -> pd.Series[float]:
    """Share of each reach's centreline inside the grid of a tile.

    Returns:
        Series indexed by reach_id, 0 < share <= 1; reaches outside are not in it.
    """
    near = lines_on(reaches, tile)
    inside = near.share > 0
    return pd.Series(near.share[inside], index=pd.Index(reaches.ids[near.index[inside]], name="reach_id"), name="share")


def lines_on(reaches: Reaches, tile: GeoBox, margin_m: float = 0.0) -> TileLines:
    """Reaches that come within a margin of a tile, in the tile's CRS."""
    index = np.flatnonzero(touching(reaches.lines, footprint(tile, margin_m)))
    lines = to_crs(reaches.lines[index], tile)
    west, south, east, north = tile.boundingbox
    inside = shapely.length(shapely.clip_by_rect(lines, west, south, east, north))
    share = np.minimum(inside / np.maximum(shapely.length(lines), 1e-9), 1.0)
    return TileLines(index=index, lines=lines, share=share)


def footprint(tile: GeoBox, margin_m: float = 0.0) -> shapely.Polygon:
    """A region in EPSG:4326 that holds a tile and its margin, in continuous longitude; slightly too large."""
    ring = tile.boundingbox.buffered(margin_m).polygon.geom.exterior
    xy = np.array([ring.interpolate(t, normalized=True).coords[0] for t in np.arange(0, 1, 0.25 / _FOOTPRINT_POINTS)])
    lon, lat = _projection(str(tile.crs)).transform(xy[:, 0], xy[:, 1], direction="INVERSE")
    return shapely.Polygon(np.column_stack([np.unwrap(lon, period=360), lat])).buffer(_FOOTPRINT_PAD)


def to_crs(lines: Geometries, tile: GeoBox) -> Geometries:
    """Lines (EPSG:4326, degrees) in the CRS of a tile (metres)."""
    return np.asarray(shapely.set_coordinates(lines.copy(), project(shapely.get_coordinates(lines), tile)))


def project(lonlat: NDArray[np.float64], tile: GeoBox) -> NDArray[np.float64]:
    """(n, 2) longitude, latitude in degrees -> (n, 2) x, y in the CRS of a tile, metres."""
    return np.column_stack(_projection(str(tile.crs)).transform(lonlat[:, 0], lonlat[:, 1]))


@lru_cache(maxsize=128)
def _projection(crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
