"""New rows against stored rows of the same overpass: which of them the store shall hold.

Every granule that shows a reach gives a row, but one overpass is one look at the river. Granules come in any order and
in many runs, so each write settles its rows against those that are there. A stored row competes, unless a new row takes
its place anyway: it was made from the same granules, or from another version of the reaches.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ssc.conform import Bools, Positions, to_frame
from ssc.delta import Scope, Swap
from ssc.errors import ResultError
from ssc.overlaps import OVERPASS, number_overpasses
from ssc.schema import KEY, PARTITIONS, basin_of

_APART = ("reach_id", "platform", "masker", "regressor")


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
    margin = pa.scalar(OVERPASS.to_pytimedelta(), pa.duration("us"))
    around = [pc.year(shift(new["acquisition"], margin)) for shift in (pc.subtract, pc.add)]
    return {
        "basin": np.unique(basins).tolist(),
        "year": np.unique(np.concatenate([years, *(found.to_numpy() for found in around)])).tolist(),
    }


def settle(new: pa.Table, stored: pa.Table, resolve: Callable[[pd.DataFrame], pd.DataFrame]) -> Swap:
    """One row per overpass, of new rows and the stored rows of their overpasses.

    Args:
        new: Rows to write.
        stored: Stored rows of the same reaches and times; those of other overpasses keep their place.
        resolve: Picks one row per overpass.
    """
    frame = to_frame(pa.concat_tables([new, stored]).select([*_APART, "acquisition", "granule_ids", "sword_version"]))
    frame["overpass"] = number_overpasses(frame, list(_APART))
    ours, theirs = frame[: new.num_rows], frame[new.num_rows :]
    theirs = theirs[theirs["overpass"].isin(ours["overpass"])]
    near = theirs.index.to_numpy() - new.num_rows
    rivals = near[~(_redone(ours, theirs) | _of_other_reaches(ours, theirs))]
    union = pa.concat_tables([new, stored.take(rivals)])
    picked = _pick(union, resolve)
    fresh = picked < new.num_rows
    return Swap(
        before=stored.take(near),
        after=union.take(picked),
        fresh=fresh,
        outranked=new.num_rows - int(fresh.sum()),
    )


def _pick(rows: pa.Table, resolve: Callable[[pd.DataFrame], pd.DataFrame]) -> Positions:
    """Positions of the rows that speak for their overpass; the order of the rows does not count."""
    frame = to_frame(rows).assign(
        _row=np.arange(rows.num_rows), _names=[" ".join(x) for x in rows["granule_ids"].to_pylist()]
    )
    frame = frame.sort_values([*KEY, "_names", "_row"], ignore_index=True).drop(columns="_names")
    return np.sort(resolve(frame)["_row"].to_numpy(dtype=np.int64))


def _redone(ours: pd.DataFrame, theirs: pd.DataFrame) -> Bools:
    """(theirs,) True where all granules of a stored row are among those of the new rows of its overpass."""
    names = ["overpass", "granule_ids"]
    known = pd.MultiIndex.from_frame(ours[names].explode("granule_ids"))
    asked = theirs[names].explode("granule_ids")
    found = pd.Series(pd.MultiIndex.from_frame(asked).isin(known), index=asked.index)
    return found.groupby(level=0).all().reindex(theirs.index).to_numpy(dtype=bool)


def _of_other_reaches(ours: pd.DataFrame, theirs: pd.DataFrame) -> Bools:
    """(theirs,) True where no new row of the overpass is from the same reach file: shares cannot be compared."""
    names = ["overpass", "sword_version"]
    return ~pd.MultiIndex.from_frame(theirs[names]).isin(pd.MultiIndex.from_frame(ours[names]))
