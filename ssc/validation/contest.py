"""Contenders on the same rows: each is fitted on training rows alone and answers for every test row.

found = contest(prepared(table), [Contender(name="ours", make=SSCRegressor), physical()], by_site(table))

A contender makes an estimator of scikit-learn's kind: `fit(x, y)`, told `groups` and `sample_weight` where its
signature names them, and `predict(x)` in mg/L. `predict_mean`, `predict_interval(x, alpha)`, `predict_flags` and
`adapt(site, x, y)` are used where they exist. It sees features and product of a row, never its site, label or place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.bands import SIX
from ssc.errors import InputError
from ssc.schema import SAMPLE
from ssc.validation.metrics import ALPHA, Pairs
from ssc.validation.splits import Index, Split

FEATURES: Final = (*(column.name for column in SAMPLE), "product")
"""Columns of the match-up table that every contender may see, where present."""
KEPT: Final = ("site", "sample_id", "basin", "label_source", "product", "censored", "weight", "dt_h")
"""Columns of a tested row that go with its answers."""
MEDIANS: Final = tuple(f"{band.value}_med" for band in SIX)
ANSWER: Final = ("ssc", "ssc_mean", "ssc_lo90", "ssc_hi90", "ssc_qual")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Something that estimates SSC, under a name."""

    name: str
    make: Callable[[], Any]
    """A new, unfitted estimator; called once per fold."""
    columns: tuple[str, ...] = ()
    """Further columns of the table that this one may see."""
    remark: str = ""
    """What a reader must know to judge its scores: "fitted with these very stations"."""

    def features(self, table: pd.DataFrame) -> pd.DataFrame:
        """The columns of the table that this contender may see.

        Raises:
            InputError: One of `columns` is not in the table.
        """
        missing = [name for name in self.columns if name not in table]
        if missing:
            raise InputError(f"contender {self.name}: match-ups without {' '.join(missing)}")
        return table[list(dict.fromkeys([name for name in FEATURES if name in table] + list(self.columns)))]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contest:
    """What every contender said of every tested row."""

    rows: pd.DataFrame
    """Tested rows in the order of the table: row (position in the table), fold, observed (mg/L) and KEPT."""
    answers: dict[str, pd.DataFrame]
    """Per contender the columns ANSWER, one row per row of `rows`: mg/L, NaN where it gave none; quality bits."""

    def answered(self, name: str) -> NDArray[np.bool_]:
        """(n,) True where the contender gave a usable estimate: finite and above 0."""
        ssc = self.answers[name]["ssc"].to_numpy(dtype=float)
        return np.isfinite(ssc) & (ssc > 0)

    def judged(self) -> NDArray[np.bool_]:
        """(n,) True where the observation is a number to be met, not an upper bound (censored)."""
        return ~self.rows["censored"].to_numpy(dtype=bool)

    def common(self) -> NDArray[np.bool_]:
        """(n,) True where every contender answered."""
        return np.logical_and.reduce([self.answered(name) for name in self.answers])

    def missing(self, name: str, members: NDArray[np.bool_] | None = None) -> int:
        """Judged rows without an answer."""
        asked = self.judged() if members is None else self.judged() & members
        return int((asked & ~self.answered(name)).sum())

    def pairs(self, name: str, members: NDArray[np.bool_] | None = None, *, weighted: bool = False) -> Pairs:
        """Answers beside observations, of judged and answered rows; weighted by the table's weights if asked for."""
        chosen = self.judged() & self.answered(name)
        chosen &= True if members is None else members
        rows, answer = self.rows[chosen], self.answers[name][chosen]
        ssc, mean, low, high = (answer[column].to_numpy(dtype=float) for column in ANSWER[:4])
        return Pairs(
            observed=rows["observed"].to_numpy(dtype=float),
            predicted=ssc,
            mean=mean,
            low=low,
            high=high,
            weight=rows["weight"].to_numpy(dtype=float) if weighted else None,
            site=rows["site"].to_numpy(dtype=str),
        )

    def long(self) -> pd.DataFrame:
        """One row per contender and tested row, for files."""
        parts = [
            self.rows.assign(contender=name, **answer, answered=self.answered(name))
            for name, answer in self.answers.items()
        ]
        return pd.concat(parts, ignore_index=True)


def prepared(table: pd.DataFrame, *, weight: str = "weight", lag: str = "dt_h") -> pd.DataFrame:
    """A match-up table fit for a contest: rows numbered from 0, optional columns filled in.

    Args:
        table: Match-ups with site, ssc_mg_l and features.
        weight: Column of sample weights, 0 or more; without it every row weighs 1.
        lag: Column of hours from sample to acquisition; without it, or where it is NaN, the lag is unknown.

    Raises:
        InputError: No rows, a column is missing, or labels or weights that cannot be.
    """
    missing = [name for name in ("site", "ssc_mg_l") if name not in table]
    if missing or table.empty:
        raise InputError(f"match-ups: found {len(table)} rows without {' and '.join(missing) or 'content'}")
    frame = table.reset_index(drop=True)
    frame = frame.assign(
        site=frame["site"].astype("str"),
        censored=frame["censored"].astype(bool) if "censored" in frame else False,
        weight=frame[weight].astype(float) if weight in frame else 1.0,
        dt_h=frame[lag].astype(float) if lag in frame else np.nan,
    )
    _check_labels(frame)
    return frame


def contest(table: pd.DataFrame, contenders: Sequence[Contender], split: Split) -> Contest:
    """Out-of-fold answers of every contender for every tested row.

    Args:
        table: As `prepared` gives it.
        contenders: With different names.
        split: Of this table.

    Raises:
        InputError: Two contenders of one name, a split of another table, or an answer of another shape.
    """
    names = [contender.name for contender in contenders]
    if len(set(names)) < len(names) or not names:
        raise InputError(f"contenders: found the names {' '.join(names)}, wanted at least one and none twice")
    if len(split.groups) != len(table):
        raise InputError(f"split {split.name}: made for {len(split.groups)} rows, found {len(table)}")
    answers = {contender.name: _out_of_fold(table, contender, split) for contender in contenders}
    return Contest(rows=_tested(table, split), answers=answers)


def fitted(contender: Contender, table: pd.DataFrame, rows: Index, groups: NDArray[Any]) -> Any:
    """A new estimator of the contender, fitted on those of the rows that can teach (`teaches`).

    Raises:
        InputError: None can.
    """
    kept = rows[teaches(table)[rows]]
    if len(kept) == 0:
        raise InputError(f"contender {contender.name}: none of {len(rows)} training rows has label, weight and colours")
    estimator = contender.make()
    offered = {"groups": groups[kept], "sample_weight": table["weight"].to_numpy(dtype=float)[kept]}
    known = inspect.signature(estimator.fit).parameters
    told = {name: values for name, values in offered.items() if name in known}
    return estimator.fit(contender.features(table).iloc[kept], labels(table)[kept], **told)


def teaches(table: pd.DataFrame) -> NDArray[np.bool_]:
    """(n,) True for rows to fit on: not censored, of some weight, and with reflectance in every band there is."""
    seen = table[[name for name in MEDIANS if name in table]].notna().all(axis=1).to_numpy(dtype=bool)
    return seen & ~table["censored"].to_numpy(dtype=bool) & (table["weight"].to_numpy(dtype=float) > 0)


def labels(table: pd.DataFrame) -> NDArray[np.float64]:
    """(n,) mg/L."""
    return table["ssc_mg_l"].to_numpy(dtype=float)


def answer(estimator: Any, features: pd.DataFrame, name: str) -> pd.DataFrame:
    """Everything the estimator says of some rows: the columns ANSWER, NaN and 0 for what it does not say.

    Raises:
        InputError: An answer that has not one value per row.
    """
    n = len(features)
    low, high = _asked(estimator, "predict_interval", features, (n, 2), name, alpha=ALPHA).T
    flags = _asked(estimator, "predict_flags", features, (n,), name)
    return pd.DataFrame(
        {
            "ssc": _shaped(estimator.predict(features), (n,), f"contender {name}: predict"),
            "ssc_mean": _asked(estimator, "predict_mean", features, (n,), name),
            "ssc_lo90": low,
            "ssc_hi90": high,
            "ssc_qual": np.nan_to_num(flags).astype("int32"),
        },
        index=features.index,
    )


def _asked(estimator: Any, method: str, features: pd.DataFrame, shape: tuple[int, ...], name: str, **more: Any) -> Any:
    if not hasattr(estimator, method):
        return np.full(shape, np.nan)
    return _shaped(getattr(estimator, method)(features, **more), shape, f"contender {name}: {method}")


def _shaped(values: Any, shape: tuple[int, ...], what: str) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=float)
    if found.shape != shape:
        raise InputError(f"{what}: found shape {found.shape}, wanted {shape}, one answer per row")
    return found


def _out_of_fold(table: pd.DataFrame, contender: Contender, split: Split) -> pd.DataFrame:
    features = contender.features(table)
    parts = [
        answer(fitted(contender, table, train, split.inner), features.iloc[test], contender.name)
        for train, test in split
    ]
    return pd.concat(parts).sort_index().reset_index(drop=True)


def _tested(table: pd.DataFrame, split: Split) -> pd.DataFrame:
    fold = np.full(len(table), -1)
    for number, (_, test) in enumerate(split):
        fold[test] = number
    kept = table[[name for name in KEPT if name in table]]
    every = kept.assign(row=np.arange(len(table)), fold=fold, observed=labels(table))
    return every[fold >= 0].reset_index(drop=True)


def _check_labels(frame: pd.DataFrame) -> None:
    bad = ~frame["censored"] & ~(np.isfinite(frame["ssc_mg_l"]) & (frame["ssc_mg_l"] > 0))
    if bad.any():
        raise InputError(f"match-ups: {bad.sum()} rows with ssc_mg_l not above 0, wanted mg/L or censored = True")
    weights = frame["weight"]
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError("match-ups: weights below 0 or missing, wanted 0 to 1")
