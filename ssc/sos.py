"""SSC in the layout of the SWOT Sword of Science (SoS): group `ssc`, by node and day.

The group is that of Confluence's output module (github SWOT-Confluence/output, output/modules/ssc.py): ssc_date,
ssc_nodes, ssc_pred, tile_name; fill values are those of its AbstractModule.FILL. What it has no place for stands in the
sub-group `reach`, so that its readers do not break. One value per node and day is all it holds, and one method.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import netCDF4
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.errors import InputError
from ssc.provenance import code_version
from ssc.quality import Quality
from ssc.sword import MAX_NODES, node_of

FILL, FILL_I4 = -999999999999.0, -999
_EPOCH = pd.Timestamp("2000-01-01", tz="UTC")
_SECONDS = "seconds since 2000-01-01 00:00:00.000"
_NEEDED = ("reach_id", "time", "ssc", "ln_ssc_sd", "ssc_qual", "ssc_quality", "n_px_used", "n_nodes", "granule_ids")
_METHOD = ("masker", "regressor")
_OF_NODES = (
    "Each node has the estimate of its whole reach: the results store holds reaches, no node samples. Neighbouring "
    "nodes are therefore not independent. reach/node_value flags it."
)


def write_sos(rows: pd.DataFrame, reaches: gpd.GeoDataFrame, out: Path) -> None:
    """Write rows of the results as a netCDF file with the group `ssc` of the SoS.

    A day (UTC) on which a reach was seen more than once has the row of best ssc_quality, among those the one with most
    pixels, then the latest. The arrays are dense, nodes by days: meant for a basin, not for the world.

    Args:
        rows: Rows of the results, of one masker and one regressor.
        reaches: `Store.reaches()`; n_nodes tells how many nodes a reach has, numbered from 1 as SWORD does. Where it
            does not, the rows tell how many of them they saw.
        out: File to write.

    Raises:
        InputError: A column is missing, or rows of several methods, which the layout cannot hold.
    """
    _require(rows)
    best = _one_a_day(rows)
    ids, reach = np.unique(best["reach_id"].to_numpy(dtype=np.int64), return_inverse=True)
    days, day = np.unique(best["day"].to_numpy(dtype=np.float64), return_inverse=True)
    counts = _node_counts(ids, best, reaches)
    of_reach = np.repeat(np.arange(ids.size), counts)
    number = np.arange(of_reach.size) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    with netCDF4.Dataset(out, "w") as file:
        file.setncatts({"title": "SSC of river nodes, layout of the SoS", "source": f"river-ssc {code_version()}"})
        group = file.createGroup("ssc")
        group.createDimension("ssc_dates", days.size)
        group.createDimension("num_ssc_nodes")
        ssc = _grid(best["ssc"], reach, day, (ids.size, days.size), FILL)
        names = _grid(best["granule_ids"].str[0], reach, day, ssc.shape, "", dtype=object)
        nodes = node_of(ids[of_reach], number).astype(np.float64)
        _put(group, "ssc_date", days, ("ssc_dates",), {"long_name": "day (UTC)", "units": _SECONDS})
        _put(group, "ssc_nodes", nodes, ("num_ssc_nodes",), {"long_name": "SWORD node id"})
        about = {"long_name": "suspended sediment concentration", "units": "mg/L", "valid_min": 0.0, "valid_max": 1e8}
        about |= {"comment": _OF_NODES}
        _put(group, "ssc_pred", ssc[of_reach], ("num_ssc_nodes", "ssc_dates"), about)
        _put(group, "tile_name", names[of_reach], ("num_ssc_nodes", "ssc_dates"), {"long_name": "granule"})
        _write_reaches(group.createGroup("reach"), best, ids, reach, day, ssc, of_reach)


def _write_reaches(  # noqa: PLR0917  what the caller has at hand
    group: netCDF4.Group,
    best: pd.DataFrame,
    ids: NDArray[np.int64],
    reach: NDArray[np.intp],
    day: NDArray[np.intp],
    ssc: NDArray[np.float64],
    of_reach: NDArray[np.intp],
) -> None:
    """What the group `ssc` has no place for."""
    group.setncatts({"masker": _method(best, "masker"), "regressor": _method(best, "regressor")})
    group.createDimension("num_ssc_reaches", ids.size)
    both = ("num_ssc_reaches", "ssc_dates")
    _put(group, "reach_id", ids, ("num_ssc_reaches",), {"long_name": "SWORD reach id"})
    about = {"long_name": "position in reach_id of the node's reach", "units": "1"}
    _put(group, "node_reach", of_reach.astype(np.int32), ("num_ssc_nodes",), about)
    flags: dict[str, Any] = {"long_name": "what the node's value is", "flag_meanings": "node_sample reach_value"}
    flags["flag_values"] = np.array([0, 1], dtype=np.int8)
    _put(group, "node_value", np.ones(of_reach.size, dtype=np.int8), ("num_ssc_nodes",), flags)
    about = {"long_name": "median estimate of the reach", "units": "mg/L", "ancillary_variables": "ssc_u ssc_qual n_px"}
    _put(group, "ssc_reach", ssc, both, about)
    spread = best["ssc"] * np.sinh(best["ln_ssc_sd"])
    about = {"long_name": "half-width of the 68 % interval, which is log-normal and not centred", "units": "mg/L"}
    _put(group, "ssc_u", _grid(spread, reach, day, ssc.shape, FILL), both, about)
    flags = {"long_name": "quality bits", "flag_masks": np.array([bit.value for bit in Quality], dtype=np.int32)}
    flags["flag_meanings"] = " ".join(str(bit.name).lower() for bit in Quality)
    _put(group, "ssc_qual", _grid(best["ssc_qual"], reach, day, ssc.shape, FILL_I4, dtype=np.int32), both, flags)
    about = {"long_name": "pixels that carry the estimate", "units": "1"}
    _put(group, "n_px", _grid(best["n_px_used"], reach, day, ssc.shape, FILL_I4, dtype=np.int32), both, about)


def _require(rows: pd.DataFrame) -> None:
    lacking = [name for name in (*_NEEDED, *_METHOD) if name not in rows]
    if lacking:
        raise InputError(f"no sos export without {' '.join(lacking)}: found columns {' '.join(map(str, rows.columns))}")
    methods = rows[list(_METHOD)].drop_duplicates()
    if len(methods) > 1:
        found = ", ".join(" with ".join(pair) for pair in methods.itertuples(index=False))
        raise InputError(f"the sos layout holds one masker and regressor: found {found}; wanted rows of one of them")


def _one_a_day(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per reach and UTC day, withheld estimates last of all; `day` is its midnight, seconds since 2000."""
    day = (rows["time"].dt.tz_convert("UTC").dt.floor("D") - _EPOCH) / pd.Timedelta(seconds=1)
    ranked = rows.assign(day=day, unknown=rows["ssc"].isna())
    order = ["unknown", "ssc_quality", "n_px_used", "time"]
    ranked = ranked.sort_values(order, ascending=[True, True, False, False], kind="stable")
    return ranked.drop_duplicates(["reach_id", "day"]).sort_values(["reach_id", "day"], ignore_index=True)


def _node_counts(ids: NDArray[np.int64], best: pd.DataFrame, reaches: gpd.GeoDataFrame) -> NDArray[np.int64]:
    seen = best.groupby("reach_id")["n_nodes"].max().reindex(ids)
    told = reaches["n_nodes"].reindex(ids) if "n_nodes" in reaches else seen
    counts = told.fillna(seen).to_numpy(dtype=np.float64)
    return np.clip(counts, 1, MAX_NODES).astype(np.int64)


def _grid(
    values: pd.Series,
    reach: NDArray[np.intp],
    day: NDArray[np.intp],
    shape: tuple[int, ...],
    fill: float | str,
    *,
    dtype: Any = np.float64,
) -> NDArray[Any]:
    """(reaches, days), the fill value where there is no row or no number."""
    grid = np.full(shape, fill, dtype=dtype)
    known = values.notna().to_numpy()
    grid[reach[known], day[known]] = values[known].to_numpy(dtype=dtype)  # float32 would round the fill value
    return grid


def _method(best: pd.DataFrame, name: str) -> str:
    return str(best[name].iloc[0]) if len(best) else ""


def _put(
    group: netCDF4.Group, name: str, values: NDArray[Any], dimensions: tuple[str, ...], attributes: dict[str, Any]
) -> None:
    fill = {"float64": FILL, "int32": FILL_I4}.get(values.dtype.name)
    text = values.dtype == object
    kind = str if text else values.dtype
    variable = group.createVariable(name, kind, dimensions, fill_value=fill, compression=None if text else "zlib")
    variable.setncatts(attributes if fill is None else attributes | {"missing_value": values.dtype.type(fill)})
    if values.size:
        variable[:] = values
