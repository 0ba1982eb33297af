"""Results for other tools: CSV, Parquet, GeoParquet, GeoJSON, CF netCDF, the layout of the SoS.

export(open_store("out/store"), "results.nc", "netcdf")
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from ssc.conform import to_table
from ssc.drafts import drafted
from ssc.errors import InputError
from ssc.lonlat import Geometries, unwrap
from ssc.netcdf import write_netcdf
from ssc.results import Store
from ssc.schema import arrow_schema
from ssc.sos import write_sos

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_DECIMALS = 6
"""Of coordinates in GeoJSON: 0.1 m."""


def export(
    source: Store | pd.DataFrame,
    out: str | Path,
    format: str,  # noqa: A002  the word of the command line
    *,
    rows: pd.DataFrame | None = None,
) -> Path:
    """Write results to a file, whole or not at all.

    Args:
        source: A store, or rows of one; all but csv and parquet need the store, for the reaches.
        out: File to write.
        format: One of FORMATS.
        rows: Only these rows of the store (`Store.query`), which may lack columns.

    Raises:
        InputError: No such format, or no reach lines for it.
    """
    if format not in FORMATS:
        raise InputError(f"no export format {format!r}: wanted one of {' '.join(FORMATS)}")
    if rows is None:
        rows = source.query() if isinstance(source, Store) else source
    path = Path(out)
    with drafted(path) as draft:
        FORMATS[format](rows, _Lines(source, format), draft)
    return path


class _Lines:
    """The reaches of a store, read only by formats that need them."""

    def __init__(self, source: Store | pd.DataFrame, format_: str) -> None:
        self.source, self.format = source, format_

    def read(self) -> gpd.GeoDataFrame:
        if not isinstance(self.source, Store):
            raise InputError(f"no reach lines for {self.format}: found rows alone, wanted the store they are from")
        return self.source.reaches()


def csv_text(rows: pd.DataFrame) -> str:
    """Rows as CSV: times ISO UTC, lists separated by spaces, missing values empty; units are in `ssc.schema`."""
    lists = {name: rows[name].map(" ".join) for name in ("granule_ids", "tile_ids") if name in rows}
    return rows.assign(**lists).to_csv(index=False, date_format=_TIME, lineterminator="\n")


def _write_csv(rows: pd.DataFrame, _: _Lines, out: Path) -> None:
    out.write_text(csv_text(rows), encoding="utf-8")


def _write_parquet(rows: pd.DataFrame, _: _Lines, out: Path) -> None:
    """With unit and meaning in the metadata of the fields."""
    whole = arrow_schema()
    schema = pa.schema([whole.field(name) for name in rows.columns if name in whole.names])
    pq.write_table(to_table(rows, schema), out, compression="zstd")


def _write_geoparquet(rows: pd.DataFrame, lines: _Lines, out: Path) -> None:
    """Rows with the line of their reach; GeoParquet 1.1, with a bounding box per row for readers that prune."""
    if "reach_id" not in rows:
        raise InputError(f"no reach for geoparquet: found columns {' '.join(rows.columns)}, wanted reach_id")
    geometry = lines.read().geometry.reindex(rows["reach_id"]).to_numpy()
    frame = gpd.GeoDataFrame(rows.reset_index(drop=True), geometry=geometry, crs="EPSG:4326")
    frame.to_parquet(out, index=False, compression="zstd", schema_version="1.1.0", write_covering_bbox=True)


def _write_geojson(rows: pd.DataFrame, lines: _Lines, out: Path) -> None:
    """One feature per row, RFC 7946: WGS 84, numbers as short as float32 allows, null for missing."""
    if "reach_id" not in rows:
        raise InputError(f"no reach for geojson: found columns {' '.join(rows.columns)}, wanted reach_id")
    reaches = lines.read()
    geometry = dict(zip(reaches.index, shapely.to_geojson(_cut(reaches.geometry.to_numpy())), strict=True))
    columns = [_plain(rows[name]) for name in rows.columns]
    with out.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, (reach_id, *values) in enumerate(zip(rows["reach_id"], *columns, strict=True)):
            properties = json.dumps(dict(zip(rows.columns, values, strict=True)))
            file.write(",\n" if number else "\n")
            file.write(f'{{"type": "Feature", "geometry": {geometry.get(reach_id, "null")}, ')
            file.write(f'"properties": {properties}}}')
        file.write("\n]}\n")


def _plain(values: pd.Series) -> list[Any]:
    """Values that JSON knows."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.strftime(_TIME).tolist()
    if values.dtype.kind == "f":
        short = values.to_numpy().astype(str).astype(np.float64)  # 0.1, not 0.10000000149
        return [None if missing else number for number, missing in zip(short.tolist(), values.isna(), strict=True)]
    return values.tolist()


def _cut(lines: Geometries) -> Geometries:
    """Lines rounded, and in parts where they cross the antimeridian (RFC 7946, 3.1.9)."""
    whole = shapely.transform(unwrap(lines), lambda lonlat: np.round(lonlat, _DECIMALS))
    west, _, east, _ = shapely.bounds(whole).T
    for index in np.flatnonzero((west < -180) | (east > 180)):
        whole[index] = shapely.multilinestrings(
            [
                shapely.transform(part, lambda lonlat, turn=turn: lonlat - (turn, 0))
                for turn in (-360, 0, 360)
                for part in shapely.get_parts(shapely.clip_by_rect(whole[index], turn - 180, -90, turn + 180, 90))
            ]
        )
    return whole


FORMATS: dict[str, Callable[[pd.DataFrame, _Lines, Path], None]] = {
    "csv": _write_csv,
    "parquet": _write_parquet,
    "geoparquet": _write_geoparquet,
    "geojson": _write_geojson,
    "netcdf": lambda rows, lines, out: write_netcdf(rows, lines.read(), out),
    "sos": lambda rows, lines, out: write_sos(rows, lines.read(), out),
}
"""Name of a format -> what writes it."""
