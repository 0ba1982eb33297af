"""Relief that rivers could have made: a drainage tree first, then the heights such rivers carve.

1. Every cell of a coarse grid drains along its cheapest path through random ground to one outlet (a spanning tree, so
   the network is connected and free of loops). Large rivers enter at the border with the area they drained outside.
2. Steady-state stream power gives the slope at each cell, S = k A^-0.45 (Flint's law), k low in the plain and high in
   the mountains; heights follow by walking up the tree, so water never runs uphill.
3. Slopes steeper than the angle of repose fail (35 degrees).

Sources: Flint 1974, 10.1029/WR010i005p00969; Braun & Willett 2013, 10.1016/j.geomorph.2012.10.008 (tree order);
Rodriguez-Iturbe & Rinaldo 1997, Fractal River Basins (optimal channel networks).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra

from ssc.simulate.noise import Field, enlarge, fractal, smoothstep
from ssc.simulate.seeds import stream

PIXEL_M = 30.0
CELL_PX = 8
"""Drainage is solved on cells of 8 x 8 pixels (240 m); the channel itself is drawn at 30 m later."""
CELL_M = CELL_PX * PIXEL_M
OUTLET_M = 700.0
"""Height of the outlet, metres."""
CONCAVITY = 0.45
REPOSE = 0.7
"""Steepest stable hillslope, rise over run (35 degrees)."""
GORGE_CELLS = 6
"""Length of the last stretch before the outlet, where no tributary joins."""
LEAST_FALL_M = 0.001
"""From any cell to the next, metres."""

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drainage:
    """Which cell drains to which, on the coarse grid of the domain."""

    shape: tuple[int, int]
    receiver: NDArray[np.int32]
    """(cells,) flat index of the cell downstream; the outlet drains to itself."""
    upward: NDArray[np.int64]
    """(cells,) flat indices from the outlet upward: a cell comes after its receiver."""
    area_km2: NDArray[np.float64]
    """(cells,) drained area, inflow from outside the domain included."""
    height_m: NDArray[np.float64]
    """(cells,) metres; strictly higher than the receiver."""
    mountain: Field
    """(rows, cols) 0 plain ... 1 mountain."""

    @property
    def outlet(self) -> int:
        """Flat index of the outlet."""
        return int(self.upward[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Inflow:
    """A river that enters at the border of the domain."""

    turn: float
    """Where: share of the way round the border, 0 to 1, clockwise from the upper left."""
    area_km2: float
    """What it has drained before."""


def drain(shape: tuple[int, int], outlet_turn: float, inflows: list[Inflow], seed: int) -> Drainage:
    """Drainage tree and heights of a (rows, cols) grid of cells."""
    spine = _distance_to_spine(shape, outlet_turn, inflows[0].turn, stream(seed, "spine"))
    outlet = border_cell(shape, outlet_turn)
    cost = _ground(shape, spine, stream(seed, "ground")) * _gorge(shape, outlet)
    distance, receiver = dijkstra(_graph(cost), directed=False, indices=outlet, return_predecessors=True)
    receiver = np.asarray(receiver, dtype=np.int32)
    receiver[outlet] = outlet
    upward = np.argsort(distance, kind="stable")
    area = _accumulate(shape, receiver, upward, inflows)
    mountain = _mountain(shape, spine, stream(seed, "mountain"))
    height = _heights(shape, receiver, upward, area, mountain)
    return Drainage(shape=shape, receiver=receiver, upward=upward, area_km2=area, height_m=height, mountain=mountain)


def border_cell(shape: tuple[int, int], turn: float) -> int:
    """Flat index of a border cell, at a share of the way round, clockwise from the upper left."""
    rows, cols = shape
    side, along = divmod((turn % 1.0) * 4, 1.0)
    r, c = int(along * (rows - 1)), int(along * (cols - 1))
    row, col = [(0, c), (r, cols - 1), (rows - 1, cols - 1 - c), (rows - 1 - r, 0)][int(side)]
    return row * cols + col


def _distance_to_spine(shape: tuple[int, int], outlet: float, inlet: float, rng: np.random.Generator) -> Field:
    """Distance to the axis of the main valley as a share of the domain's extent; the axis passes near the centre."""
    rows, cols = shape
    ends = [np.array(divmod(border_cell(shape, turn), cols), dtype=float) for turn in (inlet, outlet)]
    centre = np.array([rows, cols]) * (0.5 + rng.uniform(-0.05, 0.05, 2))
    t = np.linspace(0, 1, 400)[:, None]
    control = 2 * centre - (ends[0] + ends[1]) / 2  # the quadratic Bezier curve through the centre at t = 1/2
    axis = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * control + t**2 * ends[1]
    off = np.ones(shape, dtype=bool)
    at = np.clip(axis.astype(int), 0, [rows - 1, cols - 1])
    off[at[:, 0], at[:, 1]] = False
    return np.asarray(ndimage.distance_transform_edt(off) / max(shape), dtype=np.float32)


def _ground(shape: tuple[int, int], spine: Field, rng: np.random.Generator) -> NDArray[np.float64]:
    """How hard it is for water to pass a cell: random, easier near the main valley, hard along the border."""
    cost = np.exp(1.3 * fractal(shape, rng, exponent=2.2)) * (0.25 + 3 * spine)
    frame = np.ones(shape, dtype=bool)
    frame[2:-2, 2:-2] = False
    return np.asarray(np.where(frame, 6 * cost, cost), dtype=np.float64)


def _gorge(shape: tuple[int, int], outlet: int) -> NDArray[np.float64]:
    """Walls about the outlet with one way through, so that all rivers have met before they leave."""
    row, col = divmod(outlet, shape[1])
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    wall = np.where(np.hypot(rows - row, cols - col) < GORGE_CELLS, 1e3, 1.0)
    inward = np.array([shape[0] / 2 - row, shape[1] / 2 - col])
    steps = np.arange(0, GORGE_CELLS + 1, 0.5)[:, None] * inward / np.linalg.norm(inward)
    way = (np.array([row, col]) + steps).round().astype(int)
    wall[way[:, 0], way[:, 1]] = 0.1
    return np.asarray(wall)


def _graph(cost: NDArray[np.float64]) -> sparse.csr_matrix:
    rows, cols = cost.shape
    index = np.arange(rows * cols).reshape(rows, cols)
    starts, ends, weights = [], [], []
    for dr, dc in _NEIGHBOURS:
        here = (slice(0, rows - dr), slice(max(-dc, 0), cols - max(dc, 0)))
        there = (slice(dr, rows), slice(max(dc, 0), cols - max(-dc, 0)))
        starts.append(index[here].ravel())
        ends.append(index[there].ravel())
        weights.append(((cost[here] + cost[there]) / 2 * np.hypot(dr, dc)).ravel())
    data, pair = np.concatenate(weights), (np.concatenate(starts), np.concatenate(ends))
    return sparse.csr_matrix((data, pair), shape=(rows * cols, rows * cols))


def _accumulate(
    shape: tuple[int, int], receiver: NDArray[np.int32], upward: NDArray[np.int64], inflows: list[Inflow]
) -> NDArray[np.float64]:
    area = [(CELL_M / 1000) ** 2] * len(upward)
    for inflow in inflows:
        area[border_cell(shape, inflow.turn)] += inflow.area_km2
    down = receiver.tolist()
    for cell in upward[:0:-1].tolist():
        area[down[cell]] += area[cell]
    return np.array(area)


def _mountain(shape: tuple[int, int], spine: Field, rng: np.random.Generator) -> Field:
    rugged = 0.12 * fractal(shape, rng, exponent=3.5) + spine
    return smoothstep(rugged, 0.08, 0.35)


def _heights(
    shape: tuple[int, int],
    receiver: NDArray[np.int32],
    upward: NDArray[np.int64],
    area: NDArray[np.float64],
    mountain: Field,
) -> NDArray[np.float64]:
    steepness = 0.012 + 0.16 * mountain.ravel().astype(float)
    slope = np.minimum(steepness * area**-CONCAVITY, REPOSE)
    row, col = np.divmod(np.arange(len(upward)), shape[1])
    run = CELL_M * np.hypot(row - row[receiver], col - col[receiver])
    rise, down = (slope * run).tolist(), receiver.tolist()
    height = [OUTLET_M] * len(rise)
    for cell in upward[1:].tolist():
        height[cell] = height[down[cell]] + rise[cell]
    return _settle(np.array(height).reshape(shape), receiver, upward)


def _settle(height: NDArray[np.float64], receiver: NDArray[np.int32], upward: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lower cells until no slope is too steep and no water runs uphill; each cure can hurt the other, so in turns."""
    while True:
        stable = _repose(height)
        drained = _breach(stable, receiver, upward)
        if np.array_equal(drained, stable):
            return drained.ravel()
        height = drained


def _breach(height: NDArray[np.float64], receiver: NDArray[np.int32], upward: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lower every cell to below what drains into it."""
    flat, down = height.ravel().tolist(), receiver.tolist()
    for cell in upward[:0:-1].tolist():
        flat[down[cell]] = min(flat[down[cell]], flat[cell] - LEAST_FALL_M)
    return np.array(flat).reshape(height.shape)


def _repose(height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower every cell to what its neighbours can hold: z <= z of neighbour + REPOSE x distance."""
    while True:
        before = height
        for dr, dc in _NEIGHBOURS:
            hold = REPOSE * CELL_M * np.hypot(dr, dc)
            for sign in (1, -1):
                height = np.minimum(height, _shifted(height, sign * dr, sign * dc) + hold)
        if np.array_equal(height, before):
            return height


def _shifted(height: NDArray[np.float64], dr: int, dc: int) -> NDArray[np.float64]:
    padded = np.pad(height, 1, mode="edge")
    return padded[1 + dr : 1 + dr + height.shape[0], 1 + dc : 1 + dc + height.shape[1]]


def surface(drainage: Drainage, shape: tuple[int, int], seed: int) -> Field:
    """Heights at 30 m before the rivers are cut in: smooth hillslopes with fractal detail, rougher where steeper."""
    coarse = ndimage.gaussian_filter(drainage.height_m.reshape(drainage.shape), 0.6)
    fine = enlarge(coarse.astype(np.float32), CELL_PX, shape, order=3)
    steep = np.hypot(*np.gradient(coarse, CELL_M)).astype(np.float32)
    rough = enlarge(1.5 + 60 * steep, CELL_PX, shape)
    return fine + rough * fractal(shape, stream(seed, "detail"), exponent=3.4, longest_px=40)
