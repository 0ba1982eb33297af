"""Other sensors for training: a chip seen in some of its bands, in broader ones, in bands not quite where they are.

    light, row = sense(light, bands, responses(product, bands), rng, Sensing())

A network that is to serve sensors it has never met must not learn the few that there are by heart. Random subsets,
broad bands made of neighbours and inexact wavelengths are those of SEnSeI (Francis et al., IEEE TGRS 2022, arXiv
2111.08349). Nothing here changes what is seen on the ground, so labels stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ssc.bands import SIX, Band, Level, Response, merged
from ssc.errors import InputError

Reflectance = NDArray[np.float32]

SLOTS: Final = 14
"""Most bands of one chip."""
PARTS: Final = (2, 3, 4)
"""How many neighbours a broad band may be made of."""
GAP_NM: Final = 120.0
"""Bands farther apart are no neighbours: their mean would say nothing of what lies between."""
WIDER: Final = 10.0
"""Widths are known worse than centres: tables differ by 50 nm about some and by 5 nm about where they lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensing:
    """How often chips are seen by other sensors than their own. Shares are of chips, 0..1."""

    six: float = 0.25
    """Share seen in the six standard bands alone, by which training is judged."""
    subset: float = 0.6
    """Share of the others that is seen in some of its bands; any number of them is as likely as another."""
    fewest: int = 3
    """Bands that are left at least, where there are so many."""
    synthetic: float = 0.3
    """Share of the others that is seen in broad bands too, or instead of their parts: means of spectral neighbours."""
    most: int = 2
    """Broad bands at most."""
    jitter: float = 0.01
    """Spread of a band's wavelengths, relative; that of its width is ten times as large."""
    lost: float = 0.1
    """Share in which up to a third of the bands have no data in a part of the square."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        for name in ("six", "subset", "synthetic", "lost"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"sensing: {name} {getattr(self, name)}, wanted a share from 0 to 1")
        if self.fewest < 1 or self.most < 1 or not 0 <= self.jitter < 0.1:
            found = f"fewest {self.fewest}, most {self.most}, jitter {self.jitter}"
            raise InputError(f"sensing: {found}: wanted 1 or more, 1 or more, and from 0 to below 0.1")


def sense(
    light: Reflectance, bands: Sequence[Band], row: Sequence[Response], rng: Generator, how: Sensing
) -> tuple[Reflectance, tuple[Response, ...]]:
    """A chip as another sensor would have it.

    Args:
        light: (B, H, W), NaN = no data; not written to.
        bands: Of the first axis.
        row: What these bands see.
        rng: From `models.augment.generator`.
        how: What to change.

    Returns:
        (n, H, W) reflectance of at most `SLOTS` bands, and what they are said to see.
    """
    kept, broad = _chosen(bands, row, rng, how)
    planes = [light[place] for place in kept] + [_mean(light, row, parts) for parts in broad]
    seen = [row[place] for place in kept] + [merged([row[place] for place in parts]) for parts in broad]
    found = np.stack(planes)
    _lose(found, rng, how)
    return found, tuple(_jittered(response, rng, how) for response in seen)


def stretches(row: Sequence[Response]) -> list[tuple[int, ...]]:
    """Places of all sets of spectral neighbours of which a broad band could be made, at the level of the ground.

    >>> from ssc.bands import Sensor, responses
    >>> stretches(responses(Sensor.OLI, SIX))
    [(0, 1), (1, 2), (0, 1, 2)]
    """
    ground = [place for place, response in enumerate(row) if response.level is Level.SURFACE]
    order = sorted(ground, key=lambda place: row[place].centre_nm)
    near = [row[after].low_nm - row[before].high_nm <= GAP_NM for before, after in pairwise(order)]
    return [
        tuple(order[start : start + count])
        for count in PARTS
        for start in range(len(order) - count + 1)
        if all(near[start : start + count - 1])
    ]


def _chosen(
    bands: Sequence[Band], row: Sequence[Response], rng: Generator, how: Sensing
) -> tuple[list[int], list[tuple[int, ...]]]:
    """Places of the bands that are kept, and of the parts of each broad band."""
    if rng.random() < how.six and set(SIX) <= set(bands):
        return [bands.index(band) for band in SIX], []
    kept = _subset(len(bands), rng, how)
    able = stretches(row)
    count = int(rng.integers(1, how.most + 1)) if able and rng.random() < how.synthetic else 0
    broad: list[tuple[int, ...]] = []
    for _ in range(count):
        parts = able[int(rng.integers(len(able)))]
        rest = [place for place in kept if place not in parts]
        beside = rng.random() < 0.5 and len(kept) + len(broad) < SLOTS
        if not beside and len(rest) + len(broad) + 1 >= min(how.fewest, len(bands)):
            kept = rest
        broad.append(parts)
    return kept, broad


def _subset(count: int, rng: Generator, how: Sensing) -> list[int]:
    """Places of some bands, or of all, in their order."""
    if rng.random() >= how.subset or count <= how.fewest:
        return list(range(count))
    size = int(rng.integers(how.fewest, count + 1))
    return sorted(rng.choice(count, size, replace=False).tolist())


def _mean(light: Reflectance, row: Sequence[Response], parts: tuple[int, ...]) -> Reflectance:
    """(H, W) what a band over all parts would see: their mean, weighted by width as `ssc.bands.merged` does."""
    widths = np.array([row[place].width_nm for place in parts], np.float32)
    return np.tensordot(widths / widths.sum(), light[list(parts)], axes=1).astype(np.float32)


def _lose(light: Reflectance, rng: Generator, how: Sensing) -> None:
    """Take data from some bands in a rectangle, in place; one band at least keeps its own."""
    if rng.random() >= how.lost or len(light) < 2:
        return
    count = int(rng.integers(1, max(len(light) // 3, 1) + 1))
    which = rng.choice(len(light), count, replace=False)
    rows, columns = (_stretch(side, rng) for side in light.shape[1:])
    light[which, rows, columns] = np.nan


def _stretch(side: int, rng: Generator) -> slice:
    """A fifth to all of a side, anywhere."""
    length = max(round(side * rng.uniform(0.2, 1)), 1)
    start = int(rng.integers(side - length + 1))
    return slice(start, start + length)


def _jittered(response: Response, rng: Generator, how: Sensing) -> Response:
    """Told to lie a little elsewhere, and to be narrower or broader."""
    shift, wider = np.clip(how.jitter * rng.standard_normal(2), -0.1, 0.1)
    scale, stretch = float(1 + shift), exp(WIDER * wider)
    centre = response.centre_nm
    low, high = (scale * (centre + stretch * (edge - centre)) for edge in (response.low_nm, response.high_nm))
    return Response(low_nm=low, centre_nm=scale * centre, high_nm=high, level=response.level)
