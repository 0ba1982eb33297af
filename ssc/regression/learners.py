"""Candidate learners of ln SSC, each small on purpose, and what makes them smooth.

On stations that were never seen, the learner matters little and an over-grown one loses (notes/ssc.md 3.4). Four kinds
that err differently: a line on the physical baseline, a forest, boosting with absolute loss, and a support vector
machine. Trees answer in steps: a reflectance that crosses a threshold would make the estimate jump, so they are asked
at points about the sample and the answers averaged (`Smoothed`).

All take a (n, k) table of features and ln SSC, and weights; `sites` are for those who judge them, not for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import HuberRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from ssc.regression.columns import BASELINE, COLOUR

Floats = NDArray[np.float64]

SPREAD: Final = 0.1
"""Standard deviations of a feature over which answers of trees are averaged: a hundredth of brightness is a fiftieth
of it, so no single threshold moves the estimate by more than a few percent."""
POINTS: Final = 16
KERNEL_ROWS: Final = 3000
"""Rows that a support vector machine is trained on at most: its time grows with their square."""


class BaselineLine(RegressorMixin, BaseEstimator):
    """A straight line from the physical baseline (ln mg/L) to ln SSC; its slope is never negative.

    Rises with the baseline everywhere, so it is what estimates fall back on where there are no data.
    """

    def fit(self, features: pd.DataFrame, target: Floats, sample_weight: Floats | None = None) -> Self:
        """Fit by Huber's loss: a few floods do not turn it."""
        baseline, middle = features[[BASELINE]].to_numpy(), float(np.median(target))
        self.slope_, self.intercept_ = 0.0, middle
        if np.ptp(baseline) > 0:
            line = HuberRegressor(max_iter=1000).fit(baseline, target, sample_weight)
            if line.coef_[0] > 0:
                self.slope_, self.intercept_ = float(line.coef_[0]), float(line.intercept_)
        return self

    def predict(self, features: pd.DataFrame) -> Floats:
        """(n,) ln SSC."""
        return self.intercept_ + self.slope_ * features[BASELINE].to_numpy()


class Smoothed(RegressorMixin, BaseEstimator):
    """A learner of trees, asked at points about each sample and averaged.

    Args:
        learner: Anything that learns from features; NaN is for it to bear.
        spread: Standard deviation of the points about the sample, in standard deviations of each feature.
        points: How many; the same ones for every sample, in opposite pairs.
    """

    def __init__(self, learner: Any, *, spread: float = SPREAD, points: int = POINTS) -> None:
        self.learner = learner
        self.spread = spread
        self.points = points

    def fit(self, features: pd.DataFrame, target: Floats, sample_weight: Floats | None = None) -> Self:
        """Fit the learner on the features that have any value here, and note how wide each spreads."""
        self.kept_ = features.columns[features.notna().any()].tolist()
        values = features[self.kept_].to_numpy()
        self.learner_ = clone(self.learner).fit(values, target, sample_weight=sample_weight)
        half = np.random.default_rng(0).standard_normal((self.points // 2, values.shape[1]))
        self.steps_ = np.concatenate([half, -half]) * self.spread * np.nanstd(values, axis=0)
        return self

    def predict(self, features: pd.DataFrame) -> Floats:
        """(n,) ln SSC."""
        values = features[self.kept_].to_numpy()
        about = (values[:, None, :] + self.steps_).reshape(-1, values.shape[1])
        return self.learner_.predict(about).reshape(len(values), -1).mean(axis=1)


class ColourKernel(RegressorMixin, BaseEstimator):
    """A support vector machine with a Gaussian kernel on the colour features; smooth by itself.

    Args:
        penalty: C of the machine.
        reach: gamma of the kernel, on standardised features.
        rows: Trained on at most so many rows, drawn at random.
        random_state: Of that draw.
    """

    def __init__(
        self, *, penalty: float = 1.0, reach: float = 0.03, rows: int = KERNEL_ROWS, random_state: int = 0
    ) -> None:
        self.penalty = penalty
        self.reach = reach
        self.rows = rows
        self.random_state = random_state

    def fit(self, features: pd.DataFrame, target: Floats, sample_weight: Floats | None = None) -> Self:
        """Fit on the colour features alone."""
        chosen = self._chosen(len(target))
        machine = SVR(C=self.penalty, gamma=self.reach, epsilon=0.2)
        self.machine_ = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), machine)
        weights = {} if sample_weight is None else {"svr__sample_weight": sample_weight[chosen]}
        self.machine_.fit(features[list(COLOUR)].to_numpy()[chosen], target[chosen], **weights)
        return self

    def predict(self, features: pd.DataFrame) -> Floats:
        """(n,) ln SSC."""
        return self.machine_.predict(features[list(COLOUR)].to_numpy())

    def _chosen(self, rows: int) -> NDArray[np.intp]:
        if rows <= self.rows:
            return np.arange(rows)
        return np.sort(np.random.default_rng(self.random_state).choice(rows, self.rows, replace=False))


def _line(_rows: int, _seed: int) -> Any:
    return BaselineLine()


def _forest(rows: int, seed: int) -> Any:
    leaf = max(8, rows // 500)
    return Smoothed(RandomForestRegressor(n_estimators=200, min_samples_leaf=leaf, max_features=0.4, random_state=seed))


def _boosting(rows: int, seed: int) -> Any:
    return Smoothed(
        HistGradientBoostingRegressor(
            loss="absolute_error",
            max_iter=80 if rows < 2000 else 200,
            learning_rate=0.05,
            max_leaf_nodes=6 if rows < 2000 else 12,
            min_samples_leaf=25,
            l2_regularization=1.0,
            early_stopping=False,  # it would hold out rows, not sites
            random_state=seed,
        )
    )


def _kernel(_rows: int, seed: int) -> Any:
    return ColourKernel(random_state=seed)


LEARNERS: Final[dict[str, Callable[[int, int], Any]]] = {
    "line": _line,
    "forest": _forest,
    "boosting": _boosting,
    "kernel": _kernel,
}
"""Name -> what makes an unfitted learner for so many rows, with a seed."""
