"""What a trained estimator must beat: untrained formulas, a formula with a fitted line, the median, given numbers.

Each function here gives a `Contender`. The two that are fitted also adapt to a site, in the plainest way: the site's
mean residual of ln SSC, shrunk towards 0 as far as sites differed little in training (empirical Bayes, normal means;
Efron and Morris 1975, J. Am. Stat. Assoc. 70, 311). The adapted median uses no imagery at all: an estimator that does
not beat it with as many local samples has learned nothing from the colour of the water.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ssc.errors import InputError
from ssc.regression import Regressor, load
from ssc.regression.physical import FLOOR
from ssc.validation.contest import Contender
from ssc.validation.metrics import ALPHA, Floats, average, quantile

SITES_FOR_VARIANCE: Final = 3
"""With fewer training sites nothing is known of how sites differ: adaptation then does nothing."""


def physical() -> Contender:
    """Novoa's switched formula, untrained."""
    return formula("physical", "untrained formula (Novoa 2017)")


def nechad_red() -> Contender:
    """Nechad's formula in the red band, untrained."""
    return formula("nechad-red", "untrained formula, red band (Nechad 2010)")


def formula(name: str, remark: str = "untrained") -> Contender:
    """A regressor of `ssc.regression.load` that needs no training.

    Raises:
        InputError: No regressor of that name.
    """
    load(name)
    return Contender(name=name, make=lambda: Formula(load(name)), remark=remark)


def given(column: str, name: str | None = None, remark: str = "") -> Contender:
    """Predictions that stand in a column of the match-ups, in mg/L."""
    told = remark or f"given in the column {column}"
    return Contender(name=name or column, make=lambda: Given(column), columns=(column,), remark=told)


def training_median() -> Contender:
    """The median of the training samples, whatever the water looks like."""
    return Contender(name="training-median", make=TrainingMedian, remark="sees no imagery")


def calibrated(name: str = "physical") -> Contender:
    """A formula with a line of ln SSC fitted on the training rows.

    Raises:
        InputError: No regressor of that name.
    """
    load(name)
    return Contender(
        name=f"{name}-calibrated", make=lambda: Calibrated(name), remark=f"ln SSC a line of ln {name}, two numbers"
    )


def baselines() -> list[Contender]:
    """All that need no column."""
    return [physical(), nechad_red(), calibrated("physical"), calibrated("nechad-red"), training_median()]


class Formula:
    """A regressor of this package behind scikit-learn's methods; fitting does nothing."""

    def __init__(self, regressor: Regressor) -> None:
        self.regressor = regressor

    def fit(self, _X: pd.DataFrame, _y: ArrayLike) -> Self:
        """Nothing to learn."""
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """(n,) mg/L."""
        return self.regressor.predict(X)["ssc"].to_numpy(dtype=float)

    def predict_interval(self, X: pd.DataFrame, alpha: float = ALPHA) -> Floats:
        """(n, 2) mg/L, the 90 % interval.

        Raises:
            InputError: Another alpha than 0.1.
        """
        _check_alpha(alpha)
        return self.regressor.predict(X)[["ssc_lo90", "ssc_hi90"]].to_numpy(dtype=float)

    def predict_flags(self, X: pd.DataFrame) -> NDArray[np.int32]:
        """(n,) bits of `Quality`."""
        return self.regressor.predict(X)["ssc_qual"].to_numpy(dtype="int32")


class Given:
    """Predictions of others, read from a column."""

    def __init__(self, column: str) -> None:
        self.column = column

    def fit(self, _X: pd.DataFrame, _y: ArrayLike) -> Self:
        """Nothing to learn."""
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """(n,) mg/L."""
        return X[self.column].to_numpy(dtype=float)


class _LogModel:
    """ln SSC of a row, plus the offset of its site where known; intervals from training residuals, sites seen."""

    def fit(
        self, X: pd.DataFrame, y: ArrayLike, *, groups: Sequence[Any] | NDArray[Any], sample_weight: Any = None
    ) -> Self:
        """Learn from rows; `groups` are their sites.

        Raises:
            InputError: No row that can be used.
        """
        target = np.log(np.maximum(np.asarray(y, float), FLOOR))
        weight = np.ones(len(target)) if sample_weight is None else np.asarray(sample_weight, float)
        self._fit_ln(X, target, weight)
        residual = target - self._ln(X)
        known = np.isfinite(residual)
        ends = (ALPHA / 2, 1 - ALPHA / 2)
        self.ends_ = np.array([quantile(residual[known], share, weight[known]) for share in ends])
        self.between_, self.within_ = site_variances(residual[known], np.asarray(groups)[known])
        self.offsets_: dict[str, float] = {}
        return self

    def predict(self, X: pd.DataFrame, *, sites: Sequence[Any] | NDArray[Any] | None = None) -> Floats:
        """(n,) mg/L, rows of adapted sites corrected."""
        offset = 0.0 if sites is None else np.array([self.offsets_.get(str(site), 0.0) for site in sites])
        return np.exp(self._ln(X) + offset)

    def predict_interval(self, X: pd.DataFrame, alpha: float = ALPHA) -> Floats:
        """(n, 2) mg/L, the 90 % interval.

        Raises:
            InputError: Another alpha than 0.1.
        """
        _check_alpha(alpha)
        return np.exp(self._ln(X)[:, None] + self.ends_)

    def adapt(self, site: str, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Store the offset of a site, from its own samples alone."""
        residual = np.log(np.maximum(np.asarray(y, float), FLOOR)) - self._ln(X)
        residual = residual[np.isfinite(residual)]
        if len(residual) and self.between_ > 0:
            shrink = self.between_ / (self.between_ + self.within_ / len(residual))
            self.offsets_[str(site)] = float(shrink * residual.mean())
        return self

    def _fit_ln(self, X: pd.DataFrame, target: Floats, weight: Floats) -> None:
        raise NotImplementedError

    def _ln(self, X: pd.DataFrame) -> Floats:
        raise NotImplementedError


class TrainingMedian(_LogModel):
    """The weighted median of the training labels."""

    def _fit_ln(self, _X: pd.DataFrame, target: Floats, weight: Floats) -> None:
        self.middle_ = quantile(target, 0.5, weight)

    def _ln(self, X: pd.DataFrame) -> Floats:
        return np.full(len(X), self.middle_)


class Calibrated(_LogModel):
    """ln SSC = a + b ln(formula), weighted least squares."""

    def __init__(self, formula: str = "physical") -> None:
        self.formula = formula

    def _fit_ln(self, X: pd.DataFrame, target: Floats, weight: Floats) -> None:
        base = self._ln_base(X)
        known = np.isfinite(base) & (weight > 0)
        if not known.any():
            raise InputError(f"cannot calibrate {self.formula}: it answers for none of {len(X)} training rows")
        base, target, weight = base[known], target[known], weight[known]
        away = base - average(base, weight)
        spread = average(away**2, weight)
        self.slope_ = average(away * target, weight) / spread if spread > 0 else 0.0
        self.start_ = average(target, weight) - self.slope_ * average(base, weight)

    def _ln(self, X: pd.DataFrame) -> Floats:
        return self.start_ + self.slope_ * self._ln_base(X)

    def _ln_base(self, X: pd.DataFrame) -> Floats:
        return np.log(load(self.formula).predict(X)["ssc"].to_numpy(dtype=float))


def site_variances(residual: Floats, sites: NDArray[Any]) -> tuple[float, float]:
    """Variance of residuals between sites and within them, by moments (one-way analysis of variance, unequal sizes).

    (0, 1) where there are too few sites, or no site with two rows, to tell.

    >>> [round(v, 3) for v in site_variances(np.array([1.0, 1.2, -1.0, -1.2, 0.1, -0.1]), np.array(list("aabbcc")))]
    [1.2, 0.02]
    """
    _, number, sizes = np.unique(sites, return_inverse=True, return_counts=True)
    n, k = len(residual), len(sizes)
    if k < SITES_FOR_VARIANCE or n == k:
        return 0.0, 1.0
    means = np.bincount(number, residual) / sizes
    within = float(((residual - means[number]) ** 2).sum()) / (n - k)
    between = float((sizes * (means - residual.mean()) ** 2).sum()) / (k - 1)
    typical = (n - float((sizes**2).sum()) / n) / (k - 1)
    return max(0.0, (between - within) / typical), within


def _check_alpha(alpha: float) -> None:
    if alpha != ALPHA:
        raise InputError(f"interval of a baseline: found alpha {alpha:g}, it knows {ALPHA:g} only")
