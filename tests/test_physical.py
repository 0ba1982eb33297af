"""Physical formulas against arithmetic, along turbidity ramps, and against laboratory samples of the Parana."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssc.bands import Band, Product
from ssc.errors import InputError
from ssc.quality import Quality
from ssc.regression import NAMES, load
from ssc.regression.physical import SPM, TURBIDITY, dogliotti, nechad, novoa, novoa_saturated

COLUMNS = ["ssc", "ssc_mean", "ssc_lo90", "ssc_hi90", "ln_ssc_sd", "turbidity", "ssc_qual"]
PRODUCTS = [product.value for product in Product]

FORMULAS = ("physical", "nechad-red")


def samples(red, nir, product="L30", **columns):
    return pd.DataFrame({"red_med": red, "nir_med": nir, "product": product, **columns})


def ramp(start=0.5, stop=5000.0, steps=1000):
    """SSC from 0.5 to 5000 mg/L in steps of less than 1 %, and the reflectance each band shows of it."""
    ssc = np.geomspace(start, stop, steps)
    (a_red, c_red), (a_nir, c_nir) = SPM[Band.RED][Product.L30], SPM[Band.NIR][Product.L30]
    return ssc, ssc / (a_red + ssc / c_red), ssc / (a_nir + ssc / c_nir)


def test_nechad_by_hand():
    # OLI red: 346.32 x 0.05 / (1 - 0.05 / 0.19905) = 17.316 / 0.748807 = 23.1248
    assert nechad(0.05, "L30") == pytest.approx(23.1248, rel=1e-5)
    # MSI red: 342.10 x 0.05 / (1 - 0.05 / 0.19563) = 17.105 / 0.744415 = 22.9778
    assert nechad(0.05, "S30") == pytest.approx(22.9778, rel=1e-5)
    # OLI NIR: 2929.49 x 0.05 / (1 - 0.05 / 0.21135) = 146.4745 / 0.763425 = 191.865
    assert nechad(0.05, "L30", band=Band.NIR) == pytest.approx(191.865, rel=1e-5)
    # MSI NIR: 2932.21 x 0.05 / (1 - 0.05 / 0.21151) = 146.6105 / 0.763604 = 191.998
    assert nechad(0.05, "S30", band=Band.NIR) == pytest.approx(191.998, rel=1e-5)
    # Turbidity, OLI red: 378.46 x 0.05 / 0.748807 = 25.2709 FNU; MSI NIR: 3250.32 x 0.05 / 0.763604 = 212.828 FNU
    assert nechad(0.05, "L30", table=TURBIDITY) == pytest.approx(25.2709, rel=1e-5)
    assert nechad(0.05, "S30", band=Band.NIR, table=TURBIDITY) == pytest.approx(212.828, rel=1e-5)


def test_single_band_is_followed_to_half_of_its_saturation():
    # At rho = C / 2 the formula gives A C: 346.32 x 0.19905 = 68.9350 mg/L
    assert nechad([0.5 * 0.19905, 0.15, 5.0]) == pytest.approx([68.9350] * 3, rel=1e-5)
    assert nechad(0.49 * 0.19905) < 68.5


def test_dogliotti_by_hand():
    # Red alone: 228.1 x 0.04 / (1 - 0.04 / 0.1641) = 9.124 / 0.756246 = 12.0648
    assert dogliotti(0.04, 0.9) == pytest.approx(12.0648, rel=1e-5)
    # NIR alone: 3078.9 x 0.05 / (1 - 0.05 / 0.2112) = 153.945 / 0.763258 = 201.695
    assert dogliotti(0.08, 0.05) == pytest.approx(201.695, rel=1e-5)
    # Half way, red 0.06: 13.686 / 0.634369 = 21.5742; NIR 0.02: 61.578 / 0.905303 = 68.0192; mean 44.7967
    assert dogliotti(0.06, 0.02) == pytest.approx(44.7967, rel=1e-5)


def test_novoa_by_hand_and_at_its_switching_points():
    nir = 0.03
    # OLI NIR at 0.03: 87.8847 / 0.858056 = 102.423; MSI: 87.9663 / 0.858163 = 102.505
    assert novoa(0.08, nir) == pytest.approx(nechad(0.08), rel=1e-12)
    assert novoa(0.12, nir) == pytest.approx(102.423, rel=1e-5)
    assert novoa(0.5, nir, "S30") == pytest.approx(102.505, rel=1e-5)
    # Red 0.1: w = ln(0.1 / 0.08) / ln(0.12 / 0.08) = 0.223144 / 0.405465 = 0.550340;
    # OLI red at 0.1: 34.632 / 0.497614 = 69.5961; 0.449660 x 69.5961 + 0.550340 x 102.423 = 87.6620
    assert novoa(0.1, nir) == pytest.approx(87.6620, rel=1e-5)
    # NIR plays no part below, red none above
    assert novoa(0.079, 0.9) == novoa(0.079, -0.1)
    assert novoa(0.121, nir) == novoa(0.9, nir)


def test_products_may_be_mixed_in_one_call():
    mixed = novoa([0.05, 0.05, 0.2], [0.02, 0.02, 0.1], ["L30", "S30", "S30"])
    single = [novoa(0.05, 0.02, "L30"), novoa(0.05, 0.02, "S30"), novoa(0.2, 0.1, "S30")]
    assert mixed.tolist() == single
    with pytest.raises(InputError, match="unknown product: found L8, wanted L30 or S30"):
        novoa(0.05, 0.02, "L8")


def test_reflectance_that_follows_the_formula_gives_its_sediment_back():
    ssc, red, nir = ramp(stop=1800)
    np.testing.assert_allclose(novoa(red, nir), ssc, rtol=1e-9)
    estimate = load("physical").predict(samples(red, nir))
    np.testing.assert_allclose(estimate["ssc"], ssc, rtol=1e-6)
    assert (estimate["ssc_qual"] == 0).all()


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("nir_factor", [0.6, 1.0, 1.5, 2.5])
def test_more_sediment_never_means_less_nor_a_jump(name, product, nir_factor):
    ssc, red, _ = ramp()
    a_nir, c_nir = SPM[Band.NIR][Product.L30]
    other = ssc * nir_factor
    found = load(name).predict(samples(red, other / (a_nir + other / c_nir), product))
    assert np.diff(np.log(ssc)).max() < 0.01
    # Dogliotti's bounds lie closer together: NIR and red that differ by a factor of 2.5 jump 6 % there.
    for column in ("ssc", "turbidity") if nir_factor < 2 else ("ssc",):
        values = found[column].to_numpy(float)
        steps = np.diff(values) / values[:-1]
        assert steps.min() >= -1e-6
        assert steps.max() < 0.05


@pytest.mark.parametrize("product", PRODUCTS)
def test_one_percent_more_light_moves_the_estimate_by_less_than_five(product):
    _, red, nir = ramp()
    here, there = novoa(red, nir, product), novoa(red * 1.01, nir * 1.01, product)
    assert ((there / here - 1) < 0.05).all()
    assert (there >= here).all()


@given(
    red=st.floats(-(2.0**100), 2.0**100, width=32),
    nir=st.floats(-(2.0**100), 2.0**100, width=32),
    mad=st.floats(0, 10, width=32),
    count=st.integers(0, 10**6),
    product=st.sampled_from(PRODUCTS),
    name=st.sampled_from(sorted(FORMULAS)),
)
def test_finite_reflectance_gives_finite_estimates_in_order(red, nir, mad, count, product, name):
    table = samples([red], [nir], product, red_mad=mad, nir_mad=mad, n_px_used=count)
    row = load(name).predict(table).iloc[0]
    assert np.isfinite(row).all()
    assert 0.5 <= row["ssc"] <= 2000
    assert 0 < row["ssc_lo90"] < row["ssc"] < row["ssc_mean"] <= row["ssc_hi90"]
    assert row["turbidity"] >= 0


@pytest.mark.parametrize("name", FORMULAS)
def test_columns_types_and_index(name):
    table = samples([0.05, 0.06], [0.02, 0.03]).set_axis([42, 7])
    estimate = load(name).predict(table)
    assert list(estimate.columns) == COLUMNS
    assert [str(dtype) for dtype in estimate.dtypes] == ["float32"] * 6 + ["int32"]
    assert estimate.index.tolist() == [42, 7]
    assert load(name).predict(table.iloc[:0]).empty


@pytest.mark.parametrize("name", FORMULAS)
def test_what_was_not_seen_is_not_estimated(name):
    row = load(name).predict(samples([np.nan], [np.nan], n_px_used=0, red_mad=np.nan, nir_mad=np.nan)).iloc[0]
    assert row[COLUMNS[:6]].isna().all()
    assert row["ssc_qual"] == 0


@pytest.mark.parametrize("name", FORMULAS)
def test_negative_reflectance_is_floored_and_flagged(name):
    estimate = load(name).predict(samples([-0.02, 0.0, 0.001, 0.002], [-0.01, 0.0, 0.0, 0.0]))
    # 0.5 mg/L is red reflectance 0.00143
    assert estimate["ssc"].tolist()[:3] == [0.5] * 3
    assert estimate["ssc"].iloc[3] > 0.5
    assert estimate["ssc_qual"].tolist() == [Quality.BELOW_RANGE] * 3 + [0]
    assert estimate["turbidity"].iloc[0] == 0


def test_saturation_is_flagged_where_the_band_that_counts_goes_blind():
    nir = 0.75 * 0.21135
    estimate = load("physical").predict(samples([0.2, 0.2, 0.05], [nir, nir - 0.001, 0.3]))
    # At rho = 3/4 C the formula gives 3 A C: 3 x 2929.49 x 0.21135 = 1857.44 mg/L
    assert estimate["ssc"].iloc[0] == pytest.approx(1857.44, rel=1e-5)
    assert estimate["ssc_qual"].tolist() == [Quality.ABOVE_RANGE, 0, 0]
    assert novoa_saturated(0.2, 1.0, "S30")
    assert not novoa_saturated(0.2, np.nan)
    red_only = load("nechad-red").predict(samples([0.0996, 0.0990], [0.3, 0.3]))
    assert red_only["ssc_qual"].tolist() == [Quality.ABOVE_RANGE, 0]


def test_the_interval_is_a_prior_widened_by_pixel_noise():
    wide = load("physical").predict(
        samples([0.05] * 3, [0.02] * 3, red_mad=[0.0, 0.01, 0.01], nir_mad=0.0, n_px_used=[100, 100, 4])
    )
    # Nothing but the prior: sqrt(0.5^2 + 0.66^2) = 0.82801, and 1.6449 of it either way
    assert wide["ln_ssc_sd"].iloc[0] == pytest.approx(0.82801, rel=1e-5)
    assert wide["ssc_hi90"].iloc[0] / wide["ssc_lo90"].iloc[0] == pytest.approx(np.exp(2 * 1.6449 * 0.82801), rel=1e-4)
    # 4 pixels: error of the median 1.25331 x 0.01 / 2 = 0.0062666, relative slope 1 / (0.05 x 0.748807) = 26.709
    noise = 26.709 * 0.0062666
    assert wide["ln_ssc_sd"].iloc[2] == pytest.approx(np.hypot(0.82801, noise), rel=2e-3)
    assert wide["ln_ssc_sd"].is_monotonic_increasing


@pytest.mark.parametrize("name", FORMULAS)
def test_the_mean_is_that_of_the_lognormal(name):
    quiet, noisy = (
        load(name).predict(samples([0.05] * 2, [0.02] * 2, red_mad=[0.0, 0.1], n_px_used=[100, 1])).itertuples()
    )
    # Nothing but the prior: exp(0.82801^2 / 2) = exp(0.342800) = 1.40888
    assert quiet.ssc_mean / quiet.ssc == pytest.approx(1.40888, rel=1e-5)
    assert noisy.ln_ssc_sd > 2
    assert noisy.ssc_mean / noisy.ssc == pytest.approx(np.exp(noisy.ln_ssc_sd**2 / 2), rel=1e-5)


def test_the_mean_goes_no_higher_than_the_interval():
    # One pixel, red off by 0.125 either way: 0.5 mg/L or, by a saturated NIR, 1857; ln off by 4.1
    row = load("physical").predict(samples([0.05], [0.2], red_mad=0.1, nir_mad=0.0, n_px_used=1)).iloc[0]
    assert row["ln_ssc_sd"] > 2 * 1.6449
    assert row["ssc_mean"] == row["ssc_hi90"]


def test_the_mean_is_that_of_draws():
    row = load("physical").predict(samples([0.05], [0.02])).iloc[0]
    drawn = row["ssc"] * np.exp(row["ln_ssc_sd"] * np.random.default_rng(4).standard_normal(400_000))
    assert row["ssc_mean"] == pytest.approx(drawn.mean(), rel=0.01)


def test_without_spread_or_product_the_bare_medians_do():
    bare = load("physical").predict(pd.DataFrame({"red_med": [0.05], "nir_med": [0.02]}))
    assert bare["ssc"].tolist() == pytest.approx([23.1248], rel=1e-5)
    with pytest.raises(InputError, match="samples without nir_med"):
        load("physical").predict(pd.DataFrame({"red_med": [0.05]}))


def test_regressors_are_loaded_by_name():
    assert list(NAMES) == [*FORMULAS, "parana-demo"]
    assert [load(name).name for name in NAMES] == list(NAMES)
    with pytest.raises(InputError, match="no regressor 'magic': wanted one of physical nechad-red parana-demo"):
        load("magic")


def test_laboratory_samples_of_the_parana(shared):
    table = pd.read_csv(shared / "data" / "parana_sentinel2_tss" / "matchups_acolite_wide.csv")
    table = table[table["sst_mg_l"] > 0]
    estimate = load("physical").predict(samples(table["B04"], table["B8A"], "S30"))
    error = np.log(estimate["ssc"] / table["sst_mg_l"])
    inside = table["sst_mg_l"].between(estimate["ssc_lo90"], estimate["ssc_hi90"])
    assert len(table) == 63
    assert abs(error.median()) < np.log(1.5)
    assert np.expm1(error.abs().median()) < 1.2
    assert inside.mean() == pytest.approx(0.73, abs=0.005)
    assert estimate["ssc"].corr(table["sst_mg_l"], method="spearman") > 0.45


def test_landsat_samples_of_the_pantanal(shared):
    table = pd.read_csv(shared / "data" / "pantanal_landsat57_ssc" / "matchups.csv")
    estimate = load("physical").predict(samples(table["B3"] / 1e4, table["B4"] / 1e4))
    measured = 10 ** table["log10_SSC_mgL"]
    inside = measured.between(estimate["ssc_lo90"], estimate["ssc_hi90"])
    assert len(table) == 578
    assert inside.mean() == pytest.approx(0.67, abs=0.005)
    assert estimate["ssc"].corr(measured, method="spearman") > 0.5
