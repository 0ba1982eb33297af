"""How sure a score is, and a difference of scores: sites drawn with replacement, all rows of a site together.

Rows of one site are no independent witnesses; intervals from drawn rows would be too narrow. Two contenders are
compared on the same draws and the same rows, so that what is hard for both cancels out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ssc.validation.contest import Contest
from ssc.validation.metrics import METRICS, Pairs

LEVEL: Final = 0.95
DRAWS: Final = 1000
FEWEST_SITES: Final = 3
"""Draws of one or two sites repeat them: an interval would look certain where nothing is known."""

Figure = Callable[[Pairs], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure and the ends of its 95 % interval, NaN where there are fewer than three sites."""

    value: float
    low: float
    high: float

    def excludes_zero(self) -> bool:
        """True where a difference has a sign."""
        return self.low > 0 or self.high < 0


def draws(sites: NDArray[Any], *, n: int = DRAWS, seed: int = 0) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Rows of n resamples of the sites, and the number of the drawn site each row belongs to.

    A site drawn twice counts as two sites. The same sites and seed give the same draws.
    """
    _, number = np.unique(sites.astype(str), return_inverse=True)
    count = int(number.max()) + 1
    rows_of = [np.flatnonzero(number == site) for site in range(count)]
    rng = np.random.default_rng(seed)
    for _ in range(n):
        chosen = [rows_of[site] for site in rng.integers(0, count, count)]
        yield np.concatenate(chosen), np.repeat(np.arange(count), [len(rows) for rows in chosen])


def intervals(
    pairs: Pairs, figures: dict[str, Figure], *, n: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> dict[str, Interval]:
    """Several figures with their intervals, from the same draws."""
    return _intervals(lambda rows, site: _each(pairs, figures, rows, site), pairs, figures, n, seed, level)


def interval(pairs: Pairs, figure: Figure, *, n: int = DRAWS, seed: int = 0, level: float = LEVEL) -> Interval:
    """One figure with its interval."""
    return intervals(pairs, {"": figure}, n=n, seed=seed, level=level)[""]


def difference(
    one: Pairs, other: Pairs, figure: Figure, *, n: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> Interval:
    """Figure of `one` minus that of `other`, which hold the same rows in the same order.

    Raises:
        AssertionError: Other rows.
    """
    assert np.array_equal(one.observed, other.observed), "paired difference of different rows"
    assert np.array_equal(one.sites(), other.sites()), "paired difference of different sites"

    def apart(rows: NDArray[np.int64], site: NDArray[Any]) -> list[float]:
        return [figure(one.take(rows, site)) - figure(other.take(rows, site))]

    return _intervals(apart, one, {"": figure}, n, seed, level)[""]


def differences(
    found: Contest,
    name: str,
    other: str,
    metrics: tuple[str, ...] = ("mdsa", "mae"),
    *,
    n: int = DRAWS,
    seed: int = 0,
    weighted: bool = False,
) -> dict[str, Interval]:
    """Metrics of one contender minus those of another, on the rows both answered; empty where there are none."""
    both = found.answered(name) & found.answered(other)
    one, two = found.pairs(name, both, weighted=weighted), found.pairs(other, both, weighted=weighted)
    if len(one.observed) == 0:
        return {}
    return {metric: difference(one, two, METRICS[metric].of, n=n, seed=seed) for metric in metrics}


def _each(pairs: Pairs, figures: dict[str, Figure], rows: NDArray[np.int64], site: NDArray[Any]) -> list[float]:
    drawn = pairs.take(rows, site)
    return [figure(drawn) for figure in figures.values()]


def _intervals(
    of: Callable[[NDArray[np.int64], NDArray[Any]], list[float]],
    pairs: Pairs,
    figures: dict[str, Figure],
    n: int,
    seed: int,
    level: float,
) -> dict[str, Interval]:
    values = of(np.arange(len(pairs.observed)), pairs.sites())
    if len(np.unique(pairs.sites().astype(str))) < FEWEST_SITES or n == 0:
        ends = np.full((2, len(values)), np.nan)
    else:
        drawn = np.array([of(rows, site) for rows, site in draws(pairs.sites(), n=n, seed=seed)])
        ends = np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2), axis=0)
    return {
        name: Interval(value=values[i], low=float(ends[0, i]), high=float(ends[1, i])) for i, name in enumerate(figures)
    }
