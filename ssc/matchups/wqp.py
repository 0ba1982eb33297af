"""Samples of the Water Quality Portal, and what its WQX 3.0 tables share with the Samples service of the USGS.

The column names are those of recorded answers of both services in the tests of dataretrieval (its tests/data,
samples_results.txt and wqp3_results.txt). UNCONFIRMED: how either service words non-detects of sediment; the words of
AquaMatch for the older profile are taken.
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pandas as pd
from dataretrieval import DataRetrievalError, configure, wqp
from dataretrieval.exceptions import ConfigurationError

from ssc.errors import AccessError, DataError, InputError, SscError, TransientError
from ssc.lonlat import BBox, box_of
from ssc.matchups.columns import TIME
from ssc.matchups.harmonise import Harmonised, harmonise, metres

CHARACTERISTICS: Final = (
    "Suspended Sediment Concentration (SSC)",
    "Suspended sediment concentration (SSC)",
    "Total suspended solids",
    "Total Suspended Particulate Matter",
)
"""Names asked for; the portal minds their case (AquaSat)."""

_SAME: Final = {
    "site": "Location_Identifier",
    "sample_id": "Activity_ActivityIdentifier",
    "provider": "Org_Identifier",
    "site_type": "Location_Type",
    "longitude": "Location_Longitude",
    "latitude": "Location_Latitude",
    "name": "Result_Characteristic",
    "pcode": "USGSpcode",
    "value": "Result_Measure",
    "unit": "Result_MeasureUnit",
    "condition": "Result_ResultDetectionCondition",
    "limit": "DetectionLimit_MeasureA",
    "limit_unit": "DetectionLimit_MeasureUnitA",
    "status": "Result_MeasureStatusIdentifier",
    "method": "ResultAnalyticalMethod_Name",
    "local_date": "Activity_StartDate",
    "local_clock": "Activity_StartTime",
}
"""Raw column to WQX 3.0 column, taken over as it is."""
_COMMENTS: Final = ("Activity_Comment", "DataQuality_ResultComment", "LabInfo_LaboratoryComment")
_SAMPLING: Final = ("SampleCollectionMethod_EquipmentName", "Activity_ActivityRelativeDepth")
_DEPTHS: Final = ("Activity_DepthHeight", "ResultDepthHeight_", "Activity_BottomDepth", "Activity_TopDepth")
_ESSENTIAL: Final = tuple(
    _SAME[name] for name in ("site", "longitude", "latitude", "name", "value", "unit", "condition", "local_date")
)


def read_wqp(
    *,
    sites: Sequence[str] = (),
    bbox: BBox | None = None,
    huc: str | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    base_url: str | None = None,
) -> Harmonised:
    """Suspended sediment and solids of all organisations that report to the portal.

    The profile is WQX 3.0 (fullPhysChem); the older one lacks USGS data since March 2024.

    Args:
        sites: Site ids such as USGS-05586100.
        bbox: West, south, east, north in degrees.
        huc: Hydrologic unit, two to twelve digits.
        start: First day (local).
        end: Last day.
        base_url: Of another server than the portal.

    Raises:
        InputError: Neither sites nor bbox nor huc, or days in the wrong order.
        AccessError: The service refuses us.
        TransientError: It has no time for us now; which includes its answer to a query that is too large (500).
        DataError: It answers otherwise than documented.
    """
    asked = {
        "siteid": list(sites) or None,
        "bBox": ",".join(f"{degrees:.6f}" for degrees in checked_box(bbox)) if bbox else None,
        "huc": huc,
    }
    require_area(asked, "sites, bbox or huc")
    first, last = checked_days(start, end)
    when = {"startDateLo": first and f"{first:%m-%d-%Y}", "startDateHi": last and f"{last:%m-%d-%Y}"}
    query: dict[str, Any] = {name: value for name, value in {**asked, **when}.items() if value}
    with told_by("the Water Quality Portal"), _redirected(base_url), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Support for the WQX3.0 profiles is experimental")
        table, _ = wqp.get_results(
            legacy=False, dataProfile="fullPhysChem", characteristicName=list(CHARACTERISTICS), **query
        )
    return harmonise(from_wqx3(table, "the Water Quality Portal"))


def from_wqx3(table: pd.DataFrame, service: str) -> pd.DataFrame:
    """A raw table (see `harmonise.RAW`) from a WQX 3.0 table of results.

    Times are UTC where the zone is known (dataretrieval adds Activity_StartDateTime). A basin is the first four
    digits of the hydrologic unit.

    Raises:
        DataError: A column that each answer should have is missing, or it is a web page.
    """
    require_columns(table, _ESSENTIAL, service)
    raw = pd.DataFrame({name: _text(table, there) for name, there in _SAME.items()})
    deepest = pd.concat([_depth(table, prefix) for prefix in _DEPTHS], axis=1).max(axis=1)
    return raw.assign(
        sample_time=_time(table),
        media=_text(table, "Activity_MediaSubdivision").mask(lambda text: text == "", _text(table, "Activity_Media")),
        comment=_joined(table, _COMMENTS),
        sampling=_joined(table, _SAMPLING),
        depth_m=deepest,
        basin=_hydrologic_region(_text(table, "Location_HUCEightDigitCode")),
    )


def require_columns(table: pd.DataFrame, wanted: Sequence[str], service: str) -> None:
    """Refuse an answer without the columns that every one should have.

    Raises:
        DataError: A web page, or columns are missing.
    """
    names = [str(name) for name in table.columns]
    if names and names[0].lstrip().startswith("<"):
        raise DataError(f"no table from {service}: found a web page ({names[0][:60]!r}), wanted CSV; try again later")
    lacking = [name for name in wanted if name not in names]
    if lacking:
        raise DataError(
            f"no table as documented from {service}: found {len(names)} columns {' '.join(names[:6])} ..., "
            f"missing {' '.join(lacking)}"
        )


@contextmanager
def told_by(service: str) -> Iterator[None]:
    """Failures of dataretrieval as ours.

    Raises:
        InputError: A setting of dataretrieval is unusable.
        AccessError: HTTP 401 or 403.
        TransientError: HTTP 429 or 5xx, time-out, cut connection.
        DataError: Other HTTP failures, and answers that are not what they should be.
    """
    try:
        yield
    except SscError:
        raise
    except ConfigurationError as error:
        raise InputError(f"cannot ask {service}: found {error}, wanted other settings of dataretrieval") from error
    except DataRetrievalError as error:
        raise _failure(service, error) from error
    except (ValueError, LookupError, AttributeError) as error:  # of pandas and json, for what is not CSV or GeoJSON
        raise DataError(f"cannot read the answer of {service}: found {type(error).__name__}: {error}") from error


def _failure(service: str, error: DataRetrievalError) -> DataError | AccessError | TransientError:
    what = " ".join(str(error).split())[:400]
    if error.status_code in {401, 403}:
        return AccessError(f"{service} refuses us: found {what}; wanted a valid API_USGS_PAT, or a smaller query")
    if error.retryable:
        return TransientError(f"{service} did not answer: found {what}; try again later")
    if error.status_code:
        return DataError(f"{service} refuses the query: found {what}")
    return DataError(f"cannot read the answer of {service}: found {what}")


def require_area(asked: Mapping[str, object], wanted: str) -> None:
    """Refuse a query for the whole world.

    Raises:
        InputError: Nothing is asked for.
    """
    if not any(asked.values()):
        raise InputError(f"a query without an area: found none, wanted {wanted}")


def checked_days(start: dt.date | None, end: dt.date | None) -> tuple[dt.date | None, dt.date | None]:
    """The days, in order.

    Raises:
        InputError: They are not.
    """
    if start and end and start > end:
        raise InputError(f"no days: found start {start} after end {end}, wanted the earlier first")
    return start, end


def checked_box(bbox: BBox) -> BBox:
    """The box, for services that know none across the antimeridian.

    Raises:
        InputError: Numbers out of range or order.
    """
    box_of(bbox)
    if bbox[0] >= bbox[2]:
        raise InputError(f"a box across the antimeridian: found {tuple(bbox)}, wanted two boxes, one on each side")
    return bbox


@contextmanager
def _redirected(base_url: str | None) -> Iterator[None]:
    with configure(*([wqp.WqpConfiguration(base_url=base_url)] if base_url else [])):
        yield


def _text(table: pd.DataFrame, name: str) -> pd.Series:
    """The column as text, "" where there is nothing; numbers as they are written."""
    if name not in table:
        return pd.Series("", index=table.index, dtype="str")
    return table[name].astype("str").fillna("").str.strip()


def _joined(table: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    joined = _text(table, names[0])
    for name in names[1:]:
        joined = joined + " " + _text(table, name)
    return joined.str.strip()


def _depth(table: pd.DataFrame, prefix: str) -> pd.Series:
    return metres(_text(table, f"{prefix}Measure"), _text(table, f"{prefix}MeasureUnit"))


def _time(table: pd.DataFrame) -> pd.Series:
    if "Activity_StartDateTime" not in table:
        return pd.Series(pd.NaT, index=table.index, dtype=TIME)
    return pd.to_datetime(table["Activity_StartDateTime"], utc=True).astype(TIME)


def _hydrologic_region(huc8: pd.Series) -> pd.Series:
    digits = huc8.str.replace(r"\.0$", "", regex=True).str.zfill(8).str.slice(0, 4)
    return ("huc" + digits).where(huc8 != "", "")
