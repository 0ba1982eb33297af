"""Maskers as functions of a chip, so that all of them can be asked about the same chips.

`legacy("fmask")(chip)` gives (5, H, W) zeros and ones, `neural(load_masker("default"))(chip)` probabilities; both NaN
where there is no data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from odc.geo.geobox import GeoBox

from models.cardfields import LEAST_BANDS
from models.chips import Chip
from models.packing import UNKNOWN
from ssc.bands import CODES, SIX, Band, Product
from ssc.errors import InputError
from ssc.granules import Granule, parse
from ssc.legacy import maskers
from ssc.masks import Mask
from ssc.observation import Directions, Observation, TileFacts, Window

Probabilities = NDArray[np.float32]
"""(5, H, W) in the order of `Mask`, 0 to 1, NaN where there is no answer."""

BASELINES: Final = ("mndwi", "legacy-dswx", "fmask")
"""What a neural masker must beat, none of which needs an elevation model here."""


class Neural(Protocol):
    """What `models.masker` gives: reflectance in, calibrated probabilities out."""

    def __call__(self, reflectance: NDArray[np.float32], *, bands: Sequence[Band], product: Product) -> Probabilities:
        """(5, H, W) probabilities of (B, H, W) reflectance."""
        ...

    @property
    def thresholds(self) -> NDArray[np.float32]:
        """(5,) probabilities above which a thing counts as there."""
        ...

    @property
    def card(self) -> Any:
        """With `tasks`, the masks the network knows, `bands`, those it needs or knows, and `takes_any_bands`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChipMasker:
    """A masker that is asked about chips."""

    answer: Callable[[Chip], Probabilities | None]
    """None: it cannot judge this chip, because the chip lacks what it needs."""
    tasks: tuple[Mask, ...] = tuple(Mask)
    """Masks it tells anything about; the others it answers with 0, which is no judgement to be scored."""
    thresholds: ArrayLike | None = None
    """(5,) of its card; None: nobody chose any."""
    soft: bool = True
    """Whether there is anything between 0 and 1."""

    def __call__(self, chip: Chip) -> Probabilities | None:
        """(5, H, W) probabilities, or None for a chip it cannot judge."""
        return self.answer(chip)


def legacy(name: str) -> ChipMasker:
    """A masker without weights, by its name on the command line. Without an elevation model it finds no terrain shadow.

    Raises:
        InputError: No such masker.
    """
    masker = maskers.load(name)
    bands, needs_fmask, tasks = _NEEDS.get(name, (SIX, True, tuple(Mask)))

    def answer(chip: Chip) -> Probabilities | None:
        if (needs_fmask and chip.fmask is None) or not set(bands) <= set(chip.bands):
            return None
        masks = masker(observation_of(chip))
        return np.where(masks.valid, masks.stack, np.float32(np.nan)).astype(np.float32)

    return ChipMasker(answer=answer, tasks=tasks, thresholds=np.full(len(Mask), 0.5), soft=False)


def neural(masker: Neural) -> ChipMasker:
    """A neural masker with the thresholds of its card; chips that lack one of its bands it does not judge.

    One that takes any bands judges by all that a chip has of those it knows, if they are `LEAST_BANDS` or more.
    """
    known, takes_any = set(masker.card.bands), masker.card.takes_any_bands

    def answer(chip: Chip) -> Probabilities | None:
        own = own_bands(chip) if takes_any else chip.bands
        count = len(known & set(own))
        if count < (LEAST_BANDS if takes_any else len(known)):
            return None
        return masker(layers(chip, own), bands=own, product=chip.product)

    return ChipMasker(answer=answer, tasks=tuple(masker.card.tasks), thresholds=masker.thresholds)


def own_bands(chip: Chip) -> tuple[Band, ...]:
    """The bands that the chip's satellite has, and that hold a number somewhere: folders may know more."""
    has = CODES[chip.product]
    layers_by_band = zip(chip.bands, chip.reflectance, strict=True)
    return tuple(band for band, layer in layers_by_band if band in has and np.isfinite(layer).any())


def layers(chip: Chip, bands: Sequence[Band]) -> NDArray[np.float32]:
    """(B, H, W) reflectance of a chip in some of its bands."""
    if tuple(bands) == chip.bands:
        return chip.reflectance
    return chip.reflectance[[chip.bands.index(band) for band in bands]]


def as_chip_masker(masker: Callable[[Chip], Probabilities | None]) -> ChipMasker:
    """Any function of a chip, taken to know all five masks."""
    return masker if isinstance(masker, ChipMasker) else ChipMasker(answer=masker)


def found_at(probability: Probabilities, thresholds: ArrayLike) -> NDArray[np.bool_]:
    """(5, H, W), True where a thing is said to be there: strictly above its threshold, in float32; NaN is False."""
    edges = np.asarray(thresholds, dtype=np.float32)
    if edges.shape != (len(probability),):
        raise InputError(f"no thresholds for {len(probability)} masks: found shape {edges.shape}, wanted one per mask")
    return np.asarray(probability > edges[:, None, None])


def observation_of(chip: Chip) -> Observation:
    """A chip as the observation of a granule, in those of the six bands that it has.

    Place, time and angles are made up: only an elevation model needs them. A chip without Fmask gets one that says
    nothing, so ask only maskers that do not read it.
    """
    height, width = chip.reflectance.shape[1:]
    fmask = np.zeros((height, width), np.uint8) if chip.fmask is None else chip.fmask
    granule, facts = _nowhere(chip.product)
    bands = tuple(band for band in SIX if band in chip.bands)  # what else a folder holds may be NaN on this satellite
    return Observation(
        granule=granule,
        facts=replace(facts, geobox=facts.geobox[:height, :width]),
        window=Window.whole((height, width)),
        bands=bands,
        reflectance=layers(chip, bands),
        fmask=fmask,
    )


def judged(probability: Probabilities, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels, unknown where there is no answer to hold against them."""
    return np.where(np.isnan(probability), np.uint8(UNKNOWN), labels)


@lru_cache(maxsize=2)
def _nowhere(product: Product) -> tuple[Granule, TileFacts]:
    nan = float("nan")
    facts = TileFacts(
        geobox=GeoBox((3660, 3660), Affine(30, 0, 399_960, 0, -30, 4_000_020), "EPSG:32631"),
        block=(256, 256),
        directions=Directions(sun_zenith=nan, sun_azimuth=nan, view_zenith=nan, view_azimuth=nan),
        sensed=datetime(2020, 1, 1, tzinfo=UTC),
        platform=product.value,
        cloud_cover=nan,
    )
    return parse(f"HLS.{product.value}.T31SDV.2020001T000000.v2.0"), facts


_BITS: Final = (Mask.WATER, Mask.CLOUD, Mask.CLOUD_SHADOW, Mask.SNOW_ICE)
_NEEDS: Final[dict[str, tuple[tuple[Band, ...], bool, tuple[Mask, ...]]]] = {
    "mndwi": ((Band.GREEN, Band.SWIR1), False, (Mask.WATER,)),
    "legacy-dswx": (SIX, True, _BITS),
    "legacy-fmask": ((), True, _BITS),
    "fmask": ((), True, _BITS),
}
"""Bands, whether Fmask, and the masks told without an elevation model."""
