"""The MGRS grid: from a tile name to its grid, and from a place to tile names.

    15SXR: UTM zone 15, latitude band S, 100 km square XR of that zone.

Sentinel-2 and HLS tiles are those squares enlarged by 9.8 km to the east and south. Source: NGA.STND.0037 (MGRS). Two
rules are not in it and were found in ESA's tiling grid, where they hold for all 20 430 land tiles: corners are snapped
to 60 m, and the band letter is that of the square's centre.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ssc.errors import GranuleNameError
from ssc.lonlat import projection

TILE_PX, PIXEL_M, SQUARE_M = 3660, 30, 100_000
TILE_M = TILE_PX * PIXEL_M
"""109.8 km: a square and 9.8 km more, east and south."""

_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS, _ROWS = "ABCDEFGHJKLMNPQRSTUVWXYZ", "ABCDEFGHJKLMNPQRSTUV"
_TILE = re.compile(r"T?(\d{2})([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])")
_SNAP_M = 60
"""The upper left corner of a tile is the square's, moved west and north to the grid of Sentinel-2's 60 m pixels."""
_SVALBARD = ((0.0, 9.0, 31), (9.0, 21.0, 33), (21.0, 33.0, 35), (33.0, 42.0, 37))


def tile_geobox(tile: str) -> GeoBox:
    """The nominal HLS grid of an MGRS tile: 3660 x 3660 pixels of 30 m, EPSG:326zz, negative northing in the south.

    For planning; when a granule is open, the grid of its files counts.

    Args:
        tile: "15SXR" or "T15SXR".

    Raises:
        GranuleNameError: Not an MGRS tile.

    >>> tile_geobox("19LBJ").boundingbox.left, tile_geobox("19LBJ").boundingbox.top
    (199980.0, -1099980.0)
    """
    match = _TILE.fullmatch(tile)
    if match is not None:
        zone = int(match[1])
        column = _COLUMNS.index(match[3]) - (zone - 1) % 3 * 8 + 1
        row = _row(zone, match[2], match[4])
        if 1 <= zone <= 60 and 1 <= column <= 8 and tile_name(zone, column, row) == tile[-5:]:
            return square_geobox(zone, column, row)
    raise GranuleNameError(f"no such MGRS tile: found {tile!r}, wanted zone, band and square like 15SXR")


def tile_name(zone: int, column: int, row: int) -> str:
    """Name of the tile of the square from column x 100 km east and row x 100 km north (negative in the south) on.

    >>> tile_name(15, 6, 35)
    '15SXR'
    """
    letter = _COLUMNS[(zone - 1) % 3 * 8 + column - 1]
    return f"{zone:02d}{_band(zone, column, row)}{letter}{_ROWS[(row + _first_row(zone)) % len(_ROWS)]}"


def square_geobox(zone: int, column: int, row: int) -> GeoBox:
    """The HLS grid of the tile of a square; column and row as in `tile_name`."""
    x = column * SQUARE_M // _SNAP_M * _SNAP_M
    y = -(-(row + 1) * SQUARE_M // _SNAP_M) * _SNAP_M
    return GeoBox((TILE_PX, TILE_PX), Affine(PIXEL_M, 0, x, 0, -PIXEL_M, y), f"EPSG:{32600 + zone}")


def zone_of(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) UTM zone of places (degrees), with the exceptions of Norway (32V) and Svalbard (31X 33X 35X 37X)."""
    lon = (np.asarray(lon) + 180) % 360 - 180
    zone = ((lon + 180) // 6).astype(np.int64) + 1
    zone = np.where((lat >= 56) & (lat < 64) & (lon >= 3) & (lon < 12), 32, zone)
    for west, east, special in _SVALBARD:
        zone = np.where((lat >= 72) & (lat <= 84) & (lon >= west) & (lon < east), special, zone)
    return zone


@lru_cache(maxsize=4096)
def in_zone(zone: int, column: int, row: int) -> bool:
    """Whether any of a square lies in its zone: only then (and over land) is there a tile."""
    west = column - _SNAP_M / SQUARE_M  # column E of 31V meets its zone at 3 degrees east in those 20 m only
    x, y = np.meshgrid(np.linspace(west, column + 1, 21), np.linspace(row, row + 1, 21))
    lon, lat = _lonlat(zone, x.ravel(), y.ravel())
    return bool((zone_of(lon, lat) == zone).any())


def _first_row(zone: int) -> int:
    """Rows are lettered from A in odd zones and from F in even ones, from the equator north."""
    return 5 if zone % 2 == 0 else 0


def _row(zone: int, band: str, letter: str) -> int:
    """Row of a square: letters repeat every 20 rows (2000 km), the band (8 degrees) tells which time round."""
    middle = (-80 + 8 * _BANDS.index(band) + (6 if band == "X" else 4)) * 1.109  # a degree is 1.109 rows
    first = (_ROWS.index(letter) - _first_row(zone)) % len(_ROWS)
    return first + len(_ROWS) * round((middle - first) / len(_ROWS))


def _band(zone: int, column: int, row: int) -> str:
    _, lat = _lonlat(zone, np.array([column + 0.5]), np.array([row + 0.5]))
    return _BANDS[int(np.clip((lat[0] + 80) // 8, 0, len(_BANDS) - 1))]


def _lonlat(zone: int, column: NDArray[np.float64], row: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    to_utm = projection(f"EPSG:{32600 + zone}")
    lon, lat = to_utm.transform(column * SQUARE_M, row * SQUARE_M, direction="INVERSE")
    return lon, lat
