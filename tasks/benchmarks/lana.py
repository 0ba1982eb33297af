"""LANA: 512-px patches of Landsat 8/9 with refined USGS labels (Zhang, Luo & Roy 2024), the paper's benchmark.

The data are at Zenodo, record 7786456. THE ARCHIVE WAS NOT SEEN when this was written: what the authors' public code
(hankui/LANA-cloud-mask-codes-for-Landsat-8-9, apply_cnn.py) says of arrays and codes is followed, the names of files
are a guess kept wide. Read are pairs of GeoTIFFs, image and labels, anywhere below the folder:

    NAME.tif + NAME_label.tif (or _mask, _cld, _fixedmask)        images/NAME.tif + labels/NAME.tif (or masks/)

Image: at least seven layers, OLI bands 1-7 first (then 9, 10, 11 as there are), integers of TOA reflectance x 10000
with -32767 as fill, or floating point TOA reflectance. Labels: 64 cloud shadow, 128 clear, 192 thin cloud, 255 cloud,
0 or 10 fill. A folder named train, val or test on the way to a file is its split, else it is "test". The scene is the
name up to the patch where a Landsat id begins it. For another arrangement, rename; nothing here guesses at content.
Inputs are TOA reflectance, not surface reflectance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from models.chips import SPLITS
from ssc.bands import Product
from ssc.errors import DataError
from ssc.observation import Window
from tasks.benchmarks.classes import NOTHING, USGS, Classes, decode
from tasks.benchmarks.reading import Shape, folder_of, raster_shape, read_codes, read_layers
from tasks.benchmarks.scenes import Pixels, SceneChips, path_row

NAME: Final = "lana"
OLI_SIX: Final = (2, 3, 4, 5, 6, 7)
"""Layers of SIX: bands 1-7 come first."""
SCALE: Final = 1e-4
LEAST: Final = -2000
"""Stored values below are fill (-32767; -9999 in other stages of the authors' code), not reflectance."""
CLASSES: Final[Classes] = {**USGS, 10: NOTHING}
_ENDINGS: Final = ("_label", "_labels", "_mask", "_cld", "_fixedmask")
_FOLDERS: Final = ("labels", "label", "masks", "mask")
_SCENE: Final = re.compile(r"LC0\d_L\d[A-Z]{2}_\d{6}_\d{8}_\d{8}_\d{2}_[A-Z0-9]{2}|LC\d\d{13}[A-Z]{3}\d{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LanaPatch:
    """One patch; see `tasks.benchmarks.scenes.Scene`."""

    image: Path
    labels: Path
    shape: Shape
    split: str

    @property
    def scene(self) -> str:
        """The Landsat scene of the patch; its own name where that tells none."""
        found = _SCENE.search(self.image.stem)
        return found[0] if found else self.image.stem

    @property
    def region(self) -> str:
        """Path and row."""
        return path_row(self.scene)

    def read(self, window: Window) -> Pixels:
        """Pixels of a window; see `Scene`."""
        stored = read_layers(self.image, OLI_SIX, window, shape=self.shape)
        codes = read_codes(self.labels, window, shape=self.shape)
        if np.issubdtype(stored.dtype, np.floating):
            reflectance = np.where(stored > LEAST * SCALE, stored, np.nan)
        else:
            reflectance = np.where(stored > LEAST, stored * np.float32(SCALE), np.float32(np.nan))
        return reflectance.astype(np.float32), decode(codes, CLASSES, str(self.labels))


def open_lana(path: str | Path, *, size: int = 512) -> SceneChips:
    """Chips of a folder of LANA patches; the first patch tells the size of all.

    Raises:
        InputError: No such folder.
        DataError: No pairs of image and labels in it.
    """
    folder = folder_of(path, NAME)
    pairs = list(_pairs(folder))
    if not pairs:
        raise DataError(
            f"benchmark {NAME}: found no pairs in {folder}, wanted NAME.tif with NAME_label.tif or labels/NAME.tif"
        )
    shape = raster_shape(pairs[0][0])
    patches = [
        LanaPatch(image=image, labels=labels, shape=shape, split=_split(image.relative_to(folder)))
        for image, labels in pairs
    ]
    return SceneChips(patches, source=NAME, product=Product.L30, size=size)


def _pairs(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Images and their labels, in order of name."""
    files = {file for file in folder.rglob("*") if file.suffix.lower() == ".tif"}
    for image in sorted(files):
        beside = [image.with_name(f"{image.stem}{ending}{image.suffix}") for ending in _ENDINGS]
        across = [image.parent.parent / name / image.name for name in _FOLDERS if image.parent.name not in _FOLDERS]
        labels = next((file for file in (*beside, *across) if file in files), None)
        if labels:
            yield image, labels


def _split(path: Path) -> str:
    return next((part for part in path.parts[:-1] if part in SPLITS), "test")
