"""The trained estimator: SSC with intervals and flags from reach samples, honest about rivers it has not seen.

    model = SSCRegressor().fit(samples, ssc_mg_l, groups=site)
    model.predict(others)                  # mg/L, median
    model.predict_mean(others)             # mg/L, for sums and fluxes
    model.predict_interval(others, 0.1)    # (n, 2) mg/L
    here = model.adapt("66210000", local, local_mg_l)
    here.predict(others_of_that_site)

It works on ln SSC: errors are ratios. Whatever is learned about errors -- which learners to believe, the intervals, the
smearing factor, the variance between sites -- is learned from estimates by models that had not seen the site. Without
`groups` there is no such thing, so `fit` refuses.

Sources: Duan 1983, J. Am. Stat. Assoc. 78, 605 (smearing); the others in `ensemble`, `intervals`, `local`, `support`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from ssc.errors import InputError
from ssc.quality import Quality
from ssc.regression.checks import check_complete, checked_groups, checked_ssc, checked_weights, table_of
from ssc.regression.columns import COLOUR, FEATURE_SET, MEDIANS, available, make_features, schema, schema_hash
from ssc.regression.ensemble import fit_ensemble
from ssc.regression.intervals import Residuals, per_site
from ssc.regression.learners import LEARNERS
from ssc.regression.local import Correction, learn_correction, learn_parts
from ssc.regression.physical import FLOOR
from ssc.regression.support import Support

Floats = NDArray[np.float64]

LEAST_LOCAL: Final = 3
"""Samples that a site needs to be adapted to."""
TOP: Final = 99.9
"""Percentile of the training SSC above which no estimate goes."""
RANGE_TOP: Final = 99.5
"""Percentile above which an estimate is flagged ABOVE_RANGE."""


class SSCRegressor(RegressorMixin, BaseEstimator):
    """Suspended sediment concentration (mg/L) from the reflectance of a reach, trained on match-ups.

    Args:
        feature_set: Which features; "core-v1" is the only one (`ssc.regression.columns`).
        learners: Candidates, names of `ssc.regression.learners.LEARNERS`; None: all. The mixture that did best on
            held-out sites is kept.
        folds: Into how many parts the sites are dealt for that.
        alpha: Default of `predict_interval`: 0.1 gives 90 % intervals.
        balance: Whether each site counts alike, however many rows it has: what is wanted is a river never seen, and
            the busiest stations are not the most usual ones.
        random_state: Seed of the deal and of the learners.

    Attributes:
        feature_names_in_: Features in use, in their order.
        feature_schema_: Name, unit and definition of each.
        feature_schema_hash_: SHA-256 of that.
        ensemble_: Learners, their errors on held-out sites, out-of-fold estimates.
        support_: What the training colours were.
        residuals_: What the intervals are made of.
        parts_: Variance between and within sites.
        sites_: Corrections by site name, from `adapt`.
        range_: (lowest, flagged above, highest) estimate, mg/L.
        n_rows_, n_sites_: What it was trained on.
    """

    def __init__(
        self,
        *,
        feature_set: str = FEATURE_SET,
        learners: Sequence[str] | None = None,
        folds: int = 5,
        alpha: float = 0.1,
        balance: bool = True,
        random_state: int = 0,
    ) -> None:
        self.feature_set = feature_set
        self.learners = learners
        self.folds = folds
        self.alpha = alpha
        self.balance = balance
        self.random_state = random_state

    def fit(
        self, X: pd.DataFrame, y: ArrayLike, *, groups: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train.

        Args:
            X: Columns of `ssc.schema.SAMPLE`, the six medians at least; `product` (L30 or S30) where known.
            y: (n,) SSC in mg/L, positive; less than 0.5 counts as 0.5 (detection limit).
            groups: (n,) site of each row; required, two sites at least.
            sample_weight: (n,) positive.

        Raises:
            InputError: No groups, or fewer than two sites; columns missing; numbers that are none or not positive.
        """
        names = self._checked_parameters()
        sites = checked_groups(groups, len(X))
        target = np.log(np.maximum(checked_ssc(y, len(X)), FLOOR))
        weights = np.ones(len(X)) if sample_weight is None else checked_weights(sample_weight, len(X))
        table = table_of(X)
        used = available(table)
        features = make_features(table, used)
        check_complete(features)
        self.support_ = Support.of(features)
        shares = per_site(sites, weights) if self.balance else weights
        self.ensemble_ = fit_ensemble(
            features,
            target,
            sites,
            names=names,
            weights=shares / shares.mean(),
            folds=self.folds,
            seed=self.random_state,
        )
        held = self.ensemble_.out_of_fold
        self.residuals_ = Residuals.of(held, target, per_site(sites, weights), len(np.unique(sites)))
        self.parts_ = learn_parts(target - held, self._colours(features), sites, seed=self.random_state)
        self._note(used, target, sites)
        return self

    def predict(self, X: pd.DataFrame, *, sites: ArrayLike | None = None) -> Floats:
        """SSC, median estimate.

        Args:
            X: Columns as in `fit`.
            sites: (n,) site of each row; rows of sites that the model was adapted to are corrected. None: those of
                the site the model is bound to (`at`), else no correction.

        Returns:
            (n,) mg/L, in the order of `X`; NaN where a sample has no reflectance, never left out.

        Raises:
            InputError: Columns missing, or sites that are not one per row.
        """
        return np.exp(self._ln_ssc(X, sites)[0])

    def predict_mean(self, X: pd.DataFrame, *, sites: ArrayLike | None = None) -> Floats:
        """SSC, mean estimate in mg/L: the median times the smearing factor; for sums, means and fluxes."""
        ln_ssc, shrunk = self._ln_ssc(X, sites)
        factor = self.residuals_.smearing(ln_ssc)
        return np.exp(ln_ssc) * factor ** (shrunk**2)  # of a log-normal: exp(variance / 2)

    def predict_interval(
        self, X: pd.DataFrame, alpha: float | None = None, *, sites: ArrayLike | None = None
    ) -> Floats:
        """(n, 2) mg/L: ends of the interval that is to hold 1 - alpha of the samples of rivers never seen.

        Raises:
            InputError: alpha not between 0 and 1.
        """
        share = self.alpha if alpha is None else alpha
        if not 0 < share < 1:
            raise InputError(f"alpha of an interval: found {share}, wanted between 0 and 1 (0.1 for 90 %)")
        ln_ssc, shrunk = self._ln_ssc(X, sites)
        return np.exp(self.residuals_.interval(ln_ssc, share, shrunk))

    def predict_flags(self, X: pd.DataFrame) -> NDArray[np.int32]:
        """(n,) bits of `ssc.quality.Quality`: OOD_FEATURES, BELOW_RANGE, ABOVE_RANGE; 0 without reflectance."""
        features = self._features(X)
        low, flagged, _ = np.log(self.range_)
        estimate = self._unbounded(features)
        bits = np.where(self.support_.outside(features), int(Quality.OOD_FEATURES), 0)
        bits |= np.where(estimate < low, int(Quality.BELOW_RANGE), 0)
        bits |= np.where(estimate > flagged, int(Quality.ABOVE_RANGE), 0)
        return np.where(np.isfinite(estimate), bits, 0).astype(np.int32)

    def adapt(self, site: str, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Learn what local samples tell about one site; anew if it was known.

        Args:
            site: Its name, as later in `sites`.
            X: (n, ...) columns as in `fit`, three rows at least.
            y: (n,) SSC in mg/L.

        Returns:
            This model bound to the site: its `predict` and `predict_interval` correct every row. The model itself
            keeps the correction too, for rows whose `sites` say so.

        Raises:
            InputError: Fewer than three samples with reflectance, or numbers that are none.
        """
        check_is_fitted(self)
        target = np.log(np.maximum(checked_ssc(y, len(X)), FLOOR))
        features = self._features(X)
        seen = features[list(MEDIANS)].notna().all(axis=1).to_numpy()
        if seen.sum() < LEAST_LOCAL:
            raise InputError(f"adapt to {site}: {seen.sum()} samples with reflectance, wanted {LEAST_LOCAL} or more")
        residuals = target[seen] - self._estimate(features)[seen]
        self.sites_[str(site)] = learn_correction(self.parts_, residuals, self._colours(features)[seen])
        return self.at(site)

    def at(self, site: str) -> Self:
        """This model for one site that it was adapted to: corrects rows even where no `sites` are told.

        Raises:
            InputError: It was not adapted to that site.
        """
        check_is_fitted(self)
        if str(site) not in self.sites_:
            known = " ".join(self.sites_) or "none"
            raise InputError(f"not adapted to site {site}: adapted to {known}; give it samples with adapt")
        bound = copy(self)
        bound.here_ = str(site)
        return bound

    def score(self, X: pd.DataFrame, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Minus the median symmetric accuracy (%), so that more is better; weights are not used."""
        del sample_weight  # a median of ratios; the argument is scikit-learn's
        ratio = np.log(self.predict(X) / np.maximum(np.asarray(y, dtype=float), FLOOR))
        return -100 * float(np.expm1(np.median(np.abs(ratio))))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.positive_only = True
        return tags

    def _checked_parameters(self) -> tuple[str, ...]:
        if self.feature_set != FEATURE_SET:
            raise InputError(f"no feature set {self.feature_set!r}: wanted {FEATURE_SET}")
        names = tuple(LEARNERS) if self.learners is None else tuple(self.learners)
        unknown = [name for name in names if name not in LEARNERS]
        if unknown or not names:
            raise InputError(f"no learner {' '.join(unknown)}: wanted some of {' '.join(LEARNERS)}")
        return names

    def _note(self, used: tuple[str, ...], target: Floats, sites: NDArray[Any]) -> None:
        self.feature_names_in_ = np.array(used, dtype=object)
        self.n_features_in_ = len(used)
        self.feature_schema_ = schema(used)
        self.feature_schema_hash_ = schema_hash(used)
        self.range_ = np.exp([target.min(), *np.percentile(target, [RANGE_TOP, TOP])])
        self.n_rows_, self.n_sites_ = len(target), len(np.unique(sites))
        self.sites_: dict[str, Correction] = {}
        self.here_: str | None = None

    def _features(self, X: pd.DataFrame) -> pd.DataFrame:
        check_is_fitted(self)
        return make_features(table_of(X), self.feature_names_in_.tolist())

    def _colours(self, features: pd.DataFrame) -> Floats:
        """(n, c) standardised, clipped to training; what is missing counts as the middle."""
        clipped = self.support_.clip(features)[list(COLOUR)].to_numpy()
        return np.nan_to_num((clipped - self.support_.centre) / self.support_.scale)

    def _unbounded(self, features: pd.DataFrame) -> Floats:
        """(n,) ln SSC before it is kept within the training range; NaN without reflectance.

        Far from the training colours the line on the physical baseline takes over, on unclipped features.
        """
        seen = features[list(MEDIANS)].notna().all(axis=1).to_numpy()
        found = np.full(len(features), np.nan)
        if seen.any():
            rows = features[seen]
            trust = self.support_.trust(rows)
            trained = self.ensemble_.predict(self.support_.clip(rows))
            found[seen] = trust * trained + (1 - trust) * self.ensemble_.line(rows)
        return found

    def _estimate(self, features: pd.DataFrame) -> Floats:
        low, _, high = np.log(self.range_)
        return np.clip(self._unbounded(features), low, high)

    def _ln_ssc(self, X: pd.DataFrame, sites: ArrayLike | None) -> tuple[Floats, Floats]:
        """(n,) ln SSC, corrected where the site is known, and (n,) how much the error shrinks there."""
        features = self._features(X)
        estimate, shrunk = self._estimate(features), np.ones(len(features))
        colours = self._colours(features)
        for site, rows in self._rows_by_site(sites, len(features)):
            added, shrunk[rows] = self.sites_[site].at(colours[rows])
            estimate[rows] += added
        low, _, high = np.log(self.range_)
        return np.clip(estimate, low, high), shrunk

    def _rows_by_site(self, sites: ArrayLike | None, rows: int) -> list[tuple[str, NDArray[np.intp]]]:
        if sites is None:
            return [] if self.here_ is None else [(self.here_, np.arange(rows))]
        names = np.asarray(sites).astype(str)
        if names.shape != (rows,):
            raise InputError(f"sites: found {names.shape}, wanted one per row ({rows},)")
        return [(site, found) for site in self.sites_ if (found := np.flatnonzero(names == site)).size]
