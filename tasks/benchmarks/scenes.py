"""Benchmark scenes of any size as chips of one size.

A scene is cut into squares that touch; the last of a row or column is moved inward so that it lies within the scene,
and what it shares with its neighbour is labelled UNKNOWN there: every pixel has its context and counts once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.chips import SPLITS, Chip
from models.packing import UNKNOWN
from ssc.bands import SIX, Band, Product
from ssc.errors import DataError, InputError
from ssc.observation import Window
from tasks.benchmarks.reading import Shape

Pixels = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""(6, H, W) TOA reflectance in the order of SIX, NaN = no data; (5, H, W) labels in the order of `Mask`."""

_LANDSAT: Final = re.compile(r"L[COET](?:0\d_L\d[A-Z]{2}_|\d)(\d{3})(\d{3})")


class Scene(Protocol):
    """One labelled image."""

    @property
    def scene(self) -> str:
        """Id of the image it is or was cut from: what a bootstrap draws."""
        ...

    @property
    def region(self) -> str:
        """Path and row, or ROI."""
        ...

    @property
    def split(self) -> str:
        """One of `models.chips.SPLITS`."""
        ...

    @property
    def shape(self) -> Shape:
        """Rows and columns at 30 m."""
        ...

    def read(self, window: Window) -> Pixels:
        """Pixels of a window.

        Raises:
            DataError: A file is missing, broken, of another size, or holds unknown class codes.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Cut:
    """A square of a scene, and from which of its rows and columns on the pixels are its own."""

    scene: int
    row: int
    col: int
    own_row: int
    own_col: int


class SceneChips:
    """Chips of scenes: see `models.chips.Chips`."""

    def __init__(self, scenes: Sequence[Scene], *, source: str, product: Product, size: int = 512) -> None:
        """Cut scenes into chips.

        Args:
            scenes: In the order wanted.
            source: Name of the benchmark.
            product: The nearer of the two.
            size: Pixels per side wanted; `self.size` is less where the smallest scene is.

        Raises:
            InputError: A size below 1.
            DataError: No scenes.
        """
        if size < 1:
            raise InputError(f"chips of {size} px: wanted at least 1")
        if not scenes:
            raise DataError(f"benchmark {source}: found no scenes, wanted at least one")
        self.bands: tuple[Band, ...] = SIX
        self.source, self.product, self.scenes = source, product, tuple(scenes)
        self.size = min(size, *(min(scene.shape) for scene in scenes))
        self._cuts = [cut for place, scene in enumerate(scenes) for cut in _cuts(place, scene.shape, self.size)]
        self.index = self._table()

    def __len__(self) -> int:
        return len(self._cuts)

    def __getitem__(self, place: int, /) -> Chip:
        cut = self._cuts[place]
        scene = self.scenes[cut.scene]
        reflectance, labels = scene.read(Window(row=cut.row, col=cut.col, height=self.size, width=self.size))
        labels[:, : cut.own_row] = UNKNOWN
        labels[:, :, : cut.own_col] = UNKNOWN
        labels[:, np.isnan(reflectance).any(axis=0)] = UNKNOWN
        return Chip(
            bands=self.bands,
            reflectance=reflectance,
            labels=labels,
            product=self.product,
            source=self.source,
            region=scene.region,
            scene=scene.scene,
        )

    def split(self, name: str) -> SceneChips:
        """The chips of one split.

        Raises:
            InputError: No such split.
            DataError: The benchmark has no scenes in it.
        """
        if name not in SPLITS:
            raise InputError(f"no split {name!r}: wanted one of {' '.join(SPLITS)}")
        chosen = [scene for scene in self.scenes if scene.split == name]
        return SceneChips(chosen, source=self.source, product=self.product, size=self.size)

    def _table(self) -> pd.DataFrame:
        lines = [(self.scenes[cut.scene], cut) for cut in self._cuts]
        return pd.DataFrame(
            {
                "source": self.source,
                "product": self.product.value,
                "region": [scene.region for scene, _ in lines],
                "scene": [scene.scene for scene, _ in lines],
                "split": [scene.split for scene, _ in lines],
                "simulated": False,
                "row": [cut.row for _, cut in lines],
                "col": [cut.col for _, cut in lines],
            }
        )


def path_row(name: str) -> str:
    """Path and row in a Landsat scene id of any collection; the name itself where there is none.

    >>> path_row("LC82290562014157LGN00_24"), path_row("LC08_L1TP_223077_20140204_20170426_01_T1")
    ('229/056', '223/077')
    """
    found = _LANDSAT.search(name)
    return f"{found[1]}/{found[2]}" if found else name


def _cuts(scene: int, shape: Shape, size: int) -> list[_Cut]:
    return [
        _Cut(scene, row, col, own_row, own_col)
        for row, own_row in _starts(shape[0], size)
        for col, own_col in _starts(shape[1], size)
    ]


def _starts(length: int, size: int) -> list[tuple[int, int]]:
    """Where squares start along a side, and how much of each belongs to the one before.

    >>> _starts(1000, 512)
    [(0, 0), (488, 24)]
    """
    wished = [number * size for number in range(math.ceil(length / size))]
    return [(min(start, length - size), start - min(start, length - size)) for start in wished]
