"""Quality bits that follow from a sample and from the reach itself, whatever the regressor."""

from __future__ import annotations

import pandas as pd

from ssc.clear import ClearWaterRule
from ssc.quality import BAD, DEGRADED, Quality, Summary

NARROW_M = 90.0
"""Three HLS pixels; Dethier et al. 2020 trained on rivers at least this wide."""
PARTIAL_SEEN, PARTIAL_NODES = 0.3, 0.5
MIXED_EDGE = 0.5
GLINT = 0.1
"""Reflectance; AquaMatch siteSR drops water above it in NIR and in SWIR."""
FMASK_SHARE = 0.2
"""Share of used pixels adjacent to cloud, or under much aerosol, above which the sample is flagged."""
ICE_SHARE = 0.1
"""Snow and ice in the corridor, banks included, over the pixels of the river."""
_NO_RIVER = (3, 4, 6)
"""Last digit of a SWORD id: lake on river, dam or waterfall, ghost; 5 is a river of unreliable topology."""
_LAKE, _TIDAL = 1, 3
"""Values of SWORD's lakeflag."""
_DEFAULT = ClearWaterRule()
_WITHHELD = ("ssc", "ssc_mean", "ssc_lo90", "ssc_hi90", "ln_ssc_sd", "turbidity")


def sample_flags(samples: pd.DataFrame, reaches: pd.DataFrame, rule: ClearWaterRule = _DEFAULT) -> pd.Series:
    """The bits of `Quality` that sample and reach alone decide; the regressor's are OR-ed to them.

    A condition on a number that is NaN does not hold, but a reach of unknown width is not eroded, so it is mixed.
    SWORD's ice record (ICE_POSSIBLE by day of year) and INTERSENSOR_CONFLICT need more than a sample: not set here.

    Args:
        samples: Columns of `schema.SAMPLE`.
        reaches: width_m, lakeflag and kind (last digit of the id), one row for each row of `samples`, same order.
        rule: The minimum counts and the width from which reaches are eroded.

    Returns:
        int32 with the index of `samples`.
    """
    about = reaches.set_axis(samples.index)
    conditions = _conditions(samples, about, rule)
    flags = pd.Series(0, index=samples.index, dtype="int32", name="ssc_qual")
    for bit, holds in conditions.items():
        flags |= holds.astype("int32") * int(bit)
    return flags


def summary(flags: pd.Series) -> pd.Series:
    """The worst that the bits say, int8: 0 good, 1 suspect, 2 degraded, 3 bad (`ssc.quality.Summary`)."""
    worst = pd.Series(int(Summary.GOOD), index=flags.index, dtype="int8", name="ssc_quality")
    worst[flags != 0] = int(Summary.SUSPECT)
    worst[(flags & int(DEGRADED)) != 0] = int(Summary.DEGRADED)
    worst[(flags & int(BAD)) != 0] = int(Summary.BAD)
    return worst


def withhold(estimates: pd.DataFrame, flags: pd.Series) -> pd.DataFrame:
    """The estimates without the numbers of rows flagged VERY_FEW; the bits stay and tell why.

    Args:
        estimates: Columns of `schema.ESTIMATE`, any of them.
        flags: Bits of the same rows.
    """
    numbers = [name for name in _WITHHELD if name in estimates]
    withheld = estimates.copy()
    withheld[numbers] = estimates[numbers].mask((flags & int(Quality.VERY_FEW)) != 0)
    return withheld


def _conditions(samples: pd.DataFrame, about: pd.DataFrame, rule: ClearWaterRule) -> dict[Quality, pd.Series]:
    nodes = samples["n_nodes_covered"] < PARTIAL_NODES * samples["n_nodes"]
    river = samples[["n_px_water", "n_px_channel"]].max(axis=1)  # water alone is a handful of pixels on a small river
    ice = samples["snow_ice_frac"] * samples["n_px_valid"] > ICE_SHARE * river
    haze = (samples["nir_med"] > GLINT) & (samples["nir_med"] > samples["red_med"])
    return {
        Quality.FEW_PIXELS: samples["n_px_used"] < rule.good_px,
        Quality.VERY_FEW: samples["n_px_used"] < rule.least_px,
        Quality.NARROW: about["width_m"] < NARROW_M,
        Quality.PARTIAL_REACH: (samples["clear_frac"] < PARTIAL_SEEN) | nodes,
        Quality.MIXED_PIXELS: (samples["edge_frac"] > MIXED_EDGE) | ~(about["width_m"] >= rule.erode_from_m),
        Quality.GLINT_OR_HAZE: (samples["swir1_med"] > GLINT) | haze,
        Quality.CLOUD_ADJACENT: samples["cloud_adjacent_frac"] > FMASK_SHARE,
        Quality.AEROSOL_HIGH: samples["aerosol_high_frac"] > FMASK_SHARE,
        Quality.ICE_POSSIBLE: ice,
        Quality.LAKE_OR_DAM: about["kind"].isin(_NO_RIVER) | (about["lakeflag"] == _LAKE),
        Quality.TIDAL: about["lakeflag"] == _TIDAL,
    }
