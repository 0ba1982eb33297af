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
from typing import Any, Final, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.packing import UNKNOWN, unpack_labels, unpack_reflectance
from ssc.bands import Band, Product
from ssc.errors import DataError, InputError

SPLITS: Final = ("train", "val", "test")
SCHEMA: Final = 1
COLUMNS: Final = ("source", "product", "region", "scene", "split", "simulated")
"""Of the index."""
OPTIONAL: Final = ("fmask", "ssc")
"""Layers that some folders lack."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chip:
    """A square of one granule with what is known of its masks."""

    bands: tuple[Band, ...]
    reflectance: NDArray[np.float32]
    """(B, H, W) in the order of `bands`; unitless, NaN where there is no data."""
    labels: NDArray[np.uint8]
    """(5, H, W) in the order of `Mask`: 1 = there, 0 = not there, 255 = `models.packing.UNKNOWN`."""
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
            folder: Written by `models.chip_writer.ChipWriter`.
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
        self._layers = {name: self._array(name, ()) for name in OPTIONAL if (self.folder / f"{name}.npy").exists()}
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
