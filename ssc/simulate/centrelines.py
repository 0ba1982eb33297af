"""River centrelines: from stair-steps on the drainage grid to smooth, meandering lines with width and height.

Width follows discharge, w = 7.2 Q^0.5 (Andreadis et al. 2013, 10.1002/wrcr.20440; Moody & Troutman 2002,
10.1002/esp.403), discharge the drained area times a runoff of 0.012 m3/s per km2 (380 mm a year). Meanders have a
wavelength of 11 widths (Leopold & Wolman 1960, 10.1130/0016-7606(1960)71[769:RM]2.0.CO;2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ssc.simulate.seeds import stream
from ssc.simulate.terrain import CELL_M, PIXEL_M, Drainage

RUNOFF = 0.012
"""Mean specific discharge, m3 s-1 km-2."""
NARROWEST_M = 27.0
"""Rivers narrower than about one pixel stay undrawn (SWORD itself starts at 30 m)."""

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """One river between two junctions, points every 30 m from its downstream end up."""

    downstream: int
    """Index of the line it flows into; -1 at the outlet."""
    xy_m: Points
    """(n, 2) metres east and south of the domain's upper-left corner."""
    width_m: Points
    """(n,) bankfull width."""
    height_m: Points
    """(n,) height of the water, strictly rising upstream."""
    area_km2: Points
    """(n,) drained area."""
    curvature: Points
    """(n,) 1/m; positive where the river, followed upstream, turns to the right (clockwise)."""

    @property
    def length_m(self) -> float:
        """Along the line."""
        return float(arc(self.xy_m)[-1])

    @property
    def normal(self) -> Points:
        """(n, 2) unit vectors to the right of the upstream direction."""
        along = np.gradient(self.xy_m, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        return np.stack([-along[:, 1], along[:, 0]], axis=1)


def discharge(area_km2: Points) -> Points:
    """Mean discharge, m3/s.

    >>> float(discharge(np.array(10_000.0)))
    120.0
    """
    return RUNOFF * np.asarray(area_km2)


def width(area_km2: Points) -> Points:
    """Bankfull width, metres.

    >>> round(float(width(np.array(10_000.0))))
    79
    """
    return 7.2 * np.sqrt(discharge(area_km2))


def trace(drainage: Drainage, seed: int) -> list[Line]:
    """All rivers wide enough to see, downstream ones first."""
    paths = _paths(drainage)
    return [_line(drainage, cells, below, stream(seed, "line", n)) for n, (cells, below) in enumerate(paths)]


def arc(xy_m: Points) -> Points:
    """Distance along a line, metres."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy_m, axis=0).T))])


def _paths(drainage: Drainage) -> list[tuple[list[int], int]]:
    """(cells from the downstream end up, index of the path below) for each stretch between junctions."""
    river = width(drainage.area_km2) >= NARROWEST_M
    donors: dict[int, list[int]] = {}
    for cell in drainage.upward[1:].tolist():
        if river[cell]:
            donors.setdefault(int(drainage.receiver[cell]), []).append(cell)
    paths: list[tuple[list[int], int]] = []
    waiting = [([drainage.outlet], -1)]
    while waiting:
        cells, below = waiting.pop(0)
        while len(up := donors.get(cells[-1], [])) == 1:
            cells.append(up[0])
        # A head shorter than two cells is a stub at the border, not a river.
        if len(cells) < 2 or (not up and len(cells) < 3):
            continue
        waiting += [([cells[-1], start], len(paths)) for start in up]
        paths.append((cells, below))
    return paths


def _line(drainage: Drainage, cells: list[int], below: int, rng: np.random.Generator) -> Line:
    row, col = np.divmod(np.array(cells), drainage.shape[1])
    corners = np.stack([col + 0.5, row + 0.5], axis=1) * CELL_M
    area = drainage.area_km2[cells].copy()
    area[0] = area[1]  # the first cell is the junction, which already carries the other branch
    mean_width = float(np.median(width(area)))
    coarse = _resample(corners, PIXEL_M)
    xy = _smooth(coarse, max(1.3 * CELL_M, mean_width) / PIXEL_M)
    xy = _resample(_meander(xy, mean_width, rng), PIXEL_M)
    at, known = np.linspace(0, 1, len(xy)), np.linspace(0, 1, len(cells))
    height = np.interp(at, known, drainage.height_m[cells])
    area = np.interp(at, known, area)
    wobble = _smooth_noise(len(xy), 5 * mean_width / PIXEL_M, rng)
    return Line(
        downstream=below,
        xy_m=xy,
        width_m=width(area) * np.exp(0.16 * wobble),
        height_m=height,
        area_km2=area,
        curvature=_curvature(xy, mean_width / PIXEL_M),
    )


def _resample(xy: Points, step_m: float) -> Points:
    s = arc(xy)
    at = np.linspace(0, s[-1], max(round(float(s[-1]) / step_m), 2) + 1)
    return np.stack([np.interp(at, s, xy[:, 0]), np.interp(at, s, xy[:, 1])], axis=1)


def _smooth(xy: Points, sigma: float) -> Points:
    """Gaussian smoothing that keeps both ends: the line goes on, point-mirrored, beyond each end."""
    pad = min(len(xy) - 1, int(4 * sigma))
    longer = np.pad(xy, ((pad, pad), (0, 0)), mode="reflect", reflect_type="odd")
    smooth = ndimage.gaussian_filter1d(longer, min(sigma, pad / 3), axis=0)[pad : pad + len(xy)]
    smooth[0], smooth[-1] = xy[0], xy[-1]
    return smooth


def _meander(xy: Points, width_m: float, rng: np.random.Generator) -> Points:
    """Swing the line sideways by about a width, at wavelengths round 11 widths, not at its ends."""
    s = arc(xy)
    waves = 11 * width_m * rng.uniform(0.75, 1.6, 4)
    phase = rng.uniform(0, 2 * np.pi, 4)
    swing = np.sin(2 * np.pi * s[:, None] / waves + phase).sum(axis=1) / 2
    calm = np.clip(np.minimum(s, s[-1] - s) / (4 * width_m), 0, 1)
    along = np.gradient(xy, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    right = np.stack([-along[:, 1], along[:, 0]], axis=1)
    return xy + (0.9 * width_m * swing * calm**2)[:, None] * right


def _curvature(xy: Points, sigma: float) -> Points:
    along = np.unwrap(np.arctan2(*np.gradient(ndimage.gaussian_filter1d(xy, max(sigma, 1), axis=0), axis=0).T[::-1]))
    return np.asarray(np.gradient(along) / PIXEL_M)


def _smooth_noise(n: int, length: float, rng: np.random.Generator) -> Points:
    length = max(length, 1.0)
    noise = ndimage.gaussian_filter1d(rng.standard_normal(n + int(8 * length) + 1), length)[int(4 * length) :][:n]
    return np.asarray(noise * np.sqrt(2 * np.sqrt(np.pi) * length))  # white noise so filtered has this inverse sd
