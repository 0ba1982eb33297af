"""Results rows for tests: any number of reaches and acquisitions, every column filled, reproducible."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import shapely

from ssc.overlaps import resolve
from ssc.results import open_store
from ssc.schema import COLUMNS, basin_of

FOLDER = Path(__file__).parent

REACHES = (74299900011, 74299900021, 62270000143)


def make_rows(reaches=REACHES, days=4, seed=0, first="2021-09-05T16:39:01Z", **given):
    """One row per reach and day; `given` columns replace the made-up ones."""
    random = np.random.default_rng(seed)
    n = len(reaches) * days
    acquisition = pd.Timestamp(first) + pd.to_timedelta(np.tile(np.arange(days), len(reaches)), unit="D")
    acquisition = pd.Series(acquisition).astype("datetime64[us, UTC]")
    reach_id = np.repeat(np.array(reaches, dtype=np.int64), days)
    rows = {column.name: _values(column.type, n, random) for column in COLUMNS}
    rows |= {
        "reach_id": reach_id,
        "basin": basin_of(reach_id),
        "acquisition": acquisition,
        "time": acquisition + pd.Timedelta(minutes=15, seconds=46.751044),
        "year": acquisition.dt.year.astype("int32"),
        "platform": ["S2A"] * n,
        "product": ["S30"] * n,
        "masker": ["legacy-dswx"] * n,
        "regressor": ["physical"] * n,
        "granule_ids": [[f"HLS.S30.T15SXR.{at:%Y%jT%H%M%S}.v2.0"] for at in acquisition],
        "tile_ids": [["15SXR"]] * n,
        "reach_share": np.full(n, 0.75, dtype=np.float32),
        "sword_version": ["v17b"] * n,
        "ssc_quality": random.integers(0, 4, n).astype(np.int8),
    }
    return pd.DataFrame(rows).assign(**given)


def _values(kind, n, random):
    if pa.types.is_floating(kind):
        values = random.lognormal(size=n).astype(np.float32)
        return np.where(random.random(n) < 0.2, np.float32(np.nan), values)
    if pa.types.is_integer(kind):
        return random.integers(0, 100, n).astype(kind.to_pandas_dtype())
    return ["x"] * n


def on_tile(rows, tile, share):
    """The same overpass as another tile shows it: S30 neighbours have the same name but for the tile."""
    names = [[name.replace(".T15SXR.", f".T{tile}.") for name in names] for names in rows["granule_ids"]]
    return rows.assign(granule_ids=names, tile_ids=[[tile]] * len(rows), reach_share=np.float32(share))


def make_reaches(reaches=REACHES):
    """As `ssc.reaches.Reaches.table`: short lines, one degree apart."""
    lines = [shapely.LineString([(-91 + i, 32), (-90.9 + i, 32.1), (-90.8 + i, 32.1)]) for i in range(len(reaches))]
    table = {"width_m": [300.0 + i for i in range(len(reaches))], "river_name": ["Mississippi River"] * len(reaches)}
    index = pd.Index(np.array(reaches, dtype=np.int64), name="reach_id")
    return gpd.GeoDataFrame(table, geometry=lines, crs="EPSG:4326", index=index)


def write_batches(path, seed=0, months=(1, 2, 3)):
    """Write months of two overlapping tiles to a store; the second tile's rows take the place of the first's."""
    store = open_store(path, create=True)
    for month in months:
        for second, tile, share in ((0, "15SXR", 0.3), (30, "15SXS", 0.9)):
            rows = make_rows(first=f"2021-{month:02d}-01T16:00:{second:02d}Z", days=28, seed=seed)
            store.write(on_tile(rows, tile, share), resolve=resolve)


def write_without_end(path, seed):
    """For a process that will be killed: the same rows with other numbers, over and over."""
    for turn in count():
        write_batches(path, seed=seed + turn)
