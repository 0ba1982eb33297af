"""Chips from HLS granules and the OPERA DSWx-HLS products made from them, both in local folders.

    with ChipWriter("chips", made_by="...") as out:
        aside = write_opera_chips(out, find("hls"), Path("dswx"))

A product belongs to the granule of the same tile and the very same second; of several productions the latest counts.
Needed are the layers WTR, CONF and CLOUD; SHAD and WTR-1 are used when they are there. What they mean is told in
`tasks.chips.dswx_labels`, how files are named in `tasks.chips.dswx_files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.chip_writer import ChipWriter
from models.chips import Chip, split_of
from models.packing import UNKNOWN
from ssc.bands import SIX
from ssc.errors import DataError, InputError
from ssc.granules import Granule
from ssc.masks import Mask
from ssc.observation import Observation, Window
from ssc.rasters import open_granule
from tasks.chips.dswx_files import DswxProduct, group_files, identify, read_product
from tasks.chips.dswx_labels import form_of, labels_of
from tasks.policy import reason

SOURCE: Final = "opera-dswx"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A granule of which no chips were made, and why."""

    granule: str
    """Name of the HLS granule; of the product where that does not say of which granule it is."""
    reason: str
    """One line."""


def write_opera_chips(
    writer: ChipWriter,
    hls: Sequence[Granule],
    dswx_folder: Path,
    *,
    size: int = 256,
    split: Callable[[str], str] = split_of,
    least_valid: float = 0.5,
    report: Callable[[str], None] | None = None,
) -> list[SetAside]:
    """Cut every pair of granule and product into chips; a bad pair is set aside and the rest goes on.

    Args:
        writer: Takes the chips; its size must be `size`, its bands the six.
        hls: Granules with local files.
        dswx_folder: Products, searched deeply.
        size: Pixels per side of a chip; cut on a grid from the upper left corner, what is left at the edges is dropped.
        split: From the region (the tile) to "train", "val" or "test".
        least_valid: Share of pixels with data that a chip must have, 0 to 1.
        report: Told one line for each granule.

    Returns:
        What was set aside: granules without product or with bad files, products of unknown granule.

    Raises:
        InputError: No such folder, no products in it, or another size or other bands than the writer's.
    """
    if (size, SIX) != (writer.size, writer.bands):
        raise InputError(
            f"chips for {writer.folder}: found {size} px of {' '.join(SIX)}, "
            f"wanted {writer.size} px of {' '.join(writer.bands)}"
        )
    products, aside = _products(dswx_folder)
    for granule in hls:
        made = _settled(granule, products, size, least_valid)
        if isinstance(made, SetAside):
            aside.append(made)
        else:
            for chip in made:
                writer.add(chip, split=split(chip.region))
        if report is not None:
            report(f"{granule.name}: {made.reason if isinstance(made, SetAside) else f'{len(made)} chips'}")
    return aside


def chips_of(granule: Granule, product: DswxProduct, *, size: int = 256, least_valid: float = 0.5) -> list[Chip]:
    """The chips of one pair, row by row from the upper left corner; they share the memory of the whole tile.

    Raises:
        DataError: A file is missing, damaged, another granule's or of unknown version; GridError: on another grid.
    """
    with open_granule(granule) as reader:
        layers, version = read_product(product, granule, reader.facts.geobox)
        observation = reader.read(SIX)
    try:
        labels = labels_of(layers, observation.fmask, form_of(version))
    except DataError as error:
        raise DataError(f"{product.name}: {error}") from None
    labels[:, np.isnan(observation.reflectance).any(axis=0)] = UNKNOWN
    windows = _grid_windows(observation.fmask.shape, size)
    chips = (_chip(observation, labels, window) for window in windows)
    # Cloud is labelled wherever there are data.
    return [chip for chip in chips if (chip.labels[Mask.CLOUD] != UNKNOWN).mean() >= least_valid]


def _settled(granule: Granule, products: Sequence[DswxProduct], size: int, least_valid: float) -> list[Chip] | SetAside:
    """The chips of a granule, or why there are none."""
    try:
        return chips_of(granule, _product_of(granule, products), size=size, least_valid=least_valid)
    except DataError as error:
        return SetAside(granule=granule.name, reason=reason(error))


def _products(folder: Path) -> tuple[list[DswxProduct], list[SetAside]]:
    """The products in a folder, and those that do not say of which granule they are."""
    products: list[DswxProduct] = []
    aside: list[SetAside] = []
    for stem, files in group_files(folder).items():
        try:
            products.append(identify(stem, files))
        except DataError as error:
            aside.append(SetAside(granule=stem.name, reason=reason(error)))
    return products, aside


def _product_of(granule: Granule, products: Sequence[DswxProduct]) -> DswxProduct:
    """The latest product of a granule.

    Raises:
        DataError: There is none; the message tells those of the same tile and day, if any.
    """
    of_tile = [product for product in products if product.tile == granule.tile]
    exact = [product for product in of_tile if product.acquired == granule.acquired]
    if exact:
        return max(exact, key=lambda product: product.produced)
    near = sorted(product.name for product in of_tile if product.acquired.date() == granule.acquired.date())
    raise DataError(
        f"no DSWx-HLS of {granule.name}: found {' '.join(near) or 'none'} of that tile and day, "
        f"wanted one of T{granule.tile} acquired {granule.acquired:%Y%m%dT%H%M%SZ}"
    )


def _grid_windows(shape: tuple[int, int], size: int) -> Iterator[Window]:
    rows, cols = shape
    for row in range(0, rows - size + 1, size):
        for col in range(0, cols - size + 1, size):
            yield Window(row=row, col=col, height=size, width=size)


def _chip(observation: Observation, labels: NDArray[np.uint8], window: Window) -> Chip:
    granule = observation.granule
    return Chip(
        bands=SIX,
        reflectance=observation.reflectance[:, *window.slices],
        labels=labels[:, *window.slices],
        product=granule.product,
        source=SOURCE,
        region=granule.tile,
        scene=granule.name,
        fmask=observation.fmask[window.slices],
    )
