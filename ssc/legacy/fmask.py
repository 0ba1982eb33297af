"""HLS Fmask: one byte a pixel, every bit its own statement.

    bit   7 6        5      4         3             2         1      0
          aerosol    water  snow/ice  cloud shadow  adjacent  cloud  cirrus (reserved, never set in v2.0)

Bits co-occur (a quarter of the L30 water pixels of one Alaskan tile are also snow): comparing whole values finds only
part of each class. HLS sets a bit when any contributing 10 or 30 m pixel has it, so water reaches over its banks.
255 is fill and reads as "everything" bit by bit: it is tested first.

Source: HLS User Guide v2.0, table of QA bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ssc.errors import InputError

FILL: Final = 255
CIRRUS: Final = 1 << 0
CLOUD: Final = 1 << 1
ADJACENT: Final = 1 << 2
SHADOW: Final = 1 << 3
SNOW: Final = 1 << 4
WATER: Final = 1 << 5
AEROSOL_SHIFT: Final = 6
AEROSOL_HIGH: Final = 3
"""Aerosol levels: 0 climatology, 1 low, 2 moderate, 3 high (LaSRC)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FmaskBits:
    """What an Fmask array says; all arrays share its shape, True = the thing named is there, False where fill."""

    cloud: NDArray[np.bool_]
    adjacent: NDArray[np.bool_]
    """Within 150 m (L30) or 140 m (S30) of cloud or cloud shadow: Fmask's own dilation."""
    shadow: NDArray[np.bool_]
    """Cloud shadow, not terrain shadow."""
    snow: NDArray[np.bool_]
    """Snow or ice."""
    water: NDArray[np.bool_]
    cirrus: NDArray[np.bool_]
    aerosol: NDArray[np.uint8]
    """Aerosol level 0-3; 0 where fill."""
    valid: NDArray[np.bool_]
    """True where there are data (not 255)."""


def decode(fmask: NDArray[np.uint8]) -> FmaskBits:
    """Every class of an Fmask array of any shape; total on 0..255.

    Raises:
        InputError: Values outside 0..255, or not integers.

    >>> bits = decode(np.array([96, 100, 255], np.uint8))
    >>> bits.water.tolist(), bits.adjacent.tolist(), bits.valid.tolist()
    ([True, True, False], [False, True, False], [True, True, False])
    """
    codes = byte_codes(fmask)
    valid = codes != FILL
    seen = np.where(valid, codes, np.uint8(0))
    return FmaskBits(
        cloud=has(seen, CLOUD),
        adjacent=has(seen, ADJACENT),
        shadow=has(seen, SHADOW),
        snow=has(seen, SNOW),
        water=has(seen, WATER),
        cirrus=has(seen, CIRRUS),
        aerosol=seen >> np.uint8(AEROSOL_SHIFT),
        valid=valid,
    )


def has(codes: NDArray[np.uint8], bits: int) -> NDArray[np.bool_]:
    """True where any of these bits is set in the raw byte; fill has them all."""
    return (codes & np.uint8(bits)) != 0


def legacy_keep(fmask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Clean water as the predecessor chose it: water, and no cloud, shadow or snow; adjacent and aerosol ignored.

    True on exactly 16 of the 256 values.
    """
    return (byte_codes(fmask) & np.uint8(CLOUD | SHADOW | SNOW | WATER)) == WATER


def strict_keep(fmask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Clean water away from clouds too: `legacy_keep` without the adjacent ring. True on exactly 8 values."""
    return legacy_keep(fmask) & ~has(byte_codes(fmask), ADJACENT)


def cloud_coverage(bits: FmaskBits) -> int:
    """Percent of valid pixels with cirrus, cloud or cloud shadow, rounded as HLS does for its `cloud_coverage` tag.

    HLS counts valid NIR pixels where this counts valid Fmask pixels; without fill in either the two are one. 0 when
    nothing is valid.
    """
    covered = int(np.count_nonzero(bits.cirrus | bits.cloud | bits.shadow))
    valid = int(np.count_nonzero(bits.valid))
    return int(100 * covered / max(valid, 1) + 0.5)


def byte_codes(fmask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The array as uint8, refused if that would change a value.

    Raises:
        InputError: Values outside 0..255, or not integers.
    """
    codes = np.asarray(fmask)
    if codes.dtype == np.uint8:
        return codes
    if codes.dtype.kind not in "iu" or (codes.size and not 0 <= codes.min() <= codes.max() <= FILL):
        raise InputError(f"not an Fmask array: found {codes.dtype} {codes.shape}, wanted integers 0 to 255")
    return codes.astype(np.uint8)
