"""Readers of reach files: SWORD netCDF, GeoPackage, shapefile (also zipped), GeoParquet, GeoJSON, folders of them."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import netCDF4
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import shapely
from numpy.typing import NDArray

from ssc.errors import ReachError
from ssc.lonlat import BBox
from ssc.sword import (
    ID_COLUMNS,
    NODE_COLUMNS,
    REACH_COLUMNS,
    has_prefix,
    match_columns,
    no_nodes,
    node_rows,
    parse_ids,
    reach_rows,
    version_of,
)

log = logging.getLogger(__name__)

_VECTOR = (".shp", ".gpkg", ".geojson", ".json", ".fgb")
_PARQUET = (".parquet", ".geoparquet")
_NETCDF = (".nc", ".nc4")
_LINE_TYPES = (shapely.GeometryType.LINESTRING, shapely.GeometryType.MULTILINESTRING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a reader may leave out: a hint for speed; the caller selects again."""

    ids: frozenset[int] | None = None
    basin: str | None = None
    bbox: BBox | None = None
    """Only with west <= east."""

    def keeps(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) True where a reach id may be wanted."""
        kept = np.ones(ids.shape, dtype=bool)
        if self.ids is not None:
            kept &= np.isin(ids, list(self.ids))
        if self.basin is not None:
            kept &= has_prefix(ids, self.basin)
        return kept


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheet:
    """The content of a reach file."""

    reaches: gpd.GeoDataFrame
    """Columns of `ssc.sword.REACH_COLUMNS` and 2-D lines in EPSG:4326; rows as in the file."""
    nodes: pd.DataFrame
    """node_id, reach_id (int64), lon, lat (degrees), width_m; empty when the file has none."""
    version: str


def read_sheet(path: Path, wanted: Wanted) -> Sheet:
    """Read any reach file.

    Raises:
        ReachError: No such file, unreadable, without ids, without lines, or in an unknown CRS.
    """
    if not path.exists():
        raise ReachError(f"no such reach file: {path}")
    if _is(path, _NETCDF):
        return _read_netcdf(path, wanted)
    frames = _read_frames(path, wanted)
    lines = [reach_rows(rows, path) for rows in map(_lines, frames) if len(rows)]
    if not lines:
        kinds = sorted({str(kind) for frame in frames for kind in frame.geom_type.unique()}) or "nothing"
        where = "" if wanted.bbox is None else f" within {wanted.bbox}"
        raise ReachError(f"no river lines in {path}{where}: found {kinds}, wanted LineString")
    nodes = [node_rows(frame, path) for frame in frames]
    reaches = pd.concat(lines, ignore_index=True)
    return Sheet(reaches=reaches, nodes=_stack(nodes), version=version_of(path))


def read_nodes(path: Path, wanted: Wanted) -> pd.DataFrame:
    """Nodes of a second file, columns as `Sheet.nodes`.

    Raises:
        ReachError: No such file, unreadable, or without points that have a node id.
    """
    if not path.exists():
        raise ReachError(f"no such node file: {path}")
    if _is(path, _NETCDF):
        return _read_netcdf(path, wanted).nodes
    nodes = _stack([node_rows(frame, path) for frame in _read_frames(path, wanted)])
    if nodes.empty:
        raise ReachError(f"no nodes in {path}: wanted points with a column node_id")
    return nodes


def _is(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes


def _read_frames(path: Path, wanted: Wanted) -> list[gpd.GeoDataFrame]:
    frames = [_read_parquet(path)] if _is(path, _PARQUET) else _read_layers(path, wanted)
    return [_in_degrees(frame, path) for frame in frames]


def _stack(tables: list[pd.DataFrame]) -> pd.DataFrame:
    full = [table for table in tables if not table.empty]
    return pd.concat(full, ignore_index=True) if full else no_nodes()


def _lines(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Rows whose geometry is a line; layers of points have none, so only layers with lines are told about."""
    geometry = frame.geometry.to_numpy()
    drawn = np.isin(shapely.get_type_id(geometry), _LINE_TYPES) & (shapely.length(geometry) > 0)
    if drawn.any() and not drawn.all():
        log.warning("dropped %d of %d reaches that have no line", (~drawn).sum(), len(frame))
    return frame[drawn]


def _in_degrees(frame: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    """EPSG:4326, longitude in [-180, 180]; a file that does not tell its CRS must look like degrees."""
    if frame.crs is None:
        west, south, east, north = frame.total_bounds
        if not frame.empty and not (west >= -180 and east <= 360 and south >= -90 and north <= 90):
            found = f"no CRS and x {west:g} to {east:g}, y {south:g} to {north:g}"
            raise ReachError(f"unknown CRS of {path}: found {found}; wanted a .prj or longitude and latitude")
        frame = frame.set_crs("EPSG:4326")
    frame = frame.to_crs("EPSG:4326")
    if frame.total_bounds[2] > 180:
        turned = shapely.transform(frame.geometry.to_numpy(), lambda xy: xy - np.where(xy > 180, [360, 0], 0))
        frame = frame.set_geometry(gpd.GeoSeries(turned, index=frame.index, crs="EPSG:4326"))
    return frame


def _read_parquet(path: Path) -> gpd.GeoDataFrame:
    try:
        metadata = pq.read_schema(path).metadata or {}
        frame = gpd.read_parquet(path) if b"geo" in metadata else None
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ReachError(f"cannot read {path} as GeoParquet: {error}") from error
    if frame is None:
        raise ReachError(f"no geometry in {path}: found plain Parquet, wanted GeoParquet (metadata key geo)")
    return frame.set_geometry(frame.geometry.force_2d())


def _read_layers(path: Path, wanted: Wanted) -> list[gpd.GeoDataFrame]:
    """Every layer with geometry of a vector file, or of all vector files in a zip archive or folder."""
    try:
        return [
            _read_layer(source, str(layer), wanted)
            for source in _sources(path)
            for layer, kind in pyogrio.list_layers(source)
            if kind is not None
        ]
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, zipfile.BadZipFile) as error:
        raise ReachError(f"cannot read {path}: {error}; wanted SWORD netCDF or a vector file") from error


def _sources(path: Path) -> list[str]:
    if _is(path, (".zip",)):
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.lower().endswith(_VECTOR))
        return [f"/vsizip/{path}/{name}" for name in names]
    if path.is_dir() and not _is(path, (".gdb",)):  # a file geodatabase is a folder that GDAL reads as one
        return [str(file) for file in sorted(path.iterdir()) if _is(file, _VECTOR)]
    return [str(path)]


def _read_layer(source: str, layer: str, wanted: Wanted) -> gpd.GeoDataFrame:
    info = pyogrio.read_info(source, layer=layer)
    # The box is in degrees; a layer in metres is read whole and cut later. Nodes outside may belong to lines inside.
    cut = info["crs"] in {None, "EPSG:4326"} and "LineString" in str(info["geometry_type"])
    bbox = wanted.bbox if cut else None
    # RiverSP has 127 columns; a layer without ids is read with all of them, to tell what was found.
    known = [column for column in map(str, info["fields"]) if match_columns([column], REACH_COLUMNS | NODE_COLUMNS)]
    has_ids = match_columns(known, ID_COLUMNS)
    return pyogrio.read_dataframe(source, layer=layer, columns=known if has_ids else None, bbox=bbox, force_2d=True)


def _read_netcdf(path: Path, wanted: Wanted) -> Sheet:
    """SWORD's own format. It holds no lines: a reach is its centreline points, in the order of cl_id."""
    try:
        with netCDF4.Dataset(path) as dataset:
            dataset.set_auto_mask(False)  # fill values end in ssc.sword, all in one place
            table = _columns(dataset["reaches"], REACH_COLUMNS)
            nodes = _columns(dataset["nodes"], NODE_COLUMNS | {"x": ("x",), "y": ("y",)})
            lines = _draw_lines(dataset["centerlines"], wanted)
            version = str(getattr(dataset, "version", "")) or version_of(path)
    except (OSError, IndexError, KeyError) as error:
        raise ReachError(f"cannot read {path} as SWORD: {error}; wanted groups centerlines, nodes, reaches") from error
    rows = reach_rows(gpd.GeoDataFrame(table, geometry=[None] * len(table), crs="EPSG:4326"), path)
    rows = rows[wanted.keeps(rows["reach_id"].to_numpy())]
    rows = rows.set_geometry(lines.reindex(rows["reach_id"]).to_numpy(), crs="EPSG:4326")
    points = gpd.GeoDataFrame(nodes, geometry=gpd.points_from_xy(nodes["x"], nodes["y"]), crs="EPSG:4326")
    return Sheet(reaches=_lines(rows), nodes=node_rows(points, path), version=version)


def _columns(group: netCDF4.Group, names: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    flat = [name for name, variable in group.variables.items() if variable.ndim == 1]
    return pd.DataFrame({name: group[name][:] for name in match_columns(flat, names).values()})


def _draw_lines(group: netCDF4.Group, wanted: Wanted) -> pd.Series[Any]:
    """Lines indexed by reach id; row 0 of reach_id (4, n) owns a point, rows 1 to 3 are neighbours that touch it."""
    owner = parse_ids(pd.Series(group["reach_id"][0, :], name="reach_id"), Path(group.name))
    kept = np.flatnonzero(wanted.keeps(owner))
    order = kept[np.lexsort((group["cl_id"][:][kept], owner[kept]))]
    owner, lonlat = owner[order], np.column_stack([group["x"][:][order], group["y"][:][order]])
    ids, line, count = np.unique(owner, return_inverse=True, return_counts=True)
    long = count[line] > 1
    drawn = np.full(len(ids), None, dtype=object)
    drawn[count > 1] = shapely.linestrings(lonlat[long], indices=np.cumsum(np.diff(line[long], prepend=-1) > 0) - 1)
    return pd.Series(drawn, index=ids)
