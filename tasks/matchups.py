"""Maskers and match-ups on bare rasters: reflectance of any origin, without the files of a granule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.chips import Chip
from models.packing import UNKNOWN
from ssc.bands import Product
from ssc.errors import InputError
from ssc.legacy import maskers as legacy
from ssc.masks import Mask, Masks
from ssc.matchups.points import Look
from ssc.matchups.raster import Raster, Scaling, area_mean, read_raster
from tasks import chip_maskers
from tasks.chip_maskers import ChipMasker, found_at
from tasks.maskers import names

BareMasker = Callable[[Raster], Masks]
"""Masks of bare reflectance."""


CONTEXT: Final = 96
"""Pixels about a pixel that a network may go by: the halo of our own is 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What rasters of one origin have in common."""

    product: Product
    """Whose band names and band passes."""
    scaling: Scaling = field(default_factory=Scaling)
    factor: int = 1
    """Pixels per side of the larger pixel that masks and features are made on."""


def open_bare(name: str, product: Product = Product.S30) -> BareMasker:
    """A masker of bare reflectance by name.

    Args:
        name: Of a network or its card, or mndwi.
        product: Whose bands they are.

    Raises:
        InputError: No such masker, or one that goes by Fmask.
    """
    masker = _opened(name)

    def ask(raster: Raster) -> Masks:
        wide, inside = mirrored(raster)
        nothing = labels_of(np.zeros(wide.reflectance.shape[1:], dtype=bool))
        answer = masker(chip_of(wide, nothing, product))
        if answer is None or masker.thresholds is None:
            raise InputError(f"masker {name!r} needs Fmask or bands that rasters lack: wanted a network or mndwi")
        answer = answer[:, *inside]
        valid = np.isfinite(raster.six).all(axis=0) & np.isfinite(answer).all(axis=0)
        return Masks(stack=found_at(answer, masker.thresholds) & valid, valid=valid)

    return ask


def mirrored(raster: Raster) -> tuple[Raster, tuple[slice, slice]]:
    """A small raster with its mirror image about it, and where it lies in there.

    A network judges a pixel by what lies about it; at the edge of a small crop it has nothing to go by and takes dark
    water for cloud shadow (crops of 72 px of the Parana: up to 0.74 of the water without, 0.02 with mirrored edges).
    """
    rows, cols = raster.reflectance.shape[1:]
    by = min(CONTEXT, rows - 1, cols - 1)
    edges = ((0, 0), (by, by), (by, by))
    wide = replace(raster, reflectance=np.pad(raster.reflectance, edges, mode="reflect"), geobox=raster.geobox.pad(by))
    return wide, (slice(by, by + rows), slice(by, by + cols))


def raster_look(path: Path, source: Source, acquisition: datetime, ask: BareMasker, *, granule_id: str) -> Look:
    """A raster as a look; read and masked once, however often it is asked for.

    Args:
        path: GeoTIFF with named bands.
        source: How to read it.
        acquisition: Aware UTC.
        ask: Who masks it.
        granule_id: Its name in match-ups.
    """

    @cache
    def load() -> tuple[Raster, Masks]:
        raster = area_mean(read_raster(path, product=source.product, scaling=source.scaling), source.factor)
        return raster, ask(raster)

    return Look(acquisition=acquisition, product=source.product, load=load, granule_id=granule_id)


def labels_of(water: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(5, H, W) labels of clear water where True, unknown elsewhere."""
    labels = np.full((len(Mask), *water.shape), UNKNOWN, np.uint8)
    labels[:, water] = 0
    labels[Mask.WATER, water] = 1
    return labels


def chip_of(raster: Raster, labels: NDArray[np.uint8], product: Product = Product.S30) -> Chip:
    """A raster as a chip, for maskers and counts that work on chips."""
    return Chip(
        bands=raster.bands,
        reflectance=raster.reflectance,
        labels=labels,
        product=product,
        source="raster",
        region="",
        scene="",
    )


def _opened(name: str) -> ChipMasker:
    if name in legacy.NAMES:
        return chip_maskers.legacy(name)
    if name not in names() and not name.endswith(".json"):
        raise InputError(f"no masker {name!r}: wanted one of {' '.join(names())}, or a card's .json")
    from models.masker import load_masker  # noqa: PLC0415 - torch takes seconds, and only networks need it

    return chip_maskers.neural(load_masker(name))
