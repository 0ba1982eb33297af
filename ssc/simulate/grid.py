"""The grid of a tile, or of its north-west corner."""

from __future__ import annotations

import math

from affine import Affine
from odc.geo.geobox import GeoBox

_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")


def epsg(geobox: GeoBox) -> int:
    """EPSG code of a grid in UTM."""
    code = None if geobox.crs is None else geobox.crs.epsg
    assert code is not None, geobox
    return int(code)


def corner(tile: str, size: int) -> GeoBox:
    """The (size, size) north-west corner of an MGRS tile on the HLS grid, 30 m pixels, EPSG:326zz."""
    zone, band, column, row = int(tile[:2]), tile[2], tile[3], tile[4]
    easting = (_COLUMNS[zone % 3].index(column) + 1) * 100_000
    letters = _ROWS if zone % 2 else _ROWS[5:] + _ROWS[:5]
    top = (letters.index(row) + 1) * 100_000
    middle_lat = -80 + 8 * _BANDS.index(band) + 4
    north = top + 2_000_000 * round((middle_lat * 110_600 + (1e7 if band < "N" else 0) - top) / 2_000_000)
    north -= 10_000_000 if band < "N" else 0  # HLS counts southern northings from the equator, negative
    west, north = math.floor(easting / 60) * 60, math.ceil(north / 60) * 60
    return GeoBox((size, size), Affine(30, 0, west, 0, -30, north), f"EPSG:326{zone:02d}")
