"""The part of a scene that does not change from day to day: grid, relief, rivers, land cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ssc.simulate import centrelines, channel, landcover, rivers, terrain, valley
from ssc.simulate.noise import Field, enlarge
from ssc.simulate.seeds import stream

MARGIN_PX = 128
"""Terrain and rivers go on this far beyond the tile (3.8 km), so that ridges outside can shade it."""
BASIN_CODE = "742899"
"""First six digits of all ids: North America, Mississippi; the level-6 basin does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Landscape:
    """A tile, or its north-west corner, and the ground round it."""

    tile: str
    geobox: GeoBox
    """Grid of the (size, size) tile."""
    seed: int
    dem_m: Field
    """(size + 2 margins, ...) heights on the domain: the tile and `MARGIN_PX` pixels round it."""
    rivers: rivers.Rivers
    channel: channel.Channel
    """Channel pixels on the tile's grid."""
    land: landcover.LandCover

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the tile."""
        return self.land.cover.shape[0], self.land.cover.shape[1]

    @property
    def southern(self) -> bool:
        """South of the equator, where HLS northings are negative."""
        return bool(self.geobox.affine.f <= 0)

    @property
    def origin_m(self) -> tuple[float, float]:
        """Easting and northing of the domain's upper-left corner."""
        affine = self.geobox.affine
        return affine.c - MARGIN_PX * affine.a, affine.f - MARGIN_PX * affine.e

    def tile_dem(self, border: int = 0) -> Field:
        """Heights on the tile's grid, with so many pixels more on each side."""
        inner = slice(MARGIN_PX - border, MARGIN_PX + self.shape[0] + border)
        return self.dem_m[inner, inner]


def shape_land(geobox: GeoBox, *, tile: str, seed: int) -> Landscape:
    """Make the landscape of a square tile."""
    size = geobox.shape[0]
    domain = (size + 2 * MARGIN_PX, size + 2 * MARGIN_PX)
    drainage = _drain(domain, seed)
    network = rivers.split(
        centrelines.trace(drainage, seed), basin=BASIN_CODE, reach_m=min(rivers.REACH_M, 30.0 * domain[0] / 5)
    )
    near = valley.survey(network.course, domain)
    dem = valley.carve(terrain.surface(drainage, domain, seed), near, network.course)
    mountain = enlarge(drainage.mountain, terrain.CELL_PX, domain)
    river, floor = _river_distance(near, network.course, domain)
    inner = (slice(MARGIN_PX, -MARGIN_PX),) * 2
    bed = channel.survey(network.course, near, domain, seed).cut(MARGIN_PX, MARGIN_PX, (size, size))
    land = landcover.grow(dem[inner], mountain[inner], river[inner], floor[inner], seed)
    return Landscape(
        tile=tile,
        geobox=geobox,
        seed=seed,
        dem_m=dem,
        rivers=network,
        channel=bed,
        land=landcover.with_bars(land, bed),
    )


def _drain(domain: tuple[int, int], seed: int) -> terrain.Drainage:
    """Drainage with one great river through the middle and tributaries from both sides, more on larger tiles."""
    rng = stream(seed, "inflows")
    cells = -(-domain[0] // terrain.CELL_PX)
    outlet, main = float(rng.uniform()), 0.5 + float(rng.uniform(-0.08, 0.08))
    count = int(np.clip(domain[0] * terrain.PIXEL_M / 7000, 3, 10))
    left, right = _strewn(0.1, main - 0.06, count // 2, rng), _strewn(main + 0.06, 0.9, count - count // 2, rng)
    turns = rng.permutation(np.r_[left, right])
    areas = np.exp(np.linspace(np.log(35_000), np.log(1_500), count) + 0.3 * rng.standard_normal(count))
    main_area = np.exp(rng.uniform(np.log(120_000), np.log(420_000)))
    rivers_in = zip([main, *turns], [main_area, *areas], strict=True)
    inflows = [terrain.Inflow(turn=float(outlet + turn) % 1, area_km2=float(area)) for turn, area in rivers_in]
    return terrain.drain((cells, cells), outlet, inflows, seed)


def _strewn(low: float, high: float, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random places between two bounds, one in each of `count` equal parts."""
    return np.asarray(low + (high - low) * (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count)


def _river_distance(near: valley.Valley, course: rivers.Course, domain: tuple[int, int]) -> tuple[Field, Field]:
    """Metres to the nearest bank (negative in the channel) and half width of the valley floor; inf and 0 elsewhere."""
    bank = np.full(domain, np.inf, dtype=np.float32)
    floor = np.zeros(domain, dtype=np.float32)
    width = course.width_m[near.point]
    bank.ravel()[near.pixel] = near.distance_m - width / 2
    floor.ravel()[near.pixel] = valley.half_width(width)
    return bank, floor
