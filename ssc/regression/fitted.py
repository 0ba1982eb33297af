"""A trained estimator as a regressor of the pipeline."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.errors import DataError
from ssc.quality import Quality
from ssc.regression.card import Card
from ssc.regression.columns import MEDIANS
from ssc.regression.physical import FLOOR, Z90, dogliotti, novoa

Floats = NDArray[np.float64]

DISAGREE: Final = 5.0
"""Factor between estimate and physical baseline beyond which BASELINE_DISAGREEMENT is set."""
_METHODS: Final = ("predict", "predict_mean", "predict_interval", "predict_flags")


class Fitted:
    """An estimator from its card, asked as `ssc.regression.base.Regressor` wants it.

    Sites of the estimator are reach ids: what it was adapted to under the name "74299900011" corrects that reach.

    Raises:
        DataError: An estimator without intervals, mean or flags, such as the network pair: the results table wants all.
    """

    def __init__(self, estimator: Any, card: Card) -> None:
        if missing := [method for method in _METHODS if not hasattr(estimator, method)]:
            raise DataError(
                f"regressor {card.name}: {card.estimator} has no {' '.join(missing)}, wanted an estimator like "
                "SSCRegressor; others are for comparison and loaded by ssc.regression.artefact.load_estimator"
            )
        self.estimator = estimator
        self.card = card
        self.name = card.name

    def predict(self, samples: pd.DataFrame) -> pd.DataFrame:
        """SSC of each sample; see `ssc.regression.base.Regressor`.

        ln_ssc_sd is that of a log-normal with the same 90 % interval. Samples lacking one of the six medians have no
        estimate.

        Raises:
            InputError: A median is missing from the columns, or an unknown product.
        """
        seen = samples.reindex(columns=list(MEDIANS)).notna().all(axis=1).to_numpy()
        rows = samples[seen]
        numbers = pd.DataFrame(np.nan, index=samples.index, columns=list(_COLUMNS), dtype="float32")
        bits = np.zeros(len(samples), np.int32)
        if not seen.any():
            return numbers.assign(ssc_qual=bits)
        found = self._estimates(rows)
        numbers.loc[seen] = np.column_stack([found[name] for name in _COLUMNS]).astype(np.float32)
        bits[seen] = self.estimator.predict_flags(rows) | _disagreement(rows, found["ssc"])
        return numbers.assign(ssc_qual=bits)

    def _estimates(self, rows: pd.DataFrame) -> dict[str, Floats]:
        sites = rows.index.astype(str).to_numpy()
        low, high = self.estimator.predict_interval(rows, 0.1, sites=sites).T
        return {
            "ssc": self.estimator.predict(rows, sites=sites),
            "ssc_mean": self.estimator.predict_mean(rows, sites=sites),
            "ssc_lo90": low,
            "ssc_hi90": high,
            "ln_ssc_sd": np.log(high / low) / (2 * Z90),
            "turbidity": np.maximum(dogliotti(rows["red_med"], rows["nir_med"]), 0.0),
        }


_COLUMNS: Final = ("ssc", "ssc_mean", "ssc_lo90", "ssc_hi90", "ln_ssc_sd", "turbidity")


def _disagreement(rows: pd.DataFrame, ssc: Floats) -> NDArray[np.int32]:
    product = rows["product"].to_numpy(dtype=str) if "product" in rows else np.full(len(rows), "L30")
    baseline = np.maximum(novoa(rows["red_med"], rows["nir_med"], product), FLOOR)
    apart = np.abs(np.log(ssc / baseline)) > np.log(DISAGREE)
    return np.where(apart, int(Quality.BASELINE_DISAGREEMENT), 0).astype(np.int32)
