"""River reaches: which there are, where they run, how wide they are.

    reaches = read_reaches("na_sword_v17b.nc", basin="74")
    reaches.select(bbox=(-92, 32, -91, 33)).table

Ids are int64 throughout: CBBBBBRRRRT, 11 digits, more than a float32 can hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from ssc.errors import InputError, ReachError
from ssc.lonlat import BBox, Geometries, box_of, lengths, steps, touching, unwrap
from ssc.reachfiles import Wanted, read_nodes, read_sheet
from ssc.sword import MAX_NODES, has_prefix, kind_of, node_of

NODE_SPACING_M = 200.0
"""Mean distance of SWORD's nodes (198.6 m in v17b)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reach:
    """One reach, about 10 km of river."""

    reach_id: int
    line: shapely.LineString | shapely.MultiLineString
    """Centreline, longitude and latitude in degrees (EPSG:4326)."""
    width_m: float
    """Mean width; NaN when the file does not tell."""
    max_width_m: float
    """Widest the water gets across islands and bars; NaN when the file does not tell."""
    length_m: float
    river_name: str
    """Empty when the file does not tell."""
    kind: int
    """Last digit of the id: 1 river, 3 lake on river, 4 dam or waterfall, 5 unreliable topology, 6 ghost."""
    lakeflag: int
    """0 river, 1 lake, 2 canal, 3 tidal, -1 unknown."""
    n_nodes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Reaches:
    """A set of reaches and their nodes."""

    table: gpd.GeoDataFrame
    """Indexed by reach_id (int64, ascending): geometry (EPSG:4326 lines), width_m, max_width_m, length_m (metres, NaN
    unknown), river_name, kind, lakeflag (-1 unknown), n_nodes. The fields of `Reach` say what they mean."""
    nodes: pd.DataFrame
    """node_id, reach_id (int64), lon, lat (degrees), width_m; ordered by node_id; every reach has at least one."""
    version: str
    """SWORD version ("v17b") when the file tells, else the file's name."""

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """(n,) reach ids, ascending."""
        return self.table.index.to_numpy(dtype=np.int64)

    @cached_property
    def lines(self) -> Geometries:
        """(n,) centrelines in continuous longitude: across the antimeridian they pass 180."""
        return unwrap(self.table.geometry.to_numpy())

    @cached_property
    def digest(self) -> str:
        """16 hex digits that change with any id, line, width or node; the order of rows in the file does not count."""
        parts = [
            self.ids.tobytes(),
            *shapely.to_wkb(self.table.geometry.to_numpy(), byte_order=1, output_dimension=2),
            self.table[["width_m", "max_width_m"]].to_numpy(dtype="<f8").tobytes(),
            self.nodes[["node_id", "reach_id"]].to_numpy(dtype="<i8").tobytes(),
            self.nodes[["lon", "lat"]].to_numpy(dtype="<f8").tobytes(),
        ]
        sha = hashlib.sha256()
        for part in parts:
            sha.update(part)
        return sha.hexdigest()[:16]

    def reach(self, reach_id: int) -> Reach:
        """One reach.

        Raises:
            ReachError: No such reach here.
        """
        if reach_id not in self.table.index:
            raise ReachError(f"no reach {reach_id} among {len(self)} reaches of {self.version}")
        row = self.table.loc[reach_id].to_dict()
        return Reach(reach_id=reach_id, line=row.pop("geometry"), **row)

    def select(
        self,
        *,
        ids: Collection[int] | None = None,
        bbox: BBox | None = None,
        basin: str | int | None = None,
        polygon: shapely.Geometry | str | Path | None = None,
    ) -> Reaches:
        """The reaches that meet every given condition.

        Args:
            ids: Reach ids, each of which must be here.
            bbox: West, south, east, north in degrees; west > east means across the antimeridian. Touching is enough.
            basin: Leading digits of the ids (Pfafstetter): "74", "742699".
            polygon: Region in EPSG:4326, or a vector file of one. Touching is enough.

        Raises:
            ReachError: An id that is not here, or nothing left.
            InputError: A bounding box or basin that is none.
        """
        kept = np.ones(len(self), dtype=bool)
        if ids is not None:
            kept &= self._are(ids)
        if basin is not None:
            kept &= has_prefix(self.ids, _digits(basin))
        if bbox is not None:
            kept &= touching(self.lines, box_of(bbox))
        if polygon is not None:
            kept &= touching(self.lines, _region(polygon))
        if not kept.any():
            asked = {"ids": ids, "bbox": bbox, "basin": basin, "polygon": polygon}
            given = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
            raise ReachError(f"no reach of {self.version} left: wanted {given}, found none of {len(self)} reaches")
        nodes = self.nodes[self.nodes["reach_id"].isin(self.ids[kept])]
        return Reaches(table=self.table[kept], nodes=nodes.reset_index(drop=True), version=self.version)

    def _are(self, ids: Collection[int]) -> NDArray[np.bool_]:
        wanted = {int(reach_id) for reach_id in ids}
        unknown = sorted(wanted - set(self.ids.tolist()))
        if unknown:
            some = ", ".join(map(str, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
            raise ReachError(f"no such reach in {self.version}: {some} ({len(unknown)} of {len(wanted)} asked for)")
        return np.isin(self.ids, list(wanted))


def read_reaches(
    path: str | Path,
    *,
    nodes: str | Path | None = None,
    ids: Collection[int] | None = None,
    bbox: BBox | None = None,
    basin: str | int | None = None,
    polygon: shapely.Geometry | str | Path | None = None,
) -> Reaches:
    """Read reaches from SWORD netCDF, GeoPackage, shapefile (zipped too), GeoParquet, GeoJSON, or a folder of them.

    Any file of lines with a reach id will do. Reaches without nodes in the file get some every 200 m, with SWORD's
    numbering, so that along-reach coverage is always known.

    Args:
        path: The reach file.
        nodes: A second file with the nodes (points with node_id).
        ids: As in `Reaches.select`, like the following.
        bbox: See `Reaches.select`.
        basin: See `Reaches.select`.
        polygon: See `Reaches.select`.

    Raises:
        ReachError: No such file, or without ids, lines or a CRS; ids damaged or not unique; nothing selected.
        InputError: A bounding box or basin that is none.
    """
    path = Path(path)
    wanted = Wanted(
        ids=None if ids is None else frozenset(int(reach_id) for reach_id in ids),
        basin=None if basin is None else _digits(basin),
        bbox=None if bbox is None else _hint(box_of(bbox)),
    )
    sheet = read_sheet(path, wanted)
    table = _measure(_one_row_each(sheet.reaches, path))
    points = sheet.nodes if nodes is None else read_nodes(Path(nodes), wanted)
    every = Reaches(table=table, nodes=points, version=sheet.version)
    return _with_nodes(every.select(ids=ids, bbox=bbox, basin=basin, polygon=polygon))


def _hint(box: shapely.Polygon) -> BBox:
    """A box for readers: a line across the antimeridian spans the globe in a file, and so meets every such box."""
    west, south, east, north = box.bounds
    return (west, south, east, north) if west >= -180 and east <= 180 else (-180.0, south, 180.0, north)


def _digits(basin: str | int) -> str:
    if not str(basin).isdecimal():
        raise InputError(f"not a basin: found {basin!r}, wanted leading digits of reach ids, like 74")
    return str(basin)


def _region(polygon: shapely.Geometry | str | Path) -> shapely.Geometry:
    if isinstance(polygon, shapely.Geometry):
        return polygon
    if not Path(polygon).exists():
        raise InputError(f"no such polygon file: {polygon}")
    frame = gpd.read_file(polygon)
    return (frame if frame.crs is None else frame.to_crs("EPSG:4326")).union_all()


def _one_row_each(rows: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    """Indexed by id, ascending; several rows of one id are the pieces of one line.

    Raises:
        ReachError: Rows of one id that lie on each other, as in a file of several dates or versions.
    """
    table = rows.drop_duplicates("reach_id").set_index("reach_id").sort_index()
    again = rows[rows["reach_id"].duplicated(keep=False)]
    for reach_id, pieces in again.groupby("reach_id"):
        lines = pieces.geometry.to_numpy()
        joined = shapely.line_merge(shapely.union_all(lines))
        if joined.length < 0.999 * shapely.length(lines).sum():
            raise ReachError(f"reach {reach_id} is not unique in {path}: found {len(pieces)} rows, wanted one")
        table.loc[[reach_id], "geometry"] = gpd.GeoSeries([joined], index=[reach_id], crs=table.crs)
        table.loc[reach_id, "length_m"] = np.nan
    return table


def _measure(table: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The columns of `Reaches.table`, with the length of the line where the file tells none."""
    walked = pd.Series(lengths(unwrap(table.geometry.to_numpy())), index=table.index)
    table = table.assign(length_m=table["length_m"].fillna(walked), kind=kind_of(table.index.to_numpy(dtype=np.int64)))
    return table[["geometry", "width_m", "max_width_m", "length_m", "river_name", "kind", "lakeflag", "n_nodes"]]


def _with_nodes(reaches: Reaches) -> Reaches:
    """Nodes for the reaches that have none, and a table that counts them."""
    known = reaches.nodes.drop_duplicates("node_id")
    bare = reaches.table[~reaches.table.index.isin(known["reach_id"])]
    nodes = pd.concat([known, number_nodes(bare)], ignore_index=True) if len(bare) else known
    nodes = nodes.sort_values("node_id", ignore_index=True)
    count = nodes.groupby("reach_id").size().reindex(reaches.table.index)
    return Reaches(table=reaches.table.assign(n_nodes=count.astype(np.int64)), nodes=nodes, version=reaches.version)


def number_nodes(table: gpd.GeoDataFrame) -> pd.DataFrame:
    """Nodes spread evenly along reaches, numbered like SWORD's, in the order of the line's vertices.

    As many as the column n_nodes says, else one every 200 m, but never more than 999.

    Returns:
        node_id, reach_id (int64), lon, lat (degrees), width_m (the reach's).
    """
    spaced = np.clip(np.rint(table["length_m"] / NODE_SPACING_M), 1, MAX_NODES)
    count = table["n_nodes"].fillna(spaced).to_numpy(dtype=np.int64)
    places = [_spread(line, n) for line, n in zip(unwrap(table.geometry.to_numpy()), count, strict=True)]
    lonlat = np.concatenate([np.empty((0, 2)), *places])
    reach_ids = np.repeat(table.index.to_numpy(dtype=np.int64), count)
    number = np.concatenate([np.empty(0, np.int64), *(np.arange(1, n + 1) for n in count)])
    data = {
        "node_id": node_of(reach_ids, number),
        "reach_id": reach_ids,
        "lon": np.where(np.abs(lonlat[:, 0]) > 180, (lonlat[:, 0] + 180) % 360 - 180, lonlat[:, 0]),
        "lat": lonlat[:, 1],
        "width_m": np.repeat(table["width_m"].to_numpy(), count),
    }
    return pd.DataFrame(data)


def _spread(unwrapped: shapely.Geometry, count: int) -> NDArray[np.float64]:
    """(count, 2) degrees, evenly along a line, half a spacing from its ends.

    One line at a time: the result, and so the digest, is bit for bit the same whatever other lines are read.
    """
    lonlat, walked, _ = steps(np.array([unwrapped]))
    way = np.cumsum(walked)
    at = (np.arange(count) + 0.5) / count * way[-1]
    return np.column_stack([np.interp(at, way, lonlat[:, 0]), np.interp(at, way, lonlat[:, 1])])
