"""The table of discharge, whatever it was read from: one row per reach and time, nothing missing or negative."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from ssc.errors import DataError, InputError
from ssc.schema import Column

Floats = NDArray[np.float64]

FILL = -999999999999.0
"""Of Confluence, SoS and Hydrocron for numbers (f8; i8 is the same number)."""
EPOCH = pd.Timestamp("2000-01-01", tz="UTC")
"""Of SWOT, SoS and Confluence times; their seconds are UTC, without leap seconds."""
NOON = pd.Timedelta(hours=12)
"""Where a value of a whole day is put: at most half a day wrong, and the row says so (day_only)."""

_DAY = r"\d{4}-?\d{2}-?\d{2}"
_OFFSET = r"[T ]\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)$"

DISCHARGE = (
    Column(name="reach_id", type=pa.int64(), unit="", meaning="SWORD reach id", nullable=False),
    Column(name="time", type=pa.timestamp("us", tz="UTC"), unit="", meaning="time of the discharge", nullable=False),
    Column(name="q_m3_s", type=pa.float64(), unit="m3 s-1", meaning="discharge, not negative", nullable=False),
    Column(name="ln_q_sd", type=pa.float64(), unit="1", meaning="standard deviation of ln(discharge), NaN if untold"),
    Column(name="day_only", type=pa.bool_(), unit="", meaning="True: a date was given, time is its noon"),
    Column(name="source", type=pa.string(), unit="", meaning="where the discharge is from", nullable=False),
)
"""Columns of `Reading.table`."""
NAMES = tuple(column.name for column in DISCHARGE)
REASONS = ("no_time", "missing", "negative", "repeated", "contradictory")
"""Why a value is not in the table. missing: fill value, NaN, infinite or no number; repeated: said before of the same
reach and time; contradictory: two values of one reach and time, neither kept."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """What a file says of discharge."""

    table: pd.DataFrame
    """Columns of `DISCHARGE`, sorted by reach_id and time; each reach and time once."""
    left_out: Mapping[str, int]
    """Number of values by REASONS, zeros included; with the table's rows they are all values of the file."""


def sift(rows: pd.DataFrame, path: Path, *, refuse_contradictions: bool = False) -> Reading:
    """Rows worth keeping, and how many are not.

    Args:
        rows: Columns of `DISCHARGE`, where time may be NaT and discharge anything.
        path: The file, for the message.
        refuse_contradictions: Fail instead of leaving out two values of one reach and time.

    Raises:
        DataError: Two values of one reach and time, if those are refused.
    """
    q = rows["q_m3_s"]
    reason = np.select([rows["time"].isna(), ~np.isfinite(q) | (q == FILL), q < 0], [1, 2, 3], default=0)
    usable = reason == 0
    reason[usable] = 4 * rows[usable].duplicated(["reach_id", "time", "q_m3_s"])
    once = reason == 0
    several = rows[once].duplicated(["reach_id", "time"], keep=False)
    if several.any() and refuse_contradictions:
        raise _contradiction(rows[once][several], path)
    reason[once] = 5 * several
    kept = rows.loc[reason == 0, list(NAMES)].sort_values(["reach_id", "time"], kind="stable", ignore_index=True)
    counts = np.bincount(reason, minlength=len(REASONS) + 1)[1:].tolist()
    return Reading(table=kept, left_out=dict(zip(REASONS, counts, strict=True)))


def rows_of(
    reach_id: int | NDArray[np.int64],
    time: Any,
    q_m3_s: Floats,
    source: str,
    *,
    ln_q_sd: float | Floats = np.nan,
    day_only: bool | NDArray[np.bool_] = False,
) -> pd.DataFrame:
    """Rows with the columns and types of `DISCHARGE`; single values hold for all rows."""
    rows = pd.DataFrame(
        {
            "reach_id": np.broadcast_to(np.asarray(reach_id, dtype=np.int64), len(q_m3_s)),
            "time": pd.DatetimeIndex(time).as_unit("us"),
            "q_m3_s": np.asarray(q_m3_s, dtype=np.float64),
            "ln_q_sd": np.broadcast_to(np.asarray(ln_q_sd, dtype=np.float64), len(q_m3_s)),
            "day_only": np.broadcast_to(np.asarray(day_only, dtype=bool), len(q_m3_s)),
        }
    )
    return rows.assign(source=pd.Series(source, index=rows.index, dtype="str"))


def since_epoch(seconds: NDArray[Any]) -> pd.DatetimeIndex:
    """Times (n,) UTC from seconds since 2000-01-01, to the microsecond; NaT for fill values and any negative number.

    >>> since_epoch(np.array([335212829.972929, -999999999999.0])).tolist()
    [Timestamp('2010-08-15 18:40:29.972929+0000', tz='UTC'), NaT]
    """
    seconds = np.asarray(seconds)
    told = np.isfinite(seconds) & (seconds >= 0)
    micro = np.rint(np.where(told, seconds, 0).astype(np.float64) * 1e6).astype("timedelta64[us]")
    return pd.DatetimeIndex(pd.Series(EPOCH + pd.TimedeltaIndex(micro)).where(told))


def parse_times(text: pd.Series, path: Path, *, timezone: str = "UTC") -> tuple[pd.Series, pd.Series]:
    """Times (UTC) of ISO text, and True where it is a date alone: then the noon of that day.

    Args:
        text: ISO 8601 dates or times, with or without an offset; missing, empty or "no_data" gives NaT.
        path: The file, for the message.
        timezone: Of what has no offset; an hour that the clocks skip or repeat gives NaT.

    Raises:
        InputError: No such time zone.
        DataError: A text that is no time, or less than a day.
    """
    text = text.astype("str").str.strip()
    text = text.mask(text.isin(["", "no_data"]))
    _refuse_other_times(text, path)
    day_only = text.str.fullmatch(_DAY).fillna(value=False).astype(bool)
    zoned = text.str.contains(_OFFSET).fillna(value=False).astype(bool)
    try:
        with_offset = pd.to_datetime(text.where(zoned), format="ISO8601", utc=True)
        local = pd.to_datetime(text.mask(zoned), format="ISO8601")
    except ValueError as error:
        raise DataError(f"cannot read times of {path}: found {error}, wanted ISO 8601") from error
    local = local.astype("datetime64[us]").mask(day_only, local + NOON)
    try:
        local = local.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
    except (KeyError, ValueError) as error:
        raise InputError(f"no time zone {timezone!r}: wanted a name such as UTC or America/Chicago") from error
    return with_offset.astype("datetime64[us, UTC]").fillna(local), day_only


def read_text(path: Path, columns: Collection[str]) -> pd.DataFrame:
    """A CSV with all values as text, so that ids keep their digits; lines that begin with # are comments.

    Raises:
        InputError: No such file, or a column that it does not have.
        DataError: No table.
    """
    if not path.is_file():
        raise InputError(f"no file {path}: wanted a CSV with {' '.join(columns)}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        plain = io.StringIO("\n".join(line for line in lines if not line.startswith("#")))
        table = pd.read_csv(plain, dtype="str", skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} as CSV: {error}; wanted {' '.join(columns)}") from error
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise InputError(f"no column {' '.join(lacking)} in {path}: found {' '.join(map(str, table.columns))}")
    return table


def _refuse_other_times(text: pd.Series, path: Path) -> None:
    """Months and years would parse as their first day, and 07/09 means two days."""
    other = text[text.notna() & ~text.str.match(_DAY + r"(?:[T ]|$)").fillna(value=False).astype(bool)]
    if len(other):
        raise DataError(f"cannot read times of {path}: found {other.head(3).tolist()}, wanted ISO 8601 (2021-09-07)")


def _contradiction(several: pd.DataFrame, path: Path) -> DataError:
    first = several.sort_values(["reach_id", "time"], kind="stable").head(2)
    reach_id, time = first["reach_id"].iloc[0], first["time"].iloc[0]
    values = " and ".join(f"{q:g}" for q in first["q_m3_s"])
    return DataError(
        f"{len(several)} rows of {path} contradict each other: found {values} m3/s for reach {reach_id} at "
        f"{time:%Y-%m-%dT%H:%M:%SZ}, wanted one value for each reach and time"
    )
