"""Windows for sparse reading: few rectangles that hold all wanted pixels and touch few compressed blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssc.observation import Window

MOST = 0.75
"""Read the whole tile when windows with their halo would touch more than this share of its blocks.

Measured on a local 3660 x 3660 COG (deflate, 256 px blocks): the time goes with the blocks read, 0.29 of the whole
tile's for 0.30 of the blocks, 0.72 for 0.76, 1.10 for 1.21, so the break-even lies at 1. The limit is lower because
over a network every window costs requests of its own."""

_LEAST = 64
"""Blocks of fewer rows or columns (strips of 4 rows) are grouped to at least this many."""

Part = tuple[int, int, int, int]
"""A rectangle of blocks: top, left, and the first row and column outside."""


def cover(
    row: NDArray[np.int32], col: NDArray[np.int32], shape: tuple[int, int], block: tuple[int, int], halo: int
) -> list[Window]:
    """Disjoint windows that hold every pixel (row, col) of a tile of (rows, cols); none for no pixels.

    Reading `core.padded(halo, shape)` of each is enough for a masker that looks `halo` pixels around. The cuts between
    windows lie on block borders; the outer edges are drawn in to the pixels, so that the halo seldom needs a new block.
    """
    if row.size == 0:
        return []
    grid = _Grid.of(row, col, shape, block, halo)
    windows = grid.split((0, 0, *grid.top.shape))
    if sum(map(grid.blocks_read, windows)) > MOST * grid.top.size:
        return [Window.whole(shape)]
    return sorted(windows, key=lambda window: (window.row, window.col))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Grid:
    """The blocks of a tile and the pixels wanted in each."""

    shape: tuple[int, int]
    height: int
    width: int
    halo: int
    top: NDArray[np.int32]
    """(R, C) first wanted row in a block, beyond the tile when none is wanted; left alike."""
    left: NDArray[np.int32]
    bottom: NDArray[np.int32]
    """(R, C) last wanted row in a block, -1 when none is wanted; right alike."""
    right: NDArray[np.int32]

    @classmethod
    def of(
        cls, row: NDArray[np.int32], col: NDArray[np.int32], shape: tuple[int, int], block: tuple[int, int], halo: int
    ) -> _Grid:
        height, width = (size * max(1, -(-_LEAST // size)) for size in block)
        cells = -(-shape[0] // height), -(-shape[1] // width)
        first = [np.full(cells, max(shape), dtype=np.int32) for _ in range(2)]
        last = [np.full(cells, -1, dtype=np.int32) for _ in range(2)]
        for axis, index in enumerate((row, col)):
            np.minimum.at(first[axis], (row // height, col // width), index)
            np.maximum.at(last[axis], (row // height, col // width), index)
        return cls(
            shape=shape,
            height=height,
            width=width,
            halo=halo,
            top=first[0],
            left=first[1],
            bottom=last[0],
            right=last[1],
        )

    def split(self, part: Part) -> list[Window]:
        """Windows round the wanted pixels of some blocks: cut where it saves most, as long as the sum saves."""
        whole = self.window(part)
        if whole is None:
            return []
        cuts = [(halves, [w for w in map(self.window, halves) if w]) for halves in _halves(part)]
        if not cuts:
            return [whole]
        best, _ = min(cuts, key=lambda cut: sum(map(self.cost, cut[1])))
        pieces = [piece for half in best for piece in self.split(half)]
        return pieces if sum(map(self.cost, pieces)) < self.cost(whole) else [whole]

    def window(self, part: Part) -> Window | None:
        """The smallest window with all wanted pixels of some blocks; None when there are none."""
        blocks = slice(part[0], part[2]), slice(part[1], part[3])
        row, col = int(self.top[blocks].min()), int(self.left[blocks].min())
        height, width = int(self.bottom[blocks].max()) - row + 1, int(self.right[blocks].max()) - col + 1
        return Window(row=row, col=col, height=height, width=width) if height > 0 else None

    def blocks_read(self, window: Window) -> int:
        """Blocks under a window and its halo."""
        w = window.padded(self.halo, self.shape)
        rows = (w.row + w.height - 1) // self.height - w.row // self.height + 1
        cols = (w.col + w.width - 1) // self.width - w.col // self.width + 1
        return rows * cols

    def cost(self, window: Window) -> float:
        """Blocks to read, one more for the call, and what masking the pixels is worth in blocks."""
        w = window.padded(self.halo, self.shape)
        return self.blocks_read(window) + 1 + w.height * w.width / (self.height * self.width)


def _halves(part: Part) -> list[tuple[Part, Part]]:
    """Every way to cut a rectangle of blocks in two."""
    top, left, bottom, right = part
    across = [((top, left, cut, right), (cut, left, bottom, right)) for cut in range(top + 1, bottom)]
    along = [((top, left, bottom, cut), (top, cut, bottom, right)) for cut in range(left + 1, right)]
    return across + along
