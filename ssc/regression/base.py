"""What turns a reach sample into a concentration."""

from __future__ import annotations

from typing import Protocol

import pandas as pd


class Regressor(Protocol):
    """Anything that estimates suspended sediment from reach samples."""

    name: str
    """As on the command line and in the results table."""

    def predict(self, samples: pd.DataFrame) -> pd.DataFrame:
        """SSC and its interval.

        Args:
            samples: Columns of `schema.SAMPLE`, one row per reach, and `product` ("L30" or "S30", default L30);
                statistics are NaN where nothing was seen.

        Returns:
            ssc, the median, ssc_mean, the mean, which sums and fluxes need, ssc_lo90, ssc_hi90 (all mg/L), ln_ssc_sd,
            turbidity (FNU), all float32 and NaN where the sample has no reflectance, and ssc_qual (int32, the bits of
            `Quality` that the regressor decides), index of `samples`.
        """
        ...
