"""What depends on several samples: sites under two names, results told twice, replicates."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

NEAR_M: Final = 500.0
"""Sites of two providers this close are taken for one (they sample at one bridge)."""
TOGETHER: Final = pd.Timedelta(hours=1)
EARTH_M: Final = 6371008.8
"""Mean radius."""


def merge_sites(samples: pd.DataFrame, *, near_m: float = NEAR_M) -> pd.DataFrame:
    """Samples whose sites of different providers are one where they lie within `near_m`.

    Sites of one provider stay apart: it had its reasons. So do sites that are known to lie on different reaches. The
    name is that of the site with most samples. Neighbours of neighbours become one too.

    Args:
        samples: Columns site, provider, longitude, latitude, and reach_id (-1 unknown).
        near_m: Distance in metres.
    """
    told = samples.dropna(subset=["longitude", "latitude"])
    if told.empty:
        return samples
    places = told.groupby(["site", "provider"], as_index=False).agg(
        longitude=("longitude", "median"), latitude=("latitude", "median"), reach=("reach_id", "max")
    )
    names, code = np.unique(places["site"].to_numpy(dtype=str), return_inverse=True)
    pairs = code[_near_pairs(places, near_m)]
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(names), len(names)))
    _, group = connected_components(graph, directed=False)
    counts = samples["site"].value_counts().reindex(names).to_numpy()
    ranked = pd.DataFrame({"site": names, "group": group, "n": counts}).sort_values(
        ["n", "site"], ascending=[False, True]
    )
    chief = ranked.groupby("group")["site"].transform("first")
    return samples.assign(site=samples["site"].replace(dict(zip(ranked["site"], chief, strict=True))))


def _near_pairs(places: pd.DataFrame, near_m: float) -> NDArray[np.intp]:
    """(k, 2) positions of places of different providers within the distance, not on two known reaches."""
    lon, lat = np.radians(places["longitude"].to_numpy()), np.radians(places["latitude"].to_numpy())
    xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    pairs = KDTree(xyz).query_pairs(near_m / EARTH_M, output_type="ndarray").reshape(-1, 2)
    provider, reach = places["provider"].to_numpy(), places["reach"].to_numpy()
    a, b = pairs[:, 0], pairs[:, 1]
    apart = (reach[a] != reach[b]) & (reach[a] > 0) & (reach[b] > 0)
    return np.asarray(pairs[(provider[a] != provider[b]) & ~apart])


def exact_duplicates(samples: pd.DataFrame) -> pd.Series:
    """(n,) bool, True: the same value of the same site, time and kind stands in a row before."""
    return samples.duplicated(["site", "sample_time", "dt_uncertain_h", "ssc_mg_l", "censored", "label_source"])


def average(samples: pd.DataFrame, *, together: pd.Timedelta = TOGETHER) -> pd.DataFrame:
    """Means of samples of one site, method and kind that were taken together.

    A group begins with a sample and holds all that follow within `together` of it, so it never spans more. Samples of
    one date without a time are taken together.

    Returns:
        A row for each group, ordered by site and time: means of ssc_mg_l and sample_time, n_samples, cv (standard
        deviation with n - 1 over mean, NaN for one), field_flag of any; the rest from its first sample.
    """
    same = ["site", "method", "label_source", "censored", "dt_uncertain_h"]
    rows = samples.sort_values([*same, "sample_time", "sample_id"], kind="stable", ignore_index=True)
    kind = rows.groupby(same, sort=False).ngroup().to_numpy()
    groups = rows.groupby(_windows(kind, rows["sample_time"].to_numpy(dtype="datetime64[us]"), together))
    means = groups.first(skipna=False).assign(
        ssc_mg_l=groups["ssc_mg_l"].mean(),
        sample_time=groups["sample_time"].mean(),
        n_samples=groups["n_samples"].sum(),
        field_flag=groups["field_flag"].any(),
    )
    spread = groups["ssc_mg_l"].std() / means["ssc_mg_l"]
    means["cv"] = spread.where(groups.size() > 1, means["cv"])
    return means.sort_values(["site", "sample_time", "sample_id"], kind="stable", ignore_index=True)


def _windows(kind: NDArray[Any], time: NDArray[np.datetime64], together: pd.Timedelta) -> NDArray[np.int64]:
    """(n,) number of the group of each row; rows are ordered by kind, then time."""
    width = np.timedelta64(together)
    numbers = np.empty(len(kind), dtype=np.int64)
    number, first = -1, 0
    for row in range(len(kind)):
        if number < 0 or kind[row] != kind[first] or time[row] - time[first] > width:
            number, first = number + 1, row
        numbers[row] = number
    return numbers
