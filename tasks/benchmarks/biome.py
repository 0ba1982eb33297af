"""L8 Biome: 96 whole Landsat 8 scenes of 2013-14, twelve per biome, with USGS masks (Foga et al. 2017).

Read as USGS packs it (doi 10.5066/F7251GDH), one folder per scene, and as TorchGeo repacks it:

    LC80420082013220LGN00/LC80420082013220LGN00_B2.TIF ... _B7.TIF        LC80420082013220LGN00.TIF, layers 1-11
                          LC80420082013220LGN00_MTL.txt                   LC80420082013220LGN00_MTL.txt
                          LC80420082013220LGN00_fixedmask.img + .hdr      LC80420082013220LGN00_fixedmask.TIF

Bands are Level-1 digital numbers, made TOA reflectance here (not surface reflectance). Mask codes: 0 fill, 64 cloud
shadow, 128 clear, 192 thin cloud, 255 cloud. Shadow was drawn in a part of the scenes only: a scene whose whole mask
knows no 64 says nothing about shadow, so its shadow labels are UNKNOWN. All chips are "test".
Sources of the format: USGS, Landsat 8 Cloud Cover Assessment Validation Data; TorchGeo, l8biome.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import rasterio

from models.packing import UNKNOWN
from ssc.bands import Product
from ssc.errors import DataError
from ssc.gdal import FAILURES
from ssc.masks import Mask
from ssc.observation import Window
from tasks.benchmarks.classes import USGS, decode
from tasks.benchmarks.reading import Shape, existing, folder_of, raster_shape, read_codes, read_layers
from tasks.benchmarks.scenes import Pixels, SceneChips, path_row
from tasks.benchmarks.toa import read_mtl

NAME: Final = "biome"
OLI_SIX: Final = (2, 3, 4, 5, 6, 7)
"""OLI bands of SIX."""
SHADOW: Final = 64
_MASKS: Final = {".img": "ENVI", ".tif": "GTiff"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BiomeScene:
    """One scene; see `tasks.benchmarks.scenes.Scene`."""

    scene: str
    layers: tuple[tuple[Path, int], ...]
    """File and layer of each of SIX."""
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
        digital = [read_layers(path, [layer], window, shape=self.shape)[0] for path, layer in self.layers]
        reflectance = read_mtl(self.mtl).reflectance(np.stack(digital), OLI_SIX)
        driver = _MASKS[self.mask.suffix.lower()]
        labels = decode(read_codes(self.mask, window, shape=self.shape, driver=driver), USGS, str(self.mask))
        if not _has_shadow(self.mask, driver):
            labels[Mask.CLOUD_SHADOW] = UNKNOWN
        return reflectance, labels


def open_biome(path: str | Path, *, size: int = 512) -> SceneChips:
    """Chips of a folder of L8 Biome scenes; sub-folders are searched.

    Raises:
        InputError: No such folder.
        DataError: No scenes in it, or a scene lacks a file.
    """
    folder = folder_of(path, NAME)
    masks = [file for file in sorted(folder.rglob("*_fixedmask.*")) if file.suffix.lower() in _MASKS]
    if not masks:
        raise DataError(f"benchmark {NAME}: found no *_fixedmask.img in {folder}, wanted the unpacked scenes")
    return SceneChips([_scene(mask) for mask in masks], source=NAME, product=Product.L30, size=size)


def _scene(mask: Path) -> BiomeScene:
    name = mask.stem.removesuffix("_fixedmask")
    if mask.suffix.lower() == ".img":
        existing(mask.with_suffix(".hdr"), name)
    layers = _layers(mask.parent, name)
    return BiomeScene(
        scene=name,
        layers=layers,
        mtl=existing(mask.with_name(f"{name}_MTL.txt"), name),
        mask=mask,
        shape=raster_shape(layers[0][0]),
    )


def _layers(folder: Path, name: str) -> tuple[tuple[Path, int], ...]:
    stacked = folder / f"{name}.TIF"
    if stacked.is_file():
        return tuple((stacked, band) for band in OLI_SIX)
    return tuple((existing(folder / f"{name}_B{band}.TIF", name), 1) for band in OLI_SIX)


@lru_cache(maxsize=128)
def _has_shadow(mask: Path, driver: str) -> bool:
    """Whether shadow was drawn in a scene at all; reads the mask strip by strip, once."""
    try:
        with rasterio.open(mask, driver=driver) as raster:
            return any(bool((raster.read(1, window=area) == SHADOW).any()) for _, area in raster.block_windows(1))
    except FAILURES as error:
        raise DataError(f"{mask}: found {error}, wanted a readable {driver} file") from error
