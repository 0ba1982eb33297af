"""Scenes without files: for tests and for training maskers on."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import numpy as np

from ssc.bands import SIX, Band
from ssc.observation import AngleGrid, Directions, Observation, TileFacts, Window
from ssc.simulate.basin import TILE
from ssc.simulate.fmask_sim import cloud_coverage, encode
from ssc.simulate.grid import corner
from ssc.simulate.landscape import Landscape, shape_land
from ssc.simulate.overpass import angles, overpass
from ssc.simulate.scene import Scene, observe, render
from ssc.simulate.weather import SCATTERED, Weather
from ssc.simulate.writer import from_int16, to_int16


@lru_cache(maxsize=8)
def landscape(*, seed: int, size: int = 256, tile: str = TILE) -> Landscape:
    """A landscape, kept for the next call: weather and days change, the ground does not."""
    return shape_land(corner(tile, size), tile=tile, seed=seed)


def simulate_scene(
    *,
    seed: int,
    size: int = 256,
    tile: str = TILE,
    day: date = date(2024, 6, 20),
    platform: str = "L8",
    weather: Weather = SCATTERED,
) -> Scene:
    """One overpass over the (size, size) north-west corner of a tile.

    Args:
        seed: The same seed gives the same scene.
        size: Pixels per side.
        tile: MGRS tile whose grid and sun are used.
        day: UTC; sets sun, season and river stage.
        platform: "L8", "L9" (product L30), "S2A", "S2B" (product S30).
        weather: One of those in `ssc.simulate.weather`, or your own.
    """
    land = landscape(seed=seed, size=size, tile=tile)
    return observe(land, overpass(tile, land.geobox, day, platform, seed), weather)


def observation(scene: Scene, bands: tuple[Band, ...] = SIX) -> Observation:
    """The whole scene as the reader would give it: quantised as in files, Fmask with its errors."""
    stored = {band: from_int16(to_int16(render(scene, band))) for band in {*SIX, *bands, Band.CIRRUS}}
    fmask = encode(scene, stored)
    return Observation(
        granule=scene.passing.granule,
        facts=_facts(scene, cloud_coverage(fmask)),
        window=Window.whole(scene.landscape.shape),
        bands=bands,
        reflectance=np.stack([stored[band] for band in bands]),
        fmask=fmask,
    )


def angle_grid(scene: Scene, step: int = 16) -> AngleGrid:
    """Directions of sun and view at the middle of every step x step pixels."""
    full = angles(scene.passing, scene.landscape.geobox)
    rows, cols = (np.minimum(np.arange(0, n, step) + step // 2, n - 1) for n in scene.landscape.shape)
    cells = np.ix_(rows, cols)
    return AngleGrid(
        step=step,
        sun_zenith=full.sun_zenith[cells],
        sun_azimuth=full.sun_azimuth[cells],
        view_zenith=full.view_zenith[cells],
        view_azimuth=full.view_azimuth[cells],
    )


def _facts(scene: Scene, clouds: int) -> TileFacts:
    passing = scene.passing
    return TileFacts(
        geobox=scene.landscape.geobox,
        block=(256, 256),
        directions=Directions(
            sun_zenith=scene.sun.zenith,
            sun_azimuth=scene.sun.azimuth,
            view_zenith=passing.view_zenith,
            view_azimuth=passing.view_azimuth,
        ),
        sensed=passing.sensed,
        platform=passing.platform,
        cloud_cover=float(clouds),
    )
