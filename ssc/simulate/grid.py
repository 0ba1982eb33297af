"""The grid of a tile, or of its north-west corner."""

from __future__ import annotations

from odc.geo.geobox import GeoBox

from ssc.tiles import tile_geobox


def corner(tile: str, size: int) -> GeoBox:
    """The (size, size) north-west corner of an MGRS tile on the HLS grid, 30 m pixels, EPSG:326zz.

    Raises:
        GranuleNameError: Not an MGRS tile.
    """
    whole = tile_geobox(tile)
    return GeoBox((size, size), whole.affine, whole.crs)


def epsg(geobox: GeoBox) -> int:
    """EPSG code of a grid in UTM."""
    code = None if geobox.crs is None else geobox.crs.epsg
    assert code is not None, geobox
    return int(code)
