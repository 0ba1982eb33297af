"""Maskers by name: those without weights, and networks by the name of their card, behind one protocol.

Names are looked up without torch; it is imported when a network is opened.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ssc.bands import SIX
from ssc.errors import InputError
from ssc.legacy import maskers as legacy
from ssc.legacy.dem import Dem
from ssc.legacy.shading import TerrainShadow
from ssc.masks import Mask, Masker, Masks
from ssc.observation import Observation

if TYPE_CHECKING:
    from models.masker import NeuralMasker

WEIGHTS: Final = Path(__file__).parent.parent / "models" / "weights"
"""Where the shipped cards lie."""


def names() -> dict[str, str]:
    """Every name `open_masker` knows, and what it is; a path to a card will do as well."""
    cards = {path.stem: json.loads(path.read_text())["description"] for path in sorted(WEIGHTS.glob("*.json"))}
    return {**cards, **legacy.NAMES}


def open_masker(name: str, dem: str | Path | None = None) -> Masker:
    """A masker by name, ready for observations.

    Args:
        name: One of `names()`, or the path of a card ending in .json.
        dem: Where an elevation model lies (`ssc.legacy.dem`), or None. A network sees shadow in the image alone; with
            an elevation model, what terrain casts by geometry is added to what it sees.

    Raises:
        InputError: No such masker, nothing at `dem`, or a network that wants bands which the two products do not share.
        DataError: The card or its weights are damaged.
    """
    if name in legacy.NAMES:
        return legacy.load(name, dem=dem)
    _require_card(name)
    from models.masker import load_masker  # noqa: PLC0415 - torch takes seconds, and only networks need it

    shadow = None if dem is None else TerrainShadow(dem=Dem(location=str(dem)))
    neural = load_masker(name)
    if further := [band.value for band in neural.card.bands if band not in SIX]:
        raise InputError(f"masker {name!r} wants {' '.join(further)}: only {' '.join(SIX)} are read from granules")
    return NetworkMasker(neural=neural, shadow=shadow)


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


def _require_card(name: str) -> None:
    """Refuse a misspelt name before torch is imported."""
    if name not in names() and not (name.endswith(".json") and Path(name).is_file()):
        raise InputError(
            f"no masker {name!r}: found none of that name, wanted one of {' '.join(names())}, or a card's .json"
        )
