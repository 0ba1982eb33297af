"""The ground of a day: water with its sediment, ice on it, snow beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssc.simulate.channel import water_share
from ssc.simulate.landscape import Landscape
from ssc.simulate.noise import Field, fractal
from ssc.simulate.sediment import Load
from ssc.simulate.seeds import stream
from ssc.simulate.spectra import Cover
from ssc.simulate.weather import Weather

LAKE_SSC = 6.0
"""Mean concentration in still water, mg/L: what settles has settled."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """State of the surface; water is kept for its own pixels only (a few percent of a tile)."""

    pixel: NDArray[np.int64]
    """(n,) flat index of every pixel with some water or ice, each once."""
    reach: NDArray[np.int64]
    """(n,) row in the reach table; -1 in lakes."""
    water: Field
    """(n,) share of the pixel under open water."""
    ice: Field
    """(n,) share of the pixel under ice."""
    mineral: Field
    """(n,) bright sediment, mg/L."""
    organic: Field
    """(n,) dark sediment, mg/L."""
    snow: Field
    """(H, W) share of the land under visible snow."""

    @property
    def ssc(self) -> Field:
        """(n,) all sediment, mg/L."""
        return self.mineral + self.organic


def settle(landscape: Landscape, load: Load, weather: Weather, day: str) -> Ground:
    """Surface of a landscape on a day (ISO date, which names the random numbers)."""
    river = _rivers(landscape, load)
    pixel, reach, share = _with_lakes(landscape, river)
    texture = np.exp(0.1 * _field(landscape, ("texture", day), step=2).ravel()[pixel])
    frozen = _frozen(landscape, pixel, reach, weather, day)
    still = np.float32(LAKE_SSC / 2)
    return Ground(
        pixel=pixel,
        reach=reach,
        water=share * (1 - frozen),
        ice=share * frozen,
        mineral=texture * np.where(reach < 0, still, load.mineral[reach]).astype(np.float32),
        organic=texture * np.where(reach < 0, still, load.organic[reach]).astype(np.float32),
        snow=_snow(landscape, weather, day),
    )


def _rivers(landscape: Landscape, load: Load) -> tuple[NDArray[np.int64], NDArray[np.int64], Field]:
    channel = landscape.channel
    share = water_share(channel, stage=load.stage)
    pixel = channel.row * landscape.shape[1] + channel.col
    wet = share > 0
    return pixel[wet], landscape.rivers.course.reach[channel.point[wet]], share[wet]


def _with_lakes(
    landscape: Landscape, river: tuple[NDArray[np.int64], NDArray[np.int64], Field]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Field]:
    pixel, reach, share = river
    lake = landscape.land.lake.ravel()
    still = np.setdiff1d(np.flatnonzero(lake), pixel, assume_unique=True)
    nowhere = np.full(len(still), -1)
    return np.r_[pixel, still], np.r_[reach, nowhere], np.r_[share, lake[still]].astype(np.float32)


def _frozen(
    landscape: Landscape, pixel: NDArray[np.int64], reach: NDArray[np.int64], weather: Weather, day: str
) -> Field:
    """(n,) share of the water that is frozen: floes on wide rivers, a lid on narrow ones and lakes."""
    if weather.ice <= 0:
        return np.zeros(len(pixel), dtype=np.float32)
    width = landscape.rivers.reaches["width"].to_numpy()
    narrow = np.where(reach < 0, 30.0, width[reach])
    floes = _field(landscape, ("floes", day), longest_px=60).ravel()[pixel]
    push = 4 * (weather.ice - 0.5) + 1.5 * np.log(150 / narrow)
    return np.clip(0.5 + 2 * (floes + push), 0, 1).astype(np.float32)


def _snow(landscape: Landscape, weather: Weather, day: str) -> Field:
    dem = landscape.tile_dem()
    if weather.snowline_m >= float(dem.max()) + 500:
        return np.zeros(landscape.shape, dtype=np.float32)
    drift = _field(landscape, ("drift", day), longest_px=200)
    share = np.clip((dem + 120 * drift - np.float32(weather.snowline_m)) / 150 + 0.5, 0, 1)
    under_trees = landscape.land.cover == Cover.CONIFER
    return np.where(under_trees, 0.4 * share, share).astype(np.float32)


def _field(landscape: Landscape, names: tuple[str, ...], *, longest_px: float = 300, step: int = 1) -> Field:
    rng = stream(landscape.seed, *names)
    return fractal(landscape.shape, rng, exponent=3.0, longest_px=longest_px, step=step)
