"""Samples and sensors of the United States Geological Survey, by dataretrieval.

Samples are discrete ones only: daily records carry the same code 80154, but are interpolations. dataretrieval reads
the key itself (API_USGS_PAT) and sends it in a header to the USGS alone; here it is neither read nor written.

UNCONFIRMED against the live services: that a continuous answer of a site without that sensor has no features, and
that the limit of three years holds for `read_nearest` too (it is kept there).
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import pandas as pd
from dataretrieval import configure, waterdata

from ssc.errors import InputError
from ssc.lonlat import BBox
from ssc.matchups.columns import TIME
from ssc.matchups.harmonise import SSC_CODE, TURBIDITY_CODE, Harmonised, harmonise
from ssc.matchups.wqp import checked_box, checked_days, from_wqx3, require_area, require_columns, told_by

PIECE: Final = pd.Timedelta(days=3 * 365)
"""The service gives at most three years of sensor values at a time."""
WINDOW: Final = pd.Timedelta(minutes=7, seconds=30)
"""Half of the usual interval of sensors."""
INSTANTANEOUS: Final = "00011"
"""Statistic code of sensor values."""
_SENSOR: Final = {
    "site": "monitoring_location_id",
    "pcode": "parameter_code",
    "time": "time",
    "value": "value",
    "unit": "unit_of_measure",
    "approval": "approval_status",
}
SENSOR_COLUMNS: Final = tuple(_SENSOR)
"""Of tables of sensor values: site, pcode, time (UTC), value (float64, in unit), unit, approval."""


def read_usgs(
    *,
    sites: Sequence[str] = (),
    bbox: BBox | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    codes: Sequence[str] = (SSC_CODE,),
    base_url: str | None = None,
) -> Harmonised:
    """Discrete samples of suspended sediment.

    Args:
        sites: Site ids such as USGS-05586100.
        bbox: West, south, east, north in degrees.
        start: First day (local).
        end: Last day.
        codes: Parameter codes.
        base_url: Of another server than the USGS; it gets no key.

    Raises:
        InputError: Neither sites nor bbox, or days in the wrong order.
        AccessError: The service refuses us.
        TransientError: It has no time for us now.
        DataError: It answers otherwise than documented.
    """
    require_area({"sites": sites, "bbox": bbox}, "sites or bbox")
    first, last = checked_days(start, end)
    with told_by("the USGS Samples service"), _redirected(base_url):
        table, _ = waterdata.get_samples(
            service="results",
            profile="fullphyschem",
            usgs_pcode=list(codes),
            monitoring_location_id=list(sites) or None,
            bbox=list(checked_box(bbox)) if bbox else None,
            activity_start_date_lower=first and first.isoformat(),
            activity_start_date_upper=last and last.isoformat(),
        )
    return harmonise(from_wqx3(table, "the USGS Samples service"))


def read_continuous(
    site: str,
    start: pd.Timestamp,
    end: pd.Timestamp,
    *,
    code: str = TURBIDITY_CODE,
    base_url: str | None = None,
) -> pd.DataFrame:
    """Sensor values of a site, every 15 minutes or so, asked for in pieces of at most three years.

    Args:
        site: Site id such as USGS-05586100.
        start: Aware time.
        end: Aware time.
        code: 63680 turbidity (FNU), 99409 SSC computed from it (mg/L).
        base_url: Of another server than the USGS; it gets no key.

    Returns:
        Columns `SENSOR_COLUMNS`, ordered by time; two sensors of a site both give a row.

    Raises:
        InputError: Times naive or in the wrong order.
        AccessError: The service refuses us.
        TransientError: It has no time for us now.
        DataError: It answers otherwise than documented.
    """
    parts = []
    for since, until in pieces(start, end):
        with told_by("the USGS continuous service"), _redirected(base_url):
            table, _ = waterdata.get_continuous(
                monitoring_location_id=site,
                parameter_code=code,
                statistic_id=INSTANTANEOUS,
                time=f"{_stamp(since)}/{_stamp(until)}",
            )
        parts.append(_sensor_values(table))
    return pd.concat(parts).drop_duplicates().sort_values(["time", "value"], ignore_index=True)


def read_nearest(
    site: str,
    targets: Iterable[pd.Timestamp],
    *,
    code: str = TURBIDITY_CODE,
    window: pd.Timedelta = WINDOW,
    base_url: str | None = None,
) -> pd.DataFrame:
    """The sensor value nearest to each overpass, none where nothing was measured within the window.

    Args:
        site: Site id such as USGS-05586100.
        targets: Aware times.
        code: As of `read_continuous`.
        window: How far before and after.
        base_url: Of another server than the USGS; it gets no key.

    Returns:
        target (UTC) and the columns `SENSOR_COLUMNS`, ordered by target.

    Raises:
        InputError: No targets, or naive ones.
        AccessError: The service refuses us.
        TransientError: It has no time for us now.
        DataError: It answers otherwise than documented.
    """
    parts = []
    for part in _batches(targets):
        with told_by("the USGS continuous service"), _redirected(base_url):
            table, _ = waterdata.get_nearest_continuous(
                part, monitoring_location_id=site, parameter_code=code, window=window, statistic_id=INSTANTANEOUS
            )
        values = _sensor_values(table)
        values.insert(0, "target", _utc(table["target_time"]) if len(table) else values["time"])
        parts.append(values)
    return pd.concat(parts).sort_values("target", ignore_index=True)


def pieces(start: pd.Timestamp, end: pd.Timestamp) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """The time from start to end in pieces of at most three years; each begins where the one before ends.

    Raises:
        InputError: Times naive or in the wrong order.
    """
    if start.tz is None or end.tz is None or start >= end:
        raise InputError(f"no time to ask for: found {start} to {end}, wanted aware times, the earlier first")
    first, last = start.tz_convert("UTC"), end.tz_convert("UTC")
    edges = [*pd.date_range(first, last, freq=PIECE, inclusive="left"), last]
    return list(itertools.pairwise(edges))


def _batches(targets: Iterable[pd.Timestamp]) -> list[pd.DatetimeIndex]:
    """Distinct targets in order, in batches that span at most three years."""
    times = pd.DatetimeIndex(sorted(set(targets)))
    if times.empty or times.tz is None:
        raise InputError(f"no overpasses: found {len(times)} naive times, wanted at least one aware time")
    number = ((times - times[0]) // PIECE).to_numpy()
    return [times[number == batch] for batch in sorted(set(number.tolist()))]


def _sensor_values(table: pd.DataFrame) -> pd.DataFrame:
    if table.empty:
        return pd.DataFrame({name: pd.Series(dtype=_dtype(name)) for name in SENSOR_COLUMNS})
    require_columns(table, [_SENSOR["site"], _SENSOR["time"], _SENSOR["value"]], "the USGS continuous service")
    told = {name: table.get(there, "") for name, there in _SENSOR.items()}
    values = pd.DataFrame(told, index=table.index).assign(
        time=_utc(table["time"]), value=pd.to_numeric(table["value"], errors="coerce")
    )
    texts = {name: "str" for name in SENSOR_COLUMNS if _dtype(name) == "str"}
    return values.astype(texts).fillna(dict.fromkeys(texts, "")).dropna(subset=["time", "value"])


def _dtype(name: str) -> str:
    return {"time": TIME, "value": "float64"}.get(name, "str")


def _utc(times: pd.Series) -> pd.Series:
    return pd.to_datetime(times, utc=True).astype(TIME)


def _stamp(time: pd.Timestamp) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def _redirected(base_url: str | None) -> Iterator[None]:
    with configure(*([waterdata.WaterdataConfiguration(base_url=base_url)] if base_url else [])):
        yield
