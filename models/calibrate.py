"""Are probabilities what they say, and making them so.

    calibration_curve(tally)                         # of the pixels told 30 %, how many are there
    calibration = fit_temperature(tally)             # temperature and bias per mask
    move_threshold(thresholds, calibration)          # the same answers as before

Calibrated probability = sigmoid(logit / temperature + bias) (temperature scaling, Guo et al. 2017, ICML, with the bias
of Platt 1999). A positive temperature keeps the order of pixels, so no threshold, moved along, changes an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from models.scores import BINS, NAMES, Tally

Ratios = NDArray[np.float64]

CENTRES: Final = (np.maximum(np.arange(BINS + 1), 1) - 0.5) / BINS
"""(BINS + 1,) probability that stands for a column of a tally; exact 0 is taken for 0.0005, as the rest of column 1."""
LOGITS: Final = logit(CENTRES)
GROUPS: Final = 20
"""Steps of a calibration curve."""
TEMPERATURES: Final = (0.05, 20.0)
"""Ends for a mask that is told apart perfectly (the best temperature is 0) or wrongly (there is none)."""
BIASES: Final = (-20.0, 20.0)


class Calibration(NamedTuple):
    """How logits of T masks become calibrated probabilities: sigmoid(logit / temperature + bias)."""

    temperature: Ratios
    """(T,) above 0; 1 = as trained."""
    bias: Ratios
    """(T,) 0 = as trained."""


def calibration_curve(tally: Tally, names: Sequence[str] = NAMES, groups: int = GROUPS) -> pd.DataFrame:
    """Told against found, in steps of equal width: mask, low, high, pixels, told, found; empty steps are left out.

    `told` is the mean probability of the pixels of a step, `found` the share of them where the mask is there.
    """
    group = np.minimum((CENTRES * groups).astype(np.int64), groups - 1)
    total = tally.counts.sum(axis=1)
    frames = []
    for name, all_, there in zip(names, total, tally.counts[:, 1], strict=True):
        pixels = np.bincount(group, all_, minlength=groups)
        steps = np.flatnonzero(pixels)
        told = np.bincount(group, all_ * CENTRES, minlength=groups)[steps] / pixels[steps]
        found = np.bincount(group, there, minlength=groups)[steps] / pixels[steps]
        columns = {"low": steps / groups, "high": (steps + 1) / groups, "pixels": pixels[steps].astype(np.int64)}
        frames.append(pd.DataFrame({"mask": name, **columns, "told": told, "found": found}))
    return pd.concat(frames, ignore_index=True)


def expected_calibration_error(tally: Tally, groups: int = GROUPS) -> Ratios:
    """(T,) mean distance of told from found over pixels, 0 = calibrated (Naeini et al. 2015, AAAI); NaN if empty."""
    places = [str(place) for place in range(len(tally.counts))]
    curve = calibration_curve(tally, places, groups)
    gap = (curve["told"] - curve["found"]).abs() * curve["pixels"]
    sums = gap.groupby(curve["mask"]).sum() / curve["pixels"].groupby(curve["mask"]).sum()
    return np.asarray(sums.reindex(places).to_numpy(), dtype=np.float64)


def fit_temperature(tally: Tally) -> Calibration:
    """Temperature and bias per mask that make the labels likeliest; (1, 0) where the labels are of one class only.

    Args:
        tally: Of probabilities as trained, on data the network was not trained on.
    """
    fitted = [_fit(counts) for counts in tally.counts]
    temperature, bias = np.array(fitted, dtype=np.float64).reshape(-1, 2).T
    return Calibration(temperature, bias)


def calibrated(probability: ArrayLike, calibration: Calibration) -> Ratios:
    """(T, ...) calibrated probabilities of (T, ...) ones as trained; NaN stays, 0 and 1 stay."""
    values = np.asarray(probability, dtype=np.float64)
    inner = (-1,) + (1,) * (values.ndim - 1)
    return np.asarray(expit(logit(values) / calibration.temperature.reshape(inner) + calibration.bias.reshape(inner)))


def move_threshold(thresholds: ArrayLike, calibration: Calibration) -> Ratios:
    """(T,) thresholds on calibrated probabilities that give the answers these give on those as trained."""
    return calibrated(np.broadcast_to(np.asarray(thresholds, dtype=np.float64), calibration.bias.shape), calibration)


def negative_log_likelihood(counts: NDArray[np.int64], temperature: float, bias: float) -> float:
    """Mean over the pixels of one mask's (2, BINS + 1) counts, nats."""
    z = LOGITS / temperature + bias
    return float((counts[0] @ np.logaddexp(0, z) + counts[1] @ np.logaddexp(0, -z)) / counts.sum())


def _fit(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Convex in (1 / temperature, bias), hence in effect one minimum; searched in the logarithm to stay positive."""
    if not counts.sum(axis=1).all():
        return 1.0, 0.0
    share = counts / counts.sum()

    def loss(at: Ratios) -> tuple[float, Ratios]:
        slope, bias = float(np.exp(at[0])), float(at[1])
        z = slope * LOGITS + bias
        value = share[0] @ np.logaddexp(0, z) + share[1] @ np.logaddexp(0, -z)
        residual = share.sum(axis=0) * expit(z) - share[1]
        return float(value), np.array([residual @ LOGITS * slope, residual.sum()])

    coldest, hottest = TEMPERATURES
    bounds = [(-np.log(hottest), -np.log(coldest)), BIASES]
    best = minimize(
        loss, np.zeros(2), jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9}
    )
    return float(np.exp(-best.x[0])), float(best.x[1])
