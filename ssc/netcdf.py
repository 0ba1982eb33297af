"""Results as CF netCDF: a time series per reach, as a contiguous ragged array.

Conventions CF-1.8 (9.3.3, H.2.4; 3.5 flags) and ACDD-1.3, as the SWOT river products declare. reach_id is int64, as
there, which CF allows by name only from 1.9 on. There is no CF standard name for sediment in rivers, so none is given.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntFlag
from pathlib import Path
from typing import Any

import geopandas as gpd
import netCDF4
import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from ssc.errors import InputError
from ssc.lonlat import unwrap
from ssc.provenance import code_version
from ssc.schema import COLUMNS, FLAG_MASKS, Column

EPOCH = pd.Timestamp("2000-01-01", tz="UTC")
"""Of all times, as in SWOT products."""
_TIME = {"units": "seconds since 2000-01-01 00:00:00", "calendar": "standard"}
_SSC = {"valid_min": np.float32(0), "coverage_content_type": "modelResult"}
_ANCILLARY = ("ssc_lo90", "ssc_hi90", "ssc_qual", "ssc_quality", "n_px_used")
_GLOBAL = {
    "Conventions": "CF-1.8, ACDD-1.3",
    "featureType": "timeSeries",
    "title": "Suspended sediment concentration of river reaches",
    "summary": "Suspended sediment concentration (SSC) per river reach and satellite acquisition, with its interval, "
    "quality flags and the reflectance statistics it was estimated from. SSC is that of the surface layer.",
    "keywords": "suspended sediment, water quality, rivers, remote sensing, HLS, SWORD",
    "source": "Harmonized Landsat and Sentinel-2 (HLS) v2.0 surface reflectance; granules are named in granule_ids",
    "processing_level": "L4",
    "cdm_data_type": "Station",
}


def write_netcdf(rows: pd.DataFrame, reaches: gpd.GeoDataFrame, out: Path) -> None:
    """Write rows of the results as one netCDF file.

    Args:
        rows: Columns of `ssc.schema.COLUMNS`, all or some; reach_id and time among them.
        reaches: `Store.reaches()`: indexed by reach_id, lines in EPSG:4326; a reach that lacks has no position (NaN).
        out: File to write.

    Raises:
        InputError: reach_id or time is missing.
    """
    lacking = {"reach_id", "time"} - set(rows.columns)
    if lacking:
        raise InputError(f"no time series without {' '.join(sorted(lacking))}: found {' '.join(rows.columns)}")
    rows = rows.sort_values(["reach_id", "time"], kind="stable", ignore_index=True)
    ids, sizes = np.unique(rows["reach_id"].to_numpy(dtype=np.int64), return_counts=True)
    about = reaches.reindex(ids)
    position = _midpoints(about.geometry.to_numpy())
    with netCDF4.Dataset(out, "w") as file:
        file.createDimension("reach", ids.size)
        file.createDimension("obs", len(rows))
        _write_reaches(file, ids, sizes, about, position)
        for column in COLUMNS:
            if column.name in rows and column.name != "reach_id":
                _write_column(file, column, rows)
        file.setncatts(_GLOBAL | _extent(position, rows["time"]))


def _write_reaches(
    file: netCDF4.Dataset,
    ids: NDArray[np.int64],
    sizes: NDArray[np.int64],
    about: gpd.GeoDataFrame,
    position: NDArray[np.float64],
) -> None:
    _put(file, "reach_id", ids, ("reach",), {"long_name": "SWORD reach id", "cf_role": "timeseries_id"})
    about_size = {"long_name": "number of observations of the reach", "sample_dimension": "obs"}
    _put(file, "rowSize", sizes.astype(np.int32), ("reach",), about_size)
    for name, standard, unit, values in (
        ("lon", "longitude", "degrees_east", position[:, 0]),
        ("lat", "latitude", "degrees_north", position[:, 1]),
    ):
        attributes = {"standard_name": standard, "long_name": f"{standard} of the reach's midpoint", "units": unit}
        _put(file, name, values, ("reach",), attributes)
    names = about["river_name"].fillna("").to_numpy(dtype=object)
    _put(file, "river_name", names, ("reach",), {"long_name": "name of the river in SWORD"})
    widths = about["width_m"].to_numpy(dtype=np.float64)
    _put(file, "width", widths, ("reach",), {"long_name": "mean width in SWORD", "units": "m"})


def _write_column(file: netCDF4.Dataset, column: Column, rows: pd.DataFrame) -> None:
    attributes: dict[str, Any] = {"long_name": column.meaning}
    if column.unit:
        attributes["units"] = column.unit
    if column.name == "time":
        attributes |= {"standard_name": "time", "axis": "T"}
    else:
        attributes["coordinates"] = "time lat lon"
    if pa.types.is_timestamp(column.type):
        attributes |= _TIME
    if column.name == "ssc":
        attributes |= _SSC
        beside = " ".join(name for name in _ANCILLARY if name in rows)
        attributes |= {"ancillary_variables": beside} if beside else {}
    if column.name in FLAG_MASKS:
        attributes |= _flags(column)
    _put(file, column.name, _values(column, rows[column.name]), ("obs",), attributes)


def _values(column: Column, values: pd.Series) -> NDArray[Any]:
    if pa.types.is_timestamp(column.type):
        return ((values - EPOCH) / pd.Timedelta(seconds=1)).to_numpy(dtype=np.float64)
    if pa.types.is_list(column.type):
        return values.map(" ".join).to_numpy(dtype=object)
    if pa.types.is_string(column.type):
        return values.to_numpy(dtype=object)
    return values.to_numpy(dtype=column.type.to_pandas_dtype())


def _flags(column: Column) -> dict[str, Any]:
    """CF flag attributes; masks and values have the type of the variable (CF 3.5)."""
    meanings = FLAG_MASKS[column.name]
    values = np.array([member.value for member in meanings], dtype=column.type.to_pandas_dtype())
    kind = "flag_masks" if issubclass(meanings, IntFlag) else "flag_values"
    return {kind: values, "flag_meanings": " ".join(str(member.name).lower() for member in meanings)}


def _put(
    file: netCDF4.Dataset, name: str, values: NDArray[Any], dimensions: tuple[str], attributes: dict[str, Any]
) -> None:
    text = values.dtype == object
    floating = values.dtype.kind == "f" and not {"time", "longitude", "latitude"} & {attributes.get("standard_name")}
    variable = file.createVariable(
        name,
        str if text else values.dtype,
        dimensions,
        fill_value=values.dtype.type(np.nan) if floating else None,
        compression=None if text else "zlib",
    )
    variable.setncatts(attributes)
    if values.size:
        variable[:] = values


def _midpoints(lines: NDArray[Any]) -> NDArray[np.float64]:
    """(n, 2) longitude and latitude half way along each line, NaN without a line."""
    middle = np.full((len(lines), 2), np.nan)
    there = np.flatnonzero(~(shapely.is_missing(lines) | shapely.is_empty(lines)))
    if there.size:
        points = shapely.line_interpolate_point(unwrap(lines[there]), 0.5, normalized=True)
        middle[there] = shapely.get_coordinates(points)
    middle[:, 0] = (middle[:, 0] + 180) % 360 - 180
    return middle


def _extent(position: NDArray[np.float64], times: pd.Series) -> dict[str, Any]:
    """What ACDD wants to know of where and when, and who wrote it when."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    attributes: dict[str, Any] = {
        "date_created": now,
        "history": f"{now} written by river-ssc {code_version()}",
        "product_version": code_version(),
    }
    if np.isfinite(position).any():
        for index, name in enumerate(("lon", "lat")):
            attributes[f"geospatial_{name}_min"] = np.nanmin(position[:, index])
            attributes[f"geospatial_{name}_max"] = np.nanmax(position[:, index])
    if len(times):
        attributes["time_coverage_start"] = times.min().isoformat()
        attributes["time_coverage_end"] = times.max().isoformat()
    return attributes
