"""Discharge from gauge tables: CSV, whose columns, unit and time zone the caller states."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ssc.errors import DataError, InputError
from ssc.flux.discharge import FILL, Floats, Reading, parse_times, read_text, rows_of, sift
from ssc.sword import parse_ids

FOOT_M: Final = 0.3048
"""International foot, exact; the US survey foot differs by 2e-6."""
UNITS: Final = {"m3/s": 1.0, "ft3/s": FOOT_M**3}
"""Unit of discharge to m3/s."""
_SPELLINGS: Final = {
    **dict.fromkeys(("m3/s", "m^3/s", "m3s-1", "cms", "cumecs"), "m3/s"),
    **dict.fromkeys(("ft3/s", "ft^3/s", "ft3s-1", "cfs"), "ft3/s"),
}


def read_gauges(
    path: str | Path,
    *,
    unit: str,
    q: str = "q",
    time: str = "time",
    reach: str | int = "reach_id",
    relative_sd: str | None = None,
    timezone: str = "UTC",
) -> Reading:
    """Discharge of gauges that stand on reaches.

    Values that are missing, negative (some gauges write -999999) or no numbers ("Ice", "1,200") are left out and
    counted. A date without a time is the value of that day: it is put at noon and marked day_only.

    Args:
        path: CSV with a header; lines that begin with # are comments.
        unit: Of `q`: m3/s (m^3/s, m3 s-1, cms, cumecs) or ft3/s (ft^3/s, ft3 s-1, cfs).
        q: Column of discharge.
        time: Column of ISO 8601 times or dates.
        reach: Column of SWORD reach ids, or the reach id of all rows.
        relative_sd: Column of the relative standard error of discharge (0.05 is 5 %).
        timezone: Of times without an offset, and of dates.

    Raises:
        InputError: No such file, column, unit or time zone.
        ReachError: Ids that are none, or that lost digits.
        DataError: No table, a time that is none, a relative error below 0, or two values for one reach and time.
    """
    path, factor = Path(path), _to_m3_s(unit)
    stated = [name for name in (q, time, reach, relative_sd) if isinstance(name, str)]
    text = read_text(path, stated)
    ids = parse_ids(text[reach], path) if isinstance(reach, str) else reach
    moments, day_only = parse_times(text[time], path, timezone=timezone)
    sd = _ln_sd(text[relative_sd], path) if relative_sd else np.full(len(text), np.nan)
    rows = rows_of(ids, moments, _numbers(text[q], factor), "gauge", ln_q_sd=sd, day_only=day_only.to_numpy())
    return sift(rows, path, refuse_contradictions=True)


def _to_m3_s(unit: str) -> float:
    plain = re.sub(r"\s", "", unit.lower())
    if plain not in _SPELLINGS:
        raise InputError(f"unknown unit of discharge {unit!r}: wanted one of {' '.join(_SPELLINGS)}")
    return UNITS[_SPELLINGS[plain]]


def _numbers(text: pd.Series, factor: float) -> Floats:
    """Discharge in m3/s; NaN for fill values and for what is no number."""
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    return np.where(values == FILL, np.nan, values * factor)


def _ln_sd(text: pd.Series, path: Path) -> Floats:
    """Standard deviation of ln Q of a lognormal with that relative standard deviation: sqrt(ln(1 + r^2))."""
    relative = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    relative = np.where(np.isfinite(relative) & (relative != FILL), relative, np.nan)
    if (relative < 0).any():
        raise DataError(f"relative error below 0 in {path}: found {np.nanmin(relative):g}, wanted 0.05 for 5 %")
    return np.sqrt(np.log1p(relative**2))
