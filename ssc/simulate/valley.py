"""Valleys: which river point a pixel belongs to, and the relief cut down to the river there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ssc.simulate.noise import Field, smoothstep
from ssc.simulate.rivers import Course
from ssc.simulate.terrain import CELL_M, CELL_PX, PIXEL_M

BANK_M = 2.0
"""Lowest land beside a river, metres above its water."""

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Valley:
    """Pixels near a river, each once, in the order of their flat index in the domain."""

    pixel: Index
    point: Index
    """Index of the river point whose bank is nearest."""
    distance_m: NDArray[np.float64]
    """To that point."""


def survey(course: Course, shape: tuple[int, int]) -> Valley:
    """Every pixel of a (rows, cols) domain within reach of a river (see `reach_of_valley`)."""
    found = list(_per_line(course, shape))
    pixel, point, distance = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((distance - course.width_m[point] / 2, pixel))
    first = order[np.r_[True, np.diff(pixel[order]) > 0]]
    return Valley(pixel=pixel[first], point=point[first], distance_m=distance[first])


def half_width(channel_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half width of the valley floor and its slopes for rivers of this width: four channels, at least 450 m."""
    return np.asarray(np.maximum(4 * channel_m, 450.0))


def carve(ground_m: Field, valley: Valley, course: Course) -> Field:
    """Cut the rivers into the ground: water in the channel, a low floodplain, then slopes up to the old ground."""
    width = course.width_m[valley.point]
    from_bank = (valley.distance_m - width / 2).astype(np.float32)
    share = np.asarray(from_bank / (half_width(width) - width / 2), dtype=np.float32)
    water = course.height_m[valley.point].astype(np.float32)
    old = ground_m.ravel()[valley.pixel]
    bank = np.where(from_bank > 0, BANK_M, 0).astype(np.float32)
    new = water + bank + np.maximum(old - water - bank, 0) * smoothstep(share, 0.1, 1.0)
    carved = ground_m.copy()
    carved.ravel()[valley.pixel] = np.where(from_bank > 0, new, water)
    return carved


def _per_line(course: Course, shape: tuple[int, int]) -> Iterator[tuple[Index, Index, NDArray[np.float64]]]:
    for number in range(int(course.line[-1]) + 1):
        points = np.flatnonzero(course.line == number)
        radius = float(half_width(np.median(course.width_m[points], keepdims=True))[0])
        tree = cKDTree(course.xy_m[points])
        pixel = _candidates(tree, course.xy_m[points], radius, shape)
        row, col = np.divmod(pixel, shape[1])
        centre = np.stack([col + 0.5, row + 0.5], axis=1) * PIXEL_M
        distance, nearest = tree.query(centre, distance_upper_bound=radius)
        near = np.isfinite(distance)
        yield pixel[near], points[nearest[near]], distance[near]


def _candidates(tree: cKDTree, xy_m: NDArray[np.float64], radius: float, shape: tuple[int, int]) -> Index:
    """Flat indices of the pixels of all coarse cells that a circle of this radius round a point could touch."""
    low = np.maximum((xy_m.min(axis=0) - radius) // CELL_M, 0).astype(int)
    limit = np.array([-(-shape[1] // CELL_PX), -(-shape[0] // CELL_PX)])
    high = np.minimum((xy_m.max(axis=0) + radius) // CELL_M + 1, limit).astype(int)
    cols, rows = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    cells = np.stack([cols.ravel(), rows.ravel()], axis=1)
    distance, _ = tree.query((cells + 0.5) * CELL_M, distance_upper_bound=radius + CELL_M)
    near = cells[np.isfinite(distance)] * CELL_PX
    within = np.arange(CELL_PX)
    row = (near[:, 1, None, None] + within[:, None]).repeat(CELL_PX, axis=2)
    col = (near[:, 0, None, None] + within[None, :]).repeat(CELL_PX, axis=1)
    inside = (row < shape[0]) & (col < shape[1])
    return np.asarray(row[inside] * shape[1] + col[inside])
