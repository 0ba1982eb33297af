"""Quality of one estimate: why to trust it, or not.

Bits as in the CF conventions (flag_masks, flag_meanings); thresholds follow AquaMatch siteSR (8 px, 0.1 NIR/SWIR),
Fluvius (20 px) and SWORD's own notes on narrow, lake and tidal reaches.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Quality(IntFlag):
    """Bits of `ssc_qual` (uint16). Unset means the condition was tested and did not hold, or could not be tested."""

    FEW_PIXELS = 1
    """Fewer than 30 clear pixels carried the estimate."""
    VERY_FEW = 2
    """Fewer than 8: the estimate is withheld (NaN)."""
    NARROW = 4
    """Reach narrower than 90 m: three HLS pixels."""
    PARTIAL_REACH = 8
    """Clear fraction below 0.3, or clear water at fewer than half of the nodes."""
    MIXED_PIXELS = 16
    """More than half of the clear pixels touch the bank, or the reach is too narrow to erode."""
    GLINT_OR_HAZE = 32
    """SWIR1 median above 0.1, or NIR above 0.1 without turbid colour (NIR above red)."""
    CLOUD_ADJACENT = 64
    """More than 20 % of the clear pixels are Fmask-adjacent to cloud or shadow."""
    AEROSOL_HIGH = 128
    """More than 20 % of the clear pixels have Fmask aerosol level high."""
    OOD_FEATURES = 256
    """Features outside what the regressor was built on."""
    BELOW_RANGE = 512
    """Estimate below the regressor's valid range."""
    ABOVE_RANGE = 1024
    """Estimate above the regressor's valid range (saturation): a lower bound."""
    BASELINE_DISAGREEMENT = 2048
    """Estimate and physical baseline differ by more than a factor of 5."""
    ICE_POSSIBLE = 4096
    """SWORD ice flag of the day, or more than 10 % of the water pixels masked as snow or ice."""
    LAKE_OR_DAM = 8192
    """The reach is a lake, dam, waterfall or ghost reach of SWORD, not a river."""
    TIDAL = 16384
    """SWORD lakeflag 3."""
    INTERSENSOR_CONFLICT = 32768
    """L30 and S30 of the same day disagree beyond their intervals."""


class Summary(IntEnum):
    """`ssc_quality`: one number for maps (SWOT RiverSP habit)."""

    GOOD = 0
    SUSPECT = 1
    DEGRADED = 2
    BAD = 3


BAD = Quality.VERY_FEW
DEGRADED = (
    Quality.FEW_PIXELS
    | Quality.GLINT_OR_HAZE
    | Quality.OOD_FEATURES
    | Quality.ABOVE_RANGE
    | Quality.ICE_POSSIBLE
    | Quality.LAKE_OR_DAM
    | Quality.INTERSENSOR_CONFLICT
)
SUSPECT = ~(BAD | DEGRADED)
