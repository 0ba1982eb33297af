"""Training chips: reflectance with partial labels, kept in a folder that is memory-mapped.

    with ChipWriter("chips", bands=SIX, size=256, made_by="ssc masker dataset ...") as out:
        out.add(chip, split=split_of(chip.region))
    train = ChipFolder("chips").split("train")
    train[0].labels                                  (5, H, W): 1 there, 0 not there, 255 nobody knows

A folder holds `chips.json` (what and how many), `index.csv` (one line per chip) and plain arrays without pickles:
`reflectance.npy` int16, `labels.npy` bit planes, and where known `fmask.npy` and `ssc.npy`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from models.packing import (
    FILL,
    MOST_MG_L,
    SCALE,
    UNKNOWN,
    pack_labels,
    pack_reflectance,
    unpack_labels,
    unpack_reflectance,
)
from ssc.bands import SIX, Band, Product
from ssc.errors import DataError, InputError
from ssc.masks import Mask

SPLITS: Final = ("train", "val", "test")
SCHEMA: Final = 1
_COLUMNS: Final = ("source", "product", "region", "scene", "split", "simulated")
_OPTIONAL: Final = ("fmask", "ssc")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chip:
    """A square of one granule with what is known of its masks."""

    bands: tuple[Band, ...]
    reflectance: NDArray[np.float32]
    """(B, H, W) in the order of `bands`; unitless, NaN where there is no data."""
    labels: NDArray[np.uint8]
    """(5, H, W) in the order of `Mask`: 1 = there, 0 = not there, 255 = `UNKNOWN`."""
    product: Product
    """For other sensors the nearer of the two."""
    source: str
    """Data set, for example "simulated" or "hls-l30-river-chips"."""
    region: str
    """What must not be in two splits: a basin's seed, a tile, a path and row."""
    scene: str
    """What is drawn in a bootstrap: one image."""
    simulated: bool = False
    fmask: NDArray[np.uint8] | None = None
    """(H, W) HLS Fmask bit field, 255 = no data."""
    ssc: NDArray[np.float32] | None = None
    """(H, W) suspended sediment, mg/L, NaN off water or where unknown."""


class Chips(Protocol):
    """Any set of chips."""

    @property
    def bands(self) -> tuple[Band, ...]:
        """Of every chip."""
        ...

    @property
    def index(self) -> pd.DataFrame:
        """One row per chip, numbered from 0: source, product, region, scene, split, simulated."""
        ...

    def __len__(self) -> int:
        """How many."""
        ...

    def __getitem__(self, place: int, /) -> Chip:
        """The chip at a place, from 0."""
        ...


def split_of(region: str, seed: int = 0, shares: tuple[float, float, float] = (0.8, 0.1, 0.1)) -> str:
    """The split of a region, by hash: it stays whatever else is in the set.

    >>> split_of("b069"), split_of("b069", seed=1)
    ('train', 'val')
    """
    digest = hashlib.sha256(f"{seed}:{region}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64 * sum(shares)
    edges = np.cumsum(shares)
    return SPLITS[min(int(np.searchsorted(edges, place, side="right")), len(SPLITS) - 1)]


class ChipFolder:
    """A folder of chips of one size, or a part of it."""

    def __init__(self, folder: str | Path, *, places: NDArray[np.int64] | None = None) -> None:
        """Open a folder.

        Args:
            folder: Written by `ChipWriter`.
            places: Which of its chips, as row numbers; None: all.

        Raises:
            InputError: No chips there.
            DataError: The files do not fit together.
        """
        self.folder = Path(folder)
        facts = _facts(self.folder)
        self.bands = tuple(Band(name) for name in facts["bands"])
        self.size: int = facts["size"]
        self.facts: dict[str, Any] = facts
        table = pd.read_csv(self.folder / "index.csv", dtype={"region": str, "scene": str}).head(facts["count"])
        self.reflectance: NDArray[np.int16] = self._array("reflectance", (len(self.bands),))
        self.labels: NDArray[np.uint8] = self._array("labels", (2,))
        self._layers = {name: self._array(name, ()) for name in _OPTIONAL if (self.folder / f"{name}.npy").exists()}
        self.places = np.arange(len(table)) if places is None else places
        self.index = table.iloc[self.places].reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: int, /) -> Chip:
        row, line = int(self.places[place]), self.index.iloc[place]
        layers = {name: array[row] for name, array in self._layers.items()}
        known_fmask = "fmask" in layers and bool((layers["fmask"] != UNKNOWN).any())
        return Chip(
            bands=self.bands,
            reflectance=unpack_reflectance(self.reflectance[row]),
            labels=unpack_labels(self.labels[row]),
            product=Product(line["product"]),
            source=str(line["source"]),
            region=str(line["region"]),
            scene=str(line["scene"]),
            simulated=bool(line["simulated"]),
            fmask=np.array(layers["fmask"]) if known_fmask else None,
            ssc=layers["ssc"].astype(np.float32) if "ssc" in layers else None,
        )

    def split(self, name: str) -> ChipFolder:
        """The chips of one split.

        Raises:
            InputError: No such split.
        """
        if name not in SPLITS:
            raise InputError(f"no split {name!r}: wanted one of {' '.join(SPLITS)}")
        return ChipFolder(self.folder, places=self.places[(self.index["split"] == name).to_numpy()])

    def take(self, places: Sequence[int] | NDArray[np.int64]) -> ChipFolder:
        """The chips at these places."""
        return ChipFolder(self.folder, places=self.places[np.asarray(places, dtype=np.int64)])

    def _array(self, name: str, inner: tuple[int, ...]) -> NDArray[Any]:
        path = self.folder / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        wanted = (*inner, self.size, self.size)
        if array.shape[1:] != wanted or len(array) < self.facts["count"]:
            raise DataError(f"{path}: found shape {array.shape}, wanted ({self.facts['count']} or more, *{wanted})")
        return array


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
        self._lines.append({name: getattr(chip, name, split) for name in _COLUMNS})

    def finish(self) -> None:
        """Cut the arrays to length, write the index, and last the facts, without which a folder does not open.

        Nothing is written where nothing was added.
        """
        count = len(self._lines)
        if count == 0:
            return
        for name in list(self._arrays):
            self._resize(name, count)
        pd.DataFrame(self._lines, columns=list(_COLUMNS)).to_csv(self.folder / "index.csv", index=False)
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


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / "chips.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"no chips in {folder}: found no chips.json, wanted a folder made by ssc masker dataset"
        ) from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    if facts.get("schema") != SCHEMA:
        raise DataError(f"{path}: found schema {facts.get('schema')}, wanted {SCHEMA}")
    return facts
