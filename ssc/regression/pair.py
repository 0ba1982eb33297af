"""The production network pair as a yardstick: how two networks, for clear and for turbid rivers, become one SSC.

    found = combine(rule, network_1, network_2, inputs, mode="strict")   # inputs: columns INPUTS, index node ids

Network 1 covers ln SSC from -1 to `maximum_out`, network 2 from `min_m2` to `max_m2`; each gives 0 to 1 over its range.
Two modes:

- `strict` is the published rule, defects included. Network 1 below 0 gives no value; above `maxval_cut` network 2
  takes over at once, half and half while it stays below `maximum_out`; nothing is clipped.
- `repaired` is the same pair made usable: inputs and outputs clipped to the training range and flagged, low rows
  kept, and the weight of network 2 rising smoothly from `maxval_cut` to the end of network 1's range.

Both keep every row in its place: what has no value is NaN with a reason, where production leaves the row out and
returns the rest in another order (notes/ssc.md 1.9, defects 3 to 6). Two things stay in the repaired mode. `min_m2`
leaves out the -1 that `maxval_cut` includes, so network 2 begins above the gate; it is what network 2 was trained on.
And a network 1 that never reaches its upper end never hands over in full, where the hard gate did at once.

Source: SWOT-Confluence/ssc_model_deployment (e227445), described in notes/ssc.md 1.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ssc.errors import InputError
from ssc.quality import Quality
from ssc.regression.pair_inputs import INPUTS

Single = NDArray[np.float32]
Floats = NDArray[np.float64]
Network = Callable[[Single], NDArray[Any]]
"""(n, k) inputs scaled to the network's training range, to (n,) outputs; never asked with n = 0."""

MINIMUM_OUT: Final = -1.0
"""ln(mg/L) where network 1 gives 0: 0.37 mg/L."""
LOSS_OFFSET: Final = 0.01
"""Keeps the published loss finite at a target of 0."""


_MAY_OVERFLOW: Final = np.errstate(over="ignore", invalid="ignore")
"""Nothing is clipped in strict mode: infinity is the defect to be shown, not an accident."""


class Mode(StrEnum):
    """How the two networks are combined."""

    STRICT = "strict"
    REPAIRED = "repaired"


class Branch(StrEnum):
    """Which network a row's value is from, or why it has none."""

    LOW = "low"
    """Network 1 alone."""
    BLEND = "blend"
    """Both, mean of ln SSC."""
    HIGH = "high"
    """Network 2 alone."""
    DROPPED = "dropped"
    """No value: network 1 below 0 in strict mode."""
    MISSING = "missing"
    """No value: an input is not finite, so no network was asked (production leaves such rows out before the rule)."""
    UNDEFINED = "undefined"
    """No value: a network that counts gave NaN."""


REASONS: Final = {
    Branch.DROPPED: "network 1 below 0 (less than 0.37 mg/L): the published rule leaves the row out",
    Branch.MISSING: "an input is NaN or infinite",
    Branch.UNDEFINED: "a network gave NaN",
}
"""Why a row has no value."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairRule:
    """What belongs to a trained pair besides the two networks.

    Raises:
        InputError: Ranges that are empty or do not overlap, or limits that do not fit the names.
    """

    minimum_out: ClassVar[float] = MINIMUM_OUT
    """ln(mg/L) where network 1 gives 0."""
    maxval_cut: float
    """Output of network 1 (0 to 1) up to which it stands alone."""
    maximum_out: float
    """ln(mg/L) where network 1 gives 1."""
    max_m2: float
    """ln(mg/L) where network 2 gives 1."""
    min_input_m1: Floats
    """(k,) smallest value of each input among the rows that trained network 1, unit of the input."""
    max_input_m1: Floats
    """(k,) largest. Where it equals the smallest, the input is divided by 1 (the published code divides by 0)."""
    min_input_m2: Floats
    """(k,) smallest, rows of network 2."""
    max_input_m2: Floats
    """(k,) largest, rows of network 2."""
    names: tuple[str, ...] = INPUTS
    """k input columns in the order of the networks."""

    def __post_init__(self) -> None:
        """Refuses what is no pair."""
        if not (0 < self.maxval_cut < 1 and self.maximum_out > 0 and self.min_m2 < self.max_m2 < np.inf):
            raise InputError(
                f"rule of the network pair: maxval_cut {self.maxval_cut:g}, maximum_out {self.maximum_out:g}, max_m2 "
                f"{self.max_m2:g}; wanted 0 < maxval_cut < 1, 0 < maximum_out, maxval_cut x maximum_out < max_m2"
            )
        _check_limits("network 1", self.min_input_m1, self.max_input_m1, len(self.names))
        _check_limits("network 2", self.min_input_m2, self.max_input_m2, len(self.names))

    @property
    def min_m2(self) -> float:
        """ln(mg/L) where network 2 gives 0: maxval_cut x maximum_out, as published."""
        return self.maxval_cut * self.maximum_out

    def ln_ssc_m1(self, output: Single) -> Single:
        """Ln(mg/L) of outputs of network 1, unclipped, in their precision."""
        return output * float(self.maximum_out - MINIMUM_OUT) + MINIMUM_OUT

    def ln_ssc_m2(self, output: Single) -> Single:
        """Ln(mg/L) of outputs of network 2, unclipped, in their precision."""
        return output * float(self.max_m2 - self.min_m2) + float(self.min_m2)

    def target_m1(self, ssc: ArrayLike) -> Floats:
        """What network 1 is trained to give for an SSC (mg/L, positive)."""
        return (np.log(ssc) - MINIMUM_OUT) / (self.maximum_out - MINIMUM_OUT)

    def target_m2(self, ssc: ArrayLike) -> Floats:
        """What network 2 is trained to give for an SSC (mg/L, positive)."""
        return (np.log(ssc) - self.min_m2) / (self.max_m2 - self.min_m2)


def combine(
    rule: PairRule, network_1: Network, network_2: Network, inputs: pd.DataFrame, *, mode: str = Mode.STRICT
) -> pd.DataFrame:
    """SSC of every row of `inputs`, in its place.

    Where the two clipped networks differ by at most b in ln SSC, 1 % more by both moves a repaired estimate by at most
    1 + 1.5 b / ((1 - maxval_cut) (maximum_out + 1)) %. With a constant b, a strict one jumps twice by exp(b / 2).

    Args:
        rule: Limits and scalings of the pair.
        network_1: For low SSC.
        network_2: For high SSC; asked only of rows where network 1 gives more than `maxval_cut`.
        inputs: Columns `rule.names` in any order, others are left aside; any index, also with repeated ids.
        mode: "strict" or "repaired".

    Returns:
        The index of `inputs` with ssc (float32, mg/L), branch (`Branch`), reason ("" or why ssc is NaN) and ssc_qual
        (int32). Of `Quality`, for the networks that have weight in the row: OOD_FEATURES, an input beyond the
        training range; BELOW_RANGE and ABOVE_RANGE, an output beyond 0 and 1, clipped in repaired mode.

    Raises:
        InputError: No such mode, a column is missing, or a network gives another shape.
    """
    if mode not in tuple(Mode):
        raise InputError(f"mode of the network pair: found {mode!r}, wanted {' or '.join(Mode)}")
    x, clip = _matrix(rule, inputs), mode == Mode.REPAIRED
    known: NDArray[np.bool_] = np.all(np.isfinite(x), axis=1)
    p1 = _ask("network 1", network_1, _scaled(x, rule.min_input_m1, rule.max_input_m1, clip=clip), known)
    above = known & (p1 > np.float32(rule.maxval_cut))
    p2 = _ask("network 2", network_2, _scaled(x, rule.min_input_m2, rule.max_input_m2, clip=clip), above)
    weight = _smooth_gate(rule, p1) if clip else _hard_gate(rule, p1, p2)
    dropped = known & (p1 < 0) & (not clip)
    ln_ssc = np.where(dropped, np.nan, _mixed(rule, p1, p2, weight, clip=clip))
    columns = {
        "ssc": _exp(ln_ssc),
        "branch": _branches(known, dropped, np.isnan(ln_ssc), weight),
        "ssc_qual": _flags(rule, x, (p1, p2), weight),
    }
    found = pd.DataFrame(columns, index=inputs.index)
    return found.assign(reason=[REASONS.get(Branch(name), "") for name in found["branch"]])


def published_loss(estimate: ArrayLike, target: ArrayLike) -> float:
    """The loss that trained network 1: mean of (estimate - target)^2 / (target + 0.01), on the normalised target.

    A target of 0 weighs 100 times as much as one of 1, so the lowest concentrations rule the fit. The formula holds for
    targets above -0.01: there it divides by zero, below it rewards error.

    Args:
        estimate: (n,) outputs of the network, any finite number.
        target: (n,) of `PairRule.target_m1` or `target_m2`; 0 to 1 within the training range.

    Raises:
        InputError: A target at or below -0.01, a number that is not finite, nothing at all, or two shapes.

    >>> round(published_loss([0.1, 0.9], [0.0, 1.0]), 6)  # (0.01 / 0.01 + 0.01 / 1.01) / 2
    0.50495
    """
    found, wanted = np.asarray(estimate, float), np.asarray(target, float)
    if found.shape != wanted.shape or not wanted.size:
        raise InputError(f"published loss: {found.shape} estimates, {wanted.shape} targets, wanted as many, not 0")
    if not (np.isfinite(found).all() and np.isfinite(wanted).all()):
        raise InputError("published loss: an estimate or a target is not finite")
    if wanted.min() <= -LOSS_OFFSET:
        raise InputError(f"published loss: smallest target {wanted.min():g}, wanted all above {-LOSS_OFFSET:g}")
    return float(np.mean((found - wanted) ** 2 / (wanted + LOSS_OFFSET)))


def _check_limits(network: str, low: Floats, high: Floats, k: int) -> None:
    if low.shape != (k,) or high.shape != (k,):
        raise InputError(f"input limits of {network}: found shapes {low.shape} and {high.shape}, wanted {(k,)}")
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise InputError(f"input limits of {network}: wanted finite, smallest not above largest")


def _matrix(rule: PairRule, inputs: pd.DataFrame) -> Single:
    """(n, k) in the order of the networks, in single precision as published; out of its range becomes infinite."""
    missing = [name for name in rule.names if name not in inputs]
    if missing:
        raise InputError(f"inputs of the network pair: no column {' '.join(missing)}, wanted {len(rule.names)}")
    with np.errstate(over="ignore"):
        return inputs[list(rule.names)].to_numpy(dtype=float).astype(np.float32)


@_MAY_OVERFLOW
def _scaled(x: Single, low: Floats, high: Floats, *, clip: bool) -> Single:
    # Limits in single precision too, or a row at the very limit would lie outside by rounding.
    bottom, top = low.astype(np.float32), high.astype(np.float32)
    kept = np.clip(x, bottom, top) if clip else x
    return np.divide(kept - bottom, np.where(top > bottom, top - bottom, np.float32(1)))


def _ask(name: str, network: Network, scaled: Single, rows: NDArray[np.bool_]) -> Single:
    """(n,) outputs, NaN for the rows not asked."""
    outputs = np.full(len(rows), np.nan, np.float32)
    if not rows.any():
        return outputs
    found = np.asarray(network(scaled[rows]))
    if found.shape != (rows.sum(),):
        raise InputError(f"output of {name}: found shape {found.shape}, wanted {(int(rows.sum()),)}")
    with np.errstate(over="ignore"):
        outputs[rows] = found
    return outputs


@_MAY_OVERFLOW
def _hard_gate(rule: PairRule, p1: Single, p2: Single) -> Single:
    """(n,) weight of network 2 as published: 0, 1/2 or 1; NaN where network 1 gave nothing."""
    above = np.where(rule.ln_ssc_m2(p2) < float(rule.maximum_out), np.float32(0.5), np.float32(1))
    weight = np.where(p1 <= np.float32(rule.maxval_cut), np.float32(0), above)
    return np.where(np.isnan(p1), np.float32(np.nan), weight)


def _smooth_gate(rule: PairRule, p1: Single) -> Single:
    """(n,) weight of network 2: 0 at `maxval_cut`, 1 where network 1 gives 1, slope 0 at both ends."""
    cut = np.float32(rule.maxval_cut)
    share = np.clip((p1 - cut) / (1 - cut), 0, 1)
    return share * share * (3 - 2 * share)


@_MAY_OVERFLOW
def _mixed(rule: PairRule, p1: Single, p2: Single, weight: Single, *, clip: bool) -> Single:
    """(n,) ln(mg/L); a network without weight does not count, whatever it gave."""
    kept = [np.clip(p, 0, 1) if clip else p for p in (p1, p2)]
    y1, y2 = rule.ln_ssc_m1(kept[0]), rule.ln_ssc_m2(kept[1])
    both = (1 - weight) * y1 + weight * y2
    return np.where(weight == 0, y1, np.where(weight == 1, y2, both))


@_MAY_OVERFLOW
def _exp(ln_ssc: Single) -> Single:
    return np.exp(ln_ssc).astype(np.float32)


def _branches(
    known: NDArray[np.bool_], dropped: NDArray[np.bool_], empty: NDArray[np.bool_], weight: Single
) -> NDArray[np.str_]:
    conditions = {
        Branch.MISSING: ~known,
        Branch.DROPPED: dropped,
        Branch.UNDEFINED: empty,
        Branch.LOW: weight == 0,
        Branch.HIGH: weight == 1,
    }
    names = [branch.value for branch in conditions]
    return np.select(list(conditions.values()), names, default=Branch.BLEND.value)


def _flags(rule: PairRule, x: Single, outputs: tuple[Single, Single], weight: Single) -> NDArray[np.int32]:
    counts = (weight < 1, weight > 0)
    limits = ((rule.min_input_m1, rule.max_input_m1), (rule.min_input_m2, rule.max_input_m2))
    bits = np.zeros(len(x), np.int32)
    for asked, output, (low, high) in zip(counts, outputs, limits, strict=True):
        foreign = ((x < low.astype(np.float32)) | (x > high.astype(np.float32))).any(axis=1)
        bits |= np.where(asked & foreign, int(Quality.OOD_FEATURES), 0).astype(np.int32)
        bits |= np.where(asked & (output < 0), int(Quality.BELOW_RANGE), 0).astype(np.int32)
        bits |= np.where(asked & (output > 1), int(Quality.ABOVE_RANGE), 0).astype(np.int32)
    return bits
