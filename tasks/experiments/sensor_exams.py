"""What networks are tested on: S30 and L30 with all, shared and six bands, a TM-like sensor, real river chips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from models.chips import Chip, ChipFolder, Chips
from ssc.bands import CODES, SENSOR_OF, SIX, Band, Product, Sensor
from ssc.errors import InputError
from tasks.chips import rivers
from tasks.chips.joined import joined
from tasks.experiments.sensor_chips import places_of
from tasks.experiments.tm_like import TmLike

ALL: Final = {product: tuple(CODES[product]) for product in Product}
SHARED: Final = tuple(band for band in ALL[Product.L30] if band in ALL[Product.S30])
"""Bands of L30 that S30 has too: all eight of them."""
TM_LIKE: Final = "TM-like"
RIVER_PX: Final = 128
"""Side of the real river chips."""


class Pile(Protocol):
    """Chips one after another."""

    def __len__(self) -> int:
        """How many."""
        ...

    def __getitem__(self, place: int, /) -> Chip:
        """The chip at a place, from 0."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exam:
    """What a network is shown, and as what."""

    name: str
    chips: Pile
    bands: tuple[Band, ...]
    """The bands it is given."""
    sensor: Sensor
    """Whose bands they are."""


def sensor_exams(parts: Sequence[ChipFolder], seed: int) -> list[Exam]:
    """Every test on these chips.

    Args:
        parts: Folders of test chips, of both products and with all their bands.
        seed: Of the noise of the TM-like sensor.

    Raises:
        InputError: No chips of one of the products, or without one of its bands.
    """
    s30, l30 = (_of(parts, product) for product in (Product.S30, Product.L30))
    return [
        _exam("S30", s30, Product.S30, ALL[Product.S30]),
        _exam("S30, the bands of L30", s30, Product.S30, SHARED),
        _exam("S30, six bands", s30, Product.S30, SIX),
        _exam("L30", l30, Product.L30, ALL[Product.L30]),
        _exam("L30, six bands", l30, Product.L30, SIX),
        Exam(name=TM_LIKE, chips=TmLike(s30, seed=seed), bands=SIX, sensor=Sensor.TM),
    ]


def real_exams(folder: Path) -> list[Exam]:
    """The real river chips kept for tests, with their seven bands and with six.

    Raises:
        InputError: No such chips there.
    """
    kept = [number for number in rivers.numbers(folder) if rivers.split_of_number(number) == "test"]
    chips = [
        chip
        for number in kept
        for chip in rivers.river_chips(folder, number, skies=0, size=RIVER_PX, bands=rivers.SEVEN)
    ]
    if not chips:
        raise InputError(f"{folder}: no river chips for tests, wanted some with number % 5 == 1")
    return [
        _exam("river chips, seven bands", chips, Product.L30, rivers.SEVEN),
        _exam("river chips, six bands", chips, Product.L30, SIX),
    ]


def some(exam: Exam, most: int) -> Exam:
    """At most so many chips of an exam, evenly spread, in memory: for what is asked again and again."""
    places = np.linspace(0, len(exam.chips) - 1, min(most, len(exam.chips))).astype(int)
    return replace(exam, chips=[exam.chips[int(place)] for place in places])


def kind_of(parts: Sequence[ChipFolder]) -> str:
    """Whether chips are simulated, in one word for tables and figures."""
    simulated = {bool(value) for part in parts for value in part.index["simulated"]}
    return {True: "simulated", False: "real"}[simulated.pop()] if len(simulated) == 1 else "simulated and real"


def _exam(name: str, chips: Pile, product: Product, bands: tuple[Band, ...]) -> Exam:
    return Exam(name=name, chips=chips, bands=bands, sensor=SENSOR_OF[product])


def _of(parts: Sequence[ChipFolder], product: Product) -> Chips:
    """The chips of one product."""
    some_of = [part.take(places_of(part.index, product)) for part in parts]
    held = [part for part in some_of if len(part)]
    names = " ".join(str(part.folder) for part in parts)
    if not held:
        raise InputError(f"{names}: no {product.value} chips for tests, wanted at least one")
    chips = joined(held)
    if missing := [band.value for band in ALL[product] if band not in chips.bands]:
        raise InputError(f"{names}: no band {' '.join(missing)}, wanted chips made with all bands")
    return chips
