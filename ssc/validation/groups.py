"""Groups of rows that are told apart in a report: by SSC, lag, product."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Members = NDArray[np.bool_]

EDGES: Final = (0.0, 10.0, 30.0, 100.0, 300.0, np.inf)
"""mg/L; a class holds its lower edge."""
NAMES: Final = (*(f"{low:g}-{high:g}" for low, high in pairwise(EDGES[:-1])), f">{EDGES[-2]:g}")
THIRDS: Final = ("low third", "middle third", "high third")
LAG_H: Final = 48.0
"""Hours between sample and acquisition up to which rows are also judged apart."""
ALL: Final = "all"
COMMON: Final = "answered by all"
NEAR: Final = f"lag <= {LAG_H:g} h"


def classes(ssc: ArrayLike) -> NDArray[np.int64]:
    """(n,) number of the SSC class, 0 to 4.

    >>> classes([9.9, 10.0, 5000.0]).tolist()
    [0, 1, 4]
    """
    return np.digitize(np.asarray(ssc, float), EDGES[1:-1])


def thirds(ssc: ArrayLike) -> NDArray[np.int64]:
    """(n,) 0 to 2: thirds of the observed range that hold equally many rows, equal values together.

    >>> thirds([1.0, 5000.0, 3.0, 2.0, 40.0, 7.0]).tolist()
    [0, 2, 1, 0, 2, 1]
    """
    values = np.asarray(ssc, float)
    if values.size == 0:
        return np.zeros(0, dtype=np.int64)
    return np.digitize(values, np.quantile(values, (1 / 3, 2 / 3)), right=True)


def class_groups(ssc: NDArray[np.float64]) -> dict[str, Members]:
    """Rows of each SSC class, empty ones too."""
    number = classes(ssc)
    return {f"SSC {name} mg/L": number == n for n, name in enumerate(NAMES)}


def third_groups(ssc: NDArray[np.float64], judged: Members) -> dict[str, Members]:
    """Rows of each third of the range, named with their ends; `judged` rows alone make the thirds."""
    number = np.full(len(ssc), -1)
    number[judged] = thirds(ssc[judged])
    members = {name: number == n for n, name in enumerate(THIRDS)}
    return {
        f"{name}, {ssc[rows].min():.1f} to {ssc[rows].max():.1f} mg/L": rows
        for name, rows in members.items()
        if rows.any()
    }


def row_groups(rows: pd.DataFrame, common: Members) -> dict[str, Members]:
    """All groups of the tested rows of a contest.

    Args:
        rows: `Contest.rows`.
        common: True where every contender answered.
    """
    ssc, judged = rows["observed"].to_numpy(dtype=float), ~rows["censored"].to_numpy(dtype=bool)
    groups = {ALL: np.ones(len(rows), dtype=bool)}
    if not common[judged].all():
        groups[COMMON] = common
    near = np.abs(rows["dt_h"].to_numpy(dtype=float)) <= LAG_H
    if near.any() and not near.all():
        groups[NEAR] = near
    return groups | class_groups(ssc) | third_groups(ssc, judged) | _products(rows)


def _products(rows: pd.DataFrame) -> dict[str, Members]:
    products: NDArray[Any] = rows["product"].to_numpy(dtype=str) if "product" in rows else np.zeros(0, dtype=str)
    names = np.unique(products)
    return {str(name): products == name for name in names} if len(names) > 1 else {}
