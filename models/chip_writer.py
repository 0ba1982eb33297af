"""Writing of a folder of chips, as `models.chips` reads it."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from models.chips import COLUMNS, SCHEMA, SPLITS, Chip
from models.packing import FILL, MOST_MG_L, SCALE, UNKNOWN, pack_labels, pack_reflectance
from ssc.bands import SIX, Band
from ssc.errors import InputError
from ssc.masks import Mask


class ChipWriter:
    """Writes a folder of chips; as a context manager. What was added is there even if the rest fails."""

    def __init__(
        self,
        folder: str | Path,
        *,
        bands: tuple[Band, ...] = SIX,
        size: int = 256,
        made_by: str = "",
        capacity: int = 4096,
    ) -> None:
        """Begin a folder.

        Args:
            folder: New, or without chips.
            bands: Of every chip.
            size: Pixels per side of every chip.
            made_by: Command or function that makes the chips, for the record.
            capacity: Chips for which room is made at a time; files are cut to length at the end.

        Raises:
            InputError: The folder holds chips already.
        """
        self.folder, self.bands, self.size = Path(folder), bands, size
        if (self.folder / "chips.json").exists():
            raise InputError(f"{folder} holds chips already: wanted a new folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.made_by, self.capacity = made_by, capacity
        self._arrays: dict[str, NDArray[Any]] = {}
        self._lines: list[dict[str, object]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, chip: Chip, *, split: str) -> None:
        """Append one chip.

        Raises:
            InputError: Its bands, shape or labels are not those of this folder, or no such split.
        """
        self._check(chip, split)
        self._put("reflectance", pack_reflectance(chip.reflectance))
        self._put("labels", pack_labels(chip.labels))
        ssc = None if chip.ssc is None else np.clip(chip.ssc, None, MOST_MG_L).astype(np.float16)
        self._put_optional("fmask", chip.fmask, np.uint8(UNKNOWN))
        self._put_optional("ssc", ssc, np.float16(np.nan))
        self._lines.append({name: getattr(chip, name, split) for name in COLUMNS})

    def finish(self) -> None:
        """Cut the arrays to length, write the index, and last the facts, without which a folder does not open.

        Nothing is written where nothing was added.
        """
        count = len(self._lines)
        if count == 0:
            return
        for name in list(self._arrays):
            self._resize(name, count)
        pd.DataFrame(self._lines, columns=list(COLUMNS)).to_csv(self.folder / "index.csv", index=False)
        facts = {
            "schema": SCHEMA,
            "count": count,
            "size": self.size,
            "bands": [band.value for band in self.bands],
            "masks": [mask.name for mask in Mask],
            "scale": SCALE,
            "fill": FILL,
            "made_by": self.made_by,
        }
        (self.folder / "chips.json").write_text(json.dumps(facts, indent=1) + "\n")

    def _check(self, chip: Chip, split: str) -> None:
        shape = (self.size, self.size)
        if chip.bands != self.bands or chip.reflectance.shape != (len(self.bands), *shape):
            found = f"{' '.join(chip.bands)} of shape {chip.reflectance.shape}"
            raise InputError(f"chip of {chip.scene}: found {found}, wanted {' '.join(self.bands)} of {shape} px")
        if chip.labels.shape != (len(Mask), *shape) or not np.isin(chip.labels, (0, 1, UNKNOWN)).all():
            raise InputError(
                f"chip of {chip.scene}: labels are not (5, {self.size}, {self.size}) of 0, 1 and {UNKNOWN}"
            )
        if split not in SPLITS:
            raise InputError(f"no split {split!r}: wanted one of {' '.join(SPLITS)}")

    def _put(self, name: str, value: NDArray[Any]) -> None:
        if name not in self._arrays:
            self._arrays[name] = self._create(name, (self.capacity, *value.shape), value.dtype)
        elif len(self) >= len(self._arrays[name]):
            self._resize(name, 2 * len(self._arrays[name]))
        self._arrays[name][len(self)] = value

    def _put_optional(self, name: str, value: NDArray[Any] | None, fill: np.generic) -> None:
        """A layer that some chips lack: `fill` for those, no file while all lack it."""
        if value is None and name not in self._arrays:
            return
        if name not in self._arrays:
            rows = max(self.capacity, len(self) + 1)
            self._arrays[name] = self._create(name, (rows, self.size, self.size), fill.dtype)
            self._arrays[name][: len(self)] = fill
        self._put(name, np.full((self.size, self.size), fill) if value is None else value)

    def _create(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        return open_memmap(self.folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)

    def _resize(self, name: str, rows: int) -> None:
        old = self._arrays[name]
        kept = min(len(old), rows)
        path = self.folder / f"{name}.npy"
        aside = path.with_suffix(".old.npy")
        path.rename(aside)
        new = self._create(name, (rows, *old.shape[1:]), old.dtype)
        new[:kept] = old[:kept]
        self._arrays[name] = new
        aside.unlink()
