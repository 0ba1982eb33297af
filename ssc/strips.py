"""Pixels along lines: strips of given width burnt into a grid, each pixel to one line."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from scipy.spatial import cKDTree

from ssc.lonlat import Geometries
from ssc.observation import Window

_STEP_M = 10.0
"""Spacing of the points that stand for a line when two compete for a pixel: 0.4 m wrong at most, one pixel off."""


class Painted(NamedTuple):
    """Pixels and the lines they belong to."""

    pixel: NDArray[np.int64]
    """(n,) row x columns of the grid + column."""
    line: NDArray[np.int64]
    """(n,) index of the line."""
    channel: NDArray[np.bool_]
    """(n,) True inside the line's channel, False in its search margin."""

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Painted:
        """The pixels at these places, or where True."""
        return Painted(self.pixel[index], self.line[index], self.channel[index])


def paint(lines: Geometries, width: NDArray[np.float64], search: NDArray[np.float64], tile: GeoBox) -> Painted:
    """Pixels whose centre lies in the search strip of a line, each once.

    A pixel in the strips of several lines goes to the nearest of them (the first, where two are as near).

    Args:
        lines: (n,) lines in the CRS of the tile.
        width: (n,) full widths of the channels, metres.
        search: (n,) full widths of the search strips, at least the widths.
        tile: A north-up grid.
    """
    wide, narrow = _strips(lines, search, tile), _strips(lines, width, tile)
    burnt = [_burn(outer, inner, tile) for outer, inner in zip(wide, narrow, strict=True)]
    pixel = np.concatenate([np.empty(0, np.int64), *(numbers for numbers, _ in burnt)])
    channel = np.concatenate([np.empty(0, bool), *(inside for _, inside in burnt)])
    line = np.repeat(np.arange(len(lines)), [len(numbers) for numbers, _ in burnt])
    return _nearest_only(Painted(pixel, line, channel), lines, tile)


def _nearest_only(painted: Painted, lines: Geometries, tile: GeoBox) -> Painted:
    pixel, owner, _ = painted
    _, inverse, count = np.unique(pixel, return_inverse=True, return_counts=True)
    contested = np.flatnonzero(count[inverse] > 1)
    distance = np.zeros(len(pixel))
    for line in np.unique(owner[contested]):
        mine = contested[owner[contested] == line]
        distance[mine] = _distances(lines[line], centres(pixel[mine], tile))
    order = np.lexsort((owner, distance, pixel))
    return painted.take(order[np.diff(pixel[order], prepend=-1) != 0])


def centres(pixel: NDArray[np.int64], tile: GeoBox) -> NDArray[np.float64]:
    """(n, 2) x, y of pixel centres in the tile's CRS."""
    row, col = np.divmod(pixel, tile.shape.x)
    grid = tile.affine
    return np.column_stack([grid.c + grid.a * (col + 0.5), grid.f + grid.e * (row + 0.5)])


def _strips(lines: Geometries, full_m: NDArray[np.float64], tile: GeoBox) -> Geometries:
    """Polygons along lines with flat ends: a reach chosen alone gets no half disc of its neighbours' water.

    Centrelines are chains of pixels that step in eighths of a turn; simplified by 5 % of the half width, their last
    segment shows where the river goes, and the flat end stands across it.
    """
    smooth = np.array([shapely.simplify(line, 0.025 * m) for line, m in zip(lines, full_m, strict=True)], dtype=object)
    nearby = shapely.clip_by_rect(smooth, *tile.boundingbox.buffered(full_m.max(initial=0.0)))
    return np.asarray(shapely.buffer(nearby, full_m / 2, cap_style="flat", quad_segs=16))


def _burn(outer: shapely.Polygon, inner: shapely.Polygon, tile: GeoBox) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Numbers of the pixels with their centre in outer, and True where it is in inner too."""
    box = _pixel_box(outer, tile)
    if box is None:
        return np.empty(0, np.int64), np.empty(0, bool)
    shapes = [(shape, value) for shape, value in ((outer, 1), (inner, 2)) if not shape.is_empty]
    grid = tile.affine
    corner = Affine(grid.a, 0, grid.c + grid.a * box.col, 0, grid.e, grid.f + grid.e * box.row)
    painted = rasterize(shapes, out_shape=(box.height, box.width), transform=corner, dtype=np.uint8)
    row, col = np.nonzero(painted)
    return (row + box.row) * tile.shape.x + col + box.col, painted[row, col] == 2


def _pixel_box(shape: shapely.Polygon, tile: GeoBox) -> Window | None:
    """The pixels of a tile under the bounding box of a polygon; None when it lies outside."""
    if shape.is_empty:
        return None
    west, south, east, north = shape.bounds
    grid = tile.affine  # north up, like every HLS tile
    cols = (np.array([west, east]) - grid.c) / grid.a
    rows = (np.array([north, south]) - grid.f) / grid.e
    rows = np.clip([np.floor(rows[0]), np.ceil(rows[1])], 0, tile.shape.y).astype(int)
    cols = np.clip([np.floor(cols[0]), np.ceil(cols[1])], 0, tile.shape.x).astype(int)
    height, width = int(rows[1] - rows[0]), int(cols[1] - cols[0])
    return Window(row=int(rows[0]), col=int(cols[0]), height=height, width=width) if height and width else None


def _distances(line: shapely.LineString, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    points = shapely.get_coordinates(shapely.segmentize(line, _STEP_M))
    return np.asarray(cKDTree(points).query(xy)[0])
