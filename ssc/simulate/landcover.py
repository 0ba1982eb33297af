"""What grows and lies where: cover classes from relief, rivers and chance, with fields, towns and small lakes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ssc.simulate.channel import Channel
from ssc.simulate.noise import Field, fractal, smoothstep
from ssc.simulate.seeds import stream
from ssc.simulate.spectra import Cover
from ssc.simulate.terrain import PIXEL_M

FIELD_PX = (27, 13)
"""Fields are half a mile by a quarter, in pixels, in rows along the sections of the US land survey."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LandCover:
    """Static surface of a tile."""

    cover: NDArray[np.uint8]
    """(H, W) `Cover`."""
    bright: Field
    """(H, W) factor on the reflectance of the cover, about 0.7 to 1.3."""
    vigour: Field
    """(H, W) how green plants get at the height of the season, 0 to 1."""
    lake: Field
    """(H, W) share of the pixel under still water, 0 to 1; rivers are apart."""


def grow(dem_m: Field, mountain: Field, river_m: Field, floor_m: Field, seed: int) -> LandCover:
    """Cover of a tile.

    Args:
        dem_m: (H, W) heights.
        mountain: (H, W) 0 plain ... 1 mountain.
        river_m: (H, W) metres to the bank of the nearest river, inf where none is near.
        floor_m: (H, W) half width of the valley floor of that river, metres.
        seed: Of the basin.
    """
    shape = dem_m.shape
    steep = np.hypot(*np.gradient(dem_m, PIXEL_M)).astype(np.float32)
    patchy = fractal(shape, stream(seed, "patches"), exponent=2.4, longest_px=400)
    broad = fractal(shape, stream(seed, "broad"), exponent=3.4, longest_px=1500, step=4)
    kind, tone, field_vigour = _fields(shape, stream(seed, "fields"))
    flat = smoothstep(-steep, -0.09, -0.03) * (1 - mountain)
    lake = _lakes(shape, river_m, floor_m, steep, stream(seed, "lakes"))

    cover = np.full(shape, Cover.GRASS, dtype=np.uint8)
    cover[(mountain > 0.25) & (patchy + 1.2 * broad + 2.0 * mountain > 1.2)] = Cover.CONIFER
    cover[(steep > 0.75) & (patchy > -0.6)] = Cover.ROCK
    farmed = (flat > 0.35) & (broad + 0.25 * patchy > -0.7)
    cover[farmed] = kind[farmed]
    near = (river_m < 0.25 * floor_m) | ((lake > 0) & (patchy > -0.5))
    cover[near & (patchy > -0.3)] = Cover.RIPARIAN
    cover[_towns(shape, flat, patchy, stream(seed, "towns"))] = Cover.URBAN
    cover[(river_m < 2 * PIXEL_M) & (patchy > 1.3)] = Cover.SAND

    fields = (cover == Cover.CROP) | (cover == Cover.FALLOW) | (cover == Cover.DARK_SOIL)
    speckle = fractal(shape, stream(seed, "speckle"), exponent=1.2, longest_px=30)
    bright = 1 + 0.07 * speckle + 0.06 * broad + np.where(fields, tone, 0.07 * patchy)
    vigour = np.where(fields, field_vigour, np.clip(0.8 + 0.12 * patchy + 0.1 * broad, 0, 1))
    return LandCover(
        cover=cover,
        bright=np.clip(bright, 0.6, 1.5).astype(np.float32),
        vigour=vigour.astype(np.float32),
        lake=lake,
    )


def with_bars(land: LandCover, channel: Channel) -> LandCover:
    """The same land with sand in its river beds, dry where shallow, wet where deep: what low water uncovers."""
    bed = np.abs(channel.across_m) < channel.width_m / 2
    row, col = channel.row[bed], channel.col[bed]
    cover = land.cover.copy()
    cover[row, col] = np.where(channel.bed[bed] < 0.2, Cover.SAND, Cover.WET_SAND)
    return replace(land, cover=cover)


def _fields(shape: tuple[int, int], rng: np.random.Generator) -> tuple[NDArray[np.uint8], Field, Field]:
    """Kind of field, brightness (about 0) and vigour per pixel; fields lie in a grid turned a few degrees."""
    turn = np.deg2rad(rng.uniform(-6, 6))
    row, col = np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)[None, :]
    east = ((col * np.cos(turn) + row * np.sin(turn)) / FIELD_PX[0]).astype(np.int32)
    south = ((row * np.cos(turn) - col * np.sin(turn)) / FIELD_PX[1]).astype(np.int32)
    place = (east * 7919 + south * 104_729) % 4096
    kinds = rng.choice([Cover.CROP, Cover.GRASS, Cover.FALLOW, Cover.DARK_SOIL], 4096, p=[0.5, 0.2, 0.2, 0.1])
    tone = rng.normal(0, 0.09, 4096).astype(np.float32)
    vigour = rng.beta(3, 1.2, 4096).astype(np.float32)
    return kinds.astype(np.uint8)[place], tone[place], vigour[place]


def _towns(shape: tuple[int, int], flat: Field, patchy: Field, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Where houses stand: ragged discs on flat ground, about one in every 200 square kilometres."""
    town = np.zeros(shape, dtype=bool)
    count = rng.poisson(1 + shape[0] * shape[1] * PIXEL_M**2 / 2e8)
    for _ in range(count):
        row, col = (int(rng.integers(0, n)) for n in shape)
        radius = min(25 * rng.pareto(2.5) + 10, 90.0)
        about = (slice(max(row - 120, 0), min(row + 120, shape[0])), slice(max(col - 120, 0), min(col + 120, shape[1])))
        south, east = np.ogrid[about]
        ragged = np.hypot(south - row, east - col) / radius + 0.35 * patchy[about]
        town[about] |= (ragged < 1) & (flat[about] > 0.4)
    return town


def _lakes(shape: tuple[int, int], river_m: Field, floor_m: Field, steep: Field, rng: np.random.Generator) -> Field:
    """Oxbows and ponds: hollows of the floodplain, not within three pixels of the river itself."""
    hollow = fractal(shape, rng, exponent=3.0, longest_px=50)
    floodplain = (river_m > 3 * PIXEL_M) & (river_m < floor_m) & (steep < 0.05)
    share = np.clip((hollow - 2.25) / 0.25, 0, 1)
    return np.where(floodplain, share, 0).astype(np.float32)
