"""Quantiles of many groups at once: one sort over all groups instead of a loop over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

_SIGN = np.uint32(1 << 31)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segments:
    """Finite values by group, rising within each group."""

    values: NDArray[np.float32]
    """(n,) group after group."""
    start: NDArray[np.int64]
    """(groups + 1,) group g is values[start[g]:start[g + 1]]."""

    @classmethod
    def of(cls, values: NDArray[np.float32], group: NDArray[np.int32], groups: int) -> Self:
        """Sort values into their groups; NaN and infinities are left out.

        Group and value share one 64-bit key, which numpy sorts several times faster than two arrays with lexsort.

        Args:
            values: (n,) float32.
            group: (n,) group of each value, 0 to groups - 1.
            groups: Number of groups, empty ones included.
        """
        finite = np.isfinite(values)
        if not finite.all():
            values, group = values[finite], group[finite]
        keys = group.astype(np.uint64) << np.uint64(32)
        keys |= _rank(values)
        keys.sort()
        edges = np.arange(groups + 1, dtype=np.uint64) << np.uint64(32)
        return cls(values=_unrank(keys.astype(np.uint32)), start=np.searchsorted(keys, edges))

    @property
    def size(self) -> NDArray[np.int64]:
        """(groups,) values per group."""
        return np.diff(self.start)

    @property
    def group(self) -> NDArray[np.int32]:
        """(n,) group of each value."""
        return np.repeat(np.arange(self.size.size, dtype=np.int32), self.size)

    def quantile(self, share: float) -> NDArray[np.float64]:
        """(groups,) quantile of each group, 0 <= share <= 1, NaN where the group is empty.

        Definition 7 of Hyndman and Fan 1996, numpy's "linear": the value at position share * (size - 1), counted
        from 0, linear between neighbours.
        """
        filled = self.size > 0
        place = share * (self.size[filled] - 1)
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, self.size[filled] - 1)
        first = self.start[:-1][filled]
        low, high = (self.values[first + index].astype(np.float64) for index in (below, above))
        quantiles = np.full(self.size.size, np.nan)
        quantiles[filled] = low + (high - low) * (place - below)
        return quantiles

    def mad(self, medians: NDArray[np.float64]) -> NDArray[np.float64]:
        """(groups,) 1.4826 x median absolute deviation from the medians: the standard deviation of a normal sample."""
        group = self.group
        deviation = np.abs(self.values - medians[group]).astype(np.float32)
        return 1.4826 * Segments.of(deviation, group, self.size.size).quantile(0.5)


def _rank(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Integers in the order of the floats: IEEE 754 bits, with negative numbers turned round."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _unrank(ranks: NDArray[np.uint32]) -> NDArray[np.float32]:
    """The floats of `_rank`."""
    return np.where(ranks & _SIGN, ranks ^ _SIGN, ~ranks).view(np.float32)
