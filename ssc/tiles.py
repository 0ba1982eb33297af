"""Reaches and tiles: which share of a reach lies on which tile.

HLS tiles are Sentinel-2's: 109.8 km squares in UTM that overlap by up to 9.8 km inside a zone and by any amount across
zones. All work is done in the CRS of a tile, where nothing special happens at the antimeridian.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import floor

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ssc.lonlat import Geometries, projection, touching
from ssc.mgrs import SQUARE_M, TILE_M, in_zone, square_geobox, tile_geobox, tile_name
from ssc.overlaps import resolve
from ssc.reaches import Reaches

__all__ = ["TileLines", "footprint", "lines_on", "on_tile", "project", "resolve", "tile_geobox", "tiles_of", "to_crs"]

_POINTS, _PAD_DEG = 16, 0.02
"""Points on each side of a tile's outline, and what is added around it for the curved sides between them."""
_BEYOND_M, _SNAP_M = TILE_M - SQUARE_M, 60
"""How far a tile may reach beyond its square: east and south, west and north."""


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
    lines = to_crs(reaches.lines[index], str(tile.crs))
    return TileLines(index=index, lines=lines, share=_share(lines, tile))


def tiles_of(reaches: Reaches) -> pd.DataFrame:
    """All MGRS tiles, of all zones, that hold a part of each reach; computed, so tiles that no satellite delivers too.

    Returns:
        reach_id (int64), tile ("15SXR"), share of the centreline in it (0 < share <= 1), ordered by reach_id and tile.
        The shares of a reach may sum to more than 1, since tiles overlap.
    """
    found = [rows for zone in range(1, 61) for rows in _in_zone(reaches, zone)]
    empty = pd.DataFrame({"reach_id": pd.Series(dtype=np.int64), "tile": "", "share": pd.Series(dtype=np.float64)})
    table = pd.concat(found) if found else empty
    return table.sort_values(["reach_id", "tile"], ignore_index=True)


def footprint(tile: GeoBox, margin_m: float = 0.0) -> shapely.Polygon:
    """A region in EPSG:4326 that holds a tile and its margin, in continuous longitude; a little too large."""
    box = shapely.box(*tile.boundingbox.buffered(margin_m))
    xy = shapely.get_coordinates(shapely.segmentize(box, box.length / 4 / _POINTS))
    lon, lat = projection(str(tile.crs)).transform(xy[:, 0], xy[:, 1], direction="INVERSE")
    return shapely.Polygon(np.column_stack([np.unwrap(lon, period=360), lat])).buffer(_PAD_DEG)


def to_crs(lines: Geometries, crs: str) -> Geometries:
    """Lines (EPSG:4326, degrees) in the CRS of a tile (metres)."""
    return np.asarray(shapely.set_coordinates(lines.copy(), project(shapely.get_coordinates(lines), crs)))


def project(lonlat: NDArray[np.float64], crs: str) -> NDArray[np.float64]:
    """(n, 2) longitude, latitude in degrees -> (n, 2) x, y in the CRS of a tile, metres."""
    return np.column_stack(projection(crs).transform(lonlat[:, 0], lonlat[:, 1]))


def _share(lines: Geometries, tile: GeoBox) -> NDArray[np.float64]:
    inside = shapely.length(shapely.clip_by_rect(lines, *tile.boundingbox))
    return np.asarray(np.minimum(inside / shapely.length(lines), 1.0))


def _in_zone(reaches: Reaches, zone: int) -> list[pd.DataFrame]:
    """Rows of `tiles_of` for the tiles of one zone, one table per tile."""
    index = np.flatnonzero(_near_zone(reaches.lines, zone))
    lines = to_crs(reaches.lines[index], f"EPSG:{32600 + zone}")
    tables = []
    for (column, row), under in _squares_under(lines).items():
        share = _share(lines[under], square_geobox(zone, column, row))
        if share.any() and in_zone(zone, column, row):
            rows = {"reach_id": reaches.ids[index[under]], "tile": tile_name(zone, column, row), "share": share}
            tables.append(pd.DataFrame(rows)[share > 0])
    return tables


def _near_zone(unwrapped: Geometries, zone: int) -> NDArray[np.bool_]:
    """(n,) True for lines in a zone or as near to it as its tiles go."""
    west, south, east, north = shapely.bounds(unwrapped).T
    nearest_pole = np.minimum(np.maximum(np.abs(south), np.abs(north)), 85.0)
    # 3 degrees to the zone's edge, 3 more for Norway and Svalbard, and a tile that begins at the edge.
    half = 6.0 + TILE_M / (111_000 * np.cos(np.radians(nearest_pole)))
    centre = 6.0 * zone - 183
    turns = np.array([[-360.0], [0.0], [360.0]])
    return np.asarray(((west + turns <= centre + half) & (east + turns >= centre - half)).any(axis=0))


def _squares_under(lines: Geometries) -> dict[tuple[int, int], list[int]]:
    """Squares (column, row) of a zone whose tile may hold a part of a line, and the lines."""
    under = defaultdict(list)
    for line, (west, south, east, north) in enumerate(shapely.bounds(lines)):
        columns = range(max(floor((west - _BEYOND_M) / SQUARE_M), 1), min(floor((east + _SNAP_M) / SQUARE_M), 8) + 1)
        rows = range(floor((south - _SNAP_M) / SQUARE_M), floor((north + _BEYOND_M) / SQUARE_M) + 1)
        for square in ((column, row) for column in columns for row in rows):
            under[square].append(line)
    return under
