"""The production network pair trained by us: a yardstick for our own estimator, on the same rows and folds.

    pair = NetworkPair(inputs=("red_med", "nir_med"), mode="strict").fit(X, ssc_mg_l)
    pair.predict(X)                  # mg/L, NaN where the published rule has no value
    pair.explain(X)["reason"]        # and why

Published are the rule, the scaling of inputs and targets, and the loss (`ssc.regression.pair`); the ranges of the two
networks, 20.08 and 403.43 mg/L, follow from an abstract. Layers, optimiser, stopping, the row split, `maxval_cut` and
the loss of network 2 are not: here they are parameters whose defaults are ASSUMED, and network 2 has the loss of
network 1.

The published loss, mean((estimate - target)^2 / (target + 0.01)), is a squared loss in which a row weighs
1 / (target + 0.01). All rows make one batch, so the networks minimise it exactly; scikit-learn divides it by the mean
weight, which moves no minimum.

Source: notes/ssc.md 1.3, 1.4 and 1.8.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.utils.validation import check_is_fitted

from ssc.errors import InputError
from ssc.regression.pair import LOSS_OFFSET, MINIMUM_OUT, Branch, Mode, PairRule, combine
from ssc.regression.pair_inputs import INPUTS

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

FEWEST: Final = 10
"""Rows without which a network is not trained."""


class NetworkPair(RegressorMixin, BaseEstimator):
    """Two networks and the published rule, scikit-learn conventions.

    Args:
        inputs: Columns the networks see; None: the 66 of production (`INPUTS`), which the table must then have.
        mode: "strict" or "repaired", see `ssc.regression.pair`; may be changed after fitting, the others may not.
        maximum_out: Upper end of network 1, ln(mg/L): 3 is 20.1 mg/L, the published 20.08.
        max_m2: Upper end of network 2, ln(mg/L): 6 is 403.4 mg/L, as published; None: that of the training rows.
        maxval_cut: Output of network 1 from which network 2 has a say. ASSUMED: 0.8, 9.0 mg/L.
        hidden_m1: Neurons of each hidden layer of network 1. ASSUMED.
        hidden_m2: The same of network 2. ASSUMED.
        alpha: Weight of the squared coefficients beside the summed, weighted squared errors. ASSUMED.
        max_iter: Steps of L-BFGS at most; stopping there is part of the recipe. ASSUMED.
        random_state: Seed of the first coefficients.

    Attributes:
        names_: Inputs in the order of the networks.
        rule_: What belongs to the pair besides its networks.
        network_1_: For low SSC.
        network_2_: For high SSC.
        rows_: Training rows by network, "network_1" and "network_2"; from `min_m2` to `maximum_out` they train both.
        dropped_: Training rows that came to nothing: "missing" (an input not finite), "below" (less than 0.37 mg/L) and
            "above" (beyond `max_m2`) trained no network; "rule" were trained on, yet have no value afterwards.
    """

    def __init__(  # noqa: PLR0913, all by keyword, as scikit-learn wants parameters
        self,
        *,
        inputs: Sequence[str] | None = None,
        mode: str = Mode.STRICT.value,
        maximum_out: float = 3.0,
        max_m2: float | None = 6.0,
        maxval_cut: float = 0.8,
        hidden_m1: Sequence[int] = (64, 32),
        hidden_m2: Sequence[int] = (64, 32),
        alpha: float = 0.1,
        max_iter: int = 300,
        random_state: int = 0,
    ) -> None:
        self.inputs = inputs
        self.mode = mode
        self.maximum_out = maximum_out
        self.max_m2 = max_m2
        self.maxval_cut = maxval_cut
        self.hidden_m1 = hidden_m1
        self.hidden_m2 = hidden_m2
        self.alpha = alpha
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(
        self, X: pd.DataFrame, y: ArrayLike, *, groups: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train both networks, each on the rows of its own range.

        Args:
            X: The inputs, any other columns are left aside; raw units, for the scaling is part of the pair.
            y: (n,) SSC in mg/L, positive.
            groups: Taken for the sake of the interface and not used: nothing here is selected or calibrated.
            sample_weight: (n,) 0 or more, beside the weight that is the published loss; None: 1.

        Raises:
            InputError: A missing column, an SSC or weight that cannot be, or too few rows for a network.
        """
        del groups
        ssc, weight = _checked(len(X), y, sample_weight)
        self.names_ = self._names(X)
        self.n_features_in_ = len(self.names_)
        x = _matrix(X, self.names_)
        known: Rows = np.all(np.isfinite(x), axis=1)
        self.top_ = float(self.max_m2) if self.max_m2 is not None else _largest(ssc[known])
        self._fit_both(x, ssc, weight, known)
        beyond, below = ssc > np.exp(self.top_), ssc < np.exp(MINIMUM_OUT)
        lost = {"missing": ~known, "below": known & below, "above": known & beyond}
        trained = ~np.logical_or.reduce(list(lost.values()))
        ruled_out = trained & self.explain(X)["ssc"].isna().to_numpy()
        self.dropped_ = {reason: int(rows.sum()) for reason, rows in {**lost, "rule": ruled_out}.items()}
        return self

    def predict(self, X: pd.DataFrame) -> Floats:
        """(n,) SSC in mg/L, in the order of `X`; NaN where the rule has no value, infinite where strict overflows.

        Raises:
            InputError: A missing column.
        """
        return self.explain(X)["ssc"].to_numpy(dtype=float)

    def explain(self, X: pd.DataFrame) -> pd.DataFrame:
        """SSC with its branch, flags and, where there is none, the reason; see `ssc.regression.pair.combine`.

        Raises:
            InputError: A missing column, or no such mode.
        """
        check_is_fitted(self)
        return combine(self.rule_, self.network_1_.predict, self.network_2_.predict, X, mode=self.mode)

    def predict_flags(self, X: pd.DataFrame) -> NDArray[np.int32]:
        """(n,) bits of `ssc.quality.Quality`: OOD_FEATURES, BELOW_RANGE, ABOVE_RANGE."""
        return self.explain(X)["ssc_qual"].to_numpy(dtype=np.int32)

    def count_dropped(self, X: pd.DataFrame) -> dict[str, int]:
        """How many rows have no value, by branch: "dropped", "missing", "undefined"."""
        found = self.explain(X)["branch"]
        return {name.value: int((found == name).sum()) for name in (Branch.DROPPED, Branch.MISSING, Branch.UNDEFINED)}

    @property
    def rule_(self) -> PairRule:
        """Ranges and scalings."""
        return PairRule(
            maxval_cut=self.maxval_cut,
            maximum_out=self.maximum_out,
            max_m2=self.top_,
            names=tuple(self.names_),
            **self.limits_,
        )

    def __sklearn_tags__(self) -> Any:
        """Rows that lack an input are answered with NaN, and SSC is positive."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.positive_only = True
        return tags

    def _names(self, X: pd.DataFrame) -> list[str]:
        names = list(INPUTS if self.inputs is None else self.inputs)
        if missing := [name for name in names if name not in X]:
            remedy = "; or say which columns the networks shall see: inputs=" if self.inputs is None else ""
            raise InputError(f"network pair: no column {' '.join(missing)}, wanted {len(names)} inputs{remedy}")
        return names

    def _fit_both(self, x: Floats, ssc: Floats, weight: Floats, known: Rows) -> None:
        ranges = _ranges(self.maximum_out, self.top_, self.maxval_cut)
        rows = {name: known & (ssc >= low) & (ssc <= high) & (weight > 0) for name, (low, high) in ranges.items()}
        _check_enough(rows, ranges)
        self.rows_ = {name: int(used.sum()) for name, used in rows.items()}
        self.limits_ = _limits(x, rows["network_1"], rows["network_2"])
        # Positions in the rule's own range: the targets of the published loss
        targets = {"network_1": self.rule_.target_m1(ssc), "network_2": self.rule_.target_m2(ssc)}
        hidden = {"network_1": self.hidden_m1, "network_2": self.hidden_m2}
        for name, suffix in (("network_1", "m1"), ("network_2", "m2")):
            used, low, high = rows[name], self.limits_[f"min_input_{suffix}"], self.limits_[f"max_input_{suffix}"]
            network = self._network(hidden[name])
            _train(network, _scaled(x[used], low, high), targets[name][used], weight[used])
            setattr(self, f"{name}_", network)

    def _network(self, hidden: Sequence[int]) -> MLPRegressor:
        return MLPRegressor(
            hidden_layer_sizes=tuple(hidden),
            solver="lbfgs",
            alpha=self.alpha,
            max_iter=self.max_iter,
            random_state=self.random_state,
        )


def loss_weight(target: ArrayLike) -> Floats:
    """(n,) weight of each row that makes a squared loss the published one, for targets of 0 to 1.

    >>> loss_weight([0.0, 0.99]).tolist()
    [100.0, 1.0]
    """
    return 1 / (np.asarray(target, float) + LOSS_OFFSET)


def _train(network: MLPRegressor, x: Floats, target: Floats, weight: Floats) -> None:
    with warnings.catch_warnings():
        # Its end after max_iter steps is what keeps the fit from following the noise
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(x, target, sample_weight=weight * loss_weight(target))


def _checked(n: int, y: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Floats, Floats]:
    ssc = np.asarray(y, float)
    weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
    if ssc.shape != (n,) or weight.shape != (n,):
        raise InputError(f"network pair: {n} rows, SSC {ssc.shape} and weights {weight.shape}, wanted {(n,)}")
    if not (np.isfinite(ssc).all() and (ssc > 0).all()):
        raise InputError("network pair: an SSC that is not finite or not above 0 mg/L, wanted all above 0")
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise InputError("network pair: a weight that is not finite or below 0")
    return ssc, weight


def _matrix(X: pd.DataFrame, names: list[str]) -> Floats:
    """(n, k) in double precision, out of the range of single precision infinite: what `combine` will see."""
    with np.errstate(over="ignore"):
        return X[names].to_numpy(dtype=float).astype(np.float32).astype(float)


def _largest(ssc: Floats) -> float:
    """Natural logarithm of the largest SSC, a hair above it, so that the row itself lies inside."""
    if not ssc.size:
        raise InputError("network pair: no row with all inputs, so no largest SSC")
    return float(np.log(ssc.max()) * (1 + 1e-12) + 1e-12)


def _ranges(maximum_out: float, top: float, maxval_cut: float) -> dict[str, tuple[float, float]]:
    """mg/L between which rows train each network: where its target is 0 to 1.

    The published loss is undefined below -0.01; targets above 1 are left to the other network.
    """
    floor, gate = float(np.exp(MINIMUM_OUT)), float(np.exp(maxval_cut * maximum_out))
    return {"network_1": (floor, float(np.exp(maximum_out))), "network_2": (gate, float(np.exp(top)))}


def _check_enough(rows: dict[str, Rows], ranges: dict[str, tuple[float, float]]) -> None:
    for name, used in rows.items():
        if used.sum() < FEWEST:
            low, high = ranges[name]
            raise InputError(
                f"{name.replace('_', ' ')} of the pair: found {int(used.sum())} rows with all inputs between {low:.3g} "
                f"and {high:.3g} mg/L, wanted at least {FEWEST}; see maximum_out, max_m2 and maxval_cut"
            )


def _limits(x: Floats, of_1: Rows, of_2: Rows) -> dict[str, Floats]:
    return {
        "min_input_m1": x[of_1].min(axis=0),
        "max_input_m1": x[of_1].max(axis=0),
        "min_input_m2": x[of_2].min(axis=0),
        "max_input_m2": x[of_2].max(axis=0),
    }


def _scaled(x: Floats, low: Floats, high: Floats) -> Floats:
    """0 to 1 over the training rows; a constant input is 0, as in `combine`."""
    return (x - low) / np.where(high > low, high - low, 1.0)
