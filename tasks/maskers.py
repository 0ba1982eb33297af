"""Maskers by name: those without weights, and networks by the name of their card, behind one protocol.

Names are looked up without torch; it is imported when a network is opened.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from models.cardfields import LEAST_BANDS, takes_any_bands
from ssc.bands import CODES, SIX, Band, Product
from ssc.errors import InputError
from ssc.legacy import maskers as legacy
from ssc.legacy.dem import Dem
from ssc.legacy.shading import TerrainShadow
from ssc.masks import Mask, Masker, Masks
from ssc.observation import Observation

if TYPE_CHECKING:
    from models.cards import Card
    from models.masker import NeuralMasker

WEIGHTS: Final = Path(__file__).parent.parent / "models" / "weights"
"""Where the shipped cards lie."""


def names() -> dict[str, str]:
    """Every name `open_masker` knows, and what it is; a path to a card will do as well."""
    cards = {path.stem: _described(json.loads(path.read_text())) for path in sorted(WEIGHTS.glob("*.json"))}
    return {**cards, **legacy.NAMES}


def open_masker(name: str, dem: str | Path | None = None, *, bands: tuple[Band, ...] | None = SIX) -> Masker:
    """A masker by name, ready for observations.

    Args:
        name: One of `names()`, or the path of a card ending in .json.
        dem: Where an elevation model lies (`ssc.legacy.dem`), or None. A network sees shadow in the image alone; with
            an elevation model, what terrain casts by geometry is added to what it sees.
        bands: What will be read for it, any order; None: every band of a product that the network knows.

    Raises:
        InputError: No such masker, nothing at `dem`, or not the bands for this masker.
        DataError: The card or its weights are damaged.
    """
    if name in legacy.NAMES:
        if bands is None or set(bands) != set(SIX):
            raise InputError(f"masker {name!r} goes by rules for {' '.join(SIX)} and no others: found {_asked(bands)}")
        return legacy.load(name, dem=dem)
    _require_card(name)
    from models.masker import load_masker  # noqa: PLC0415 - torch takes seconds, and only networks need it

    shadow = None if dem is None else TerrainShadow(dem=Dem(location=str(dem)))
    neural = load_masker(name)
    (_check_known if neural.card.takes_any_bands else _check_needed)(name, neural.card, bands)
    return NetworkMasker(neural=neural, shadow=shadow, bands=bands)


def identity(name: str) -> str | dict[str, object]:
    """All of a masker that can change what it answers: the name alone, or with it the weights and what the card sets.

    Raises:
        InputError: No such masker.
        DataError: The card is damaged.
    """
    if name in legacy.NAMES:
        return name
    _require_card(name)
    from models.cards import read_card  # noqa: PLC0415 - see above

    card, _ = read_card(name)
    kept = ("name", "sha256", "architecture", "scaling", "thresholds", "temperatures", "biases", "halo", "window")
    plain = card.as_dict()
    return {field: plain[field] for field in kept}


@dataclass(slots=True, kw_only=True, eq=False)
class NetworkMasker:
    """A network as a masker of observations. Any number of threads may share one."""

    neural: NeuralMasker
    shadow: TerrainShadow | None = None
    bands: tuple[Band, ...] | None = SIX
    """What is to be read for it; None: every band of a product that the network knows."""

    def to_read(self, product: Product) -> tuple[Band, ...]:
        """Bands to read from a granule, in the order of `Band`; whether its product has them, reading will tell."""
        known = self.neural.card.bands
        asked = [band for band in CODES[product] if band in known] if self.bands is None else self.bands
        return tuple(band for band in Band if band in asked)

    def bands_used(self, product: Product) -> tuple[Band, ...]:
        """Bands that its masks come from, of those read."""
        card = self.neural.card
        return self.to_read(product) if card.takes_any_bands else card.bands

    @property
    def name(self) -> str:
        """As on the card."""
        return self.neural.name

    @property
    def halo(self) -> int:
        """Pixels of context, from the card."""
        return self.neural.halo

    def __call__(self, observation: Observation) -> Masks:
        """Masks on the grid of the observation's window."""
        return self.masks(observation, self.probabilities(observation))

    def probabilities(self, observation: Observation) -> NDArray[np.float32]:
        """(5, H, W) calibrated, in the order of `Mask`, NaN where there is no data; without the elevation model."""
        window = observation.window
        return self.neural(
            observation.reflectance,
            bands=observation.bands,
            product=observation.granule.product,
            origin=(window.row, window.col),
        )

    def masks(self, observation: Observation, probabilities: NDArray[np.float32]) -> Masks:
        """Masks from `probabilities` of the same observation: there where p > threshold, so never where p is NaN."""
        valid = observation.valid
        stack = np.zeros(probabilities.shape, bool)
        for layer, probability, threshold in zip(stack, probabilities, self.neural.thresholds, strict=True):
            np.logical_and(probability > threshold, valid, out=layer)
        if self.shadow is not None:
            stack[Mask.TERRAIN_SHADOW] |= self.shadow(observation) & valid
        return Masks(stack=stack, valid=valid)


def _described(card: dict[str, Any]) -> str:
    """What a card is, as lists of maskers show it."""
    further = " (any bands)" if takes_any_bands(card["architecture"]) else ""
    return f"{card['description']}{further}"


def _check_known(name: str, card: Card, bands: tuple[Band, ...] | None) -> None:
    """Refuse bands that a network which takes any has never heard of, and too few."""
    asked = card.bands if bands is None else bands
    if strange := [band.value for band in asked if band not in card.bands]:
        raise InputError(f"masker {name!r} does not know {' '.join(strange)}: wanted some of {' '.join(card.bands)}")
    if len(set(asked)) < LEAST_BANDS:
        raise InputError(f"masker {name!r} on {_asked(bands)}: wanted at least {LEAST_BANDS} bands")


def _check_needed(name: str, card: Card, bands: tuple[Band, ...] | None) -> None:
    """Refuse bands that are not just those of a network for fixed bands; of the six it may leave some."""
    if bands is not None and set(bands) == set(SIX):
        if further := [band.value for band in card.bands if band not in SIX]:
            raise InputError(f"masker {name!r} wants {' '.join(further)}: only {' '.join(SIX)} are read from granules")
    elif bands is None or set(bands) != set(card.bands):
        raise InputError(
            f"masker {name!r} needs {' '.join(card.bands)} and takes no others: found {_asked(bands)}; "
            "a masker for any bands takes what it gets"
        )


def _asked(bands: tuple[Band, ...] | None) -> str:
    return "all bands" if bands is None else " ".join(bands)


def _require_card(name: str) -> None:
    """Refuse a misspelt name before torch is imported."""
    if name not in names() and not (name.endswith(".json") and Path(name).is_file()):
        raise InputError(
            f"no masker {name!r}: found none of that name, wanted one of {' '.join(names())}, or a card's .json"
        )
