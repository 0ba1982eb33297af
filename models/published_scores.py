"""The published evaluation, number for number: its grid of thresholds, its columns.

    val, test = Tally.empty(5), Tally.empty(5)       # tasks in the published order, sun_mask still sunlit
    published_row(val, test, TASKS, facts={"backbone": "mobilenetv3", ...})

Three things differ from `models.scores`: thresholds are 0.0, 0.1 ... 0.9, so that "everywhere" may win; 1e-7 is added
to every denominator; and the first of equally good thresholds is taken. Probabilities are compared in float32, as
there, so that those exactly on a threshold fall on the same side.

Source: cvl-umass/improv-mask @ c59c1d9, eval.py. It swaps false positives and negatives in the choice of thresholds,
which F1 does not notice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.scores import Confusion, Tally

GRID: Final = np.arange(0, 1, 0.1)
"""As there: the fourth is 0.30000000000000004, and is written so."""
EPS: Final = 1e-7
METRICS: Final = ("f1", "rec", "prec", "acc", "miou")
"""`miou` is the intersection over union of the positive class."""
FACTS: Final = ("backbone", "head", "ckpt_path", "pretrained")


def published_thresholds(tally: Tally) -> NDArray[np.float64]:
    """(T,) thresholds out of `GRID`: the first maximum of pooled F1; 0 for a mask that is nowhere there."""
    f1 = np.stack([published_metrics(tally.confusion(threshold))["f1"] for threshold in GRID])
    return np.asarray(GRID[np.argmax(f1, axis=0)])


def published_metrics(confusion: Confusion) -> dict[str, NDArray[np.float64]]:
    """`METRICS` of each mask, with 1e-7 in every denominator."""
    tp, fp, fn, tn = np.moveaxis(confusion.counts.astype(np.float64), -1, 0)
    precision, recall = tp / (tp + fp + EPS), tp / (tp + fn + EPS)
    return {
        "f1": 2 * precision * recall / (precision + recall + EPS),
        "rec": recall,
        "prec": precision,
        "acc": (tp + tn) / (tp + fp + fn + tn + EPS),
        "miou": tp / (tp + fp + fn + EPS),
    }


def published_row(
    val: Tally, test: Tally, tasks: Sequence[str], *, facts: Mapping[str, object], thresholds: ArrayLike | None = None
) -> dict[str, object]:
    """The one line of the published CSV file, columns in order.

    Args:
        val: Where thresholds are chosen.
        test: What is scored with them.
        tasks: Names of the masks of both tallies.
        facts: Values of the columns of `FACTS`; empty text for those left out.
        thresholds: Given instead of chosen on `val`.
    """
    chosen = published_thresholds(val) if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    metrics = published_metrics(test.confusion(chosen))
    row: dict[str, object] = {name: facts.get(name, "") for name in FACTS}
    row |= {f"{task}_thresh": float(threshold) for task, threshold in zip(tasks, chosen, strict=True)}
    for place, task in enumerate(tasks):
        row |= {f"{task}_{name}": float(metrics[name][place]) for name in METRICS}
    return row
