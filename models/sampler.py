"""Which chips an epoch shows, in which order, and how they come into memory.

An epoch is a list of global batches that depends on nothing but the settings, the seed and the number of the epoch:
any step of it can be asked for alone, which is how a killed run goes on in the middle of an epoch, and every process of
a group takes its own part of the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from models.augment import Augment, change, generator, window
from models.pool import ChipPool, Item, collate
from models.recipe import Sensing, sense
from ssc.bands import responses

Key = tuple[int, int, int]
"""Epoch, place of the chip, and which time it is seen in this epoch."""

ORDER: Final = 0x0DE5
"""Keeps the random numbers of the order apart from those of the chips."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainChips(Dataset[Item]):
    """Changed squares of training chips, by `Key`."""

    pool: ChipPool
    how: Augment
    size: int
    seed: int
    sensing: Sensing | None = None
    """How chips are seen by other sensors; for a pool of any bands."""

    def __getitem__(self, key: Key) -> Item:
        epoch, place, draw = key
        pool, rng = self.pool, generator(self.seed, epoch, place, draw)
        reflectance, planes = pool.packed(place)
        cut = window((reflectance.shape[1], reflectance.shape[2]), rng, self.how, size=self.size)
        stored = cut.of(reflectance)
        bands = pool.bands_in(place, stored)
        light, labels = pool.unpacked(stored, cut.of(planes), pool.bands_of(place), bands)
        light, labels = change(light, labels, bands, rng, self.how, size=self.size, zoom=cut.zoom)
        if not pool.any_bands:
            return Item(light, labels)
        row = responses(pool.products[place], bands)
        # drawn last: what came before does not depend on it
        light, row = (light, row) if self.sensing is None else sense(light, bands, row, rng, self.sensing)
        return Item(light, labels, row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How epochs are drawn."""

    batch_size: int
    """Chips per step, over all processes."""
    seed: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)
    """How many times an epoch shows each chip of a source; 1 where a source is not named."""
    steps: int | None = None
    """Steps per epoch at most; None: as many as the chips fill."""

    def steps_of(self, sources: Sequence[str]) -> int:
        """Steps in every epoch: whole batches, at least one."""
        full = max(sum(_draws(sources, self.weights).values()) // self.batch_size, 1)
        return full if self.steps is None else min(full, self.steps)

    def epoch(self, sources: Sequence[str], epoch: int) -> list[list[Key]]:
        """The global batches of an epoch.

        A source of weight 2.5 shows every chip twice and a random half of them a third time. What does not fill a
        batch is left out, other chips each time; fewer chips than one batch are shown several times.

        Args:
            sources: Source of each chip.
            epoch: From 0.
        """
        rng = np.random.default_rng((self.seed, ORDER, epoch))
        names = np.asarray(sources)
        wanted = _draws(sources, self.weights)
        places = np.concatenate(
            [_repeated(np.flatnonzero(names == name), wanted[name], rng) for name in sorted(wanted)]
        )
        places = rng.permutation(places)
        count = self.steps_of(sources) * self.batch_size
        places = np.resize(places, count)
        draws = pd.Series(places).groupby(places).cumcount().to_numpy()
        keys = [(epoch, int(place), int(draw)) for place, draw in zip(places, draws, strict=True)]
        return [keys[start : start + self.batch_size] for start in range(0, count, self.batch_size)]


class Batches(Sampler[list[Key]]):
    """One process's part of an epoch's batches, from any step on."""

    def __init__(self, plan: Plan, sources: Sequence[str], *, rank: int = 0, world: int = 1) -> None:
        self.plan, self.sources, self.rank, self.world = plan, sources, rank, world
        self.position = (0, 0)

    def set_epoch(self, epoch: int, step: int = 0) -> None:
        """Where the next iteration begins."""
        self.position = (epoch, step)

    def __len__(self) -> int:
        return self.plan.steps_of(self.sources) - self.position[1]

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, step = self.position
        share = self.plan.batch_size // self.world
        for batch in self.plan.epoch(self.sources, epoch)[step:]:
            yield batch[self.rank * share : (self.rank + 1) * share]


def train_loader(chips: TrainChips, batches: Batches, *, workers: int, pin: bool) -> DataLoader[Any]:
    """Batches of changed chips, prepared ahead by `workers` processes (0: by this one)."""
    ahead: dict[str, Any] = {"prefetch_factor": 4, "persistent_workers": True} if workers else {}
    return DataLoader(chips, batch_sampler=batches, num_workers=workers, pin_memory=pin, collate_fn=collate, **ahead)


def balanced(index: pd.DataFrame, weights: Mapping[str, float]) -> tuple[list[str], dict[str, float]]:
    """Sources and weights for a `Plan` that shows each product equally often, and as many chips in all as without.

    Args:
        index: Of the chips.
        weights: By source, as in `Plan`.

    Returns:
        A name for the source and product of each chip, and how many times an epoch shows each chip of that name.
    """
    each = index["source"].map(lambda source: float(weights.get(source, 1.0)))
    shown = each.groupby(index["product"]).sum()
    factor = shown.sum() / (shown > 0).sum() / shown.where(shown > 0)
    names = index["source"] + ", " + index["product"]
    wanted = each * index["product"].map(factor).fillna(0.0)
    return names.to_list(), dict(zip(names, wanted.astype(float), strict=True))


def spread(index: pd.DataFrame, most: int | None, seed: int = 0) -> NDArray[np.int64]:
    """Places of at most so many chips, the same part of every source, always the same; all of them for None."""
    if most is None or most >= len(index):
        return np.arange(len(index))
    order = np.random.default_rng((seed, ORDER)).permutation(len(index))
    rank = pd.Series(order).groupby(index["source"].to_numpy()).rank() / index.groupby("source")["source"].transform(
        "size"
    )
    return np.sort(np.argsort(rank.to_numpy(), kind="stable")[:most])


def _draws(sources: Sequence[str], weights: Mapping[str, float]) -> dict[str, int]:
    """How many chips of each source an epoch shows."""
    counts = pd.Series(sources).value_counts()
    return {str(name): round(float(weights.get(str(name), 1.0)) * int(count)) for name, count in counts.items()}


def _repeated(places: NDArray[np.int64], wanted: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Each place equally often, but for a random remainder."""
    whole, rest = divmod(wanted, len(places))
    return np.concatenate([np.tile(places, whole), rng.permutation(places)[:rest]])
