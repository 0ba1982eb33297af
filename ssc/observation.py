"""What one granule shows in one window: reflectance, Fmask and the directions of sun and view, on one grid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ssc.bands import Band
from ssc.errors import BandError
from ssc.granules import Granule


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A rectangle of pixels of a tile; rows grow southward."""

    row: int
    col: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.row < 0 or self.col < 0 or self.height < 1 or self.width < 1:
            raise ValueError(f"not a window inside a tile: {self}")

    @property
    def slices(self) -> tuple[slice, slice]:
        """(rows, cols), to index a (H, W) array or a GeoBox of the tile."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Window:
        """The window that is the whole (rows, cols) tile."""
        return cls(row=0, col=0, height=shape[0], width=shape[1])

    def padded(self, halo: int, shape: tuple[int, int]) -> Window:
        """Grown by `halo` px on each side, but not beyond the (rows, cols) tile."""
        top, left = max(self.row - halo, 0), max(self.col - halo, 0)
        bottom = min(self.row + self.height + halo, shape[0])
        right = min(self.col + self.width + halo, shape[1])
        return Window(row=top, col=left, height=bottom - top, width=right - left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directions:
    """Mean directions of sun and view over the valid pixels of a tile, degrees; azimuths clockwise from true north."""

    sun_zenith: float
    sun_azimuth: float
    view_zenith: float
    """NaN where the granule does not tell."""
    view_azimuth: float
    """NaN where the granule does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AngleGrid:
    """Sun and view directions over a tile, decimated (they vary smoothly); degrees, NaN where there is no data."""

    step: int
    """Tile pixels per grid cell: value of pixel (row, col) is grid[row // step, col // step]."""
    sun_zenith: NDArray[np.float32]
    """(h, w) degrees, 0-90."""
    sun_azimuth: NDArray[np.float32]
    """(h, w) degrees clockwise from true north, 0-360."""
    view_zenith: NDArray[np.float32]
    view_azimuth: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileFacts:
    """What the headers of a granule's files tell, before any pixel is read."""

    geobox: GeoBox
    """The full grid of the files. Its CRS is always EPSG:326zz (HLS is UTM north, southern tiles have negative
    northing), whatever the WKT in the file says."""
    block: tuple[int, int]
    """(rows, cols) of one compressed block."""
    directions: Directions
    """From the tags, else the mean of the angle layers."""
    sensed: datetime
    """Aware UTC: mean of the SENSING_TIME tag (when the tile was seen), else the time in the name."""
    platform: str
    """"L8", "L9", "S2A", "S2B", "S2C"; "L30" or "S30" when the tags do not say."""
    cloud_cover: float
    """The cloud_coverage tag, percent 0-100; NaN when absent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """One window of one granule, ready for science: reflectance unitless float32, NaN where there is no data."""

    granule: Granule
    facts: TileFacts
    window: Window
    bands: tuple[Band, ...]
    reflectance: NDArray[np.float32]
    """(B, H, W) in the order of `bands`; unitless, about -0.2 to 1.6; NaN where there is no data."""
    fmask: NDArray[np.uint8]
    """(H, W) HLS Fmask bit field; 255 = no data."""

    @property
    def geobox(self) -> GeoBox:
        """Grid of the window."""
        return self.facts.geobox[self.window.slices]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(H, W), True where every band and Fmask hold data (fill in one band makes a pixel invalid)."""
        return np.isfinite(self.reflectance).all(axis=0) & (self.fmask != 255)

    def band(self, band: Band) -> NDArray[np.float32]:
        """(H, W) reflectance of one band.

        Raises:
            BandError: The band was not read.
        """
        if band not in self.bands:
            raise BandError(f"band {band.value} not read from {self.granule.name}: read {' '.join(self.bands)}")
        return self.reflectance[self.bands.index(band)]


class Reader(Protocol):
    """Reads the pixels of one open granule. One thread at a time; use as a context manager."""

    granule: Granule
    facts: TileFacts

    def read(self, bands: tuple[Band, ...], window: Window | None = None) -> Observation:
        """Reflectance and Fmask of a window (None: the whole tile)."""
        ...

    def angles(self) -> AngleGrid:
        """Sun and view directions over the tile."""
        ...
