"""Files of the published data set: .npz archives of plain arrays, whatever their names say. Nothing is unpickled."""

from __future__ import annotations

import re
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from models.packing import UNKNOWN
from ssc.bands import SIX, Product
from ssc.errors import DataError, InputError
from ssc.legacy.fmask import FILL
from ssc.rasters import to_reflectance
from tasks.chips.pickled_text import texts_of

_FMASK: Final = ("fmask_data", "fmask")
"""As the files have it, as their README has it."""
_PREFIX_PARTS: Final = 6
"""Parts of a listed path that belong to the authors' machine."""
_REGION = re.compile(r"b\d+")
_SATELLITE = re.compile(r"(?<![A-Za-z0-9])(L30|S30|L[89]|S2[ABC])(?![A-Za-z0-9])")
_DAMAGED: Final = (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged archive raises."""


def listed_paths(path: Path) -> tuple[PurePosixPath, ...]:
    """Paths of samples below the root, `b069/<sample>.npy`, from a list of a split.

    Raises:
        InputError: No such file.
        DataError: Damaged, or not a list of such paths.
    """
    if not path.is_file():
        raise InputError(f"no such list: {path}: wanted the root folder, with train.npy, val.npy and test.npy")
    with ExitStack() as files:
        archive = _archive(path, files)
        try:
            texts = _texts(archive)
        except (*_DAMAGED, KeyError) as error:
            raise DataError(f"no list of paths: {path}: found {error}, wanted texts under the key fps") from error
        except DataError as error:
            raise DataError(f"no list of paths: {path}: {error}.\n{_advice(path)}") from error
    return tuple(_inner_path(text, path) for text in texts)


def product_in(text: str) -> Product | None:
    """The product of the satellite that a text names, if it names one.

    >>> product_in("T15SXR_20230901_S2A"), product_in("L8"), product_in("T15SXR")
    (<Product.S30: 'S30'>, <Product.L30: 'L30'>, None)
    """
    found = _SATELLITE.search(text.replace("_", " "))
    return None if found is None else Product.L30 if found[1].startswith("L") else Product.S30


class Sample:
    """One open sample; a context manager."""

    def __init__(self, path: Path) -> None:
        """Open a sample and read its table of contents.

        Raises:
            DataError: Missing or damaged, or no archive.
        """
        self.path = path
        with ExitStack() as opening:
            self._archive = _archive(path, opening)
            self._files = opening.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._files.close()

    def features(self) -> NDArray[np.float32]:
        """(6, H, W) reflectance, unitless, NaN where there is no data."""
        numbers = self._array("features")
        if numbers.dtype != np.int16 or numbers.ndim != 3 or numbers.shape[2] != len(SIX):
            raise self._odd("features", f"{numbers.dtype} {numbers.shape}", "int16 (H, W, 6)")
        reflectance = np.ascontiguousarray(numbers.transpose(2, 0, 1), np.float32)
        for band in reflectance:
            to_reflectance(band)
        return reflectance

    def mask(self, key: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """(H, W) of 0, 1 and 255 = unknown."""
        values = self._layer(key, shape)
        if not np.isin(values, (0, 1, UNKNOWN)).all():
            raise self._odd(key, f"values {np.unique(values)[:8]}", "0 and 1, or 255 for unknown")
        return values.astype(np.uint8)

    def fmask(self, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """(H, W) HLS Fmask bit field, 255 = no data; None when the sample came without it."""
        key = next((key for key in _FMASK if key in self._archive.files), None)
        if key is None:
            return None
        values = self._layer(key, shape)
        if ((values < 0) | (values > FILL)).any():
            raise self._odd(key, f"values {values.min()} to {values.max()}", "0 to 255")
        return values.astype(np.uint8)

    def product(self) -> Product:
        """By the satellite the sample names."""
        text = str(self._array("opera_sat"))
        product = product_in(text)
        if product is None:
            raise self._odd("opera_sat", repr(text[:40]), "L8, L9, S2A, S2B or S2C")
        return product

    def _layer(self, key: str, shape: tuple[int, ...]) -> NDArray[Any]:
        values = self._array(key)
        if values.dtype.kind not in "iub" or values.shape != shape:
            raise self._odd(key, f"{values.dtype} {values.shape}", f"integers {shape} as features")
        return values

    def _array(self, key: str) -> NDArray[Any]:
        if key not in self._archive.files:
            raise self._odd(key, f"none, but {' '.join(self._archive.files) or 'nothing'}", "such an array")
        try:
            return self._archive[key]
        except _DAMAGED as error:
            raise self._odd(key, f"damage ({error})", "a plain array (download the file again)") from error

    def _odd(self, key: str, found: str, wanted: str) -> DataError:
        return DataError(f"odd sample {self.path}: {key}: found {found}, wanted {wanted}")


def _archive(path: Path, files: ExitStack) -> NpzFile[Any]:
    """An open archive, to be closed with `files`: NumPy leaves a file open that it finds to be damaged.

    Raises:
        DataError: Missing or damaged, or no archive.
    """
    try:
        archive = np.load(files.enter_context(path.open("rb")), allow_pickle=False)
    except _DAMAGED as error:
        raise DataError(f"no sample or list: {path}: found {error}, wanted an .npz archive") from error
    if not isinstance(archive, NpzFile):
        raise DataError(f"no sample or list: {path}: found a single array {archive.shape}, wanted an .npz archive")
    return files.enter_context(archive)


def _texts(archive: NpzFile[Any]) -> list[str]:
    """The texts under `fps`, written plainly or pickled.

    Raises:
        DataError: No list of texts; also all that is in _DAMAGED, and KeyError.
    """
    with archive.zip.open("fps.npy") as member:  # type: ignore[union-attr]  # None once closed
        version = npy.read_magic(member)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(member)
        if dtype.kind not in "UO" or len(shape) != 1:
            raise DataError(f"found {dtype} {shape}, wanted texts (n,)")
        return texts_of(member.read(), shape[0]) if dtype.kind == "O" else archive["fps"].tolist()


def _advice(path: Path) -> str:
    return (
        "If you trust it, which lets it run any program on this machine, convert it once: python -c "
        f"\"import numpy as n; f=n.load('{path}',allow_pickle=True)['fps']; "
        f"n.savez(open('{path}','wb'),fps=n.array(list(f),str))\""
    )


def _inner_path(text: str, listed_in: Path) -> PurePosixPath:
    """The path below the root, of a listed path that begins on another machine.

    Raises:
        DataError: It has no folder of a region, or leads out of it.
    """
    parts = text.split("/")
    inner = parts[_PREFIX_PARTS:]
    if not (inner and _REGION.fullmatch(inner[0])):
        starts = [place for place, part in enumerate(parts) if _REGION.fullmatch(part)]
        inner = parts[starts[-1] :] if starts else []
    if len(inner) < 2 or ".." in inner:
        raise DataError(f"odd path in {listed_in}: found {text[:120]!r}, wanted .../b<number>/<sample>.npy")
    return PurePosixPath(*inner)
