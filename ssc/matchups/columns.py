"""The columns of sample and match-up tables: the only place where one is named, typed and given its meaning.

A sample table has one row per water sample. A match-up table has one row per (sample, granule): the columns of its
sample, what the granule is, and the features it saw (`ssc.schema.SAMPLE`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from pandas.api import types

from ssc.bands import SIX, Product
from ssc.errors import DataError, InputError
from ssc.regression.physical import FLOOR
from ssc.schema import SAMPLE

Kind = Literal["sample", "matchup"]

LABEL_SOURCES: Final = ("ssc", "tss", "ssc_daily", "turbidity_surrogate")
"""ssc: sediment of the whole sample (80154); tss: of an aliquot, too low where there is sand; ssc_daily: interpolated
between samples; turbidity_surrogate: from a sensor by the rating of its site."""
TIME: Final = "datetime64[us, UTC]"
DRIFT_H: Final = 0.1
"""Hours by which a told dt_h may differ from acquisition minus sample_time (files round it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a sample or match-up table."""

    name: str
    dtype: str
    """Of pandas; "str" holds no missing values here, but empty texts."""
    unit: str
    """UDUNITS spelling; "1" for dimensionless numbers, "" for names and times."""
    meaning: str
    required: bool = False
    """True: a table without it, or with a gap in it, is refused."""
    default: Any = None
    """Of rows, or tables, that do not tell; only where not required."""


def _column(name: str, dtype: str, unit: str, meaning: str, *, required: bool = False, default: Any = None) -> Column:
    return Column(name=name, dtype=dtype, unit=unit, meaning=meaning, required=required, default=default)


SAMPLE_COLUMNS: Final = (
    _column("site", "str", "", "where the sample was taken; rows of one site stay in one fold", required=True),
    _column("sample_id", "str", "", "identifies the sample; default site@time", default=""),
    _column("sample_time", TIME, "", "when the sample was taken; without an offset UTC", required=True),
    _column("ssc_mg_l", "float64", "mg L-1", "concentration; the limit (0.5 if untold) where censored", required=True),
    _column("censored", "bool", "", "True: below the limit of detection, ssc_mg_l is that limit", default=False),
    _column("label_source", "str", "", " or ".join(LABEL_SOURCES), default="ssc"),
    _column("weight", "float64", "1", "weight in training, above 0, at most 1", default=1.0),
    _column("basin", "str", "", "basin, for leaving whole basins out", default=""),
    _column("reach_id", "int64", "", "SWORD reach id, -1 unknown", default=-1),
    _column("longitude", "float64", "degree", "of the site, WGS84", default=np.nan),
    _column("latitude", "float64", "degree", "of the site, WGS84", default=np.nan),
    _column("dt_uncertain_h", "float64", "h", "half width of what is not known of sample_time", default=0.0),
    _column("provider", "str", "", "organisation that tells of the sample", default=""),
    _column("method", "str", "", "laboratory method", default=""),
    _column("n_samples", "int64", "1", "samples averaged into the row", default=1),
    _column("cv", "float64", "1", "standard deviation over mean of those, NaN for one", default=np.nan),
    _column("field_flag", "bool", "", "True: depth does not suit the kind of label, see harmonise", default=False),
)
"""Columns of a sample table, in their order."""

GRANULE_COLUMNS: Final = (
    _column("acquisition", TIME, "", "time in the granule name", required=True),
    _column("dt_h", "float64", "h", "acquisition minus sample_time; default so computed", default=np.nan),
    _column("platform", "str", "", "satellite: L8 L9 S2A S2B S2C, or empty", default=""),
    _column("product", "str", "", "L30 or S30", required=True),
    _column("granule_id", "str", "", "name of the granule", default=""),
)

MEDIANS: Final = tuple(f"{band.value}_med" for band in SIX)
_GAPS_ALLOWED: Final = (*MEDIANS, "ssc_mg_l")
"""Required columns with gaps of their own meaning: a clouded view, a censored value of unknown limit."""

FEATURE_COLUMNS: Final = tuple(
    _column(c.name, "float64", c.unit, c.meaning, required=c.name in MEDIANS) for c in SAMPLE
)
"""Counts too are float64: a table of several origins has gaps."""

COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "sample": SAMPLE_COLUMNS,
    "matchup": (*SAMPLE_COLUMNS, *GRANULE_COLUMNS, *FEATURE_COLUMNS),
}


def conform(table: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """The table with its columns in order, typed and without gaps; unknown columns follow as they are.

    Features that a match-up table lacks stay away, but for the six medians. Texts of numbers, times and booleans (as
    from CSV) are read.

    Args:
        table: Any index; it is dropped.
        kind: "sample" or "matchup".

    Raises:
        InputError: Another kind.
        DataError: Columns missing, or values that break the rules; one message tells all of them.
    """
    if kind not in COLUMNS:
        raise InputError(f"no kind of table {kind!r}: wanted {' or '.join(COLUMNS)}")
    rows = table.reset_index(drop=True)
    lacking = [c.name for c in COLUMNS[kind] if c.required and c.name not in rows]
    if lacking:
        raise DataError(f"not a {kind} table: found columns {' '.join(map(str, rows))}; missing {' '.join(lacking)}")
    known = [c for c in COLUMNS[kind] if c.name in rows or c not in FEATURE_COLUMNS]
    problems: list[str] = []
    typed = pd.DataFrame({c.name: _typed(rows, c, problems) for c in known}, index=rows.index)
    if not problems:
        typed = _derived(typed, kind)
        problems = _broken_rules(typed, kind)
    if problems:
        raise DataError(f"not a {kind} table of {len(rows)} rows: found {'; '.join(problems)}")
    others = rows[[name for name in rows if name not in typed]]
    return pd.concat([typed, others], axis=1)


def empty(kind: Kind) -> pd.DataFrame:
    """A table of no rows, with all columns of its kind."""
    return pd.DataFrame({c.name: pd.Series(dtype=c.dtype) for c in COLUMNS[kind]})


def _typed(rows: pd.DataFrame, column: Column, problems: list[str]) -> pd.Series:
    """The column in its type; what cannot be read is told in `problems`."""
    if column.name not in rows:
        return pd.Series(column.default, index=rows.index).astype(_dtype(column))
    found = rows[column.name]
    missing = found.isna()
    if types.is_string_dtype(found.dtype):
        missing = missing | (found.astype("str").str.strip() == "").fillna(value=True)
    values, bad = _READERS[column.dtype](found)
    gaps = missing & (column.required and column.name not in _GAPS_ALLOWED)
    if gaps.any():
        problems.append(f"{column.name} missing in {gaps.sum()} rows")
    if (bad & ~missing).any():
        first = found[bad & ~missing].iloc[0]
        problems.append(f"{column.name} '{first}' in {(bad & ~missing).sum()} rows, wanted {column.dtype}")
        return values
    if column.default is None:
        return values
    return values.mask(missing, column.default).astype(_dtype(column))


def _dtype(column: Column) -> Any:
    """The type as pandas takes it; its stubs know no type by a text that is not written on the spot."""
    return column.dtype


Read = tuple[pd.Series, pd.Series]
"""Values in the type, or as near to it as gaps allow; (n,) bool, True = cannot be read."""


def _read_text(found: pd.Series) -> Read:
    text = found.astype("str").fillna("").str.strip()
    return text, pd.Series(data=False, index=found.index)


def _read_number(found: pd.Series) -> Read:
    values = pd.to_numeric(found, errors="coerce").astype("float64")
    return values, values.isna() | np.isinf(values)


def _read_integer(found: pd.Series) -> Read:
    """Ids have 11 digits: float64 keeps them, float32 does not, so that one is refused."""
    values = pd.to_numeric(found, errors="coerce")
    whole = (values % 1 == 0) & (found.dtype != np.float32)
    return values.where(whole).fillna(-1).astype("int64"), ~whole


def _read_bool(found: pd.Series) -> Read:
    text = found.astype("str").str.strip().str.lower()
    yes, no = text.isin(["true", "1", "1.0", "t"]), text.isin(["false", "0", "0.0", "f"])
    return yes, ~(yes | no)


def _read_time(found: pd.Series) -> Read:
    if types.is_numeric_dtype(found.dtype):  # pandas would take numbers for nanoseconds since 1970
        return pd.Series(pd.NaT, index=found.index, dtype=TIME), pd.Series(data=True, index=found.index)
    plain = types.is_datetime64_any_dtype(found.dtype)
    text = found if plain else found.astype("str")
    values = pd.to_datetime(text, format=None if plain else "ISO8601", utc=True, errors="coerce").astype(TIME)
    return values, values.isna()


_READERS: Final[dict[str, Callable[[pd.Series], Read]]] = {
    "str": _read_text,
    "float64": _read_number,
    "int64": _read_integer,
    "bool": _read_bool,
    TIME: _read_time,
}


def _derived(rows: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Sample ids, limits and lags where they are not told."""
    unlimited = rows["censored"] & ~(rows["ssc_mg_l"] > 0)
    rows = rows.assign(ssc_mg_l=rows["ssc_mg_l"].mask(unlimited, FLOOR))
    named = rows["site"] + "@" + rows["sample_time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = rows.assign(sample_id=rows["sample_id"].where(rows["sample_id"] != "", named))
    return rows if kind == "sample" else rows.assign(dt_h=rows["dt_h"].fillna(lag_h(rows)))


def lag_h(matchups: pd.DataFrame) -> pd.Series:
    """Hours from sample to acquisition (float64), below 0 where the water was sampled after the overpass."""
    return (matchups["acquisition"] - matchups["sample_time"]).dt.total_seconds() / 3600


def _broken_rules(rows: pd.DataFrame, kind: Kind) -> list[str]:
    """What the values must be, beyond their type."""
    broken = {
        "ssc_mg_l missing or not above 0": ~(rows["ssc_mg_l"] > 0),
        f"label_source other than {' '.join(LABEL_SOURCES)}": ~rows["label_source"].isin(LABEL_SOURCES),
        "weight not in (0, 1]": ~rows["weight"].between(0, 1, inclusive="right"),
        "longitude not within -180 to 180": rows["longitude"].abs() > 180,
        "latitude not within -90 to 90": rows["latitude"].abs() > 90,
        "reach_id neither -1 nor above 0": (rows["reach_id"] < -1) | (rows["reach_id"] == 0),
        "dt_uncertain_h below 0": rows["dt_uncertain_h"] < 0,
        "n_samples below 1": rows["n_samples"] < 1,
    }
    if kind == "matchup":
        broken["product other than L30 S30"] = ~rows["product"].isin(list(Product))
        broken["dt_h other than acquisition minus sample_time"] = (rows["dt_h"] - lag_h(rows)).abs() > DRIFT_H
    return [f"{what} in {bad.sum()} rows" for what, bad in broken.items() if bad.any()]
