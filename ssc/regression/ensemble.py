"""Which learners to believe: out-of-fold estimates by site, and the mean of those that did best together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from ssc.regression.learners import LEARNERS

Floats = NDArray[np.float64]

LINE: Final = "line"
"""The learner that estimates fall back on; it takes part in no mixture but may be best alone."""
AS_GOOD: Final = 0.02
"""Mixtures whose error is within this share of the best are as good; of them the one of most learners is taken."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ensemble:
    """Fitted learners and what is known of them; the estimate is the mean of their ln SSC."""

    chosen: tuple[str, ...]
    """Names of the learners whose mean counts."""
    learners: dict[str, Any]
    """The chosen ones and the line, fitted on all rows."""
    errors: dict[str, float]
    """Mean |ln(estimate / sample)| of each learner on sites it had not seen, and of the chosen mixture ("chosen")."""
    out_of_fold: Floats
    """(n,) ln SSC of every training row by the chosen mixture, fitted without the row's site."""

    def predict(self, features: pd.DataFrame) -> Floats:
        """(n,) ln SSC."""
        return np.mean([self.learners[name].predict(features) for name in self.chosen], axis=0)

    def line(self, features: pd.DataFrame) -> Floats:
        """(n,) ln SSC by the line on the physical baseline alone."""
        return self.learners[LINE].predict(features)


def fit_ensemble(
    features: pd.DataFrame,
    target: Floats,
    groups: NDArray[Any],
    *,
    names: Sequence[str],
    weights: Floats,
    folds: int = 5,
    seed: int = 0,
) -> Ensemble:
    """Judge each learner on sites held out in turn, choose the best mixture, fit its learners on all rows.

    Args:
        features: (n, k) from `columns.make_features`.
        target: (n,) ln SSC.
        groups: (n,) site of each row, two sites at least.
        names: Candidates, of `LEARNERS`.
        weights: (n,) how much each row counts.
        folds: Into how many parts the sites are dealt, at most their number.
        seed: Of the deal and of the learners.
    """
    parts = GroupKFold(min(folds, len(np.unique(groups))), shuffle=True, random_state=seed)
    held = {name: np.empty(len(target)) for name in names}
    for train, test in parts.split(features, target, groups):
        for name in names:
            learner = _fit(name, features.iloc[train], target[train], weights[train], seed)
            held[name][test] = learner.predict(features.iloc[test])
    chosen = _best(held, target, weights)
    mixture = np.mean([held[name] for name in chosen], axis=0)
    errors = {name: _error(values, target, weights) for name, values in (*held.items(), ("chosen", mixture))}
    kept = dict.fromkeys((*chosen, LINE))
    learners = {name: _fit(name, features, target, weights, seed) for name in kept}
    return Ensemble(chosen=chosen, learners=learners, errors=errors, out_of_fold=mixture)


def _fit(name: str, features: pd.DataFrame, target: Floats, weights: Floats, seed: int) -> Any:
    return LEARNERS[name](len(target), seed).fit(features, target, sample_weight=weights)


def _best(held: dict[str, Floats], target: Floats, weights: Floats) -> tuple[str, ...]:
    able = [name for name in held if name != LINE]
    mixtures = [names for size in range(1, len(able) + 1) for names in combinations(able, size)]
    mixtures += [(LINE,)] if LINE in held else []
    errors = [_error(np.mean([held[name] for name in names], axis=0), target, weights) for names in mixtures]
    good = [names for names, error in zip(mixtures, errors, strict=True) if error <= min(errors) * (1 + AS_GOOD)]
    return max(good, key=len)


def _error(estimate: Floats, target: Floats, weights: Floats) -> float:
    return float(np.average(np.abs(estimate - target), weights=weights))
