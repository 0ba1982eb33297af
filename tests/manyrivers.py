"""Made-up match-ups of many rivers: colours by Nechad's formula, each river with a factor of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ssc.bands import SIX, Band
from ssc.regression.physical import SPM

RED = next(iter(SPM[Band.RED].values()))
NIR = next(iter(SPM[Band.NIR].values()))


def colours(ssc):
    """Six medians of water with so much sediment (mg/L), without noise, the same for every river."""
    red, nir = (ssc / (a + ssc / c) for a, c in (RED, NIR))
    medians = (0.02 + 0.3 * red, 0.03 + 0.7 * red, red, nir, 0.005 + 0.05 * nir, 0.003 + 0.03 * nir)
    return pd.DataFrame({f"{band.value}_med": values for band, values in zip(SIX, medians, strict=True)})


def many_rivers(sites=24, rows=20, seed=0, *, site_sd=0.5, noise=0.25, middle=40.0):
    """(samples, mg/L, site) of rivers whose particles scatter more or less light for the same sediment."""
    rng = np.random.default_rng(seed)
    site = np.repeat([f"river {number}" for number in range(sites)], rows)
    seen = np.exp(np.log(middle) + rng.standard_normal(sites).repeat(rows) * 0.7 + rng.standard_normal(site.size) * 0.8)
    samples = colours(seen)
    samples *= np.exp(0.03 * rng.standard_normal(samples.shape))
    factor = np.exp(site_sd * rng.standard_normal(sites)).repeat(rows)
    return samples, seen * factor * np.exp(noise * rng.standard_normal(site.size)), site
