"""Which band stands in which place of a batch of images: what layers for any bands are told.

table_of([responses(Product.S30, bands), responses(Product.L30, others)], places=13)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

import torch
from torch import Tensor

from ssc.bands import Level, Response
from ssc.errors import InputError

NUMBERS: Final = 5
"""Per band: log10 of its low, centre and high wavelength in micrometres, and a place for each of the two levels."""


class BandTable(NamedTuple):
    """What stands in which place of a batch of images; tensors, so that loaders stack, pin and move it."""

    numbers: Tensor
    """(B, n, NUMBERS) float32, 0 in empty places."""
    present: Tensor
    """(B, n) bool, True where a band is; False: an empty place, or a band missing from the whole image."""

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Self:
        """On another device."""
        return type(self)(*(part.to(device, non_blocking=non_blocking) for part in self))


def table_of(rows: Sequence[Sequence[Response]], places: int | None = None) -> BandTable:
    """A table, one row per image, its bands in the first places.

    Args:
        rows: What the bands of each image see.
        places: Filled up to so many; None: as many as the longest row.

    Raises:
        InputError: No row, or one with more bands than places.
    """
    longest = max((len(row) for row in rows), default=0)
    count = longest if places is None else places
    if not rows or longest > count:
        found = f"{len(rows)} images with up to {longest} bands in {count} places"
        raise InputError(f"table of bands: found {found}, wanted an image or more, and a place for each band")
    numbers = torch.zeros(len(rows), count, NUMBERS)
    present = torch.zeros(len(rows), count, dtype=torch.bool)
    for image, row in enumerate(rows):
        for place, response in enumerate(row):
            numbers[image, place] = torch.tensor(described(response))
            present[image, place] = True
    return BandTable(numbers, present)


def described(response: Response) -> tuple[float, ...]:
    """The numbers of a band.

    >>> [round(number, 3) for number in described(Response(low_nm=500, centre_nm=1000, high_nm=2000))]
    [-0.301, 0.0, 0.301, 1.0, 0.0]
    """
    edges = (response.low_nm, response.centre_nm, response.high_nm)
    return (*(math.log10(nm / 1000) for nm in edges), *(float(response.level is level) for level in Level))


def without_empty(light: Tensor, table: BandTable) -> tuple[Tensor, BandTable]:
    """Images and table without the places that are empty in every image, but with one place at least.

    Args:
        light: (B, n, H, W).
        table: Of these images.
    """
    used = table.present.any(dim=0).tolist()
    places = [place for place, there in enumerate(used) if there] or [0]
    if len(places) == len(used):
        return light, table
    return light[:, places], BandTable(table.numbers[:, places], table.present[:, places])
