"""Results as CF netCDF: a time series per reach, as a contiguous ragged array.

Conventions CF-1.8 (9.3.3, H.2.4; 3.5 flags) and ACDD-1.3, as the SWOT river products declare. reach_id is int64, as
there, which CF allows by name only from 1.9 on. There is no CF standard name for sediment in rivers, so none is given.
Of what ACDD asks for, the file lacks what only its publisher knows: creator, publisher, institution, licence, naming
authority. Nor does it tell a height, since it has none, or a resolution in time, since clear skies keep no calendar.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import IntEnum, IntFlag
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
from ssc.schema import COLUMNS, COUNTS, ESTIMATE, FLAG_MASKS, GEOMETRY, RATIOS, REFLECTANCE, Column

EPOCH = pd.Timestamp("2000-01-01", tz="UTC")
"""Of all times, as in SWOT products."""
_TIME = {"units": "seconds since 2000-01-01 00:00:00", "calendar": "standard"}
_BESIDE = {
    **dict.fromkeys(("ssc", "ssc_mean"), ("ssc_lo90", "ssc_hi90", "ssc_qual", "ssc_quality", "n_px_used")),
    **dict.fromkeys(("sed_flux", "sed_flux_t_d"), ("sed_flux_lo90", "sed_flux_hi90", "flux_qual")),
}
"""Column -> its ancillary variables."""
_NAMES = {
    "time": "time",
    "sun_zenith": "solar_zenith_angle",
    "view_zenith": "sensor_zenith_angle",
    "ssc_qual": "quality_flag",
    "ssc_quality": "quality_flag",
    "flux_qual": "quality_flag",
    "n_px_used": "number_of_observations",
    "q_m3_s": "water_volume_transport_in_river_channel",
}
"""Column -> CF standard name, where one means just that (table version 93)."""
_CONTENT = {
    **dict.fromkeys((column.name for column in (*REFLECTANCE, *RATIOS)), "physicalMeasurement"),
    **dict.fromkeys((column.name for column in GEOMETRY), "auxiliaryInformation"),
    **dict.fromkeys((column.name for column in ESTIMATE), "modelResult"),
    **dict.fromkeys((column.name for column in COUNTS), "qualityInformation"),
    **dict.fromkeys(
        ("q_m3_s", "ssc_mg_l", *(f"sed_flux{end}" for end in ("", "_t_d", "_lo90", "_hi90"))), "modelResult"
    ),
    **dict.fromkeys((*FLAG_MASKS, "flux_qual", "ln_q_sd", "dt_q_ssc_h"), "qualityInformation"),
    "time": "coordinate",
}
"""Column -> ISO 19115-1 code of what it holds; the others name or describe a row."""
_GLOBAL = {
    "Conventions": "CF-1.8, ACDD-1.3",
    "featureType": "timeSeries",
    "title": "Suspended sediment concentration of river reaches",
    "summary": "Suspended sediment concentration (SSC) per river reach and satellite acquisition, with its interval, "
    "quality flags and the reflectance statistics it was estimated from. SSC is that of the surface layer.",
    "keywords": "suspended sediment, water quality, rivers, remote sensing, HLS, SWORD",
    "comment": "ssc is the median and ssc_mean the mean of the estimate; sums and fluxes need the mean. Look at "
    "ssc_quality before use. Reaches are seen under clear skies only, which miss floods.",
    "source": "Harmonized Landsat and Sentinel-2 (HLS) v2.0 surface reflectance; granules are named in granule_ids",
    "acknowledgement": "HLS v2.0: NASA LP DAAC, doi:10.5067/HLS/HLSL30.002 and doi:10.5067/HLS/HLSS30.002. "
    "SWORD: Altenau et al. 2021, doi:10.1029/2021WR030054",
    "references": "doi:10.1029/2021WR030054",
    "project": "river-ssc",
    "platform": "Landsat 8, Landsat 9, Sentinel-2A, Sentinel-2B, Sentinel-2C",
    "instrument": "OLI, MSI",
    "processing_level": "L4",
    "cdm_data_type": "Station",
    "standard_name_vocabulary": "CF Standard Name Table v93",
}


def write_netcdf(
    rows: pd.DataFrame,
    reaches: gpd.GeoDataFrame,
    out: Path,
    *,
    columns: Sequence[Column] = COLUMNS,
    flags: Mapping[str, type[IntFlag | IntEnum]] = FLAG_MASKS,
    attributes: Mapping[str, str] | None = None,
) -> None:
    """Write rows of the results as one netCDF file.

    Args:
        rows: Columns of `columns`, all or some; reach_id and time among them.
        reaches: `Store.reaches()`: indexed by reach_id, lines in EPSG:4326; a reach that lacks has no position (NaN).
        out: File to write.
        columns: What the columns are, if not those of the results.
        flags: Columns of flags and the enums that name them.
        attributes: Global attributes beside or instead of ours.

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
        for column in columns:
            if column.name in rows and column.name != "reach_id":
                _write_column(file, column, rows, flags.get(column.name))
        file.setncatts(_GLOBAL | _extent(position, rows["time"]) | {"id": _identifier(rows)} | dict(attributes or {}))


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
        attributes = {
            "standard_name": standard,
            "long_name": f"{standard} of the reach's midpoint",
            "units": unit,
            "coverage_content_type": "coordinate",
        }
        _put(file, name, values, ("reach",), attributes)
    names = about["river_name"].fillna("").to_numpy(dtype=object)
    _put(file, "river_name", names, ("reach",), {"long_name": "name of the river in SWORD"})
    widths = about["width_m"].to_numpy(dtype=np.float64)
    about_width = {"long_name": "mean width in SWORD", "units": "m", "coverage_content_type": "referenceInformation"}
    _put(file, "width", widths, ("reach",), about_width)


def _write_column(
    file: netCDF4.Dataset, column: Column, rows: pd.DataFrame, flags: type[IntFlag | IntEnum] | None
) -> None:
    attributes: dict[str, Any] = {"long_name": column.meaning}
    attributes["coverage_content_type"] = _CONTENT.get(column.name, "referenceInformation")
    if column.unit or pa.types.is_integer(column.type):
        attributes["units"] = column.unit or "1"
    if column.name in _NAMES:
        attributes["standard_name"] = _NAMES[column.name]
    attributes |= {"axis": "T"} if column.name == "time" else {"coordinates": "time lat lon"}
    if pa.types.is_timestamp(column.type):
        attributes |= _TIME
    if column.name in _BESIDE:
        attributes["valid_min"] = column.type.to_pandas_dtype()(0)
        beside = " ".join(name for name in _BESIDE[column.name] if name in rows)
        attributes |= {"ancillary_variables": beside} if beside else {}
    if flags is not None:
        attributes |= _flags(column, flags)
    _put(file, column.name, _values(column, rows[column.name]), ("obs",), attributes)


def _values(column: Column, values: pd.Series) -> NDArray[Any]:
    if pa.types.is_timestamp(column.type):
        return ((values - EPOCH) / pd.Timedelta(seconds=1)).to_numpy(dtype=np.float64)
    if pa.types.is_list(column.type):
        return values.map(" ".join).to_numpy(dtype=object)
    if pa.types.is_string(column.type):
        return values.fillna("").to_numpy(dtype=object)
    return values.to_numpy(dtype=column.type.to_pandas_dtype())


def _flags(column: Column, meanings: type[IntFlag | IntEnum]) -> dict[str, Any]:
    """CF flag attributes; masks and values have the type of the variable (CF 3.5)."""
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


def _identifier(rows: pd.DataFrame) -> str:
    """A name that follows from the rows alone, and needs no naming authority."""
    plain = rows.assign(**{name: rows[name].map(" ".join) for name in ("granule_ids", "tile_ids") if name in rows})
    digest = hashlib.sha256(" ".join(plain.columns).encode())
    digest.update(pd.util.hash_pandas_object(plain, index=False).to_numpy().tobytes())
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest.hexdigest())}"


def _extent(position: NDArray[np.float64], times: pd.Series) -> dict[str, Any]:
    """What ACDD wants to know of where and when, and who wrote it when."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    attributes: dict[str, Any] = {
        **dict.fromkeys(("date_created", "date_modified", "date_issued", "date_metadata_modified"), now),
        "history": f"{now} written by river-ssc {code_version()}",
        "product_version": code_version(),
    }
    there = position[np.isfinite(position).all(axis=1)]
    if there.size:
        for name, values, unit in zip(("lon", "lat"), there.T, ("degrees_east", "degrees_north"), strict=True):
            attributes[f"geospatial_{name}_min"] = values.min()
            attributes[f"geospatial_{name}_max"] = values.max()
            attributes[f"geospatial_{name}_units"] = unit
        box = shapely.envelope(shapely.multipoints(there[:, ::-1]))  # latitude first, as ACDD reads EPSG:4326
        attributes |= {"geospatial_bounds": shapely.to_wkt(box, rounding_precision=6)}
        attributes |= {"geospatial_bounds_crs": "EPSG:4326"}
    if len(times):
        attributes["time_coverage_start"] = times.min().isoformat()
        attributes["time_coverage_end"] = times.max().isoformat()
        attributes["time_coverage_duration"] = (times.max() - times.min()).isoformat()
    return attributes
