"""New rows against stored rows of the same overpass: which of them the store shall hold.

Every granule that shows a reach gives a row, but one overpass is one look at the river. Granules come in any order and
in many runs, so each write settles its rows against those that are there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ssc.conform import Positions, match, to_frame
from ssc.delta import Scope, Swap
from ssc.errors import ResultError
from ssc.schema import KEY, PARTITIONS, basin_of

_APART = ("reach_id", "platform", "masker", "regressor")
_SLOT_S = 1800
"""Half an hour: rows of one overpass lie in the same slot or in neighbouring ones."""


def scope_of(new: pa.Table) -> Scope:
    """The partitions of new rows and of all rows within half an hour of them.

    Raises:
        ResultError: A row whose basin or year does not follow from its reach and acquisition.
    """
    basins, years = basin_of(new["reach_id"].to_numpy()), pc.year(new["acquisition"]).to_numpy()
    for name, wanted in zip(PARTITIONS, (basins, years), strict=True):
        wrong = np.flatnonzero(new[name].to_numpy() != wanted)
        if wrong.size:
            row = {column: new[column][int(wrong[0])].as_py() for column in ("reach_id", "acquisition", name)}
            raise ResultError(f"{wrong.size} rows with a wrong {name}: found {row}, wanted {wanted[wrong[0]]}")
    slot = pa.scalar(pd.Timedelta(seconds=_SLOT_S).to_pytimedelta(), pa.duration("us"))
    around = [pc.year(shift(new["acquisition"], slot)) for shift in (pc.subtract, pc.add)]
    return {
        "basin": np.unique(basins).tolist(),
        "year": np.unique(np.concatenate([years, *(found.to_numpy() for found in around)])).tolist(),
    }


def neighbours(new: pa.Table, stored: pa.Table) -> pa.Table:
    """The stored rows within half an hour of a new row of the same reach, platform, masker and regressor.

    Some up to an hour away come along; they keep their place, because they compete with no new row.
    """
    keys = [*_APART, "slot"]
    slots = new.select(_APART).append_column("slot", _slot(new))
    near = pa.concat_tables(
        slots.set_column(len(_APART), "slot", pc.add(slots["slot"], step)) for step in (-1, 0, 1)
    ).group_by(keys)
    _, found = match(near.aggregate([]), stored.select(_APART).append_column("slot", _slot(stored)), keys)
    return stored.take(np.sort(found))


def settle(new: pa.Table, stored: pa.Table, resolve: Callable[[pd.DataFrame], pd.DataFrame]) -> Swap:
    """One row per overpass, of new rows and stored rows near them.

    A stored row competes only if it is not what a new row replaces: the same key from the same granules, or from a
    reach file of another version, whose shares of reaches are not comparable.
    """
    rivals = np.setdiff1d(np.arange(stored.num_rows), _replaced(new, stored))
    union = pa.concat_tables([new, stored.take(rivals)])
    frame = to_frame(union).assign(_row=np.arange(union.num_rows))
    names = frame["granule_ids"].map(" ".join)
    frame = frame.assign(_names=names).sort_values([*KEY, "_names", "_row"], ignore_index=True)
    picked = np.sort(resolve(frame.drop(columns="_names"))["_row"].to_numpy(dtype=np.int64))
    fresh = picked < new.num_rows
    return Swap(before=stored, after=union.take(picked), fresh=fresh, outranked=new.num_rows - int(fresh.sum()))


def _replaced(new: pa.Table, stored: pa.Table) -> Positions:
    ours, theirs = match(new, stored, KEY)
    pairs = zip(new["granule_ids"].take(ours).to_pylist(), stored["granule_ids"].take(theirs).to_pylist(), strict=True)
    same_granules = np.fromiter((set(old) <= set(now) for now, old in pairs), dtype=bool, count=len(ours))
    versions = new["sword_version"].take(ours), stored["sword_version"].take(theirs)
    other_version = pc.not_equal(*versions).to_numpy()
    return theirs[same_granules | other_version]


def _slot(rows: pa.Table) -> pa.ChunkedArray:
    return pc.divide(rows["acquisition"].cast(pa.int64()), 1_000_000 * _SLOT_S)
