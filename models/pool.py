"""The chips of one split of several folders, as a network wants them: its bands, or whatever bands each chip has.

Reflectance stays on disk until a chip is asked for; batches of whole chips are for validation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bandtable import BandTable, table_of
from models.chips import ChipFolder
from models.packing import FILL, SCALE, UNKNOWN
from ssc.bands import CODES, SIX, Band, Product, Response, responses
from ssc.errors import InputError
from ssc.masks import Mask


class Item(NamedTuple):
    """One chip."""

    light: NDArray[np.float32]
    """(C, H, W) reflectance, NaN = no data."""
    labels: NDArray[np.uint8]
    """(T, H, W)."""
    row: tuple[Response, ...] | None = None
    """What its bands see; None where all chips have the bands of the network."""


class Batch(NamedTuple):
    """Several chips, as tensors: loaders pin them."""

    reflectance: Tensor
    """(B, C, H, W) float32, NaN = no data and in empty places."""
    labels: Tensor
    """(B, T, H, W) uint8."""
    table: BandTable | None = None
    """Which band stands where; None where all chips have the bands of the network."""


class ChipPool:
    """The chips of one split of several folders, numbered through; only the bands and tasks of one network."""

    def __init__(
        self,
        folders: Sequence[str | Path],
        split: str,
        *,
        bands: tuple[Band, ...],
        tasks: tuple[Mask, ...],
        any_bands: bool = False,
    ) -> None:
        """Open the folders.

        Args:
            folders: Written by `models.chip_writer.ChipWriter`.
            split: "train", "val" or "test".
            bands: That the network takes, in its order.
            tasks: That the network judges, in its order.
            any_bands: Each chip shows those of the bands that it has; else all must be there.

        Raises:
            InputError: No chips of this split in any folder, or a folder lacks a band.
            DataError: A folder is broken.
        """
        self._made_from = (tuple(str(folder) for folder in folders), split, bands, tasks, any_bands)
        self.folders = [ChipFolder(folder).split(split) for folder in folders]
        for folder in self.folders:
            _require_bands(folder, SIX if any_bands else bands)
        self.bands, self.tasks, self.any_bands = bands, tasks, any_bands
        self.starts = np.cumsum([0, *(len(folder) for folder in self.folders)])
        if self.starts[-1] == 0:
            found = ", ".join(str(folder) for folder in folders) or "no folder at all"
            raise InputError(f"no chips of the {split} split: found none in {found}; wanted at least one")
        self.index = pd.concat([folder.index for folder in self.folders], ignore_index=True)
        self.products = [Product(name) for name in self.index["product"]]

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
        self,
        reflectance: NDArray[np.int16],
        planes: NDArray[np.uint8],
        bands: tuple[Band, ...],
        wanted: tuple[Band, ...] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Reflectance of the network's bands, or of those wanted, and labels of its tasks."""
        wanted = self.bands if wanted is None else wanted
        if bands != wanted:
            reflectance = reflectance[[bands.index(band) for band in wanted]]
        light = reflectance * np.float32(SCALE)
        light[reflectance == FILL] = np.nan
        shifts = np.array(self.tasks, dtype=np.uint8)[:, None, None]
        known, there = ((plane[None] >> shifts) & np.uint8(1) for plane in np.asarray(planes))
        return light, there | (known - np.uint8(1))

    def bands_in(self, place: int, reflectance: NDArray[np.int16]) -> tuple[Band, ...]:
        """Bands that a chip shows: the network's; for any bands those of them that it has.

        Args:
            place: Of the chip.
            reflectance: (B, H, W) of it, or of a part, as stored.
        """
        return self._shown(place, reflectance, self.bands) if self.any_bands else self.bands

    def whole(self, place: int) -> Item:
        """An unchanged chip. Its labels are there where the network's bands are; for any bands where the six are."""
        stored, planes = self.packed(place)
        known = self.bands_of(place)
        judged = self._shown(place, stored, SIX) if self.any_bands else self.bands
        light, labels = self.unpacked(stored, planes, known, judged)
        labels[:, np.isnan(light).any(axis=0)] = UNKNOWN
        if not self.any_bands:
            return Item(light, labels)
        shown = self.bands_in(place, stored)
        light, _ = self.unpacked(stored, planes, known, shown)
        return Item(light, labels, responses(self.products[place], shown))

    def bands_of(self, place: int) -> tuple[Band, ...]:
        """Bands of the folder in which a chip lies."""
        return self.folders[int(np.searchsorted(self.starts, place, side="right")) - 1].bands

    def fingerprint(self) -> str:
        """Changes when chips are added, removed, moved or relabelled in the index."""
        return sha256(self.index.to_csv(index=False).encode()).hexdigest()[:16]

    def _shown(self, place: int, reflectance: NDArray[np.int16], bands: tuple[Band, ...]) -> tuple[Band, ...]:
        """Those of some bands that the chip's product has, without those that have no data where others have some."""
        known, there = self.bands_of(place), (reflectance != FILL).any(axis=(1, 2))
        some = {band for band, seen in zip(known, there, strict=True) if seen or not there.any()}
        return tuple(band for band in bands if band in some and band in CODES[self.products[place]])


def whole_chips(pool: ChipPool, places: Sequence[int], batch_size: int) -> Iterator[tuple[Batch, list[int]]]:
    """Unchanged chips in order, in batches of one size each, with their places."""
    batch: list[int] = []
    for place in places:
        if batch and (len(batch) == batch_size or _shape(pool, place) != _shape(pool, batch[0])):
            yield collate([pool.whole(one) for one in batch]), batch
            batch = []
        batch.append(place)
    if batch:
        yield collate([pool.whole(one) for one in batch]), batch


def collate(items: Sequence[Item]) -> Batch:
    """A batch of chips of one size; of any bands each, filled up with empty places."""
    labels = torch.from_numpy(np.stack([item.labels for item in items]))
    rows = [item.row for item in items if item.row is not None]
    if not rows:
        return Batch(torch.from_numpy(np.stack([item.light for item in items])), labels)
    table = table_of(rows)
    light = np.full((len(items), table.present.shape[1], *items[0].light.shape[1:]), np.nan, np.float32)
    for whole, item in zip(light, items, strict=True):
        whole[: len(item.light)] = item.light
    return Batch(torch.from_numpy(light), labels, table)


def _shape(pool: ChipPool, place: int) -> tuple[int, ...]:
    return pool.packed(place)[0].shape[1:]


def _reopened(
    folders: tuple[str, ...], split: str, bands: tuple[Band, ...], tasks: tuple[Mask, ...], any_bands: bool
) -> ChipPool:
    return ChipPool(folders, split, bands=bands, tasks=tasks, any_bands=any_bands)


def _require_bands(folder: ChipFolder, bands: tuple[Band, ...]) -> None:
    missing = [band for band in bands if band not in folder.bands]
    if missing:
        raise InputError(
            f"{folder.folder}: no band {' '.join(missing)}: found {' '.join(folder.bands)}, wanted {' '.join(bands)}"
        )
