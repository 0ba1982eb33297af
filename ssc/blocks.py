"""Windows for sparse reading: few rectangles of compressed blocks that hold all wanted pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssc.observation import Window

MOST = 0.5
"""Read the whole tile when windows with their halo would touch more than this share of its blocks."""

_LEAST = 64
"""Blocks of fewer rows or columns (strips of 4 rows) are grouped to at least this many."""

Cells = tuple[int, int, int, int]
"""Top, left, bottom, right of a rectangle of blocks; bottom and right are the first ones outside."""


def cover(
    row: NDArray[np.int32], col: NDArray[np.int32], shape: tuple[int, int], block: tuple[int, int], halo: int
) -> list[Window]:
    """Disjoint windows, snapped to blocks, that hold every pixel (row, col) of a tile of (rows, cols).

    To read `core.padded(halo, shape)` of each is enough for a masker that looks `halo` pixels around. No pixels, no
    windows.
    """
    if row.size == 0:
        return []
    grid = _Grid.of(shape, block, halo)
    wanted = np.zeros(grid.cells, dtype=bool)
    wanted[row // grid.height, col // grid.width] = True
    parts = grid.split(wanted, (0, 0, *grid.cells))
    if sum(map(grid.cost, parts)) > MOST * wanted.size:
        return [Window.whole(shape)]
    return [grid.window(part) for part in sorted(parts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """The blocks of a tile."""

    shape: tuple[int, int]
    height: int
    width: int
    halo: int

    @classmethod
    def of(cls, shape: tuple[int, int], block: tuple[int, int], halo: int) -> _Grid:
        height, width = (size * max(1, -(-_LEAST // size)) for size in block)
        return cls(shape=shape, height=height, width=width, halo=halo)

    @property
    def cells(self) -> tuple[int, int]:
        return -(-self.shape[0] // self.height), -(-self.shape[1] // self.width)

    def window(self, part: Cells) -> Window:
        top, left, bottom, right = part
        row, col = top * self.height, left * self.width
        stop = min(bottom * self.height, self.shape[0]), min(right * self.width, self.shape[1])
        return Window(row=row, col=col, height=stop[0] - row, width=stop[1] - col)

    def cost(self, part: Cells) -> int:
        """Blocks that are read for a rectangle and its halo, plus one for the call."""
        w = self.window(part).padded(self.halo, self.shape)
        rows = (w.row + w.height - 1) // self.height - w.row // self.height + 1
        cols = (w.col + w.width - 1) // self.width - w.col // self.width + 1
        return rows * cols + 1

    def split(self, wanted: NDArray[np.bool_], part: Cells) -> list[Cells]:
        """Rectangles round the wanted blocks of a rectangle: cut where it saves most, as long as the sum saves."""
        whole = _shrink(wanted, part)
        if whole is None:
            return []
        cuts = [tuple(_shrink(wanted, half) for half in halves) for halves in _halves(whole)]
        if not cuts or wanted[whole[0] : whole[2], whole[1] : whole[3]].all():
            return [whole]
        best = min(cuts, key=lambda halves: sum(self.cost(half) for half in halves if half))
        pieces = [piece for half in best if half for piece in self.split(wanted, half)]
        return pieces if sum(map(self.cost, pieces)) < self.cost(whole) else [whole]


def _halves(part: Cells) -> list[tuple[Cells, Cells]]:
    top, left, bottom, right = part
    across: list[tuple[Cells, Cells]] = [
        ((top, left, cut, right), (cut, left, bottom, right)) for cut in range(top + 1, bottom)
    ]
    along: list[tuple[Cells, Cells]] = [
        ((top, left, bottom, cut), (top, cut, bottom, right)) for cut in range(left + 1, right)
    ]
    return across + along


def _shrink(wanted: NDArray[np.bool_], part: Cells) -> Cells | None:
    """The bounding rectangle of the wanted blocks inside a rectangle; None without any."""
    top, left, bottom, right = part
    inside = wanted[top:bottom, left:right]
    rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if rows.size == 0:
        return None
    return top + int(rows[0]), left + int(cols[0]), top + int(rows[-1]) + 1, left + int(cols[-1]) + 1
