"""What an evaluation counts while it goes through the chips: a book per masker, with a page per source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.bootstrap import intervals
from models.chips import Chip
from models.packing import UNKNOWN
from models.scores import NAMES, Confusion, Tally, count, count_clear_water
from ssc.masks import Mask
from tasks.chip_maskers import ChipMasker, Probabilities, found_at, judged
from tasks.turbid_loss import count_losses

ALL: Final = "all"
"""All sources together."""
COMMON: Final = "common"
"""The chips that every masker judged."""
ROWS: Final = (*NAMES, "clear_water")
"""What is scored: the five masks, and water that nothing hides."""


@dataclass(slots=True, kw_only=True, eq=False)
class Page:
    """What is counted of one masker on one source."""

    tally: Tally = field(default_factory=Tally)
    scenes: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """(6, 4) confusion by scene, in the order of `ROWS`."""
    losses: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """Fate of clear water by scene, see `count_losses`."""
    chips: int = 0

    def add(self, scene: str, tally: Tally, confusion: Confusion, losses: NDArray[np.int64]) -> None:
        """Count one chip of a scene."""
        self.tally = self.tally + tally
        self.scenes[scene] = self.scenes.get(scene, 0) + confusion.counts
        self.losses[scene] = self.losses.get(scene, 0) + losses
        self.chips += 1

    def __add__(self, other: Page) -> Page:
        """Both; their scenes are different ones."""
        return Page(
            tally=self.tally + other.tally,
            scenes=self.scenes | other.scenes,
            losses=self.losses | other.losses,
            chips=self.chips + other.chips,
        )


@dataclass(slots=True, kw_only=True, eq=False)
class Book:
    """One masker and what is counted of it, by source."""

    masker: ChipMasker
    thresholds: NDArray[np.float64]
    pages: dict[str, Page] = field(default_factory=dict)

    def add(self, chip: Chip, probability: Probabilities, needed: tuple[Mask, ...], groups: tuple[str, ...]) -> None:
        """Count one answer, once for each group of chips it belongs to."""
        found = found_at(probability, self.thresholds)
        labels = judged(probability, chip.labels)
        told = labels.copy()
        told[[mask for mask in Mask if mask not in self.masker.tasks]] = UNKNOWN
        tally = Tally()
        tally.add(probability, told)
        clear = count_clear_water(found, labels, needed)
        confusion = Confusion(counts=np.concatenate([count(found, told).counts, clear.counts[None]]))
        losses = count_losses(chip, found, labels, needed)
        for group in groups:
            self.pages.setdefault(group, Page()).add(f"{chip.source}/{chip.scene}", tally, confusion, losses)

    def read(self, *, common: bool) -> Iterator[tuple[str, Page]]:
        """Pages by source, then all sources together, then the chips that every masker judged, if wanted."""
        sources = {name: page for name, page in self.pages.items() if name != COMMON}
        yield from sorted(sources.items())
        yield ALL, sum(sources.values(), Page())
        if common and COMMON in self.pages:
            yield COMMON, self.pages[COMMON]


def score_table(
    books: Mapping[str, Book], pages: Mapping[tuple[str, str], Page], resamples: int, seed: int
) -> pd.DataFrame:
    """A row per page and mask, or clear water: threshold, counts, scores, and the intervals of these."""
    tables = {}
    for (source, name), page in pages.items():
        if not page.scenes:
            continue
        by_scene = Confusion(counts=np.stack(list(page.scenes.values())))
        table = Confusion(counts=by_scene.counts.sum(axis=0)).table(ROWS)
        table = table.join(intervals(by_scene, ROWS, n=resamples, seed=seed)).reset_index()
        table.insert(1, "threshold", [*books[name].thresholds, np.nan])
        table.insert(2, "chips", page.chips)
        table.insert(3, "scenes", (by_scene.pixels > 0).sum(axis=0))
        tables[source, name] = table
    return stack(tables)


def stack(tables: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """One table under another, source and masker in front, sources together; columns also without any row."""
    frames = [
        table.assign(source=source, masker=name)[["source", "masker", *table.columns]]
        for (source, name), table in sorted(tables.items(), key=lambda item: _place(item[0][0]))
    ]
    filled = [frame for frame in frames if len(frame)]  # pandas would let an empty one decide the types
    return pd.concat(filled or frames, ignore_index=True) if frames else pd.DataFrame(columns=["source", "masker"])


def _place(source: str) -> tuple[int, str]:
    """All first, common next, then sources by name."""
    return ({ALL: 0, COMMON: 1}.get(source, 2), source)
