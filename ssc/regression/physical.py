"""Published optical formulas: no training, so a floor for every model and a yardstick where nobody ever sampled.

All rest on Nechad et al. 2010: S = A rho / (1 - rho / C), with water reflectance rho = pi Rrs. A says how much one unit
of reflectance weighs; C is the reflectance at which the band goes blind (S goes to infinity), so each formula is
followed only up to a stated share of C. HLS surface reflectance is taken for rho: sky and sun glint are still in it,
and very clear water may be slightly negative.

Sources:
    Nechad, Ruddick, Park 2010, Remote Sens. Environ. 114, 854: the formula.
    Nechad, Dogliotti, Ruddick, Doxaran 2016, ESA Living Planet: A and C by band of OLI and MSI, as ACOLITE has them.
    Dogliotti et al. 2015, Remote Sens. Environ. 156, 157: turbidity, one pair of coefficients for all sensors.
    Novoa et al. 2017, Remote Sens. 9, 61: red at low, NIR at high turbidity; Gironde bounds, as ACOLITE has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ssc.bands import Band, Product
from ssc.errors import InputError
from ssc.quality import Quality

Floats = NDArray[np.float64]
Formula = Callable[[Floats, Floats, NDArray[np.str_]], Floats]
"""(red, NIR, product) to mg/L."""

SPM: Final = {
    Band.RED: {Product.L30: (346.32, 0.19905), Product.S30: (342.10, 0.19563)},
    Band.NIR: {Product.L30: (2929.49, 0.21135), Product.S30: (2932.21, 0.21151)},
}
"""A in mg/L and C (1) of suspended matter, Nechad 2016: OLI bands 4 and 5, MSI bands 4 and 8A. HLS adjusts S30 to the
OLI band passes by a line fitted over land; over water the sensor's own numbers are kept (they differ by 2 %)."""
TURBIDITY: Final = {
    Band.RED: {Product.L30: (378.46, 0.19905), Product.S30: (366.14, 0.19563)},
    Band.NIR: {Product.L30: (3431.36, 0.21135), Product.S30: (3250.32, 0.21151)},
}
"""A in FNU and C (1) of turbidity, Nechad 2016, same bands."""
DOGLIOTTI_RED: Final = (228.1, 0.1641)
DOGLIOTTI_NIR: Final = (3078.9, 0.2112)
DOGLIOTTI_BOUNDS: Final = (0.05, 0.07)
"""Red reflectance: below red alone, above NIR alone, linear between."""
NOVOA_BOUNDS: Final = (0.08, 0.12)
"""Red reflectance: below red alone, above NIR alone, logarithmic between (Gironde; Bourgneuf has 0.046 and 0.09)."""

SINGLE_LIMIT: Final = 0.5
"""Share of C up to which one band is followed, as ACOLITE masks it: 69 mg/L in OLI red."""
SWITCH_LIMIT: Final = 0.75
"""Share of C up to which the switched formulas follow a band. There 1 % more light means 4 % more sediment, and NIR
tells 1860 mg/L, about the most that Novoa et al. measured; beyond, a small error of reflectance decides everything."""
FLOOR: Final = 0.5
"""mg/L: detection limit of filtration; the lowest estimate given, flagged BELOW_RANGE."""

SITE_SD: Final = 0.5
"""ASSUMED standard deviation of ln SSC between rivers of equal colour (grain size, minerals, organic matter): with it,
simulated errors of trained models on unseen rivers are as large as published ones (median 50 %)."""
FORMULA_SD: Final = 0.66
"""ASSUMED standard deviation of ln SSC that an untrained formula adds (haze, glint, bank light, coefficients of other
waters): on the simulated rivers Novoa's formula is off by 0.83 in all (RMS of ln), and 0.83^2 = 0.5^2 + 0.66^2.
Neither is a calibration. Against laboratory samples the 90 % interval holds 73 % (Parana, 63 samples, ACOLITE) and
67 % (Pantanal, 578 samples within 8 days of Landsat 5 or 7)."""
MEDIAN_ERROR: Final = float(np.sqrt(np.pi / 2))
"""Standard error of a median over that of a mean, normal sample."""
Z90: Final = 1.6449
"""Standard normal quantile at 0.95: ends of a central 90 % interval."""


def nechad(
    rho: ArrayLike,
    product: ArrayLike = Product.L30,
    *,
    band: Band = Band.RED,
    table: dict[Band, dict[Product, tuple[float, float]]] = SPM,
    limit: float = SINGLE_LIMIT,
) -> Floats:
    """Suspended matter (mg/L), or turbidity (FNU) with `table=TURBIDITY`, from one band.

    Args:
        rho: Reflectance of the band, any shape; negative gives a negative result, NaN gives NaN.
        product: "L30" or "S30", one or of the shape of `rho`.
        band: RED or NIR.
        table: Coefficients, `SPM` or `TURBIDITY`.
        limit: Share of C above which `rho` is taken for that share.

    Raises:
        InputError: A product that is neither.

    >>> nechad([0.05, 9.0]).round(2).tolist()
    [23.12, 68.93]
    """
    a, c = _by_product(product, table[band])
    return _saturating(rho, a, c, limit)


def dogliotti(red: ArrayLike, nir: ArrayLike) -> Floats:
    """Turbidity in FNU after Dogliotti et al. 2015; red and NIR of any one shape, the same for both products.

    >>> dogliotti([0.02, 0.1], [0.005, 0.05]).round(2).tolist()
    [5.2, 201.69]
    """
    low, high = DOGLIOTTI_BOUNDS
    weight = (np.clip(red, low, high) - low) / (high - low)
    dim, bright = _saturating(red, *DOGLIOTTI_RED, SWITCH_LIMIT), _saturating(nir, *DOGLIOTTI_NIR, SWITCH_LIMIT)
    return (1 - weight) * dim + weight * bright


def novoa(red: ArrayLike, nir: ArrayLike, product: ArrayLike = Product.L30) -> Floats:
    """Suspended matter in mg/L after Novoa et al. 2017, red below and NIR above the switching bounds.

    Between them the weight of NIR is ln(red / 0.08) / ln(0.12 / 0.08).

    >>> novoa([0.05, 0.15], [0.01, 0.1]).round(1).tolist()
    [23.1, 556.0]
    """
    weight = _nir_weight(red)
    dim = nechad(red, product, band=Band.RED, limit=SWITCH_LIMIT)
    bright = nechad(nir, product, band=Band.NIR, limit=SWITCH_LIMIT)
    return (1 - weight) * dim + weight * bright


def novoa_saturated(red: ArrayLike, nir: ArrayLike, product: ArrayLike = Product.L30) -> NDArray[np.bool_]:
    """True where NIR takes part in `novoa` and is too bright to be told from more: the result is a lower bound."""
    _, c = _by_product(product, SPM[Band.NIR])
    return (_nir_weight(red) > 0) & (np.asarray(nir, float) >= SWITCH_LIMIT * c)


class Physical:
    """Novoa's switched formula: red in clear, NIR in turbid rivers."""

    name = "physical"

    def predict(self, samples: pd.DataFrame) -> pd.DataFrame:
        """SSC of each sample; see `ssc.regression.base.Regressor`.

        The estimate is never below `FLOOR` (BELOW_RANGE) nor beyond what a saturated band can tell (ABOVE_RANGE); the
        interval is then that of the clipped value and does not bound the truth on that side. It is log-normal, its
        width a prior: `SITE_SD`, `FORMULA_SD` and the pixel noise carried through the formula.

        The mean is that of the same log-normal, ssc exp(sd^2 / 2), a factor of 1.41 or more: it rests on the assumed
        spread and is no calibration either. It is that of the clipped median where that is clipped, and goes no higher
        than `ssc_hi90`, which a log-normal's mean passes where pixels are so few and noisy that sd is above 3.3.

        Raises:
            InputError: No red_med or nir_med, or an unknown product.
        """
        return _predict(samples, novoa, novoa_saturated)


class NechadRed:
    """Nechad's formula in the red band alone: blind beyond 69 mg/L, but free of NIR's bank light."""

    name = "nechad-red"

    def predict(self, samples: pd.DataFrame) -> pd.DataFrame:
        """SSC of each sample, bounds, mean and interval as of `Physical.predict`.

        Raises:
            InputError: No red_med or nir_med, or an unknown product.
        """
        return _predict(samples, _red_only, _red_saturated)


def _predict(
    samples: pd.DataFrame, formula: Formula, saturated: Callable[[Floats, Floats, NDArray[np.str_]], NDArray[np.bool_]]
) -> pd.DataFrame:
    red, nir, product = _column(samples, "red_med"), _column(samples, "nir_med"), _products(samples)
    raw = formula(red, nir, product)
    ssc = np.maximum(raw, FLOOR)
    sd = np.sqrt(SITE_SD**2 + FORMULA_SD**2 + _sampling_sd(samples, formula) ** 2)
    sd[np.isnan(ssc)] = np.nan
    bits = np.where(raw < FLOOR, int(Quality.BELOW_RANGE), 0)
    bits |= np.where(saturated(red, nir, product), int(Quality.ABOVE_RANGE), 0)
    numbers = {
        "ssc": ssc,
        "ssc_mean": ssc * np.exp(np.minimum(sd**2 / 2, Z90 * sd)),
        "ssc_lo90": ssc * np.exp(-Z90 * sd),
        "ssc_hi90": ssc * np.exp(Z90 * sd),
        "ln_ssc_sd": sd,
        "turbidity": np.maximum(dogliotti(red, nir), 0.0),
    }
    return pd.DataFrame(numbers, index=samples.index, dtype="float32").assign(ssc_qual=bits.astype("int32"))


def _sampling_sd(samples: pd.DataFrame, formula: Formula) -> Floats:
    """Standard deviation of ln SSC from pixel noise: the formula at each median plus and minus its standard error.

    Pixels are taken for independent, which neighbours are not: a lower bound, small beside `SITE_SD` either way.
    0 where spread or count are not told.
    """
    red, nir, product = _column(samples, "red_med"), _column(samples, "nir_med"), _products(samples)
    noise = {band: _standard_error(samples, band) for band in (Band.RED, Band.NIR)}
    by_red = _ln(formula(red + noise[Band.RED], nir, product)) - _ln(formula(red - noise[Band.RED], nir, product))
    by_nir = _ln(formula(red, nir + noise[Band.NIR], product)) - _ln(formula(red, nir - noise[Band.NIR], product))
    return np.hypot(by_red, by_nir) / 2


def _standard_error(samples: pd.DataFrame, band: Band) -> Floats:
    if f"{band.value}_mad" not in samples or "n_px_used" not in samples:
        return np.zeros(len(samples))
    spread, count = _column(samples, f"{band.value}_mad"), _column(samples, "n_px_used")
    return np.nan_to_num(MEDIAN_ERROR * spread / np.sqrt(np.maximum(count, 1)))


def _ln(ssc: Floats) -> Floats:
    return np.log(np.maximum(ssc, FLOOR))


def _red_only(red: Floats, _nir: Floats, product: NDArray[np.str_]) -> Floats:
    return nechad(red, product)


def _red_saturated(red: Floats, _nir: Floats, product: NDArray[np.str_]) -> NDArray[np.bool_]:
    _, c = _by_product(product, SPM[Band.RED])
    return red >= SINGLE_LIMIT * c


def _saturating(rho: ArrayLike, a: Floats | float, c: Floats | float, limit: float) -> Floats:
    """A rho / (1 - rho / C), rho kept within -C and limit x C: finite and rising for any finite reflectance."""
    kept = np.clip(np.asarray(rho, float), -np.asarray(c), limit * np.asarray(c))
    return a * kept / (1 - kept / c)


def _nir_weight(red: ArrayLike) -> Floats:
    low, high = NOVOA_BOUNDS
    return np.log(np.clip(red, low, high) / low) / np.log(high / low)


def _by_product(product: ArrayLike, coefficients: dict[Product, tuple[float, float]]) -> tuple[Floats, Floats]:
    """A and C in the shape of `product`."""
    names = np.asarray(product, dtype=str)
    unknown = set(names.ravel().tolist()) - set(Product)
    if unknown:
        raise InputError(f"unknown product: found {' '.join(sorted(unknown))}, wanted {' or '.join(Product)}")
    landsat = names == Product.L30
    a, c = (np.where(landsat, coefficients[Product.L30][i], coefficients[Product.S30][i]) for i in (0, 1))
    return a, c


def _column(samples: pd.DataFrame, name: str) -> Floats:
    if name not in samples:
        raise InputError(f"samples without {name}: found {' '.join(map(str, samples.columns))}")
    return samples[name].to_numpy(dtype=float)


def _products(samples: pd.DataFrame) -> NDArray[np.str_]:
    if "product" not in samples:
        return np.full(len(samples), Product.L30.value)
    return samples["product"].to_numpy(dtype=str)
