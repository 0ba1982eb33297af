"""What reach files call things: SWORD's ids, the many names of its columns, its fill values.

Source: SWORD Product Description v17b (netCDF groups, vector names); SWOT RiverSP Product Description (p_ columns).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from ssc.errors import ReachError

REACH_COLUMNS = {
    "reach_id": ("reachid", "rchid", "swordreachid", "swordid"),
    # RiverSP has both: width is what SWOT saw that day, p_width the prior from SWORD. The prior is wanted.
    "width_m": ("pwidth", "widthm", "width"),
    "max_width_m": ("maxwidthm", "maxwidth"),
    "length_m": ("plength", "reachlengthm", "reachlength", "reachlen", "reachleng", "lengthm"),
    "river_name": ("rivername",),
    "lakeflag": ("lakeflag",),
    "n_nodes": ("pnnodes", "nnodes"),
}
"""Our column -> the names it goes by (lower case, letters and digits only), the better one first."""

NODE_COLUMNS = {
    "node_id": ("nodeid", "swordnodeid"),
    "reach_id": REACH_COLUMNS["reach_id"],
    "width_m": REACH_COLUMNS["width_m"],
}

ID_COLUMNS = {name: NODE_COLUMNS[name] for name in ("reach_id", "node_id")}

MAX_NODES = 999
"""NNN in a node id."""

_MAX_REACH_ID, _MAX_NODE_ID = 10**15 - 1, 10**18 - 1
_WIDEST_M, _LONGEST_M = 1e5, 1e7
"""More is a fill value (1e20, 9.97e36)."""
_NO_NAME = ("", "no_data", "nodata", "nan", "none", "-9999")


def kind_of(reach_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Last digit of a reach id: 1 river, 3 lake on river, 4 dam or waterfall, 5 unreliable topology, 6 ghost."""
    return reach_ids % 10


def reach_of(node_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Reach id in node ids: CBBBBBRRRRNNNT without NNN.

    >>> int(reach_of(np.array([74269900010021]))[0])
    74269900011
    """
    return node_ids // 10_000 * 10 + node_ids % 10


def node_of(reach_ids: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Node id of the number-th node (1 to 999) of reaches: CBBBBBRRRRT with NNN before T."""
    return reach_ids // 10 * 10_000 + number * 10 + reach_ids % 10


def has_prefix(ids: NDArray[np.int64], digits: str) -> NDArray[np.bool_]:
    """(n,) True where the decimal digits of an id start so (Pfafstetter basin)."""
    return np.char.startswith(ids.astype(np.str_), digits)


def version_of(path: Path) -> str:
    """SWORD version told by a file name, else the name itself.

    >>> version_of(Path("na_sword_v17b.nc")), version_of(Path("my_rivers.geojson"))
    ('v17b', 'my_rivers.geojson')
    """
    match = re.search(r"(?<![A-Za-z0-9])v\d{2}[a-z]?(?![A-Za-z0-9])", path.stem)
    return match[0] if match else path.name


def match_columns(columns: Sequence[str], names: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Our column -> the column of a file that holds it; case and punctuation do not count.

    >>> match_columns(["REACH_ID", "width", "p_width"], REACH_COLUMNS)
    {'reach_id': 'REACH_ID', 'width_m': 'p_width'}
    """
    plain = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in reversed(columns)}
    found = {ours: [plain[name] for name in theirs if name in plain] for ours, theirs in names.items()}
    return {ours: theirs[0] for ours, theirs in found.items() if theirs}


def parse_ids(column: pd.Series[Any], path: Path, *, largest: int = _MAX_REACH_ID) -> NDArray[np.int64]:
    """Ids as int64, from integers, from digits, or from float64 that kept every digit.

    Raises:
        ReachError: float32 (its 24 bits hold 7 digits, an id has 11: 62270000143 becomes 62270001152), or no ids.
    """
    wrong = f"cannot use column {column.name} of {path} as ids"
    if column.dtype == np.float32:
        raise ReachError(f"{wrong}: found float32, which loses digits; wanted int64 or text")
    if pd.api.types.is_numeric_dtype(column.dtype):
        bad = column.isna() | (column < 1) | (column > largest) | (column % 1 != 0)
    else:
        text = column.astype("string").str.strip().str.replace(r"\.0+$", "", regex=True)
        bad = ~text.str.fullmatch(r"\d{1,18}").fillna(value=False)
        column = text
    if bad.any():
        raise ReachError(f"{wrong}: found {column[bad.to_numpy()].head(3).tolist()}, wanted whole positive numbers")
    ids = column.to_numpy(dtype=np.int64)
    _refuse_rounded(ids, wrong)
    return ids


def _refuse_rounded(ids: NDArray[np.int64], wrong: str) -> None:
    """Ids that went through float32 before they came to the file; by chance one id in thousands looks so."""
    if len(ids) > 2 and (ids > 2**24).all() and (ids == ids.astype(np.float32).astype(np.int64)).all():
        raise ReachError(f"{wrong}: found only float32 numbers ({ids[:2].tolist()} ...), digits were lost on the way")


def reach_rows(frame: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    """Rows with the columns of REACH_COLUMNS, NaN, "" or -1 where a file does not tell, and geometry.

    Raises:
        ReachError: No column with reach ids.
    """
    names = match_columns([str(c) for c in frame.columns], REACH_COLUMNS)
    if "reach_id" not in names:
        raise ReachError(f"no reach ids in {path}: found columns {_listed(frame)}, wanted reach_id")
    data = {
        "reach_id": parse_ids(frame[names["reach_id"]], path),
        "width_m": _number(frame, names.get("width_m"), above=1, below=_WIDEST_M),
        "max_width_m": _number(frame, names.get("max_width_m"), above=1, below=_WIDEST_M),
        "length_m": _number(frame, names.get("length_m"), above=0, below=_LONGEST_M),
        "river_name": _text(frame, names.get("river_name")),
        "lakeflag": np.nan_to_num(_number(frame, names.get("lakeflag"), above=-1, below=10), nan=-1).astype(np.int64),
        "n_nodes": _number(frame, names.get("n_nodes"), above=0, below=MAX_NODES + 1),
    }
    return gpd.GeoDataFrame(data, geometry=frame.geometry.to_numpy(), crs=frame.crs)


def node_rows(frame: gpd.GeoDataFrame, path: Path) -> pd.DataFrame:
    """Rows node_id, reach_id (int64), lon, lat, width_m; none when the frame has no node ids.

    Raises:
        ReachError: Node ids that are none.
    """
    names = match_columns([str(c) for c in frame.columns], NODE_COLUMNS)
    frame = frame[shapely.get_type_id(frame.geometry.to_numpy()) == shapely.GeometryType.POINT]
    if "node_id" not in names or frame.empty:
        return no_nodes()
    node_ids = parse_ids(frame[names["node_id"]], path, largest=_MAX_NODE_ID)
    data = {
        "node_id": node_ids,
        "reach_id": parse_ids(frame[names["reach_id"]], path) if "reach_id" in names else reach_of(node_ids),
        "lon": frame.geometry.x.to_numpy(),
        "lat": frame.geometry.y.to_numpy(),
        "width_m": _number(frame, names.get("width_m"), above=1, below=_WIDEST_M),
    }
    return pd.DataFrame(data)


def no_nodes() -> pd.DataFrame:
    """An empty node table."""
    types = {"node_id": np.int64, "reach_id": np.int64, "lon": np.float64, "lat": np.float64, "width_m": np.float64}
    return pd.DataFrame({name: np.array([], dtype) for name, dtype in types.items()})


def _listed(frame: gpd.GeoDataFrame) -> str:
    columns = [str(column) for column in frame.columns if column != frame.geometry.name]
    return ", ".join(columns[:20]) + (" ..." if len(columns) > 20 else "") or "none"


def _number(frame: gpd.GeoDataFrame, column: str | None, *, above: float, below: float) -> NDArray[np.float64]:
    """Numbers of a column, NaN outside (above, below): fill values are far out, on either side."""
    if column is None:
        return np.full(len(frame), np.nan)
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64)
    return np.where((values > above) & (values < below), values, np.nan)


def _text(frame: gpd.GeoDataFrame, column: str | None) -> NDArray[Any]:
    if column is None:
        return np.full(len(frame), "", dtype=object)
    text = frame[column].astype("string").fillna("").str.strip()
    return text.mask(text.str.lower().isin(_NO_NAME), "").to_numpy(dtype=object)
