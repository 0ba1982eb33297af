"""Chips of two sensors: made in one folder, and seen as one folder per sensor."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import pandas as pd

from models.chip_writer import ChipWriter
from models.chips import Chip, ChipFolder
from ssc.bands import Band, Product
from ssc.drafts import drafted
from ssc.errors import InputError
from tasks.chips.simulated import TEST_TILES, TILES, simulated_chips

Report = Callable[[str, int, int, str], None]
"""Stage, units of it done, of how many, what else there is to say."""

ASIDE: Final = "aside"
"""In place of the split: a chip of another sensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basins:
    """Which simulated basins to make, and of what size."""

    train: int = 56
    val: int = 5
    test: int = 10
    """Under other suns, labels to the pixel."""
    first: int = 70_000
    """Seed of the first; the others follow."""
    size: int = 128
    """Pixels per side of a chip."""
    land: int = 512
    """Pixels per side of a basin."""
    passes: int = 5
    """Overpasses of each basin, by Landsat 8 and 9 and Sentinel-2 as it falls."""

    def splits(self) -> list[tuple[int, str]]:
        """Seed and split of every basin."""
        names = ["train"] * self.train + ["val"] * self.val + ["test"] * self.test
        return [(self.first + number, name) for number, name in enumerate(names)]


def make_chips(folder: Path, basins: Basins, report: Report, processes: int | None = None) -> Path:
    """Simulated chips with every band; a folder that holds the same ones is left as it is.

    Args:
        folder: For the chips; it appears when all of them are there.
        basins: Which.
        report: Hears of every basin.
        processes: That make them; None: as many as there are processors, 1: this one.

    Raises:
        InputError: The folder holds other chips.
    """
    made_by = f"ssc masker train --experiment sensors: {basins}"
    if (folder / "chips.json").exists():
        if (found := ChipFolder(folder).facts["made_by"]) != made_by:
            raise InputError(f"{folder}: found chips of {found}, wanted {made_by}, or another folder")
        return folder
    draft = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)
    todo = basins.splits()
    with (
        ChipWriter(draft, bands=tuple(Band), size=basins.size, made_by=made_by) as writer,
        _mapped(processes) as mapped,
    ):
        for done, ((_, split), chips) in enumerate(zip(todo, mapped(partial(_basin, basins), todo), strict=True)):
            for chip in chips:
                writer.add(chip, split=split)
            report("simulated basins", done + 1, len(todo), "")
    draft.rename(folder)
    return folder


def views_of(folders: Sequence[Path], product: Product, out: Path) -> tuple[str, ...]:
    """The chips of one sensor alone: a view of each folder that holds any.

    Args:
        folders: Of chips.
        product: Whose chips.
        out: Folder for the views.

    Raises:
        InputError: No such chips for training, or none for validation.
    """
    views = [of_product(folder, product, out / f"{product}-{number}") for number, folder in enumerate(folders)]
    found = Counter(split for view in views for split in ChipFolder(view).index["split"])
    for split in ("train", "val"):
        if not found[split]:
            names = " ".join(map(str, folders))
            raise InputError(f"{names}: no {product} chips of the split {split}, wanted at least one")
    return tuple(str(view) for view in views if not (ChipFolder(view).index["split"] == ASIDE).all())


def of_product(folder: Path, product: Product, view: Path) -> Path:
    """The chips of one sensor as a folder of their own: the index says which, the arrays are links.

    Args:
        folder: Of chips.
        product: Whose chips.
        view: New folder, or one from before, which is made anew.
    """
    source = ChipFolder(folder)
    others = (source.index["product"] != product.value).to_numpy()
    index = source.index.assign(split=source.index["split"].mask(others, ASIDE))
    shutil.rmtree(view, ignore_errors=True)
    view.mkdir(parents=True)
    for array in source.folder.glob("*.npy"):
        (view / array.name).symlink_to(array.resolve())
    with drafted(view / "index.csv") as draft:
        index.to_csv(draft, index=False)
    shutil.copyfile(source.folder / "chips.json", view / "chips.json")
    return view


def places_of(index: pd.DataFrame, product: Product) -> list[int]:
    """Where the chips of a sensor stand."""
    return [int(place) for place in (index["product"] == product.value).to_numpy().nonzero()[0]]


def _basin(basins: Basins, which: tuple[int, str]) -> list[Chip]:
    seed, split = which
    testing = split == "test"
    made = simulated_chips(
        seed,
        size=basins.size,
        land=basins.land,
        passes=basins.passes,
        tiles=TEST_TILES if testing else TILES,
        rims=not testing,
        bands=tuple(Band),
    )
    return list(made)


@contextmanager
def _mapped(processes: int | None) -> Iterator[Callable[..., Iterable[list[Chip]]]]:
    """`map`, here or in several processes."""
    count = processes or os.cpu_count() or 1
    if count == 1:
        yield map
    else:
        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            yield pool.map
