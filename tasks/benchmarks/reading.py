"""Windows of benchmark files, with failures that name the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window as RasterWindow

from ssc.errors import DataError, InputError
from ssc.gdal import FAILURES
from ssc.observation import Window

Shape = tuple[int, int]
"""(rows, columns)."""


def folder_of(path: str | Path, benchmark: str) -> Path:
    """The folder (or, where a benchmark is one file, the file) of a benchmark.

    Raises:
        InputError: Nothing there.
    """
    found = Path(path)
    if not found.exists():
        raise InputError(f"benchmark {benchmark}: found nothing at {path}, wanted the folder it was unpacked into")
    return found


def raster_shape(path: str | Path, *, driver: str = "GTiff") -> Shape:
    """Size of a raster.

    Raises:
        DataError: It cannot be opened.
    """
    try:
        with rasterio.open(path, driver=driver) as raster:
            return raster.shape
    except FAILURES as error:
        raise _unreadable(path, driver, error) from error


def read_layers(
    path: str | Path, layers: Sequence[int], window: Window, *, shape: Shape, driver: str = "GTiff"
) -> NDArray[Any]:
    """(layers, rows, columns) of a window, as stored.

    Args:
        path: The file, or a GDAL name of one.
        layers: Numbered from 1.
        window: Within the raster.
        shape: The raster's size must be this.
        driver: GDAL's name of the format; no other is tried.

    Raises:
        DataError: It cannot be opened or read, has another size, or too few layers.
    """
    area = RasterWindow(window.col, window.row, window.width, window.height)
    try:
        with rasterio.open(path, driver=driver) as raster:
            if raster.shape != shape:
                raise DataError(f"{path}: found {raster.shape} px, wanted {shape} as the rest of its scene")
            if raster.count < max(layers):
                raise DataError(f"{path}: found {raster.count} layers, wanted at least {max(layers)}")
            return np.asarray(raster.read(list(layers), window=area))
    except FAILURES as error:
        raise _unreadable(path, driver, error) from error


def read_codes(path: str | Path, window: Window, *, shape: Shape, driver: str = "GTiff") -> NDArray[np.uint8]:
    """(rows, columns) class codes of a window.

    Raises:
        DataError: As `read_layers`, or values that are no class codes (0-255).
    """
    codes = read_layers(path, [1], window, shape=shape, driver=driver)[0]
    if codes.size and not (codes.min() >= 0 and codes.max() <= 255 and np.all(codes == codes.astype(np.uint8))):
        raise DataError(f"{path}: found values {codes.min()} to {codes.max()}, wanted class codes 0 to 255")
    return codes.astype(np.uint8)


def existing(path: Path, scene: str) -> Path:
    """The path, if a file is there.

    Raises:
        DataError: Not there; the scene is named.
    """
    if not path.is_file():
        raise DataError(f"scene {scene}: found no {path.name} in {path.parent}, wanted it")
    return path


def _unreadable(path: str | Path, driver: str, error: Exception) -> DataError:
    return DataError(f"{path}: found {' '.join(str(error).split())[:200]}, wanted a readable {driver} file")
