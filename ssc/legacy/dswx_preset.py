"""The numbers of DSWx-HLS, by version. Part of `ssc.legacy.dswx`.

Source: nasa/PROTEUS, defaults/dswx_hls.yaml of release 1.0.2; those of 0.1 from its own product of a real granule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Thresholds of the five tests and of what follows, in digital numbers (reflectance x 10 000) or unitless."""

    mndwi: float = 0.124
    """T1: MNDWI above."""
    awesh: float = 0.0
    """T3: AWESH above, DN."""
    partial1_mndwi: float = -0.44
    """T4: MNDWI above."""
    partial1_swir1: float = 900
    """T4: SWIR1 below, DN."""
    partial1_nir: float = 1500
    """T4: NIR below, DN."""
    partial1_ndvi: float = 0.7
    """T4: NDVI below."""
    partial2_mndwi: float = -0.5
    """T5: MNDWI above."""
    partial2_blue: float = 1000
    """T5: blue below, DN."""
    partial2_swir1: float = 3000
    """T5: SWIR1 below, DN."""
    partial2_swir2: float = 1000
    """T5: SWIR2 below, DN."""
    partial2_nir: float = 2500
    """T5: NIR below, DN."""
    clip: bool = True
    """Raise every band to at least 1 DN, so that no denominator vanishes."""
    aerosol: bool = True
    """Call dark pixels that Fmask calls water under heavy aerosol water."""
    aerosol_nir: float = 1000
    """Aerosol: NIR at most, DN."""
    land_nir: float = 1200
    """Land cover: partial water brighter than this in NIR, DN, is rejected on evergreen and low-density urban land."""
    shad_min_slope_deg: float = -5.0
    """SHAD: terrain sloping less than this away from the sun counts as lit."""
    shad_max_incidence_deg: float = 40.0
    """SHAD: terrain with a local incidence angle up to this counts as lit."""


V1_0_2: Final = Preset()
V0_1: Final = replace(V1_0_2, mndwi=0.0123, clip=False, aerosol=False)
"""The 2021 prototype: a looser first test, no clipping, no aerosol step."""
