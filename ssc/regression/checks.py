"""What `SSCRegressor` refuses to learn from: each check says what, which, found and wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ssc.errors import InputError
from ssc.regression.columns import MEDIANS

Floats = NDArray[np.float64]


def table_of(X: pd.DataFrame) -> pd.DataFrame:
    """The samples, if they are a table with names; InputError otherwise."""
    if not isinstance(X, pd.DataFrame):
        raise InputError(f"samples: found {type(X).__name__}, wanted a DataFrame with columns {' '.join(MEDIANS)}")
    return X


def checked_ssc(y: ArrayLike, rows: int) -> Floats:
    """(rows,) SSC in mg/L, if all are positive numbers; InputError otherwise."""
    ssc = np.asarray(y, dtype=float)
    if ssc.shape != (rows,):
        raise InputError(f"SSC: found shape {ssc.shape}, wanted one value per sample ({rows},)")
    bad = ~(np.isfinite(ssc) & (ssc > 0))
    if bad.any():
        raise InputError(f"SSC: {bad.sum()} of {rows} are not positive numbers, first in row {int(np.argmax(bad))}")
    return ssc


def checked_groups(groups: ArrayLike | None, rows: int) -> NDArray[Any]:
    """(rows,) sites as text, two different ones at least; InputError otherwise."""
    if groups is None:
        raise InputError(
            "fit without groups: wanted groups=site of each row. Errors and intervals that hold on unseen rivers can "
            "only be learned by holding out whole sites"
        )
    sites = np.asarray(groups)
    if sites.shape != (rows,):
        raise InputError(f"groups: found shape {sites.shape}, wanted one site per sample ({rows},)")
    if len(np.unique(sites.astype(str))) < 2:
        raise InputError(f"groups: all {rows} samples are of one site, wanted two sites at least")
    return sites.astype(str)


def checked_weights(sample_weight: ArrayLike, rows: int) -> Floats:
    """(rows,) weights, if all are positive; InputError otherwise."""
    weights = np.asarray(sample_weight, dtype=float)
    if weights.shape != (rows,) or not (np.isfinite(weights) & (weights > 0)).all():
        raise InputError(f"sample_weight: found shape {weights.shape}, wanted {rows} positive numbers")
    return weights


def check_complete(features: pd.DataFrame) -> None:
    """InputError where a sample to learn from lacks a median."""
    lacking = features[list(MEDIANS)].isna().any(axis=1)
    if lacking.any():
        raise InputError(f"samples: {lacking.sum()} of {len(features)} without reflectance, wanted all six medians")
