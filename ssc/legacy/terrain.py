"""Shadow that terrain casts: one sweep from the sunward edge of the elevation model to the far one.

Walk away from the sun, one line of pixels at a time. Each line inherits from the line before it, where its rays come
from, the height up to which the sun is blocked, lowered by what the beam drops on the way:

    blocked(p) = max(z(q), blocked(q)) - step tan(elevation),   q = p + one step toward the sun
    shadow(p)  = blocked(p) > z(p)

A step is one whole pixel along the axis nearer to the sun's azimuth and a fraction along the other, where the two
neighbours are interpolated linearly. O(pixels) whatever the relief, against O(pixels x shadow length) of a march along
every ray; the interpolation softens the tip of a ridge a little. Self-shadow (a slope steeper than the sun, turned
away) comes out by itself.

Azimuths are clockwise from GRID north; sun tags refer to true north (`sun.grid_azimuth`). Rows grow southward.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ssc.errors import InputError

_OPEN: Final = -1e9
"""Height, m, that blocks nothing: outside the raster and where there is no data. Finite, as 0 x inf would be NaN."""
_TIE_M: Final = 1e-9
"""A beam that just touches a crest passes; without this a wall under a sun at 45 degrees gains a pixel by rounding."""
MAX_MARGIN_PX: Final = 500
"""15 km of 30 m pixels: the shadow of 3.7 km of relief under the lowest sun HLS observes (zenith 76 degrees)."""


def cast_shadow(
    dem_m: NDArray[np.number], pixel_m: float, sun_zenith_deg: float, sun_azimuth_deg: float
) -> NDArray[np.bool_]:
    """Where terrain hides the sun.

    Args:
        dem_m: (H, W) elevation, m, rows southward. NaN neither casts shadow nor lies in it. What is outside casts
            none, so give a margin toward the sun (`margin_px`).
        pixel_m: Side of the square pixels, m.
        sun_zenith_deg: Sun zenith angle, degrees, 0 to below 90.
        sun_azimuth_deg: Sun azimuth, degrees clockwise from grid north, any turn.

    Returns:
        (H, W), True = in shadow.

    Raises:
        InputError: The elevation is not two-dimensional, the pixel has no size, or the sun is not above the horizon.

    >>> cast_shadow(np.array([[0, 0, 0, 0, 0, 95, 0, 0]]), 30, 45, 90).astype(int)
    array([[0, 0, 1, 1, 1, 0, 0, 0]])
    """
    dem = np.asarray(dem_m)
    _check(dem, pixel_m, sun_zenith_deg, sun_azimuth_deg)
    quarters, off_axis_deg = _split(sun_azimuth_deg)
    off_axis = math.radians(abs(off_axis_deg))
    sideways = round(math.tan(off_axis), 12)  # exactly 1 on the diagonal
    # At zenith 0 the drop is infinite; a ten-thousandth of a degree short of it the longest shadow is 1 cm.
    drop_m = pixel_m / math.cos(off_axis) / math.tan(math.radians(max(sun_zenith_deg, 1e-4)))

    shadow = np.zeros(dem.shape, bool)
    lines, marks = (np.rot90(array, quarters) for array in (dem, shadow))  # views: the sun now stands over the top row
    if off_axis_deg < 0:
        lines, marks = np.fliplr(lines), np.fliplr(marks)  # and to the right of the column's axis
    _sweep(lines, marks, sideways, drop_m)
    return shadow


def _check(dem: NDArray[np.number], pixel_m: float, zenith_deg: float, azimuth_deg: float) -> None:
    if dem.ndim != 2:
        raise InputError(f"not an elevation raster: found shape {dem.shape}, wanted (rows, cols)")
    if not (math.isfinite(pixel_m) and pixel_m > 0):
        raise InputError(f"pixel size of the elevation raster: found {pixel_m}, wanted metres above 0")
    if not (0 <= zenith_deg < 90 and math.isfinite(azimuth_deg)):
        raise InputError(
            f"sun position for terrain shadow: found zenith {zenith_deg}, azimuth {azimuth_deg}, wanted zenith 0 to "
            "below 90 and a finite azimuth, degrees"
        )


def _split(azimuth_deg: float) -> tuple[int, float]:
    """Nearest axis in quarter turns from north, and the azimuth's offset from it, -45 to 45 degrees.

    Offsets are rounded so that 168.4 and 78.4 give the same to the last bit: turned terrain, equally turned shadow.
    """
    quarters = round(azimuth_deg / 90)
    return quarters % 4, round(azimuth_deg - 90 * quarters, 9)


def _sweep(lines: NDArray[np.number], marks: NDArray[np.bool_], sideways: float, drop_m: float) -> None:
    """Mark shadow in place. The sun is beyond row 0; a ray comes from `sideways` (0..1) columns to the right."""
    height = np.empty(lines.shape[1])
    blocked = np.full_like(height, _OPEN)
    for line, mark in zip(lines, marks, strict=True):
        height[:] = line
        np.greater(blocked, height + _TIE_M, out=mark)  # False where the height is NaN
        crest = np.fmax(height, blocked)  # NaN hides nothing: what comes from behind passes
        blocked = (1 - sideways) * crest - drop_m
        blocked[:-1] += sideways * crest[1:]
        if sideways and blocked.size:
            blocked[-1] = _OPEN


def margin_px(relief_m: float, pixel_m: float, sun_zenith_deg: float) -> int:
    """Pixels of terrain needed beyond a raster toward the sun, at most 500: the longest shadow the relief can cast.

    >>> margin_px(3000, 30, 76), margin_px(3000, 30, 80)
    (402, 500)
    """
    length_m = max(relief_m, 0.0) * math.tan(math.radians(sun_zenith_deg))
    return min(math.ceil(length_m / pixel_m), MAX_MARGIN_PX)
