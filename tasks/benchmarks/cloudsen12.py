"""CloudSEN12 and CloudSEN12+: Sentinel-2 patches of 5 or 20 km with expert labels (Aybar et al. 2022, 2024).

Only the high-quality labels are read (not scribbles, not unlabelled patches), of Level-1C. Three forms on disk:

    cloudsen12-l1c.0000.part.taco ...                       CloudSEN12+, Hugging Face tacofoundation/cloudsen12
    test/L1C_B2.dat ..., LABEL_manual_hq.dat, metadata.csv  CloudSEN12, Hugging Face csaybar/CloudSEN12-high
    ROI_0001/20190212T.../S2L1C.tif, labels/manual_hq.tif   CloudSEN12, GeoTIFF edition

The `.mlstac` edition is not read: take the TACO of the same data. Codes: 0 clear, 1 thick cloud, 2 thin cloud, 3 cloud
shadow, 99 not labelled. Digital numbers are reflectance x 10000, TOA (not surface reflectance), with a shift from
baseline 04.00 on (`toa.sentinel2_offset`; all patches are of 2018-2020).

Patches are 10 m; HLS and the maskers are 30 m. Blocks of 3 x 3 px become one: the mean of reflectance (no data if one
of the nine is, which also drops the zero padding of 509 to 512 px), and the commonest class (see `coarser_codes`).
B8A, B11 and B12 were 20 m before the set brought them to 10 m, so their mean is that of a 30 m square only nearly; what
is left over at the right and lower edge is dropped. HLS S30 also adjusts band passes and view angles: not done here.
Sources of the format: cards of both sets on Hugging Face, STAC items of cloudsen12/cloudsen12, tacoreader.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.bands import Product
from ssc.errors import DataError, InputError
from ssc.observation import Window
from tasks.benchmarks import tacos
from tasks.benchmarks.classes import NOTHING, Classes, check_codes, decode, meaning
from tasks.benchmarks.reading import Shape, existing, folder_of, raster_shape, read_codes, read_layers
from tasks.benchmarks.scenes import Pixels, Scene, SceneChips
from tasks.benchmarks.toa import FILL, sentinel2_offset, sentinel2_toa

NAME: Final = "cloudsen12"
STEP: Final = 3
"""Pixels of 10 m along a pixel of 30 m."""
MSI_SIX: Final = (2, 3, 4, 9, 12, 13)
"""Layers of SIX (B2 B3 B4 B8A B11 B12) among the thirteen of Level-1C, numbered from 1."""
DAT_SIX: Final = ("B2", "B3", "B4", "B8A", "B11", "B12")
PADDED: Final = {509: 512, 2000: 2048}
"""Size in a TACO by size before padding, px of 10 m."""
DAT_SIDE: Final = 512
CLEAR, THICK, THIN, SHADOW, UNLABELLED = 0, 1, 2, 3, 99
CLASSES: Final[Classes] = {
    CLEAR: meaning(),
    THICK: meaning(cloud=1),
    THIN: meaning(cloud=1),
    SHADOW: meaning(shadow=1),
    UNLABELLED: NOTHING,
}
SPLIT: Final = {"train": "train", "val": "val", "validation": "val", "test": "test"}
_TABLE: Final = ("tortilla:data_split", "roi_id", "label_type", "real_proj_shape")


@dataclass(frozen=True, slots=True, kw_only=True)
class TacoPatch:
    """A patch in a TACO; see `tasks.benchmarks.scenes.Scene`."""

    scene: str
    region: str
    split: str
    file: Path
    start: int
    """Byte of the file at which the pack of this patch begins."""
    fine: Shape
    """Size at 10 m."""
    offset: int

    @property
    def shape(self) -> Shape:
        """Rows and columns at 30 m."""
        return _coarse(self.fine)

    def read(self, window: Window) -> Pixels:
        """Pixels of a window; see `Scene`."""
        parts = tacos.gdal_names(self.file, self.start)
        if missing := {"s2l1c", "target"} - set(parts):
            raise DataError(f"{self.file}: patch {self.scene}: found {list(parts)}, wanted {sorted(missing)} too")
        return _read_rasters(parts["s2l1c"], parts["target"], window, self.fine, self.offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffPatch:
    """A patch of the GeoTIFF edition; see `tasks.benchmarks.scenes.Scene`."""

    scene: str
    region: str
    split: str
    image: Path
    labels: Path
    fine: Shape
    offset: int

    @property
    def shape(self) -> Shape:
        """Rows and columns at 30 m."""
        return _coarse(self.fine)

    def read(self, window: Window) -> Pixels:
        """Pixels of a window; see `Scene`."""
        return _read_rasters(self.image, self.labels, window, self.fine, self.offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatPatch:
    """A patch of the plain-array edition; see `tasks.benchmarks.scenes.Scene`."""

    scene: str
    region: str
    split: str
    folder: Path
    place: int
    count: int
    offset: int

    @property
    def shape(self) -> Shape:
        """Rows and columns at 30 m."""
        return _coarse((DAT_SIDE, DAT_SIDE))

    def read(self, window: Window) -> Pixels:
        """Pixels of a window; see `Scene`."""
        fine = _finer(window)
        digital = np.stack([self._array(f"L1C_{band}", np.int16)[fine.slices] for band in DAT_SIX])
        codes = np.array(self._array("LABEL_manual_hq", np.uint8)[fine.slices])
        return _made_coarse(digital, codes, self.offset, f"{self.folder}, patch {self.place}")

    def _array(self, name: str, dtype: type[np.generic]) -> NDArray[Any]:
        path = existing(self.folder / f"{name}.dat", self.scene)
        return _mapped(path, self.count, np.dtype(dtype).str)[self.place]


def open_cloudsen12(path: str | Path, *, size: int = 512) -> SceneChips:
    """Chips of a folder (or one .taco file) of CloudSEN12 or CloudSEN12+; sub-folders are searched.

    Chips are as large as the smallest patch allows: 170 px of 30 m, 169 in the GeoTIFF edition.

    Raises:
        InputError: Nothing there, or only the edition that is not read.
        DataError: No labelled patches in it, or a file that is not what it should be.
    """
    folder = folder_of(path, NAME)
    scenes: list[Scene] = [*_taco_patches(folder), *_dat_patches(folder), *_tiff_patches(folder)]
    if scenes:
        return SceneChips(scenes, source=NAME, product=Product.S30, size=size)
    wanted = "wanted *.taco, or LABEL_manual_hq.dat with metadata.csv, or ROI folders with labels/manual_hq.tif"
    if next(folder.rglob("*.mlstac"), None):
        raise InputError(f"benchmark {NAME}: found only .mlstac in {folder}, which is not read: {wanted}")
    raise DataError(f"benchmark {NAME}: found no patches with high-quality labels in {folder}, {wanted}")


def coarser_codes(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H/3, W/3) class codes of (H, W): the commonest of cloud (thick and thin as one), shadow and clear.

    Not labelled where five or more of the nine are not; on a tie cloud goes before shadow, shadow before clear.

    >>> coarser_codes(np.array([[1, 2, 1], [3, 3, 3], [0, 0, 99]], np.uint8)).tolist()
    [[1]]
    >>> coarser_codes(np.array([[1, 2, 1], [1, 99, 99], [99, 99, 99]], np.uint8)).tolist()
    [[99]]
    """
    blocks = _blocks(np.where(codes == THIN, THICK, codes)[None])[0]
    counts = np.stack([(blocks == code).sum(axis=(1, 3)) for code in (THICK, SHADOW, CLEAR)])
    commonest = np.array([THICK, SHADOW, CLEAR], np.uint8)[counts.argmax(axis=0)]
    return np.where(2 * counts.sum(axis=0) > STEP**2, commonest, np.uint8(UNLABELLED))


def _read_rasters(image: str | Path, labels: str | Path, window: Window, shape: Shape, offset: int) -> Pixels:
    fine = _finer(window)
    digital = read_layers(image, MSI_SIX, fine, shape=shape)
    codes = read_codes(labels, fine, shape=shape)
    return _made_coarse(digital, codes, offset, str(labels))


def _made_coarse(digital: NDArray[Any], codes: NDArray[np.uint8], offset: int, which: str) -> Pixels:
    codes = np.where((digital == FILL).any(axis=0), np.uint8(UNLABELLED), codes)  # padding may hold any code
    check_codes(codes, CLASSES, which)
    reflectance = _blocks(sentinel2_toa(digital, offset)).mean(axis=(2, 4), dtype=np.float32)
    return reflectance, decode(coarser_codes(codes), CLASSES, which)


def _blocks(layers: NDArray[Any]) -> NDArray[Any]:
    """(B, H/3, 3, W/3, 3) of (B, H, W)."""
    count, rows, cols = layers.shape
    return layers.reshape(count, rows // STEP, STEP, cols // STEP, STEP)


def _coarse(fine: Shape) -> Shape:
    return fine[0] // STEP, fine[1] // STEP


def _finer(window: Window) -> Window:
    """The same window in pixels of 10 m."""
    return Window(row=STEP * window.row, col=STEP * window.col, height=STEP * window.height, width=STEP * window.width)


def _taco_patches(folder: Path) -> Iterator[Scene]:
    for file in _files(folder, "*.taco"):
        table = tacos.read_table(file)
        if missing := [name for name in _TABLE if name not in table]:
            raise DataError(f"{file}: found a table without {missing}, wanted that of cloudsen12-l1c")
        for _, row in table[table["label_type"] == "high"].iterrows():
            name = str(row[tacos.ID])
            yield TacoPatch(
                scene=name,
                region=str(row["roi_id"]),
                split=_split(str(row["tortilla:data_split"]), file),
                file=file,
                start=int(row[tacos.PLACE]),
                fine=_padded(int(row["real_proj_shape"]), file),
                offset=sentinel2_offset(str(row.get("s2_id", name))),
            )


def _dat_patches(folder: Path) -> Iterator[Scene]:
    for labels in _files(folder, "LABEL_manual_hq.dat"):
        table = pd.read_csv(existing(labels.with_name("metadata.csv"), labels.parent.name), dtype=str)
        if "roi_id" not in table:
            raise DataError(f"{labels.parent}: found a metadata.csv without roi_id, wanted that of CloudSEN12-high")
        for place, row in enumerate(table.to_dict("records")):
            name = str(row.get("s2_id", row.get("s2_id_gee", place)))
            yield DatPatch(
                scene=f"{row['roi_id']}/{name}",
                region=str(row["roi_id"]),
                split=SPLIT.get(labels.parent.name, "test"),
                folder=labels.parent,
                place=place,
                count=len(table),
                offset=sentinel2_offset(name),
            )


def _tiff_patches(folder: Path) -> Iterator[Scene]:
    for labels in _files(folder, "manual_hq.tif"):
        patch = labels.parent.parent
        image = existing(patch / "S2L1C.tif", f"{patch.parent.name}/{patch.name}")
        yield TiffPatch(
            scene=f"{patch.parent.name}/{patch.name}",
            region=patch.parent.name,
            split=next((SPLIT[part] for part in patch.relative_to(folder).parts if part in SPLIT), "test"),
            image=image,
            labels=labels,
            fine=raster_shape(image),
            offset=sentinel2_offset(patch.name),
        )


def _files(folder: Path, pattern: str) -> Sequence[Path]:
    return [folder] if folder.is_file() and folder.match(pattern) else sorted(folder.rglob(pattern))


def _split(name: str, file: Path) -> str:
    if name not in SPLIT:
        raise DataError(f"{file}: found data_split {name!r}, wanted one of {' '.join(SPLIT)}")
    return SPLIT[name]


def _padded(side: int, file: Path) -> Shape:
    if side not in PADDED:
        raise DataError(f"{file}: found a patch of {side} px, wanted {' or '.join(map(str, PADDED))}")
    return PADDED[side], PADDED[side]


@lru_cache(maxsize=16)
def _mapped(path: Path, count: int, dtype: str) -> NDArray[Any]:
    """(count, 512, 512) of a plain array file."""
    wanted = count * DAT_SIDE**2 * np.dtype(dtype).itemsize
    if path.stat().st_size != wanted:
        raise DataError(
            f"{path}: found {path.stat().st_size} bytes, wanted {wanted} for {count} patches of metadata.csv"
        )
    return np.memmap(path, dtype, "r", shape=(count, DAT_SIDE, DAT_SIDE))
