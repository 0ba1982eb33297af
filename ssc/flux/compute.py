"""Instantaneous sediment flux: concentration times the discharge nearest in time.

kg/s = m3/s x mg/L x 1e-3, since 1 mg/L is 1 g/m3; t/d = kg/s x 86.4. There are no loads of months or years here: clear
skies miss floods, so a mean of these products is the mean of what was seen, and no more.

The error of both factors is taken as lognormal, so the product is lognormal too and its interval has a closed form:
with w the half-width of a 90 % interval of ln, w_flux^2 = w_ssc^2 + w_q^2 + 2 r w_ssc w_q. No random numbers.
"""

from __future__ import annotations

from enum import IntFlag
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from ssc.errors import InputError
from ssc.flux.discharge import NAMES as DISCHARGE_NAMES
from ssc.flux.discharge import Floats
from ssc.schema import KEY, Column

METHOD = "instantaneous product"
KG_PER_G = 1e-3
T_D_PER_KG_S = 86.4
"""86 400 s/d over 1000 kg/t."""
Z90 = NormalDist().inv_cdf(0.95)
"""Standard normal quantile at the upper end of a central 90 % interval: 1.6449."""
WITHIN_H = 24.0
"""Greatest time between SSC and discharge, included."""
_F64, _TIME, _TEXT = pa.float64(), pa.timestamp("us", tz="UTC"), pa.string()


class FluxQuality(IntFlag):
    """Bits of `flux_qual`. What is wrong with the concentration itself is told by ssc_qual, carried along."""

    NO_DISCHARGE = 1
    """Nothing is known of the discharge of this reach: no flux."""
    TOO_FAR_IN_TIME = 2
    """The nearest discharge is more than 24 h (or the limit given) away: no flux; time and lag of it are told."""
    NO_SSC = 4
    """No concentration, or one that was withheld: no flux."""
    MEDIAN_SSC = 8
    """The median stands in for the mean, which is not there: the flux is too low on average."""
    Q_ERROR_UNKNOWN = 16
    """The discharge tells no error: the interval is that of SSC alone, or rests on an assumed error."""
    NO_INTERVAL = 32
    """SSC has no usable 90 % interval, so neither has the flux."""
    DAY_ONLY = 64
    """The discharge is one of a day, put at noon: the lag may be 12 h off."""


FLUX = (
    Column(name="q_m3_s", type=_F64, unit="m3 s-1", meaning="discharge nearest in time"),
    Column(name="ln_q_sd", type=_F64, unit="1", meaning="standard deviation of ln(discharge), as told by its source"),
    Column(name="q_source", type=_TEXT, unit="", meaning="where the discharge is from"),
    Column(name="q_time", type=_TIME, unit="", meaning="time of the discharge nearest in time"),
    Column(name="dt_q_ssc_h", type=_F64, unit="h", meaning="time of discharge minus time of SSC"),
    Column(name="ssc_mg_l", type=_F64, unit="mg L-1", meaning="concentration that was multiplied"),
    Column(name="ssc_used", type=_TEXT, unit="", meaning="what that concentration is: mean or median"),
    Column(name="sed_flux", type=_F64, unit="kg s-1", meaning="sampled instantaneous suspended sediment flux"),
    Column(name="sed_flux_t_d", type=_F64, unit="t d-1", meaning="the same flux, not a load of that day"),
    Column(name="sed_flux_lo90", type=_F64, unit="kg s-1", meaning="lower end of the 90 % interval"),
    Column(name="sed_flux_hi90", type=_F64, unit="kg s-1", meaning="upper end of the 90 % interval"),
    Column(name="flux_qual", type=pa.int32(), unit="1", meaning="quality bits, see FluxQuality", nullable=False),
    Column(name="method", type=_TEXT, unit="", meaning="how the flux was computed", nullable=False),
)
"""Columns of the flux, after those that name the estimate: `ssc.schema.KEY`, time, ssc_qual and ssc_quality."""
_CARRIED = (*KEY, "time", "ssc_qual", "ssc_quality")


def flux(
    estimates: pd.DataFrame,
    discharge: pd.DataFrame,
    *,
    within_h: float = WITHIN_H,
    correlation: float = 0.0,
    assumed_ln_q_sd: float = 0.0,
) -> pd.DataFrame:
    """Sediment flux of each estimate, NaN and flagged where there is no concentration or no discharge near in time.

    The concentration is the mean where the estimate has one (column ssc_mean), else the median: `ssc_used` says which.
    The interval is of the true flux at that moment, given a reach-mean surface concentration; sampling of floods, depth
    and the change of discharge within the lag are not in it. Its centre is a median: a mean lies above it, and for a
    very wide interval (ln SSC off by more than 3.3) even outside. A discharge of 0 is a flux of 0, interval 0 to 0.

    Args:
        estimates: Rows of the results (`ssc.schema`): reach_id, time, ssc or ssc_mean, ssc_lo90, ssc_hi90, mg/L.
        discharge: Rows of `ssc.flux.discharge.DISCHARGE`, any order, from one source or several.
        within_h: Greatest lag in hours, included.
        correlation: Of the errors of ln SSC and ln Q, -1 to 1; by default they are independent.
        assumed_ln_q_sd: Standard deviation of ln Q where the discharge tells none; flagged either way.

    Returns:
        One row per estimate, same index and order: the columns that name it, as far as it has them, and `FLUX`.

    Raises:
        InputError: A column is missing, ids are not integers, times have no zone, discharge is negative or missing, or
            an argument is out of range.
    """
    _require_range(within_h, correlation, assumed_ln_q_sd)
    near = nearest_discharge(estimates, discharge)
    ssc, used = _concentration(estimates)
    far = (near["dt_q_ssc_h"].abs() > within_h).to_numpy()
    q = near["q_m3_s"].mask(far).to_numpy()
    product = q * ssc * KG_PER_G
    lo90, hi90 = (_numbers(estimates, name) for name in ("ssc_lo90", "ssc_hi90"))
    sd = near["ln_q_sd"].to_numpy()
    lo, hi = flux_interval(lo90, hi90, q, np.where(np.isnan(sd), assumed_ln_q_sd, sd), correlation=correlation)
    lo, hi = (np.where(np.isnan(product), np.nan, end) for end in (lo, hi))
    numbers: dict[str, Any] = {
        "q_m3_s": q,
        "ln_q_sd": np.where(far, np.nan, sd),
        "q_source": near["source"].mask(far),
        "q_time": near["time"],
        "dt_q_ssc_h": near["dt_q_ssc_h"],
        "ssc_mg_l": ssc,
        "ssc_used": used,
        "sed_flux": product,
        "sed_flux_t_d": product * T_D_PER_KG_S,
        "sed_flux_lo90": lo,
        "sed_flux_hi90": hi,
        "flux_qual": _flags(near, far, ssc, used, lo),
        "method": pd.Series(METHOD, index=estimates.index, dtype="str"),
    }
    about = estimates[[name for name in _CARRIED if name in estimates]]
    return about.assign(**numbers)


def nearest_discharge(estimates: pd.DataFrame, discharge: pd.DataFrame) -> pd.DataFrame:
    """The discharge of the same reach nearest in time to each estimate, however far; never a mean of several.

    Of two equally near the earlier is taken, of two at the same time the one that comes first in `discharge`: put the
    source you trust most first.

    Args:
        estimates: reach_id and time.
        discharge: Rows of `ssc.flux.discharge.DISCHARGE`.

    Returns:
        Index and order of the estimates: time, q_m3_s, ln_q_sd, day_only, source of the discharge, and dt_q_ssc_h, its
        time minus the estimate's in hours. Missing where the reach has no discharge.

    Raises:
        InputError: As of `flux`.
    """
    wanted = _keyed(estimates, "estimates", ("reach_id", "time"))
    known = _keyed(discharge, "discharge", DISCHARGE_NAMES)
    bad = ~known["q_m3_s"].between(0, np.inf, inclusive="left")
    if bad.any():
        raise InputError(f"discharge below 0 or missing: found {bad.sum()} of {len(known)} rows, wanted 0 m3/s or more")
    known = known.drop_duplicates(["reach_id", "time"]).sort_values("time", kind="stable", ignore_index=True)
    left = pd.DataFrame({"reach_id": wanted["reach_id"], "moment": wanted["time"], "row": np.arange(len(wanted))})
    left = left.sort_values("moment", kind="stable", ignore_index=True)
    found = pd.merge_asof(left, known, left_on="moment", right_on="time", by="reach_id", direction="nearest")
    found["dt_q_ssc_h"] = (found["time"] - found["moment"]).dt.total_seconds() / 3600
    found["day_only"] = found["day_only"].fillna(value=False).astype(bool)
    found = found.sort_values("row").set_axis(estimates.index)
    return found[[*(name for name in DISCHARGE_NAMES if name != "reach_id"), "dt_q_ssc_h"]]


def flux_interval(
    ssc_lo90: ArrayLike, ssc_hi90: ArrayLike, q_m3_s: ArrayLike, ln_q_sd: ArrayLike, *, correlation: float = 0.0
) -> tuple[Floats, Floats]:
    """Ends of the central 90 % interval of Q x SSC in kg/s, both lognormal; arrays of one shape.

    SSC is the lognormal whose 5 and 95 % quantiles are the ends given, Q the one with median `q_m3_s`. NaN where
    anything is, or where the ends are no interval above 0.

    >>> [end.item() for end in flux_interval(100.0, 400.0, 1000.0, 0.0)]
    [100.0, 400.0]
    """
    low, high = np.asarray(ssc_lo90, dtype=np.float64), np.asarray(ssc_hi90, dtype=np.float64)
    usable = (low > 0) & (high >= low) & np.isfinite(high)
    low, high = np.where(usable, low, np.nan), np.where(usable, high, np.nan)
    of_ssc, of_q = np.log(high / low) / 2, Z90 * np.asarray(ln_q_sd, dtype=np.float64)
    square = of_ssc**2 + of_q**2 + 2 * correlation * of_ssc * of_q
    factor = np.exp(np.sqrt(np.maximum(square, 0.0)))  # -1e-17 where opposite errors cancel
    centre = np.sqrt(low * high) * np.asarray(q_m3_s, dtype=np.float64) * KG_PER_G
    return centre / factor, centre * factor


def _concentration(estimates: pd.DataFrame) -> tuple[Floats, pd.Series]:
    """mg/L (n,), and "mean", "median" or missing; a mean beside a median that was withheld is withheld too."""
    if "ssc" not in estimates and "ssc_mean" not in estimates:
        raise InputError(f"estimates without ssc or ssc_mean: found {_listed(estimates)}")
    nothing = np.full(len(estimates), np.nan)
    median = _numbers(estimates, "ssc") if "ssc" in estimates else nothing
    mean = _numbers(estimates, "ssc_mean") if "ssc_mean" in estimates else nothing
    mean = np.where(np.isnan(median), np.nan, mean) if "ssc" in estimates else mean
    used = pd.Series(None, index=estimates.index, dtype="str")
    used = used.mask(~np.isnan(median), "median").mask(~np.isnan(mean), "mean")
    return np.where(np.isnan(mean), median, mean), used


def _flags(near: pd.DataFrame, far: NDArray[np.bool_], ssc: Floats, used: pd.Series, lo: Floats) -> NDArray[np.int32]:
    unknown = near["q_m3_s"].isna().to_numpy()
    some_q, some_flux = ~unknown & ~far, ~unknown & ~far & ~np.isnan(ssc)
    conditions = {
        FluxQuality.NO_DISCHARGE: unknown,
        FluxQuality.TOO_FAR_IN_TIME: far,
        FluxQuality.NO_SSC: np.isnan(ssc),
        FluxQuality.MEDIAN_SSC: (used == "median").to_numpy(dtype=bool),
        FluxQuality.Q_ERROR_UNKNOWN: some_q & near["ln_q_sd"].isna().to_numpy(),
        FluxQuality.NO_INTERVAL: some_flux & np.isnan(lo),
        FluxQuality.DAY_ONLY: some_q & near["day_only"].to_numpy(),
    }
    bits = np.zeros(len(near), dtype=np.int32)
    for bit, holds in conditions.items():
        bits |= np.where(holds, np.int32(bit), np.int32(0))
    return bits


def _keyed(table: pd.DataFrame, what: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """Those columns, ids as int64 and times as UTC in microseconds: what decides which rows belong together."""
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise InputError(f"{what} without {' '.join(lacking)}: found {_listed(table)}")
    ids, time = table["reach_id"], table["time"]
    if not pd.api.types.is_integer_dtype(ids.dtype) or ids.isna().any():
        raise InputError(f"reach_id of {what} is not an integer: found {ids.dtype}, wanted int64; floats lose digits")
    if not isinstance(time.dtype, pd.DatetimeTZDtype) or time.isna().any():
        raise InputError(f"time of {what} has no zone or is missing: found {time.dtype}, wanted UTC in each row")
    moments = time.dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    return table[list(columns)].assign(reach_id=ids.astype(np.int64), time=moments)


def _numbers(estimates: pd.DataFrame, name: str) -> Floats:
    if name not in estimates:
        raise InputError(f"estimates without {name}: found {_listed(estimates)}")
    return estimates[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _require_range(within_h: float, correlation: float, assumed_ln_q_sd: float) -> None:
    if not within_h >= 0:
        raise InputError(f"cannot match within {within_h} h: wanted 0 or more")
    if not -1 <= correlation <= 1:
        raise InputError(f"no correlation {correlation}: wanted -1 to 1")
    if not 0 <= assumed_ln_q_sd < np.inf:
        raise InputError(f"no standard deviation {assumed_ln_q_sd}: wanted 0 or more")


def _listed(table: pd.DataFrame) -> str:
    return " ".join(map(str, table.columns))
