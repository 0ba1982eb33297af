"""A folder of chips from everything at hand: simulated basins, real river chips, HLS with DSWx granules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from models.chip_writer import ChipWriter
from models.chips import Chip
from ssc.bands import SIX, Band
from ssc.errors import DataError, InputError
from ssc.granules import find
from tasks.chips import rivers
from tasks.chips.opera import write_opera_chips
from tasks.chips.simulated import TEST_TILES, TILES, simulated_chips

Report = Callable[[str, int, int], None]
"""What is being made, how many units of it are done, of how many."""
AT_ONCE: Final = 16
"""Basins in memory, 45 MB each with six bands, 80 MB with all."""
VAL_EVERY: Final = 13
"""Every so manieth simulated basin is for validation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What goes into a folder of chips."""

    basins: int = 0
    """Simulated basins, each with five overpasses."""
    seed: int = 1000
    """Of the first basin; the others follow."""
    testing: bool = False
    """Basins for tests: another set of suns, labels to the pixel, all in the split "test"."""
    rivers: Path | None = None
    """Folder of the HLS L30 river chips."""
    skies: int = 6
    """Simulated skies over each river chip for training."""
    granules: tuple[str, ...] = ()
    """Folders of HLS granules."""
    dswx: Path | None = None
    """Folder of the DSWx-HLS granules that label them."""
    size: int = 256
    """Pixels per side of a chip."""
    bands: tuple[Band, ...] = SIX
    """Of every chip, the six among them; NaN where a chip's satellite or data set has no such band."""


def build(out: Path, recipe: Recipe, *, made_by: str = "", report: Report | None = None) -> dict[str, int]:
    """Write a new folder of chips.

    Returns:
        Chips by "source, split"; and under "set aside" how many granules or chips could not be used.

    Raises:
        InputError: An empty recipe, granules without DSWx or the other way or in other bands than the six, bands
            without the six, a folder that holds chips already.
        DataError: Not one chip could be made.
    """
    _check(recipe)
    tell = report or _silent
    counts: Counter[str] = Counter()
    with ChipWriter(out, bands=recipe.bands, size=recipe.size, made_by=made_by) as writer:
        for chip, split in chain(_simulated(recipe, tell), _rivers(recipe, tell)):
            writer.add(chip, split=split)
            counts[f"{chip.source}, {split}"] += 1
        if recipe.dswx is not None:
            counts.update(_labelled_by_dswx(writer, recipe, recipe.dswx, tell))
    if len(writer) == 0:
        raise DataError(f"no chips made in {out}: found {dict(counts)}, wanted at least one")
    return dict(counts)


def _silent(what: str, done: int, total: int) -> None:
    """Report to nobody."""


def _check(recipe: Recipe) -> None:
    if not (recipe.basins or recipe.rivers or recipe.granules):
        raise InputError("nothing to make chips of: wanted simulated basins, river chips, or HLS granules with DSWx")
    if bool(recipe.granules) != (recipe.dswx is not None):
        raise InputError(
            "HLS granules need their DSWx granules as labels, and the other way round: found one of the two"
        )
    missing = [band.value for band in SIX if band not in recipe.bands]
    if missing:
        raise InputError(
            f"chips of {' '.join(recipe.bands)}: no {' '.join(missing)}, wanted {' '.join(SIX)} among them"
        )
    if recipe.granules and recipe.bands != SIX:
        raise InputError(
            f"chips labelled by DSWx have the bands {' '.join(SIX)}: found {' '.join(recipe.bands)} asked for, "
            "wanted another folder for the other chips"
        )


def _simulated(recipe: Recipe, tell: Report) -> Iterator[tuple[Chip, str]]:
    """Basins in order, made by as many processes as there are processors."""
    tiles = TEST_TILES if recipe.testing else TILES
    one = partial(_basin, size=recipe.size, tiles=tiles, rims=not recipe.testing, bands=recipe.bands)
    seeds = range(recipe.seed, recipe.seed + recipe.basins)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for start in range(0, len(seeds), AT_ONCE):
            tell("simulated basins", start, len(seeds))
            some = seeds[start : start + AT_ONCE]
            for seed, chips in zip(some, pool.map(one, some), strict=True):
                split = "test" if recipe.testing else "val" if seed % VAL_EVERY == 0 else "train"
                yield from ((chip, split) for chip in chips)


def _basin(seed: int, **how: Any) -> list[Chip]:
    return list(simulated_chips(seed, **how))


def _rivers(recipe: Recipe, tell: Report) -> Iterator[tuple[Chip, str]]:
    if recipe.rivers is None:
        return
    numbers = rivers.numbers(recipe.rivers)
    for done, number in enumerate(numbers):
        tell("river chips", done, len(numbers))
        split = rivers.split_of_number(number)
        skies = recipe.skies if split == "train" else 0
        how: dict[str, Any] = {"skies": skies, "seed": recipe.seed, "size": recipe.size, "bands": recipe.bands}
        for chip in rivers.river_chips(recipe.rivers, number, **how):
            yield chip, split


def _labelled_by_dswx(writer: ChipWriter, recipe: Recipe, dswx: Path, tell: Report) -> Counter[str]:
    granules = [granule for folder in recipe.granules for granule in find(folder)]
    before, done = len(writer), count(1)
    aside = write_opera_chips(
        writer,
        granules,
        dswx,
        size=recipe.size,
        report=lambda line: tell(line, next(done), len(granules)),
    )
    return Counter({"opera-dswx": len(writer) - before, "set aside": len(aside)})
