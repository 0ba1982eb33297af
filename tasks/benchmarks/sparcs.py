"""SPARCS: 80 Landsat 8 sub-scenes of 1000 x 1000 px with seven hand-drawn classes (Hughes & Kennedy 2019).

The only small set with cloud, shadow, water and snow at once. Both editions are read:

    USGS (doi 10.5066/F7FB5146, l8cloudmasks.zip)        Oregon State (sparcs_data_L8.zip)
    LC82290562014157LGN00_24_data.tif                    the same
    LC82290562014157LGN00_24_mtl.txt                     the same
    LC82290562014157LGN00_24_mask.png, colours           LC82290562014157LGN00_24_labels.tif, codes

`_data.tif` is Level-1 digital numbers in ten layers, OLI bands 1-7, 9, 10, 11 (no pan), `_mtl.txt` the metadata of the
whole scene. Inputs are made TOA reflectance, not surface reflectance. All chips are "test": there is no official split.
Sources of the format: readme.txt of the Oregon State zip; colours of the mask: eo4ai (ESA Phi-Lab), L8SPARCS80.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.packing import UNKNOWN
from ssc.bands import Product
from ssc.errors import DataError
from ssc.observation import Window
from tasks.benchmarks.classes import Classes, decode, meaning
from tasks.benchmarks.reading import Shape, existing, folder_of, raster_shape, read_codes, read_layers
from tasks.benchmarks.scenes import Pixels, SceneChips, path_row
from tasks.benchmarks.toa import read_mtl

NAME: Final = "sparcs"
OLI_SIX: Final = (2, 3, 4, 5, 6, 7)
"""OLI bands of SIX; in `_data.tif` they are the layers of the same numbers."""
CLASSES: Final[Classes] = {
    0: meaning(shadow=1, water=0),
    1: meaning(shadow=1, water=1, snow=0),
    2: meaning(water=1, snow=0),
    3: meaning(water=0, snow=1),
    4: meaning(water=0, snow=0),
    5: meaning(cloud=1),
    6: meaning(water=UNKNOWN, snow=0),  # flooded: plants in water, neither open water nor dry
}
"""Cloud shadow, cloud shadow over water, water, snow/ice, land, cloud, flooded."""
COLOURS: Final = {
    (0, 0, 0): 0,
    (0, 0, 128): 1,
    (0, 0, 255): 2,
    (0, 255, 255): 3,
    (128, 128, 128): 4,
    (255, 255, 255): 5,
    (128, 128, 0): 6,
}
"""Class code by colour of `_mask.png`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparcsScene:
    """One sub-scene; see `tasks.benchmarks.scenes.Scene`."""

    scene: str
    data: Path
    mtl: Path
    mask: Path
    shape: Shape
    split: str = "test"

    @property
    def region(self) -> str:
        """Path and row."""
        return path_row(self.scene)

    def read(self, window: Window) -> Pixels:
        """Pixels of a window; see `Scene`."""
        digital = read_layers(self.data, OLI_SIX, window, shape=self.shape)
        reflectance = read_mtl(self.mtl).reflectance(digital, OLI_SIX)
        return reflectance, decode(self._codes(window), CLASSES, str(self.mask))

    def _codes(self, window: Window) -> NDArray[np.uint8]:
        if self.mask.suffix == ".tif":
            return read_codes(self.mask, window, shape=self.shape)
        codes = _read_png(self.mask)
        if codes.shape != self.shape:
            raise DataError(f"{self.mask}: found {codes.shape} px, wanted {self.shape} as the image")
        return codes[window.slices]


def open_sparcs(path: str | Path, *, size: int = 512) -> SceneChips:
    """Chips of a folder of SPARCS; sub-folders are searched.

    Raises:
        InputError: No such folder.
        DataError: No scenes in it, or a scene lacks a file.
    """
    folder = folder_of(path, NAME)
    scenes = [_scene(data) for data in sorted(folder.rglob("*_data.tif"))]
    if not scenes:
        raise DataError(f"benchmark {NAME}: found no *_data.tif in {folder}, wanted the unpacked sub-scenes")
    return SceneChips(scenes, source=NAME, product=Product.L30, size=size)


def _scene(data: Path) -> SparcsScene:
    name = data.name.removesuffix("_data.tif")
    coded = data.with_name(f"{name}_labels.tif")
    return SparcsScene(
        scene=name,
        data=data,
        mtl=existing(data.with_name(f"{name}_mtl.txt"), name),
        mask=coded if coded.is_file() else existing(data.with_name(f"{name}_mask.png"), name),
        shape=raster_shape(data),
    )


def _read_png(path: Path) -> NDArray[np.uint8]:
    """Class codes of a mask in colours (true colour or palette) or in grey levels that are the codes."""
    try:
        with Image.open(path) as image:
            if image.mode == "L":
                return np.asarray(image)
            colours = np.asarray(image.convert("RGB")).astype(np.int32)
    except OSError as error:
        raise DataError(f"{path}: found {error}, wanted a readable PNG") from error
    packed = colours @ np.array([1 << 16, 1 << 8, 1])
    codes = np.full(packed.shape, UNKNOWN, np.uint8)
    for (red, green, blue), code in COLOURS.items():
        codes[packed == (red << 16) + (green << 8) + blue] = code
    if (codes == UNKNOWN).any():
        strange = tuple(colours[codes == UNKNOWN][0].tolist())
        raise DataError(f"{path}: found colour {strange}, wanted only {sorted(COLOURS)}")
    return codes
