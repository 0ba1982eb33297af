"""Reading HLS v2.0 granules: integers, scale factors and fill values end here.

    with open_granule(granule) as reader:
        observation = reader.read(SIX, Window(row=0, col=0, height=512, width=512))

Paths, https:// and s3:// locations go the same way. Beyond this module reflectance is unitless float32, NaN where there
is no data. Bands are read side by side, one thread and one open file each.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ssc.bands import SIX, Band, Layer
from ssc.cogs import ANGLE_SCALE, SCALE, Cog
from ssc.errors import DataError, GridError, InputError
from ssc.gdal import MissingFileError
from ssc.granules import Granule
from ssc.observation import AngleGrid, Directions, Observation, TileFacts, Window
from ssc.tags import MEANS, Tags, cloud_cover, mean_angle, mean_direction, platform, sensed

PLAUSIBLE: Final = (-2000, 16000)
"""Digital numbers that are reflectance: below -0.2 HLS declares fill itself, snow reaches about 1.6. What lies outside
is no data: -9999 (the declared fill), -32768 (found in real files, undeclared) and garbage."""
ANGLE_STEP: Final = 16
"""Tile pixels per cell of the angle grids: the coarsest overview of an HLS file."""
HIGHEST_ANGLE: Final = 36_000
"""Largest digital number of an angle, 360 degrees; the fill is 40000."""

_STRIP: Final = 128
"""Rows scaled at a time, so that a strip stays in the processor's cache."""


class HlsReader:
    """Reads the pixels of one open granule; see `ssc.observation.Reader`. One thread at a time, a context manager."""

    granule: Granule
    facts: TileFacts

    def __init__(self, granule: Granule, threads: int, bands: tuple[Band, ...] = SIX) -> None:
        """Open Fmask and some bands, at least one; see `open_granule`."""
        self.granule = granule
        self._needed: tuple[Band | Layer, ...] = (*bands, Layer.FMASK)
        self._cogs: dict[Band | Layer, Cog] = {}
        with ExitStack() as opening:
            opening.callback(self._close_files)
            self._pool = opening.enter_context(ThreadPoolExecutor(threads, thread_name_prefix="hls"))
            self._open(self._needed)
            self.facts = self._read_facts()
            self._resources = opening.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Let all files go; twice does no harm."""
        self._resources.close()

    def read(self, bands: tuple[Band, ...] = SIX, window: Window | None = None) -> Observation:
        """Reflectance and Fmask of a window (None: the whole tile).

        Raises:
            InputError: The window reaches beyond the tile.
            BandError: The product has no such band.
            DataError: A file is missing, truncated or damaged; GridError: it lies on another grid.
            AccessError: A server refuses us.
            TransientError: The connection broke.
        """
        self._open(bands)
        window = self._inside(window)
        reflectance = np.empty((len(bands), window.height, window.width), np.float32)
        fmask = np.empty((window.height, window.width), np.uint8)
        outs = (*reflectance, fmask)
        list(self._pool.map(lambda layer, out: self._fill(layer, out, window), (*bands, Layer.FMASK), outs))
        return Observation(
            granule=self.granule, facts=self.facts, window=window, bands=bands, reflectance=reflectance, fmask=fmask
        )

    def angles(self) -> AngleGrid:
        """Sun and view directions over the tile; a missing layer is the tag's mean everywhere.

        Raises:
            DataError: A layer is damaged; GridError: it has another shape than the tile.
            AccessError: A server refuses us.
            TransientError: The connection broke.
        """
        layers = list(self._pool.map(self._angle_layer, MEANS))
        means = self.facts.directions
        constants = (means.sun_zenith, means.sun_azimuth, means.view_zenith, means.view_azimuth)
        shape = self._angle_shape()
        grids = [
            np.full(shape, constant, np.float32) if layer is None else layer
            for layer, constant in zip(layers, constants, strict=True)
        ]
        return AngleGrid(
            step=ANGLE_STEP, sun_zenith=grids[0], sun_azimuth=grids[1], view_zenith=grids[2], view_azimuth=grids[3]
        )

    def _open(self, layers: Iterable[Band | Layer]) -> None:
        """Open what is not open yet, and see that it lies on the grid of the rest."""
        new = [layer for layer in dict.fromkeys(layers) if layer not in self._cogs]
        list(self._pool.map(self._open_one, new))
        for layer in new:
            self._check_grid(self._cogs[layer])

    def _open_one(self, layer: Band | Layer) -> None:
        self._cogs[layer] = Cog(self.granule, layer)

    def _close_files(self) -> None:
        for cog in self._cogs.values():
            cog.close()

    def _check_grid(self, cog: Cog) -> None:
        grid, wanted = cog.geobox(), self._first.geobox()
        if grid != wanted:
            raise GridError(
                f"layers on different grids: {cog.which}: found {_described(grid)}, "
                f"wanted {_described(wanted)} as {self._first.file}"
            )

    def _inside(self, window: Window | None) -> Window:
        rows, cols = self._first.shape
        if window is None:
            return Window.whole((rows, cols))
        if window.row + window.height > rows or window.col + window.width > cols:
            raise InputError(
                f"window beyond the tile of {self.granule.name}: found {window}, wanted {rows} x {cols} px"
            )
        return window

    def _fill(self, layer: Band | Layer, out: NDArray[Any], window: Window) -> None:
        self._cogs[layer].read(out, window)
        if isinstance(layer, Band):
            to_reflectance(out)

    def _read_facts(self) -> TileFacts:
        # the first file that has a tag tells
        tags = ChainMap(*(dict(self._cogs[layer].tags()) for layer in self._needed))
        return TileFacts(
            geobox=self._first.geobox(),
            block=self._first.block,
            directions=self._directions(tags),
            sensed=sensed(tags, self.granule),
            platform=platform(tags, self.granule),
            cloud_cover=cloud_cover(tags),
        )

    def _directions(self, tags: Tags) -> Directions:
        """Mean directions from the tags, else from the angle layers."""
        means = {layer: mean_angle(tags, layer) for layer in MEANS}
        for layer in [layer for layer, mean in means.items() if math.isnan(mean)]:
            grid = self._angle_layer(layer)
            means[layer] = math.nan if grid is None else mean_direction(grid, layer)
        sun_zenith, sun_azimuth = means[Layer.SUN_ZENITH], means[Layer.SUN_AZIMUTH]
        if not 0 <= sun_zenith < 90 or math.isnan(sun_azimuth):
            raise DataError(
                f"no sun direction in {self.granule.name}: found zenith {sun_zenith}, azimuth {sun_azimuth}, "
                "wanted degrees in the tags MEAN_SUN_* or in the layers SZA and SAA"
            )
        return Directions(
            sun_zenith=sun_zenith,
            sun_azimuth=sun_azimuth,
            view_zenith=means[Layer.VIEW_ZENITH],
            view_azimuth=means[Layer.VIEW_AZIMUTH],
        )

    def _angle_layer(self, layer: Layer) -> NDArray[np.float32] | None:
        """(h, w) degrees of an angle layer, decimated; None when the granule came without it."""
        if layer not in self._cogs:
            try:
                self._open_one(layer)
            except MissingFileError:
                return None
        cog = self._cogs[layer]
        if cog.shape != self._first.shape:  # its georeference is not asked: on southern L30 tiles it is 10 000 km off
            raise GridError(
                f"angle layer of another shape: {cog.which}: found {cog.shape}, wanted {self._first.shape} "
                f"as {self._first.file}"
            )
        numbers = np.empty(self._angle_shape(), np.uint16)
        cog.read(numbers)
        return np.where(numbers <= HIGHEST_ANGLE, numbers * np.float32(ANGLE_SCALE), np.float32(np.nan))

    def _angle_shape(self) -> tuple[int, int]:
        rows, cols = self._first.shape
        return -(-rows // ANGLE_STEP), -(-cols // ANGLE_STEP)

    @property
    def _first(self) -> Cog:
        """The file whose grid the others must share."""
        return self._cogs[self._needed[0]]


def open_granule(granule: Granule, *, threads: int = 4, bands: tuple[Band, ...] = SIX) -> HlsReader:
    """Open the files of a granule and read their headers.

    Args:
        granule: With hrefs of `bands` and Fmask at least: local paths, https:// or s3://.
        threads: Files opened or read at a time.
        bands: Whose headers are read at once; other bands can be read too, if their files are there.

    Raises:
        DataError: A file is missing, broken or not what it claims; GridError: the files do not share a grid.
        AccessError: A server refuses us.
        TransientError: A server, or the way to it, is in trouble.
    """
    return HlsReader(granule, threads, bands)


def grid_of(granule: Granule) -> GeoBox:
    """The grid of a granule, from the header of one file.

    Raises:
        DataError, AccessError, TransientError: As `open_granule`.
    """
    cog = Cog(granule, SIX[0])
    try:
        return cog.geobox()
    finally:
        cog.close()


def to_reflectance(numbers: NDArray[np.float32]) -> None:
    """Turn (H, W) digital numbers into unitless reflectance in place, NaN where they are no reflectance."""
    lowest, highest = PLAUSIBLE
    for row in range(0, numbers.shape[0], _STRIP):
        strip = numbers[row : row + _STRIP]
        fill = (strip < lowest) | (strip > highest)
        strip *= np.float32(SCALE)
        strip[fill] = np.nan


def _described(grid: GeoBox) -> str:
    rows, cols = grid.shape
    return f"{rows} x {cols} px from ({grid.affine.c:.0f}, {grid.affine.f:.0f}) in {grid.crs}"
