"""Terrain shadow of a granule: elevation round its tile, the sun on the tile's grid, one shadow for all its windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ssc.errors import DataError
from ssc.legacy import sun, terrain
from ssc.legacy.dem import Dem, lonlat
from ssc.legacy.kept import LastFew
from ssc.masks import Bool2d
from ssc.observation import Observation, TileFacts

Shade = Callable[[NDArray[np.float32], float, float, float], Bool2d]
"""(elevation m, pixel m, sun zenith, sun azimuth from grid north, degrees) -> True = shadow; `terrain.cast_shadow`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TerrainShadow:
    """Terrain shadow of any window of any granule.

    Elevation is read once for each of the last tiles and the shadow drawn once for each of the last granules, over the
    whole tile: a window's shadow may be cast from far outside it.
    """

    dem: Dem
    shade: Shade = terrain.cast_shadow
    elevations: LastFew[GeoBox, NDArray[np.float32]] = field(default_factory=lambda: LastFew(2))
    """By tile grid, 87 MB each at full size."""
    shadows: LastFew[tuple[str, GeoBox], Bool2d] = field(default_factory=lambda: LastFew(8))
    """By granule name and tile grid, 13 MB each at full size."""

    def __call__(self, observation: Observation) -> Bool2d:
        """(H, W) on the window's grid, True = terrain hides the sun.

        Raises:
            DataError: The elevation model does not cover the tile.
        """
        facts = observation.facts
        tile = self.shadows.value((observation.granule.name, facts.geobox), lambda: self._of_tile(facts))
        return tile[observation.window.slices]

    def _of_tile(self, facts: TileFacts) -> Bool2d:
        grid = facts.geobox
        pixel_m = _pixel_m(grid)
        zenith, azimuth = sun_on_grid(facts)
        wide = self.elevations.value(grid, lambda: self.dem.on(padded(grid, terrain.MAX_MARGIN_PX), core=grid))
        margin = terrain.margin_px(float(np.ptp(wide)), pixel_m, zenith)
        spare = terrain.MAX_MARGIN_PX - margin
        near = wide[spare : wide.shape[0] - spare, spare : wide.shape[1] - spare]
        shadow = self.shade(near, pixel_m, zenith, azimuth)
        return np.ascontiguousarray(shadow[margin : shadow.shape[0] - margin, margin : shadow.shape[1] - margin])


def padded(grid: GeoBox, margin: int) -> GeoBox:
    """The grid grown by `margin` pixels on each side."""
    a = grid.affine
    corner = Affine(a.a, a.b, a.c - margin * (a.a + a.b), a.d, a.e, a.f - margin * (a.d + a.e))
    return GeoBox((grid.shape[0] + 2 * margin, grid.shape[1] + 2 * margin), corner, grid.crs)


def sun_on_grid(facts: TileFacts) -> tuple[float, float]:
    """Sun zenith, and azimuth from the tile's grid north, degrees; at the tile's centre.

    From the granule's own directions; where it has none, from the time the tile was seen.
    """
    lon, lat = _centre(facts.geobox)
    zenith, azimuth = facts.directions.sun_zenith, facts.directions.sun_azimuth
    if not (math.isfinite(zenith) and math.isfinite(azimuth)):
        zenith, azimuth = sun.sun_position(facts.sensed, lat, lon)
    return zenith, sun.grid_azimuth(azimuth, lat, lon, _central_meridian(facts.geobox))


def _pixel_m(grid: GeoBox) -> float:
    a = grid.affine
    if not (a.a > 0 and a.e == -a.a and a.b == a.d == 0):
        raise DataError(f"grid for terrain shadow: found {tuple(a)[:6]}, wanted square pixels, north up")
    return float(a.a)


def _centre(grid: GeoBox) -> tuple[float, float]:
    """Longitude and latitude, degrees."""
    lons, lats = lonlat(grid, np.array([grid.shape[0] / 2]), np.array([grid.shape[1] / 2]))
    return float(lons[0]), float(lats[0])


def _central_meridian(grid: GeoBox) -> float:
    """Of the grid's UTM zone, degrees east.

    Raises:
        DataError: The grid is not UTM (EPSG:326zz or 327zz).
    """
    epsg = 0 if grid.crs is None else grid.crs.epsg or 0
    if epsg // 100 not in {326, 327}:
        raise DataError(f"grid for terrain shadow: found {grid.crs}, wanted UTM (EPSG:326zz)")
    return float(epsg % 100 * 6 - 183)
