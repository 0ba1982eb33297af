"""Several sets of chips as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import pandas as pd

from models.chips import Chip, Chips
from ssc.errors import InputError


class JoinedChips:
    """Sets of chips one after another."""

    def __init__(self, parts: Sequence[Chips]) -> None:
        self.parts = list(parts)
        self.bands = self.parts[0].bands
        self.index = pd.concat([part.index for part in self.parts], ignore_index=True)
        self._ends = list(accumulate(len(part) for part in self.parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, place: int, /) -> Chip:
        if not 0 <= place < len(self):
            raise IndexError(place)
        part = bisect_right(self._ends, place)
        return self.parts[part][place - (self._ends[part - 1] if part else 0)]


def joined(parts: Sequence[Chips]) -> Chips:
    """Several sets as one; a single one as it is.

    Raises:
        InputError: No sets, or sets of different bands.
    """
    if not parts:
        raise InputError("no chips: wanted at least one set")
    bands = {part.bands for part in parts}
    if len(bands) > 1:
        raise InputError(f"chips of different bands: found {' and '.join(' '.join(b) for b in sorted(bands))}")
    return parts[0] if len(parts) == 1 else JoinedChips(parts)
