"""How far estimates are from samples or truth, in figures that survive skewed data.

Ratios count, not differences: SSC spans four orders of magnitude, so a mean error tells of the floods only.
Source: Morley, Brito and Welling 2018, Space Weather 16, 69: median symmetric accuracy and signed symmetric bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from ssc.errors import DataError
from ssc.validation.metrics import mdsa, sspb

INSITU_WITHIN: Final = pd.Timedelta(days=1)
"""A sample speaks for an overpass this long before or after it, as in AquaSat (Ross et al. 2019)."""
TRUTH_WITHIN: Final = pd.Timedelta(hours=1)
"""Truth is known per overpass: only the clock of the S30 name (up to 17 minutes early) must be bridged."""
CONCENTRATIONS: Final = ("ssc_mg_l", "ssc_median_mg_l")
"""Columns a table of samples may hold, the first one found counts; mg/L."""
TIMES: Final = ("time", "acquisition")
PAIR: Final = ["reach_id", "time", "product", "ssc", "ssc_lo90", "ssc_hi90", "ssc_quality", "observed", "apart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """Error figures of one group of pairs."""

    group: str
    n: int
    n_reaches: int
    mdsa: float
    """Median symmetric accuracy, percent: half of the estimates are within this factor minus one."""
    bias: float
    """Symmetric signed bias, percent: above 0 when estimates are too high in the median."""
    covered: float
    """Share of the 90 % intervals that hold the observation, percent; NaN without intervals."""


def read_observed(samples: pd.DataFrame, what: str) -> pd.DataFrame:
    """Samples or truth as reach_id (int64), time (UTC) and observed (mg/L, positive), ordered by time.

    Raises:
        DataError: A column is missing.
    """
    time = next((name for name in TIMES if name in samples), None)
    value = next((name for name in CONCENTRATIONS if name in samples), None)
    if "reach_id" not in samples or time is None or value is None:
        raise DataError(
            f"no {what} to compare with: found columns {', '.join(map(str, samples.columns))}; "
            f"wanted reach_id, one of {' '.join(TIMES)} and one of {' '.join(CONCENTRATIONS)}"
        )
    table = pd.DataFrame(
        {
            "reach_id": samples["reach_id"].astype("int64"),
            "time": pd.to_datetime(samples[time], utc=True).astype("datetime64[us, UTC]"),
            "observed": samples[value].astype("float64"),
        }
    )
    return table[table["observed"] > 0].dropna().sort_values("time", kind="stable").reset_index(drop=True)


def pair(rows: pd.DataFrame, observed: pd.DataFrame, within: pd.Timedelta) -> pd.DataFrame:
    """Estimates beside the nearest observation of their reach; an observation is used once, by the nearest estimate.

    Args:
        rows: Results rows; those without an estimate are left out.
        observed: Of `read_observed`.
        within: Longest time between the two.

    Returns:
        Columns of `PAIR`; `apart` is the time between.
    """
    estimates = rows.loc[rows["ssc"] > 0, PAIR[:-2]]
    estimates = estimates.assign(time=estimates["time"].astype("datetime64[us, UTC]")).sort_values("time")
    numbered = observed.assign(number=np.arange(len(observed)), observed_at=observed["time"])
    joined = pd.merge_asof(estimates, numbered, on="time", by="reach_id", direction="nearest", tolerance=within).dropna(
        subset="observed"
    )
    joined = joined.assign(apart=(joined["time"] - joined["observed_at"]).abs()).sort_values("apart", kind="stable")
    return joined.drop_duplicates("number").sort_values("time", kind="stable")[PAIR].reset_index(drop=True)


def skills(pairs: pd.DataFrame) -> list[Skill]:
    """Error figures of all pairs, of those without a quality flag, and of each product; empty groups are left out."""
    groups: list[tuple[str, Any]] = [
        ("all", slice(None)),
        ("without flags", pairs["ssc_quality"] == 0),
        *((str(product), pairs["product"] == product) for product in sorted(pairs["product"].unique())),
    ]
    return [judge(name, chosen) for name, mask in groups if len(chosen := pairs.loc[mask])]


def judge(group: str, pairs: pd.DataFrame) -> Skill:
    """Error figures of some pairs, at least one."""
    ratio = np.log(pairs["ssc"].to_numpy(dtype=float) / pairs["observed"].to_numpy(dtype=float))
    bounded = pairs.dropna(subset=["ssc_lo90", "ssc_hi90"])
    inside = bounded["observed"].between(bounded["ssc_lo90"], bounded["ssc_hi90"])
    return Skill(
        group=group,
        n=len(pairs),
        n_reaches=pairs["reach_id"].nunique(),
        mdsa=mdsa(ratio),
        bias=sspb(ratio),
        covered=100 * float(inside.mean()) if len(bounded) else float("nan"),
    )
