"""Few-shot curve: how much a handful of samples of the river itself helps an estimator that never saw it.

Per held-out site and draw its samples are put in random order; the first k go to `adapt`, the rest are scored. A
sample and all its granules stay together. Two curves come of it, because the rest changes with k:

- "rest": scored on every row not adapted on; a site counts where it has k + 3 samples or more.
- "same": scored on the rows after the largest k, the same for all k; a site counts where it has largest k + 3.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.errors import InputError
from ssc.validation.contest import Contender, fitted, labels
from ssc.validation.metrics import METRICS, Pairs, ln_ratio, mdsa
from ssc.validation.splits import Index, Split

KS: Final = (0, 1, 2, 3, 5, 8, 10)
"""Local samples per site."""
LEFT: Final = 3
"""Samples that must be left of a site to score on."""
DRAWS: Final = 5
FIGURES: Final = ("mdsa", "medae", "mae", "sspb", "rmsle")


def noise_floor(pairs: Pairs) -> float:
    """MdSA (%) if each site's median error were known from all of its own rows: what no offset of a site can mend.

    It knows the rows it is judged on, so it flatters: a bound for the curve, no score.
    """
    ratio, (names, site) = ln_ratio(pairs), np.unique(pairs.sites(), return_inverse=True)
    offsets = np.array([np.median(ratio[site == number]) for number in range(len(names))])
    return mdsa(ratio - offsets[site])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Trial:
    """One draw of one site."""

    draw: int
    site: str
    order: tuple[Index, ...]
    """Rows of each sample, in drawn order."""

    def local(self, k: int) -> Index:
        return _joined(self.order[:k])

    def rest(self, k: int) -> Index:
        return _joined(self.order[k:])


def can_adapt(contender: Contender) -> bool:
    """True for estimators with `adapt`."""
    return hasattr(contender.make(), "adapt")


def curve(
    table: pd.DataFrame,
    contender: Contender,
    split: Split,
    *,
    ks: Sequence[int] = KS,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores by number of local samples.

    Args:
        table: Of `prepared`.
        contender: One that adapts.
        split: With sites held out.
        ks: Numbers of local samples.
        draws: Random orders of each site's samples.
        seed: Of the orders, which are the same for every contender.

    Returns:
        One row per `rows` ("rest", "same") and `k`: n_sites and n_left_out (sites with too few samples), n_rows of one
        draw, n_missing without an estimate in all draws, refused (share of the rows whose site the estimator would not
        adapt to, so that they are judged unadapted), and each of FIGURES as the mean over the draws, with `_min` and
        `_max` of the draws.

    Raises:
        InputError: An estimator without adapt, or a site on both sides of the split.
    """
    if not can_adapt(contender):
        raise InputError(f"contender {contender.name}: no adapt, so no few-shot curve")
    sites = table["site"].to_numpy(dtype=str)
    _check_held_out(sites, split)
    parts: list[pd.DataFrame] = []
    for train, test in split:
        estimator = fitted(contender, table, train, split.inner)
        trials = _trials(table, test, draws, seed)
        parts += _fold(estimator, contender.features(table), labels(table), trials, ks)
    answers = pd.concat(parts, ignore_index=True) if parts else _nothing()
    tested = _sizes(table, split)
    return pd.DataFrame([_point(answers, tested, rows, k, max(ks)) for rows in ("rest", "same") for k in ks])


def _fold(
    estimator: Any, features: pd.DataFrame, observed: NDArray[np.float64], trials: list[_Trial], ks: Sequence[int]
) -> Iterator[pd.DataFrame]:
    """Answers for the rows left of each (k, draw) of one fold."""
    for k, draw in product(ks, sorted({trial.draw for trial in trials})):
        able = [trial for trial in trials if trial.draw == draw and len(trial.order) >= k + LEFT]
        if able:
            adapted, refused = _adapted(estimator, features, observed, able, k)
            answers = _answers(adapted, features, able, k, max(ks))
            yield answers.assign(observed=observed[answers["row"]], refused=answers["site"].isin(refused))


def _adapted(
    estimator: Any, features: pd.DataFrame, observed: NDArray[np.float64], trials: list[_Trial], k: int
) -> tuple[Any, list[str]]:
    """A copy adapted to every site of the trials, and the sites it refused to adapt to, for want of samples.

    One copy serves all sites of a fold: what it stores for one concerns no other.
    """
    adapted, refused = copy.deepcopy(estimator), []
    for trial in trials if k else []:
        local = trial.local(k)
        try:
            adapted.adapt(trial.site, features.iloc[local], observed[local])
        except InputError:
            refused.append(trial.site)
    return adapted, refused


def _answers(adapted: Any, features: pd.DataFrame, trials: list[_Trial], k: int, most: int) -> pd.DataFrame:
    rest = [trial.rest(k) for trial in trials]
    rows, site = np.concatenate(rest), np.repeat([trial.site for trial in trials], [len(part) for part in rest])
    last = _joined(tuple(trial.rest(most) for trial in trials if len(trial.order) >= most + LEFT))
    predicted = np.asarray(adapted.predict(features.iloc[rows], sites=site), float)
    shared = {"k": k, "draw": trials[0].draw}
    return pd.DataFrame({**shared, "row": rows, "site": site, "predicted": predicted, "same": np.isin(rows, last)})


def _nothing() -> pd.DataFrame:
    names = ("k", "draw", "row", "site", "predicted", "same", "observed", "refused")
    return pd.DataFrame({name: np.zeros(0, dtype=bool if name == "same" else float) for name in names})


def _point(answers: pd.DataFrame, tested: pd.Series, rows: str, k: int, most: int) -> dict[str, Any]:
    chosen = answers[(answers["k"] == k) & (answers["same"] | (rows == "rest"))]
    usable = chosen[np.isfinite(chosen["predicted"]) & (chosen["predicted"] > 0)]
    by_draw = pd.DataFrame([_figures(part) for _, part in usable.groupby("draw")], columns=list(FIGURES))
    able = int((tested >= (most if rows == "same" else k) + LEFT).sum())
    counts = {
        "rows": rows,
        "k": k,
        "n_sites": able,
        "n_left_out": len(tested) - able,
        "n_rows": len(chosen) / max(chosen["draw"].nunique(), 1),
        "n_missing": len(chosen) - len(usable),
        "refused": float(chosen["refused"].mean()) if len(chosen) else 0.0,
    }
    mean, low, high = by_draw.mean(), by_draw.min(), by_draw.max()
    ends = {f"{name}_{end}": value[name] for name in FIGURES for end, value in (("min", low), ("max", high))}
    return counts | {name: mean[name] for name in FIGURES} | ends


def _figures(part: pd.DataFrame) -> dict[str, float]:
    pairs = Pairs(observed=part["observed"].to_numpy(dtype=float), predicted=part["predicted"].to_numpy(dtype=float))
    return {name: METRICS[name].of(pairs) for name in FIGURES}


def _trials(table: pd.DataFrame, test: Index, draws: int, seed: int) -> list[_Trial]:
    judged = test[~table["censored"].to_numpy(dtype=bool)[test]]
    sites, samples = table["site"].to_numpy(dtype=str)[judged], _samples(table)[judged]
    trials = []
    for site in np.unique(sites):
        rows = judged[sites == site]
        of_sample = [rows[samples[sites == site] == sample] for sample in np.unique(samples[sites == site])]
        for draw in range(draws):
            # The order hangs on the site's name and the draw alone, not on the fold or on other sites.
            order = np.random.default_rng([seed, draw, *site.encode()]).permutation(len(of_sample))
            trials.append(_Trial(draw=draw, site=str(site), order=tuple(of_sample[i] for i in order)))
    return trials


def _samples(table: pd.DataFrame) -> NDArray[Any]:
    """(n,) sample each row belongs to; without sample_id every row is one."""
    if "sample_id" not in table:
        return np.arange(len(table)).astype(str)
    return table["sample_id"].astype(str).to_numpy(dtype=str)


def _sizes(table: pd.DataFrame, split: Split) -> pd.Series:
    """Judged samples of each tested site; a site that has none is left out at every k, and counted."""
    tested = table.iloc[split.tested()]
    samples = pd.Series(_samples(table), index=table.index).iloc[split.tested()]
    return samples.where(~tested["censored"]).groupby(tested["site"]).nunique()


def _check_held_out(sites: NDArray[Any], split: Split) -> None:
    for train, test in split:
        seen = np.intersect1d(sites[train], sites[test])
        if len(seen):
            raise InputError(f"few-shot curve over split {split.name}: site {seen[0]} was trained on, wanted unseen")


def _joined(parts: tuple[Index, ...]) -> Index:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
