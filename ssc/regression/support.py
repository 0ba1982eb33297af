"""What a regressor was trained on, and how far a sample lies from it.

Features are clipped to the range seen in training; beyond it a learner only invents. A sample that had to be clipped,
or whose colour lies farther from the middle of the training colours than all but a few of those themselves
(Mahalanobis distance), is flagged OOD_FEATURES, and its estimate leans on the physical baseline instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.regression.columns import COLOUR

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FAR: Final = 0.995
"""Share of the training samples that lie nearer than what is called far."""
LOST: Final = 2.0
"""At so many times the far distance nothing of the trained estimate is left."""
SLACK: Final = 0.05
"""A colour is outside where it is beyond the training range by more than this share of it."""
RIDGE: Final = 1e-6
"""Added to the diagonal of the correlations: ratios and bands are nearly dependent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Support:
    """Ranges and spread of the training features."""

    names: tuple[str, ...]
    """k features in their order."""
    low: Floats
    """(k,) smallest value in training, unit of the feature; NaN where a feature had none."""
    high: Floats
    """(k,) largest."""
    centre: Floats
    """(c,) medians of the colour features."""
    scale: Floats
    """(c,) standard deviations of the colour features."""
    whiten: Floats
    """(c, c): a standardised colour times this has distance = length."""
    far: float
    """Distance of all but few of the training samples."""

    @classmethod
    def of(cls, features: pd.DataFrame) -> Support:
        """Of the training features."""
        colours = features[list(COLOUR)]
        centre, scale = colours.median().to_numpy(), colours.std(ddof=0).fillna(0).to_numpy()
        scale = np.where(scale > 0, scale, 1.0)
        standard = np.nan_to_num((colours.to_numpy() - centre) / scale)
        values, vectors = np.linalg.eigh(standard.T @ standard / len(standard) + RIDGE * np.eye(len(centre)))
        kept = values > RIDGE * 100  # directions without spread say nothing about distance
        whiten = np.where(kept, 1 / np.sqrt(np.where(kept, values, 1.0)), 0.0) * vectors
        return cls(
            names=tuple(features.columns),
            low=features.min().to_numpy(),
            high=features.max().to_numpy(),
            centre=centre,
            scale=scale,
            whiten=whiten,
            far=float(np.quantile(np.linalg.norm(standard @ whiten, axis=1), FAR)),
        )

    def clip(self, features: pd.DataFrame) -> pd.DataFrame:
        """Features within the training ranges."""
        return features.clip(self.low, self.high, axis=1)

    def distance(self, features: pd.DataFrame) -> Floats:
        """(n,) distance of the colours from the middle of the training, 1 = far; NaN for a sample without colour."""
        standard = (features[list(COLOUR)].to_numpy() - self.centre) / self.scale
        seen = np.isfinite(standard).any(axis=1)
        length = np.linalg.norm(np.nan_to_num(standard) @ self.whiten, axis=1)
        return np.where(seen, length / max(self.far, np.finfo(float).tiny), np.nan)

    def outside(self, features: pd.DataFrame) -> Bools:
        """(n,) True where a colour is outside the training range, or all of them together are far from it."""
        values, colour = features.to_numpy(), np.isin(self.names, COLOUR)
        slack = SLACK * (self.high - self.low)
        beyond = (values < self.low - slack) | (values > self.high + slack)
        return (beyond & colour).any(axis=1) | (self.distance(features) > 1)

    def trust(self, features: pd.DataFrame) -> Floats:
        """(n,) 1 within the training data, falling smoothly to 0 at `LOST` times the far distance."""
        beyond = np.clip((self.distance(features) - 1) / (LOST - 1), 0, 1)
        return 1 - beyond**2 * (3 - 2 * beyond)
