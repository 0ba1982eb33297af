"""Where each pixel stands to its river: nearest centreline point, distance across, share of water, height.

Everything here is static; the water level of a day comes in with `water_share`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssc.simulate.noise import Field, fractal
from ssc.simulate.rivers import Course
from ssc.simulate.seeds import stream
from ssc.simulate.terrain import PIXEL_M
from ssc.simulate.valley import Index, Valley


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Channel:
    """Pixels in or beside a river (within 0.8 widths plus two pixels of the centreline), sorted by row, then column."""

    row: Index
    col: Index
    """(n,) on the grid the channel was cut to."""
    point: Index
    """(n,) index of the nearest point of `Course`, after subtracting half the width (wide rivers win)."""
    across_m: Field
    """(n,) signed distance from the centreline, positive to the right, upstream."""
    width_m: Field
    """(n,) bankfull width there."""
    bed: Field
    """(n,) depth of the bed as a share of the largest: 1 in the thalweg, 0 at the bank, lower on bars."""

    def cut(self, top: int, left: int, shape: tuple[int, int]) -> Channel:
        """The same pixels on a smaller grid whose first pixel is (top, left) of this one."""
        row, col = self.row - top, self.col - left
        inside = (row >= 0) & (col >= 0) & (row < shape[0]) & (col < shape[1])
        return Channel(
            row=row[inside],
            col=col[inside],
            point=self.point[inside],
            across_m=self.across_m[inside],
            width_m=self.width_m[inside],
            bed=self.bed[inside],
        )


def survey(course: Course, valley: Valley, shape: tuple[int, int], seed: int) -> Channel:
    """Channel pixels of a (rows, cols) domain."""
    width = course.width_m[valley.point]
    inside = valley.distance_m < 0.8 * width + 2 * PIXEL_M
    point, width = valley.point[inside], width[inside]
    row, col = np.divmod(valley.pixel[inside], shape[1])
    offset = np.stack([(col + 0.5) * PIXEL_M, (row + 0.5) * PIXEL_M], axis=1) - course.xy_m[point]
    across = np.copysign(valley.distance_m[inside], np.einsum("ij,ij->i", offset, course.right[point]))
    rough = fractal(shape, stream(seed, "bed"), exponent=2.6, longest_px=60, step=2)[row, col]
    return Channel(
        row=row,
        col=col,
        point=point,
        across_m=across.astype(np.float32),
        width_m=width.astype(np.float32),
        bed=_bed(2 * across / width, course.curvature[point] * width, rough).astype(np.float32),
    )


def water_share(channel: Channel, *, stage: float) -> Field:
    """(n,) share of each pixel under water, 0 to 1.

    Args:
        channel: Pixels and bed.
        stage: Discharge of the day over the mean. Width grows as its power 0.12 in the channel (Leopold & Maddock
            1953 found 0.26 at a station, banks lower; ours are steep), and bars dry out as it falls.
    """
    wet = channel.width_m * np.float32(np.clip(stage**0.12, 0.8, 1.3))
    share = _overlap(np.abs(channel.across_m), wet)
    dry_below = np.float32(np.clip(0.40 - 0.30 * stage, 0.0, 0.34))
    bars = np.clip((channel.bed - dry_below) / 0.08 + 0.5, 0, 1)
    wide = channel.width_m > 3 * PIXEL_M  # narrower channels have no bars that 30 m could show
    return np.where(wide, share * bars, share).astype(np.float32)


def _overlap(distance: Field, width: Field) -> Field:
    """Share of a pixel at this distance from the centreline that lies inside a band of this width."""
    half, reach = width / 2, np.float32(PIXEL_M / 2)
    covered = np.minimum(half, distance + reach) - np.maximum(-half, distance - reach)
    return np.asarray(np.clip(covered / np.float32(PIXEL_M), 0, 1), dtype=np.float32)


def _bed(x: NDArray[np.float64], bend: NDArray[np.float64], rough: Field) -> NDArray[np.float64]:
    """Depth across a channel, x from -1 (left bank) to 1: deepest near the outer bank, a point bar at the inner one."""
    lean = np.clip(-2.5 * bend, -0.6, 0.6)  # a right turn has its outer bank to the left
    side = np.where(x < lean, 1 + lean, 1 - lean)
    depth = 1 - ((x - lean) / side) ** 2
    return np.maximum(depth, 0) ** 0.7 + 0.22 * np.minimum(rough, 1.0) * (depth > 0)
