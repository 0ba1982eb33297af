"""What SWORD tells of drainage areas, dams and tributaries, which `ssc.reaches.Reaches` does not carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import netCDF4
import numpy as np
import pandas as pd
import pyogrio

from ssc.errors import ReachError

_NETCDF: Final = {".nc", ".nc4"}
_NAMES: Final = ("reach_id", "facc", "obstr_type", "trib_flag", "x", "y")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extras:
    """What SWORD tells beside `Reaches`."""

    facc_km2: pd.Series[Any] = field(default_factory=lambda: pd.Series(dtype=np.float64))
    """Drainage area by reach_id (int64), km2."""
    barriers: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"lon": [], "lat": [], "what": []}))
    """Nodes with a dam, lock or low dam (obstr_type 1-3) or a tributary (trib_flag): lon, lat (degrees), what."""


def read_extras(reaches: str | Path, nodes: str | Path | None = None) -> Extras:
    """Drainage areas of a reach file, barriers of its nodes; empty where the files do not tell.

    Args:
        reaches: SWORD netCDF, or a vector file of reaches.
        nodes: Vector file of nodes; not needed for netCDF, which holds them.

    Raises:
        ReachError: A file that does not read.
    """
    table = _attributes(Path(reaches), "reaches")
    # Vector files of reaches have obstr_type too, but not where in the reach: only nodes tell that.
    source = nodes if nodes is not None or Path(reaches).suffix.lower() not in _NETCDF else reaches
    points = pd.DataFrame() if source is None else _attributes(Path(source), "nodes")
    areas = pd.Series(dtype=np.float64)
    if {"reach_id", "facc"} <= set(table):
        ids = pd.to_numeric(table["reach_id"]).to_numpy(dtype=np.int64)
        areas = pd.Series(pd.to_numeric(table["facc"], errors="coerce").to_numpy(dtype=np.float64), index=ids)
        areas = areas[(areas > 0) & ~areas.index.duplicated()]
    return Extras(facc_km2=areas, barriers=_barriers(points))


def _attributes(path: Path, group: str) -> pd.DataFrame:
    """Lower-case attribute columns that matter here, with lon and lat of points; empty when a file has none."""
    try:
        if path.suffix.lower() in _NETCDF:
            with netCDF4.Dataset(path) as file:
                held = file.groups[group].variables
                names = [name for name in _NAMES if name in held]
                return pd.DataFrame({name: np.asarray(held[name][:]) for name in names})
        frame = pyogrio.read_dataframe(path).to_crs("EPSG:4326")
    except (OSError, KeyError, ValueError, pyogrio.errors.DataSourceError) as error:
        raise ReachError(f"cannot read attributes of {path}: {error}") from error
    frame.columns = [str(name).lower() for name in frame.columns]
    if (frame.geom_type == "Point").all():
        frame = frame.assign(x=frame.geometry.x, y=frame.geometry.y)
    return pd.DataFrame(frame.drop(columns="geometry"))


def _barriers(points: pd.DataFrame) -> pd.DataFrame:
    if not {"x", "y"} <= set(points) or not {"obstr_type", "trib_flag"} & set(points):
        return Extras().barriers
    zero = pd.Series(0, index=points.index)
    kind = pd.to_numeric(points.get("obstr_type", zero), errors="coerce")
    joins = pd.to_numeric(points.get("trib_flag", zero), errors="coerce") == 1
    what = np.where(kind.isin([1, 2, 3]), "a dam", np.where(joins, "a tributary", ""))
    table = pd.DataFrame({"lon": points["x"], "lat": points["y"], "what": what}).astype({"lon": float, "lat": float})
    return table[table["what"] != ""].reset_index(drop=True)
