"""Error figures of SSC estimates, each written once: differences, ratios, intervals, and their unit and meaning.

score(Pairs(observed=o, predicted=p))    # {"n": 578, "n_sites": 20, "rmse": ..., "mdsa": ...}

Ratios are judged in natural logarithms, but for R2 and r, which are in log10 as peers print them (neither depends on
the base). Weights count as shares: medians and quantiles are taken where the weighted cumulative share, at the middle
of each row's weight, passes them; equal weights give numpy's own.

Sources:
    Morley, Brito and Welling 2018, Space Weather 16, 69: MdSA and SSPB.
    Winkler 1972, J. Am. Stat. Assoc. 67, 187; Gneiting and Raftery 2007, same journal 102, 359: interval score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from ssc.errors import InputError

Floats = NDArray[np.float64]

ALPHA: Final = 0.1
"""Share of observations that intervals may miss: they are 90 % intervals throughout."""
POORLY_COVERED: Final = 0.7
"""A site with a smaller share of its observations inside 90 % intervals counts as poorly covered."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Estimates beside observations, (n,) each; every estimate is finite and above 0.

    Raises:
        InputError: Unequal lengths, or an observation or estimate that is not finite and above 0.
    """

    observed: Floats
    """mg/L, above 0."""
    predicted: Floats
    """mg/L, the median estimate, above 0."""
    mean: Floats | None = None
    """mg/L, the mean estimate that sums are made of; NaN where there is none."""
    low: Floats | None = None
    """mg/L, lower end of the 90 % interval; NaN where there is none."""
    high: Floats | None = None
    """mg/L, upper end."""
    weight: Floats | None = None
    """1, at least 0; None counts every row once."""
    site: NDArray[Any] | None = None
    """Site of each row; None: every row is a site of its own."""

    def __post_init__(self) -> None:
        lengths = {len(values) for values in self._parts().values() if values is not None}
        if len(lengths) > 1:
            raise InputError(f"pairs of unequal length: found {sorted(lengths)}, wanted one length")
        for name in ("observed", "predicted"):
            values = getattr(self, name)
            if not (np.isfinite(values) & (values > 0)).all():
                raise InputError(f"pairs with {name} not finite or not above 0: leave such rows out and count them")

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_], site: NDArray[Any] | None = None) -> Pairs:
        """Some rows, in that order and as often as named; with `site` under other site names."""
        parts = {name: None if values is None else values[rows] for name, values in self._parts().items()}
        return Pairs(**(parts if site is None else {**parts, "site": site}))

    def sites(self) -> NDArray[Any]:
        """(n,) site of each row."""
        return np.arange(len(self.observed)) if self.site is None else self.site

    def bounded(self) -> Pairs | None:
        """The rows with an interval; None where there are none."""
        if self.low is None or self.high is None:
            return None
        known = (self.low > 0) & np.isfinite(self.high)
        return self.take(known) if known.any() else None

    def _parts(self) -> dict[str, Any]:
        names = ("observed", "predicted", "mean", "low", "high", "weight", "site")
        return {name: getattr(self, name) for name in names}


def mdsa(ln_ratio: ArrayLike, weight: Floats | None = None) -> float:
    """Median symmetric accuracy in percent of ln(predicted / observed).

    >>> round(mdsa([np.log(2), -np.log(2), 0.0]), 6)
    100.0
    """
    return 100 * float(np.expm1(quantile(np.abs(ln_ratio), 0.5, weight)))


def sspb(ln_ratio: ArrayLike, weight: Floats | None = None) -> float:
    """Symmetric signed percentage bias of ln(predicted / observed): above 0 where the median estimate is too high.

    >>> round(sspb([-np.log(2), -np.log(2), 0.0]), 6)
    -100.0
    """
    middle = quantile(np.asarray(ln_ratio, float), 0.5, weight)
    return 100 * float(np.sign(middle) * np.expm1(abs(middle)))


def rmse(error: ArrayLike, weight: Floats | None = None) -> float:
    """Root mean square: the root of the mean of squares, which is not the mean of roots of squares (the MAE).

    >>> round(rmse([1, 0, 2, -40]), 2), mae([1, 0, 2, -40])
    (20.03, 10.75)
    """
    return float(np.sqrt(average(np.square(np.asarray(error, float)), weight)))


def mae(error: ArrayLike, weight: Floats | None = None) -> float:
    """Mean absolute value."""
    return average(np.abs(np.asarray(error, float)), weight)


def r2(observed: Floats, predicted: Floats, weight: Floats | None = None) -> float:
    """Share of variance explained, 1 - residual / total: below 0 where the mean of the observations does better."""
    total = average((observed - average(observed, weight)) ** 2, weight)
    return 1 - average((observed - predicted) ** 2, weight) / total if total > 0 else float("nan")


def pearson(one: Floats, other: Floats, weight: Floats | None = None) -> float:
    """Correlation; NaN where one side does not vary."""
    a, b = one - average(one, weight), other - average(other, weight)
    scale = np.sqrt(average(a * a, weight) * average(b * b, weight))
    return average(a * b, weight) / float(scale) if scale > 1e-12 else float("nan")


def winkler(observed: Floats, low: Floats, high: Floats, alpha: float = ALPHA) -> Floats:
    """(n,) interval score: width plus 2 / alpha times what the observation lies outside; smaller is better.

    >>> winkler(np.array([1.0, 3.0]), np.array([0.0, 0.0]), np.array([2.0, 2.0])).tolist()
    [2.0, 22.0]
    """
    outside = np.maximum(low - observed, 0) + np.maximum(observed - high, 0)
    return (high - low) + 2 / alpha * outside


def average(values: Floats, weight: Floats | None = None) -> float:
    """Weighted mean."""
    return float(np.mean(values) if weight is None else np.average(values, weights=weight))


def quantile(values: Floats, share: float, weight: Floats | None = None) -> float:
    """Quantile of values, by weight where given; rows of weight 0 do not count.

    >>> quantile(np.array([3.0, 1.0, 2.0]), 0.5, np.array([0.1, 0.1, 5.0])), quantile(np.array([4.0, 1.0]), 0.25)
    (2.0, 1.75)
    """
    if weight is None:
        return float(np.quantile(values, share))
    order = np.argsort(values, kind="stable")
    order = order[weight[order] > 0]
    kept, ordered = weight[order], values[order]
    place = np.cumsum(kept) - kept / 2
    span = place[-1] - place[0]
    return float(np.interp(share, (place - place[0]) / span, ordered) if span > 0 else ordered[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure: how it is computed and told."""

    title: str
    """For the head of a table, with its unit."""
    meaning: str
    of: Callable[[Pairs], float]
    """NaN where the pairs do not tell it."""
    digits: int = 1
    """Decimals to print."""


def ln_ratio(pairs: Pairs) -> Floats:
    """(n,) ln(predicted / observed)."""
    return np.log(pairs.predicted / pairs.observed)


def _error(pairs: Pairs) -> Floats:
    return pairs.predicted - pairs.observed


def _logs(pairs: Pairs) -> tuple[Floats, Floats]:
    return np.log10(pairs.observed), np.log10(pairs.predicted)


def _error_quantile(share: float) -> Callable[[Pairs], float]:
    return lambda pairs: quantile(np.abs(_error(pairs)), share, pairs.weight)


def _spearman(pairs: Pairs) -> float:
    return pearson(rankdata(pairs.observed), rankdata(pairs.predicted), pairs.weight)


def _slope(pairs: Pairs) -> float:
    x, y = _logs(pairs)
    centred = x - average(x, pairs.weight)
    spread = average(centred**2, pairs.weight)
    return average(centred * y, pairs.weight) / spread if spread > 0 else float("nan")


def _sum_ratio(pairs: Pairs) -> float:
    return average(pairs.predicted, pairs.weight) / average(pairs.observed, pairs.weight)


def _mean_sum_ratio(pairs: Pairs) -> float:
    if pairs.mean is None or not np.isfinite(pairs.mean).all():
        return float("nan")
    return average(pairs.mean, pairs.weight) / average(pairs.observed, pairs.weight)


def inside(pairs: Pairs) -> Floats:
    """(n,) 1 where the interval holds the observation, 0 where not; NaN without interval."""
    if pairs.low is None or pairs.high is None:
        return np.full(len(pairs.observed), np.nan)
    held = (pairs.observed >= pairs.low) & (pairs.observed <= pairs.high)
    return np.where((pairs.low > 0) & np.isfinite(pairs.high), held, np.nan)


def _of_bounded(figure: Callable[[Pairs], Floats]) -> Callable[[Pairs], float]:
    """The mean of a figure over the rows that have an interval."""

    def of(pairs: Pairs) -> float:
        known = pairs.bounded()
        return float("nan") if known is None else average(figure(known), known.weight)

    return of


def _ln_width(pairs: Pairs) -> Floats:
    low, high = _bounds(pairs)
    return np.log(high / low)


def _ln_winkler(pairs: Pairs) -> Floats:
    low, high = _bounds(pairs)
    return winkler(np.log(pairs.observed), np.log(low), np.log(high))


def _bounds(pairs: Pairs) -> tuple[Floats, Floats]:
    assert pairs.low is not None
    assert pairs.high is not None
    return pairs.low, pairs.high


def _by_site(figure: Callable[[Pairs], float], pairs: Pairs) -> Floats:
    _, number = np.unique(pairs.sites().astype(str), return_inverse=True)
    return np.array([figure(pairs.take(number == n)) for n in range(number.max() + 1)])


def _site_coverage(pairs: Pairs) -> Floats:
    known = pairs.bounded()
    return np.array([np.nan]) if known is None else _by_site(_of_bounded(inside), known)


def _poorly_covered(pairs: Pairs) -> float:
    shares = _site_coverage(pairs)
    return float("nan") if np.isnan(shares).all() else 100 * float(np.mean(shares < POORLY_COVERED))


def _width(pairs: Pairs) -> float:
    return float(np.exp(_of_bounded(_ln_width)(pairs)))


METRICS: Final[dict[str, Metric]] = {
    "mdsa": Metric(
        title="MdSA %",
        meaning="median symmetric accuracy: half of the estimates are within this factor minus one",
        of=lambda pairs: mdsa(ln_ratio(pairs), pairs.weight),
    ),
    "sspb": Metric(
        title="SSPB %",
        meaning="symmetric signed bias: above 0 when estimates are too high in the median",
        of=lambda pairs: sspb(ln_ratio(pairs), pairs.weight),
    ),
    "medae": Metric(title="MedAE mg/L", meaning="median absolute error", of=_error_quantile(0.5)),
    "mae": Metric(title="MAE mg/L", meaning="mean absolute error", of=lambda pairs: mae(_error(pairs), pairs.weight)),
    "rmse": Metric(
        title="RMSE mg/L", meaning="root mean square error", of=lambda pairs: rmse(_error(pairs), pairs.weight)
    ),
    "rmsle": Metric(
        title="RMSLE ln",
        meaning="root mean square of ln(estimate / observation)",
        of=lambda pairs: rmse(ln_ratio(pairs), pairs.weight),
        digits=3,
    ),
    "e90": Metric(title="E90 mg/L", meaning="90 % of the absolute errors are below", of=_error_quantile(0.9)),
    "e95": Metric(title="E95 mg/L", meaning="95 % of the absolute errors are below", of=_error_quantile(0.95)),
    "r2_log10": Metric(
        title="R2 log10",
        meaning="share of the variance of log10 SSC explained; below 0 is worse than the mean",
        of=lambda pairs: r2(*_logs(pairs), pairs.weight),
        digits=3,
    ),
    "r2": Metric(
        title="R2",
        meaning="share of the variance of SSC in mg/L explained",
        of=lambda pairs: r2(pairs.observed, pairs.predicted, pairs.weight),
        digits=3,
    ),
    "r_log10": Metric(
        title="r log10",
        meaning="Pearson correlation of log10 SSC",
        of=lambda pairs: pearson(*_logs(pairs), pairs.weight),
        digits=3,
    ),
    "spearman": Metric(title="Spearman", meaning="rank correlation", of=_spearman, digits=3),
    "slope_log10": Metric(
        title="slope log10", meaning="slope of log10 estimate on log10 observation", of=_slope, digits=3
    ),
    "sum_ratio": Metric(
        title="sum ratio", meaning="sum of the median estimates over sum of the observations", of=_sum_ratio, digits=3
    ),
    "mean_sum_ratio": Metric(
        title="sum ratio of means",
        meaning="sum of the mean estimates (for flux) over sum of the observations",
        of=_mean_sum_ratio,
        digits=3,
    ),
    "coverage": Metric(
        title="coverage %",
        meaning="share of observations inside their 90 % interval",
        of=lambda pairs: 100 * _of_bounded(inside)(pairs),
    ),
    "width": Metric(
        title="width hi/lo", meaning="geometric mean of upper over lower end of the interval", of=_width, digits=2
    ),
    "winkler": Metric(
        title="Winkler ln",
        meaning="interval score in ln SSC: width plus 20 times what lies outside",
        of=_of_bounded(_ln_winkler),
        digits=2,
    ),
    "mdsa_sites": Metric(
        title="MdSA % of sites",
        meaning="median over the sites of each site's MdSA",
        of=lambda pairs: float(np.median(_by_site(METRICS["mdsa"].of, pairs))),
    ),
    "coverage_sites": Metric(
        title="coverage % of sites",
        meaning="mean over the sites of each site's coverage",
        of=lambda pairs: 100 * float(np.mean(_site_coverage(pairs))),
    ),
    "sites_poor": Metric(
        title="sites < 70 % covered",
        meaning="percent of the sites with fewer than 70 % of their observations inside",
        of=_poorly_covered,
    ),
}
"""Every figure, in the order of the tables."""


def score(pairs: Pairs) -> dict[str, float]:
    """All of METRICS, with the number of rows and sites; NaN for everything of no rows."""
    if len(pairs.observed) == 0:
        return {"n": 0, "n_sites": 0, **dict.fromkeys(METRICS, float("nan"))}
    counts = {"n": len(pairs.observed), "n_sites": len(np.unique(pairs.sites().astype(str)))}
    return {**counts, **{name: metric.of(pairs) for name, metric in METRICS.items()}}


def score_by(pairs: Pairs, groups: dict[str, NDArray[np.bool_]]) -> dict[str, dict[str, float]]:
    """`score` of each group of rows; True belongs to the group, groups may overlap."""
    return {name: score(pairs.take(members)) for name, members in groups.items()}
