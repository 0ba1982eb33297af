"""Which chips an epoch shows, in which order, and how they come into memory.

An epoch is a list of global batches that depends on nothing but the settings, the seed and the number of the epoch:
any step of it can be asked for alone, which is how a killed run goes on in the middle of an epoch, and every process of
a group takes its own part of the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from models.augment import Augment, change, generator, window
from models.chips import ChipFolder
from models.packing import FILL, SCALE, UNKNOWN
from ssc.bands import Band
from ssc.errors import InputError
from ssc.masks import Mask

Key = tuple[int, int, int]
"""Epoch, place of the chip, and which time it is seen in this epoch."""
Item = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""(C, H, W) reflectance and (T, H, W) labels of one chip."""
Batch = tuple[Tensor, Tensor]
"""(B, C, H, W) float32 reflectance, NaN = no data, and (B, T, H, W) uint8 labels."""

ORDER: Final = 0x0DE5
"""Keeps the random numbers of the order apart from those of the chips."""


class ChipPool:
    """The chips of one split of several folders, numbered through; only the bands and tasks of one network."""

    def __init__(
        self, folders: Sequence[str | Path], split: str, *, bands: tuple[Band, ...], tasks: tuple[Mask, ...]
    ) -> None:
        """Open the folders.

        Args:
            folders: Written by `models.chips.ChipWriter`.
            split: "train", "val" or "test".
            bands: That the network takes, in its order.
            tasks: That the network judges, in its order.

        Raises:
            InputError: No chips of this split in any folder, or a folder lacks a band.
            DataError: A folder is broken.
        """
        self._made_from = (tuple(str(folder) for folder in folders), split, bands, tasks)
        self.folders = [ChipFolder(folder).split(split) for folder in folders]
        for folder in self.folders:
            _require_bands(folder, bands)
        self.bands, self.tasks = bands, tasks
        self.starts = np.cumsum([0, *(len(folder) for folder in self.folders)])
        if self.starts[-1] == 0:
            found = ", ".join(str(folder) for folder in folders) or "no folder at all"
            raise InputError(f"no chips of the {split} split: found none in {found}; wanted at least one")
        self.index = pd.concat([folder.index for folder in self.folders], ignore_index=True)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __reduce__(self) -> tuple[object, ...]:
        """Workers open the files themselves: a pickled memory map would be a copy of all chips."""
        return _reopened, self._made_from

    def packed(self, place: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """(B, H, W) stored reflectance and (2, H, W) label planes of a chip, still on disk."""
        number = int(np.searchsorted(self.starts, place, side="right")) - 1
        folder = self.folders[number]
        row = folder.places[place - self.starts[number]]
        return folder.reflectance[row], folder.labels[row]

    def unpacked(
        self, reflectance: NDArray[np.int16], planes: NDArray[np.uint8], bands: tuple[Band, ...]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Reflectance of the network's bands and labels of its tasks."""
        if bands != self.bands:
            reflectance = reflectance[[bands.index(band) for band in self.bands]]
        light = reflectance * np.float32(SCALE)
        light[reflectance == FILL] = np.nan
        shifts = np.array(self.tasks, dtype=np.uint8)[:, None, None]
        known, there = ((plane[None] >> shifts) & np.uint8(1) for plane in np.asarray(planes))
        return light, there | (known - np.uint8(1))

    def bands_of(self, place: int) -> tuple[Band, ...]:
        """Bands of the folder in which a chip lies."""
        return self.folders[int(np.searchsorted(self.starts, place, side="right")) - 1].bands

    def fingerprint(self) -> str:
        """Changes when chips are added, removed, moved or relabelled in the index."""
        return sha256(self.index.to_csv(index=False).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, eq=False)
class TrainChips(Dataset[Item]):
    """Changed squares of training chips, by `Key`."""

    pool: ChipPool
    how: Augment
    size: int
    seed: int

    def __getitem__(self, key: Key) -> Item:
        epoch, place, draw = key
        rng = generator(self.seed, epoch, place, draw)
        reflectance, planes = self.pool.packed(place)
        cut = window((reflectance.shape[1], reflectance.shape[2]), rng, self.how, size=self.size)
        light, labels = self.pool.unpacked(cut.of(reflectance), cut.of(planes), self.pool.bands_of(place))
        return change(light, labels, self.pool.bands, rng, self.how, size=self.size, zoom=cut.zoom)


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
    return DataLoader(chips, batch_sampler=batches, num_workers=workers, pin_memory=pin, collate_fn=_collate, **ahead)


def whole_chips(pool: ChipPool, places: Sequence[int], batch_size: int) -> Iterator[tuple[Batch, list[int]]]:
    """Unchanged chips in order, in batches of one size each, with their places."""
    batch: list[int] = []
    for place in places:
        if batch and (len(batch) == batch_size or _shape(pool, place) != _shape(pool, batch[0])):
            yield _collate([_whole(pool, one) for one in batch]), batch
            batch = []
        batch.append(place)
    if batch:
        yield _collate([_whole(pool, one) for one in batch]), batch


def spread(index: pd.DataFrame, most: int | None, seed: int = 0) -> NDArray[np.int64]:
    """Places of at most so many chips, the same part of every source, always the same; all of them for None."""
    if most is None or most >= len(index):
        return np.arange(len(index))
    order = np.random.default_rng((seed, ORDER)).permutation(len(index))
    rank = pd.Series(order).groupby(index["source"].to_numpy()).rank() / index.groupby("source")["source"].transform(
        "size"
    )
    return np.sort(np.argsort(rank.to_numpy(), kind="stable")[:most])


def _whole(pool: ChipPool, place: int) -> Item:
    light, labels = pool.unpacked(*pool.packed(place), pool.bands_of(place))
    labels[:, np.isnan(light).any(axis=0)] = UNKNOWN
    return light, labels


def _shape(pool: ChipPool, place: int) -> tuple[int, ...]:
    return pool.packed(place)[0].shape[1:]


def _collate(items: Sequence[Item]) -> Batch:
    light, labels = zip(*items, strict=True)
    return torch.from_numpy(np.stack(light)), torch.from_numpy(np.stack(labels))


def _draws(sources: Sequence[str], weights: Mapping[str, float]) -> dict[str, int]:
    """How many chips of each source an epoch shows."""
    counts = pd.Series(sources).value_counts()
    return {str(name): round(float(weights.get(str(name), 1.0)) * int(count)) for name, count in counts.items()}


def _repeated(places: NDArray[np.int64], wanted: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Each place equally often, but for a random remainder."""
    whole, rest = divmod(wanted, len(places))
    return np.concatenate([np.tile(places, whole), rng.permutation(places)[:rest]])


def _reopened(folders: tuple[str, ...], split: str, bands: tuple[Band, ...], tasks: tuple[Mask, ...]) -> ChipPool:
    return ChipPool(folders, split, bands=bands, tasks=tasks)


def _require_bands(folder: ChipFolder, bands: tuple[Band, ...]) -> None:
    missing = [band for band in bands if band not in folder.bands]
    if missing:
        raise InputError(
            f"{folder.folder}: no band {' '.join(missing)}: found {' '.join(folder.bands)}, wanted {' '.join(bands)}"
        )
