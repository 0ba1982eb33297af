"""One reach, one overpass, several tiles: which row speaks for the reach.

Tiles of one zone hold the same resampled pixels where they overlap, and tiles of two zones the same light, resampled
twice: two granules of one overpass are one look at the river, never two.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

OVERPASS = pd.Timedelta(minutes=30)
"""Acquisitions over one reach that follow each other within this time are one overpass: names of neighbouring tiles
differ by seconds (L30) or minutes (S30: up to a datatake), the next orbit comes 98 minutes later or more."""


def number_overpasses(rows: pd.DataFrame, apart: list[str]) -> pd.Series[int]:
    """A number for each row that rows of one overpass share.

    Args:
        rows: With a column acquisition.
        apart: Columns that keep overpasses apart; the reach and what tells satellites.

    Returns:
        Series with the index of `rows`.
    """
    ordered = rows.sort_values([*apart, "acquisition"])
    first = (ordered[apart] != ordered[apart].shift()).any(axis=1)
    first |= ordered["acquisition"].diff() > OVERPASS
    return first.astype(np.int64).cumsum().reindex(rows.index)


def resolve(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per reach, platform and overpass, of rows one per reach and granule.

    Kept is the row with the largest share of the reach; then the one with more used pixels, then the first tile in
    alphabetical order. Maskers and regressors are kept apart.

    Args:
        rows: Results table: the key columns of `ssc.schema.KEY`, reach_share, n_px_used and tile_ids.

    Returns:
        The kept rows, unchanged, in an order that does not depend on the order given.
    """
    apart = ["reach_id", "platform", "masker", "regressor"]
    rank = rows[[*apart, "acquisition"]].reset_index(drop=True)
    rank["overpass"] = number_overpasses(rank, apart)
    rank["share"] = -np.round(rows["reach_share"].to_numpy(dtype=np.float64), 6)  # float32 noise is no difference
    rank["used"] = -rows["n_px_used"].to_numpy(dtype=np.int64)
    rank["tiles"] = [" ".join(sorted(tiles)) for tiles in rows["tile_ids"]]
    rank = rank.sort_values(["overpass", "share", "used", "tiles", "acquisition"])
    return rows.iloc[rank.index[~rank["overpass"].duplicated()]].reset_index(drop=True)
