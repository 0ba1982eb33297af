"""Prediction intervals that hold on rivers never seen: residuals of held-out sites, scaled and counted per site.

Split-conformal in spirit (Vovk et al. 2005; Romano et al. 2019), cross-fitted: every training row has an estimate from
a fit without its site, so no site is given up for calibration. Residuals of ln SSC are divided by their usual size at
that estimate, each site counts alike however many rows it has, and the lower and upper ends are quantiles of their own:
what is dark may be clear or in haze, what is bright is rarely clear. Exact coverage is promised by no such method for
sites that differ; it is measured on held-out sites in `ssc.validation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

LEAST: Final = 0.05
"""Smallest usual size of a residual of ln SSC: laboratories do not agree better."""
KNOTS: Final = 33
"""Points at which the usual size is tabulated."""
WIDTH: Final = 0.6
"""Standard deviation of the window over estimates, in standard deviations of the estimates: wide, for steady sizes."""
BINS: Final = 3
"""Of estimates, for smearing."""
BIN_ROWS: Final = 60
"""Rows that a bin needs for a factor of its own."""
EXTREME: Final = 3.0
"""Residuals of ln SSC are cut here for smearing: one mislabelled sample must not move every flux."""


def per_site(groups: NDArray[Any], weights: Floats) -> Floats:
    """(n,) weights of rows, changed so that each site has the same total.

    >>> per_site(np.array(["a", "a", "b"]), np.ones(3)).tolist()
    [0.5, 0.5, 1.0]
    """
    _, site = np.unique(groups, return_inverse=True)
    return np.asarray(weights / np.bincount(site, weights=weights)[site])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Residuals:
    """Residuals of ln SSC on held-out sites, ready for quantiles."""

    knots: Floats
    """(K,) estimates of ln SSC, rising."""
    sizes: Floats
    """(K,) usual |residual| at the knots."""
    scores: Floats
    """(n,) residuals over their usual size, sorted."""
    shares: Floats
    """(n,) cumulated weight up to each score, ending at 1."""
    edges: Floats
    """(b - 1,) estimates between the bins of smearing."""
    factors: Floats
    """(b,) mean of exp(residual) in each bin (Duan 1983)."""
    sites: int
    """How many sites the residuals are from."""

    @classmethod
    def of(cls, estimate: Floats, target: Floats, share: Floats, sites: int) -> Residuals:
        """From out-of-fold estimates and samples, both (n,) ln SSC, and how much each row counts (`per_site`)."""
        error = target - estimate
        knots = np.linspace(estimate.min(), estimate.max(), KNOTS)
        sizes = _usual(knots, estimate, np.abs(error), share)
        scores = error / np.interp(estimate, knots, sizes)
        order = np.argsort(scores, kind="stable")
        edges, factors = _smearing(estimate, error, share)
        return cls(
            knots=knots,
            sizes=sizes,
            scores=scores[order],
            shares=np.cumsum(share[order]) / share.sum(),
            edges=edges,
            factors=factors,
            sites=sites,
        )

    def interval(self, estimate: Floats, alpha: float, scale: ArrayLike = 1.0) -> Floats:
        """(n, 2) ends of ln SSC that hold 1 - alpha of the residuals; `scale` (n,) widens or narrows each.

        Of fewer than 1 / alpha sites none stands for the worst alpha of them: the largest residuals are the ends.
        """
        alpha = alpha if self.sites * alpha >= 1 else 0.0
        size = np.interp(estimate, self.knots, self.sizes) * np.asarray(scale, dtype=float)
        low, high = (np.interp(share, self._middles(), self.scores) for share in (alpha / 2, 1 - alpha / 2))
        ends = estimate[:, None] + size[:, None] * np.array([min(low, 0.0), max(high, 0.0)])
        return np.asarray(ends)

    def smearing(self, estimate: Floats) -> Floats:
        """(n,) what the median is multiplied with for the mean; without a jump between the bins."""
        if self.edges.size == 0:
            return np.full(len(estimate), self.factors[0])
        reach = np.concatenate([[self.knots[0]], self.edges, [self.knots[-1]]])
        return np.asarray(np.interp(estimate, (reach[:-1] + reach[1:]) / 2, self.factors))

    def _middles(self) -> Floats:
        return self.shares - np.diff(self.shares, prepend=0.0) / 2


def _usual(knots: Floats, estimate: Floats, size: Floats, share: Floats) -> Floats:
    """Weighted mean of sizes in a Gaussian window about each knot."""
    width = max(WIDTH * float(estimate.std()), np.finfo(float).eps)
    near = share * np.exp(-(((knots[:, None] - estimate) / width) ** 2) / 2)
    return np.maximum(near @ size / near.sum(axis=1), LEAST)


def _smearing(estimate: Floats, error: Floats, share: Floats) -> tuple[Floats, Floats]:
    bins = BINS if len(estimate) >= BINS * BIN_ROWS else 1
    edges = np.quantile(estimate, np.arange(1, bins) / bins)
    at, lifted = np.searchsorted(edges, estimate), np.exp(np.clip(error, -EXTREME, EXTREME))
    return edges, np.bincount(at, share * lifted, bins) / np.maximum(np.bincount(at, share, bins), 1e-300)
