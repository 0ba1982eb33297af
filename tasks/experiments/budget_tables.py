"""The budget in figures: parts by class of sediment, coverage, and maskers against each other.

Intervals are of basins drawn with replacement: the reaches and days of one basin share a landscape and its weather.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.bootstrap import percentiles
from tasks.experiments.budget_parts import CLASSES, HALVES, KEY, whole

Floats = NDArray[np.float64]
Statistic = Callable[[pd.DataFrame, Floats], Floats]
"""(rows, weights of (n, rows)) to (n,); NaN where the weights are all zero."""

ALL: Final = "all"
SHOWN: Final = ("error", "mask", "aggregation", *HALVES, "regression")
RESAMPLES: Final = 2000
PAIRED: Final = "both estimate"
OWN: Final = "each its own"
"""Reach-days of a difference: those that both maskers estimate, or for each those that it estimates; nothing is
penalised for a missing estimate, which `coverage` counts."""


def parts_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Size of the error and of its parts, a row per masker and class.

    Columns: n (reach-days with all parts), basins, and of each of `SHOWN` the median of its absolute value, its RMS and
    its bias (mean), in ln: 0.1 is about 10 %.
    """
    return _by_class(whole(rows), _parts_of)


def coverage_table(rows: pd.DataFrame) -> pd.DataFrame:
    """By masker and class: how many reach-days with water get an estimate.

    Columns: reach_days, covered (share with an estimate), covered_by_truth (share that the true masks would give one),
    lost (share that the true masks give and the masker does not), extra (the reverse: estimates under cloud or on what
    is no water), and of the extra ones the median absolute error, extra_error (ln).
    """
    return _by_class(rows[rows["ssc_true"].notna()], _coverage_of)


def estimates_without_water(rows: pd.DataFrame) -> pd.Series:
    """By masker: estimates of reaches that have no water in view at all."""
    dry = rows[rows["ssc_true"].isna()]
    return dry["ssc"].notna().groupby(dry["masker"]).sum().reindex(rows["masker"].unique(), fill_value=0)


def skill_table(rows: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Error of each masker's estimates on all reach-days that it estimates.

    Columns: masker, ssc_class, metric (of `METRICS`), n, value, low, high (90 %), basins.
    """
    lines = []
    for (masker, name), some in _groups(rows[rows["ssc_true"].notna()]):
        weights = draw_basins(some["basin"], n=resamples, seed=seed)
        for metric, statistic in METRICS.items():
            about = {"masker": masker, "ssc_class": name, "metric": metric, "n": int(some["ssc"].notna().sum())}
            values = statistic(some, weights)
            lines.append(about | _interval(statistic(some, np.ones((1, len(some))))[0], values, some["basin"]))
    return pd.DataFrame(lines)


def differences(rows: pd.DataFrame, first: str, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """The first masker minus each other one: below 0, its error (or, of coverage, its coverage) is the smaller.

    Returns:
        A row per other masker, class, metric and `reach_days` (`PAIRED` or `OWN`): value, low, high (90 %), n and
        n_minus (reach-days that the first and the other estimate), basins.
    """
    lines = []
    for other in [name for name in rows["masker"].unique() if name != first]:
        for name in (ALL, *CLASSES):
            pair = _side_by_side(rows, first, other, name)
            if pair is not None:
                lines += [
                    {"masker": first, "minus": other, "ssc_class": name} | line
                    for line in _compare(pair, resamples, seed)
                ]
    return pd.DataFrame(lines)


def draw_basins(basins: pd.Series, *, n: int, seed: int) -> Floats:
    """(n, rows) how often each row counts when basins are drawn with replacement."""
    names, place = np.unique(basins.to_numpy(), return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=n)
    return drawn[:, place].astype(np.float64)


def weighted_medians(values: Floats, weights: Floats) -> Floats:
    """(n,) medians of (rows,) values, each counted as often as the (n, rows) whole weights say; NaN for no rows.

    >>> weighted_medians(np.array([3.0, 1.0, 2.0]), np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])).tolist()
    [2.0, 2.0]
    """
    if values.size == 0:
        return np.full(len(weights), np.nan)
    order = np.argsort(values)
    ordered, above = values[order], weights[:, order].cumsum(axis=1)
    half = above[:, -1:] / 2
    middle = (ordered[(above >= half).argmax(axis=1)] + ordered[(above > half).argmax(axis=1)]) / 2
    return np.where(half[:, 0] > 0, middle, np.nan)


def _mdsa(rows: pd.DataFrame, weights: Floats) -> Floats:
    """Median symmetric accuracy, percent (Morley et al. 2018)."""
    told = rows["error"].notna().to_numpy()
    return 100 * np.expm1(weighted_medians(rows["error"].abs().to_numpy()[told], weights[:, told]))


def _rms_ln(rows: pd.DataFrame, weights: Floats) -> Floats:
    return np.sqrt(_mean(rows["error"] ** 2, weights))


def _rmse(rows: pd.DataFrame, weights: Floats) -> Floats:
    return np.sqrt(_mean((rows["ssc"] - rows["ssc_true"]) ** 2, weights))


def _bias(rows: pd.DataFrame, weights: Floats) -> Floats:
    return _mean(rows["error"], weights)


def _coverage(rows: pd.DataFrame, weights: Floats) -> Floats:
    return 100 * _mean(rows["ssc"].notna().astype(np.float64), weights)


METRICS: Final[Mapping[str, Statistic]] = {
    "mdsa_percent": _mdsa,
    "rmse_mg_l": _rmse,
    "rms_ln": _rms_ln,
    "bias_ln": _bias,
    "coverage_percent": _coverage,
}
"""Of the whole error, estimate against truth."""


def _mean(values: pd.Series, weights: Floats) -> Floats:
    """(n,) weighted means over the rows that have a value."""
    told = values.notna().to_numpy()
    total = weights[:, told].sum(axis=1)
    summed = weights[:, told] @ values.to_numpy(dtype=np.float64)[told]
    return np.asarray(np.divide(summed, total, out=np.full(len(weights), np.nan), where=total > 0))


def _compare(pair: tuple[pd.DataFrame, pd.DataFrame], resamples: int, seed: int) -> list[dict[str, object]]:
    """Every metric of the first minus the second, on common reach-days and on each one's own."""
    ours, theirs = pair
    weights, once = draw_basins(ours["basin"], n=resamples, seed=seed), np.ones((1, len(ours)))
    both = (ours["ssc"].notna() & theirs["ssc"].notna()).to_numpy()
    every = np.ones(len(ours), dtype=bool)
    lines = []
    for reach_days, used in ((PAIRED, both), (OWN, every)):
        a, b = ours[used], theirs[used]
        count = {"n": int(a["ssc"].notna().sum()), "n_minus": int(b["ssc"].notna().sum())}
        for metric, statistic in METRICS.items():
            if metric == "coverage_percent" and reach_days == PAIRED:
                continue
            value = (statistic(a, once[:, used]) - statistic(b, once[:, used]))[0]
            drawn = statistic(a, weights[:, used]) - statistic(b, weights[:, used])
            interval = _interval(value, drawn, a["basin"])
            lines.append({"reach_days": reach_days, "metric": metric, **count, **interval})
    return lines


def _side_by_side(rows: pd.DataFrame, first: str, other: str, name: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The same reach-days through two maskers, row by row; None where the class is empty."""
    true = rows[rows["ssc_true"].notna()]
    some = true if name == ALL else true[true["ssc_class"] == name]
    ours, theirs = (some[some["masker"] == masker].sort_values(KEY, ignore_index=True) for masker in (first, other))
    assert ours[KEY].equals(theirs[KEY])
    return (ours, theirs) if len(ours) else None


def _interval(value: float, drawn: Floats, basins: pd.Series) -> dict[str, float]:
    count = basins.nunique()
    low, high = percentiles(drawn, np.array(count))
    return {"value": float(value), "low": float(low), "high": float(high), "basins": count}


def _groups(rows: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Rows of each masker and class, all classes together first, in the order of appearance."""
    groups = []
    for masker in rows["masker"].unique():
        own = rows[rows["masker"] == masker]
        groups.append(((str(masker), ALL), own))
        groups += [((str(masker), name), own[own["ssc_class"] == name]) for name in CLASSES]
    return [(key, some) for key, some in groups if len(some)]


def _by_class(rows: pd.DataFrame, facts: Callable[[pd.DataFrame], dict[str, float]]) -> pd.DataFrame:
    lines = [{"masker": masker, "ssc_class": name} | facts(some) for (masker, name), some in _groups(rows)]
    return pd.DataFrame(lines)


def _parts_of(rows: pd.DataFrame) -> dict[str, float]:
    facts: dict[str, float] = {"n": len(rows), "basins": rows["basin"].nunique()}
    for part in SHOWN:
        values = rows[part].to_numpy(dtype=np.float64)
        facts[f"{part}_median_abs"] = float(np.median(np.abs(values)))
        facts[f"{part}_rms"] = float(np.sqrt(np.mean(values**2)))
        facts[f"{part}_bias"] = float(np.mean(values))
    return facts


def _coverage_of(rows: pd.DataFrame) -> dict[str, float]:
    told, known = rows["ssc"].notna(), rows["ssc_true_masks"].notna()
    extra = rows.loc[told & ~known, "error"].abs()
    return {
        "reach_days": len(rows),
        "covered": float(told.mean()),
        "covered_by_truth": float(known.mean()),
        "lost": float((known & ~told).mean()),
        "extra": float((told & ~known).mean()),
        "extra_error": float(extra.median()) if len(extra) else float("nan"),
    }


def ordered(rows: pd.DataFrame, maskers: Sequence[str]) -> pd.DataFrame:
    """The rows with the maskers in this order."""
    place = rows["masker"].map({name: number for number, name in enumerate(maskers)})
    return rows.iloc[np.argsort(place.to_numpy(), kind="stable")].reset_index(drop=True)
