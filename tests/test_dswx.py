"""DSWx: every row of the reference tables, exact arithmetic beside it, and OPERA's own product of a real granule."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ssc.errors import InputError
from ssc.legacy import dswx

BANDS = ["blue", "green", "red", "nir", "swir1", "swir2"]
WRAPPED = 61
"""The one case whose band sum overflows the original's int16 with an effect: 17000 + 17000."""
CROP = "data/hls_s30_t15sxr"


def reflectance(dn: np.ndarray) -> np.ndarray:
    """As the reader gives it: float32, NaN where the product has fill."""
    return np.where(np.isin(dn, (-9999, -32768)), np.nan, dn * np.float32(1e-4)).astype(np.float32)


def table(shared: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(shared / f"reference/legacy/{name}.csv")


# Reference tables


@pytest.mark.parametrize("name", ["dswx_diagnostic_cases", "dswx_extra_cases"])
def test_every_case_of_the_reference_in_every_layer(shared, name):
    cases = table(shared, name)
    layers = dswx.classify(
        reflectance(cases[BANDS].to_numpy().T),
        cases["fmask"].to_numpy(),
        shad=cases["shad"].to_numpy(),
        land=cases["land"].to_numpy(),
    )
    remapped, _ = dswx.aerosol(layers.wtr1, reflectance(cases["nir"].to_numpy()), cases["fmask"].to_numpy())
    found = {
        "diag_dec": layers.diagnostic,
        "diag_bin": dswx.digits(layers.diagnostic),
        "wtr1_4class": layers.wtr1,
        "wtr1_saved": dswx.collapse(layers.wtr1),
        "wtr1_4class_after_aerosol": remapped,
        "wtr2_4class": layers.wtr2,
        "wtr2_saved": dswx.collapse(layers.wtr2),
        "cloud": layers.cloud,
        "wtr_4class": layers.wtr,
        "wtr_saved": dswx.collapse(layers.wtr),
        "bwtr": layers.bwtr,
        "conf": layers.conf,
    }
    for column, values in found.items():
        wrong = set(cases["case"][values != cases[column].to_numpy()])
        assert wrong <= ({WRAPPED} if column in {"diag_dec", "diag_bin", "wtr1_4class", "wtr1_saved"} else set()), (
            column
        )


def test_sums_do_not_wrap_where_the_original_int16_does(shared):
    """Green + red = 34000 is -31536 in int16, so the reference fails T2 on saturated cloud; we pass it: 00111."""
    case = table(shared, "dswx_diagnostic_cases").set_index("case").loc[WRAPPED]
    blue, green, red, nir, swir1, swir2 = case[BANDS].to_numpy(np.int16)
    with np.errstate(over="ignore"):
        assert not green + red > nir + swir1
    ours = dswx.diagnostic(*reflectance(np.array([blue, green, red, nir, swir1, swir2])))
    assert (int(ours), int(case["diag_dec"])) == (0b00111, 0b00101)
    assert dswx.wtr1(ours) == 2


def test_all_33_diagnostics_have_their_class(shared):
    rows = table(shared, "dswx_diag32")
    diagnostic = rows["diag_dec"].to_numpy(np.uint8)
    assert dswx.wtr1(diagnostic).tolist() == rows["wtr1_4class"].tolist()
    assert dswx.collapse(dswx.wtr1(diagnostic)).tolist() == rows["wtr1_saved"].tolist()
    assert dswx.digits(diagnostic).tolist() == rows["diag_bin"].tolist()


@pytest.mark.parametrize(("code", "mode"), [(0, "mask"), (1, "ignore")])
def test_clouds_over_every_fmask_and_class(shared, code, mode):
    rows = table(shared, "dswx_cloud_conf_cases")
    rows = rows[rows["mode(0=mask,1=ignore)"] == code]
    wtr2 = rows["wtr2_4class"].to_numpy(np.uint8)
    cloud = dswx.cloud(rows["fmask"].to_numpy(np.uint8), None, wtr2, mode)
    wtr = dswx.wtr(wtr2, cloud)
    assert cloud.tolist() == rows["cloud"].tolist()
    assert wtr.tolist() == rows["wtr_4class"].tolist()
    assert dswx.collapse(wtr).tolist() == rows["wtr_saved"].tolist()
    assert dswx.bwtr(wtr).tolist() == rows["bwtr"].tolist()
    assert dswx.conf(wtr2, cloud).tolist() == rows["conf"].tolist()


def test_every_cloud_code_over_every_class(shared):
    rows = table(shared, "dswx_cloudbits_conf")
    cloud, wtr2 = rows["cloud"].to_numpy(np.uint8), rows["wtr2_4class"].to_numpy(np.uint8)
    assert dswx.wtr(wtr2, cloud).tolist() == rows["wtr_4class"].tolist()
    assert dswx.collapse(dswx.wtr(wtr2, cloud)).tolist() == rows["wtr_saved"].tolist()
    assert dswx.conf(wtr2, cloud).tolist() == rows["conf"].tolist()


def test_turbid_ramp_becomes_class_2_and_would_lose_its_label(shared):
    rows = table(shared, "dswx_turbid_ramp")
    layers = dswx.classify(reflectance(rows[BANDS].to_numpy().T), np.full(len(rows), 96))
    assert layers.diagnostic.tolist() == rows["diag_dec"].tolist()
    assert layers.wtr1.tolist() == rows["wtr1_4class"].tolist()
    assert layers.wtr2.tolist() == rows["wtr2_4class"].tolist()
    assert layers.cloud.tolist() == rows["cloud"].tolist()
    assert dswx.collapse(layers.wtr).tolist() == rows["wtr_saved"].tolist()
    assert layers.conf.tolist() == rows["conf"].tolist()
    labelled = np.isin(dswx.collapse(layers.wtr), (1, 2, 254)) & np.isin(layers.conf, (1, 3, 254))
    assert labelled.tolist() == (rows["training_label_water"] == 1).tolist()
    assert layers.wtr2[-1] == 2  # the most turbid step: open water all the same


def test_shad_on_every_tilted_plane_of_the_reference(shared):
    rows = table(shared, "dswx_shad_plane_cases")
    for row in rows.itertuples(index=False):
        aspect = np.deg2rad(row.saa + row.aspect_minus_saa)  # where the slope looks to: it falls that way
        north, east = -np.arange(7.0)[:, None] * 30, np.arange(7.0) * 30
        plane = -np.tan(np.deg2rad(row.slope_deg)) * (east * np.sin(aspect) + north * np.cos(aspect))
        assert dswx.shad(plane, 30, row.sza, row.saa)[3, 3] == row[5], row  # an unquoted comma in the header


# Exact arithmetic


def exact_diagnostic(dn: list[int], preset: dswx.Preset) -> int:
    """The five tests on whole numbers, in fractions."""
    b, g, r, n, s1, s2 = (max(value, 1) for value in dn) if preset.clip else dn
    limit = {name: Fraction(str(getattr(preset, name))) for name in ("mndwi", "partial1_ndvi")}
    mndwi, ndvi = Fraction(g - s1, g + s1), Fraction(n - r, n + r)
    awesh = b + Fraction(5, 2) * g - Fraction(3, 2) * (n + s1) - Fraction(s2, 4)
    tests = (
        mndwi > limit["mndwi"],
        g + r > n + s1,
        awesh > 0,
        mndwi > Fraction(-44, 100) and s1 < 900 and n < 1500 and ndvi < limit["partial1_ndvi"],
        mndwi > Fraction(-1, 2) and b < 1000 and s1 < 3000 and s2 < 1000 and n < 2500,
    )
    return sum(int(passed) << k for k, passed in enumerate(tests))


DN = st.one_of(
    st.integers(-300, 16_000),
    st.sampled_from([-1, 0, 1, 876, 899, 900, 999, 1000, 1124, 1499, 1500, 2499, 2500, 2999, 3000, 32_767]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(DN, min_size=6, max_size=6))
def test_the_current_preset_is_exact(dn):
    assert dswx.diagnostic(*reflectance(np.array(dn))) == exact_diagnostic(dn, dswx.V1_0_2)


@settings(max_examples=200, deadline=None)
@given(st.lists(DN.filter(lambda value: value > 0), min_size=6, max_size=6))
def test_the_old_preset_is_exact_where_denominators_are_positive(dn):
    assert dswx.diagnostic(*reflectance(np.array(dn)), preset=dswx.V0_1) == exact_diagnostic(dn, dswx.V0_1)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 250), st.sampled_from([(281, 219), (10_123, 9_877), (14, 36), (1, 3)]), st.integers(-1, 1))
def test_ties_at_the_index_thresholds_fail_and_one_count_more_passes(factor, ratio, step):
    """Green to SWIR1 ratios that make MNDWI exactly 0.124, 0.0123, -0.44 and -0.5."""
    green, swir1 = (min(part * factor, 32_000 // max(ratio) * part) for part in ratio)
    dn = [500, green + step, 400, 600, swir1, 300]
    if green + step > 0:
        for preset in (dswx.V1_0_2, dswx.V0_1):
            assert dswx.diagnostic(*reflectance(np.array(dn)), preset=preset) == exact_diagnostic(dn, preset)


def test_every_digital_number_survives_the_way_to_reflectance_and_back():
    dn = np.arange(-2000, 32_767)
    others = [np.full(dn.size, 500)] * 4
    for scaled in (dn * np.float32(1e-4), (dn * 1e-4).astype(np.float32), dn * 1e-4, dn / 1e4):
        swir1 = np.asarray(scaled)
        found = dswx.diagnostic(*(reflectance(band) for band in others), swir1, reflectance(others[0]))
        assert ((found & 8) != 0).tolist() == (dn < 900).tolist()  # T4: MNDWI is then the looser condition
        assert ((found & 1) != 0).tolist() == (
            (500 - np.maximum(dn, 1)) * 1000 > 124 * (500 + np.maximum(dn, 1))
        ).tolist()


# Inputs


def test_no_data_in_any_one_band_is_invalid():
    water = np.full((6, 7), 0.05, np.float32)
    water[range(6), range(6)] = np.nan
    assert dswx.diagnostic(*water).tolist() == [32] * 6 + [int(dswx.diagnostic(*water[:, 6]))]
    assert dswx.wtr1(dswx.diagnostic(*water))[:6].tolist() == [255] * 6


def test_infinite_reflectance_is_no_data():
    water = np.full(6, 0.05, np.float32)
    for wrong in (np.inf, -np.inf):
        assert dswx.diagnostic(wrong * np.float32(1), *water[1:]) == 32


@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4), (2, 3, 4), (70_000,)])
def test_any_shape_goes_in_and_comes_out(shape):
    dn = np.random.default_rng(4).integers(-100, 4000, (6, *shape))
    found = dswx.diagnostic(*reflectance(dn))
    assert found.shape == shape
    assert found.dtype == np.uint8
    sample = [exact_diagnostic([int(v) for v in pixel], dswx.V1_0_2) for pixel in dn.reshape(6, -1).T[-50:]]
    assert found.reshape(-1)[-50:].tolist() == sample


def test_views_and_broadcast_bands_are_read_as_they_look():
    dn = np.random.default_rng(5).integers(0, 4000, (6, 40, 30))
    straight = dswx.diagnostic(*reflectance(dn))
    turned = dswx.diagnostic(*(band.T[::-1] for band in reflectance(dn)))
    assert (turned == straight.T[::-1]).all()
    assert (dswx.diagnostic(0.06, 0.05, 0.03, 0.015, 0.008, np.full((2, 3), 0.005)) == 31).all()


def test_the_inputs_are_left_as_they_were():
    bands = reflectance(np.random.default_rng(6).integers(-300, 4000, (6, 100)))
    before = bands.copy()
    dswx.diagnostic(*bands)
    assert (bands == before).all()


def test_digital_numbers_instead_of_reflectance_are_refused():
    with pytest.raises(InputError, match="wanted floats"):
        dswx.diagnostic(*np.full((6, 2), 500, np.int16))


def test_an_unknown_adjacent_mode_is_refused():
    codes = np.zeros(1, np.uint8)
    with pytest.raises(InputError, match="wanted mask, ignore or cover"):
        dswx.cloud(codes, None, codes, "dilate")


# Invariants

PIXELS = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        arrays(np.int16, (6, n), elements=st.one_of(st.integers(-300, 5000), st.just(-9999))),
        arrays(np.uint8, n),
    )
)


@settings(deadline=None)
@given(PIXELS)
def test_layers_agree_with_each_other(pixels):
    dn, fmask = pixels
    layers = dswx.classify(reflectance(dn), fmask)
    invalid = (dn == -9999).any(axis=0) | (fmask == 255)
    for layer in (layers.wtr, layers.conf, layers.bwtr):
        assert ((layer == 255) == invalid).all()
    assert np.isin(dswx.collapse(layers.wtr), (0, 1, 2, 252, 253, 255)).all()
    assert np.isin(layers.conf, (*range(5), *range(10, 15), *range(20, 25), 255)).all()
    clear = np.isin(layers.cloud, (0, 8))
    assert (layers.wtr[clear] == layers.wtr2[clear]).all()
    assert (layers.conf[clear] == layers.wtr2[clear]).all()
    hidden = ~invalid & ((layers.cloud & 5) != 0)
    assert (layers.wtr[hidden] == 253).all()
    assert (layers.conf[hidden] == 10 + layers.wtr2[hidden]).all()


@settings(deadline=None)
@given(PIXELS, st.randoms(use_true_random=False))
def test_pixels_know_nothing_of_each_other(pixels, random):
    dn, fmask = pixels
    order = list(range(fmask.size))
    random.shuffle(order)
    straight, shuffled = dswx.classify(reflectance(dn), fmask), dswx.classify(reflectance(dn[:, order]), fmask[order])
    for name in ("diagnostic", "wtr1", "wtr2", "cloud", "wtr", "bwtr", "conf"):
        assert (getattr(straight, name)[order] == getattr(shuffled, name)).all(), name


@settings(deadline=None)
@given(PIXELS)
def test_the_aerosol_step_only_ever_yields_class_1_and_wtr2_only_takes_water_away(pixels):
    dn, fmask = pixels
    bands = reflectance(dn)
    before = dswx.wtr1(dswx.diagnostic(*bands))
    after, acted = dswx.aerosol(before, bands[3], fmask)
    assert (after[acted] == 1).all()
    assert (after[~acted] == before[~acted]).all()
    shad = np.arange(fmask.size) % 3 > 0
    water = dswx.wtr2(after, bands[3], shad, (np.arange(fmask.size) * 37 % 256).astype(np.uint8))
    assert ((water == after) | (water == 0)).all()


@settings(max_examples=100, deadline=None)
@given(arrays(np.int64, (6, 20), elements=st.integers(1, 3000)), st.integers(2, 5))
def test_scaling_all_bands_leaves_the_first_three_tests_alone_but_not_the_last_two(dn, factor):
    once, more = dswx.diagnostic(*reflectance(dn)), dswx.diagnostic(*reflectance(dn * factor))
    assert ((once & 7) == (more & 7)).all()
    dark = reflectance(np.array([800, 900, 700, 600, 400, 300]))
    assert dswx.diagnostic(*dark) == 31
    assert dswx.diagnostic(*(dark * 10)) == 7


def test_flat_ground_is_lit_and_a_higher_base_changes_nothing():
    rough = np.random.default_rng(1).normal(0, 30, (40, 50)).cumsum(0)
    for zenith, azimuth in ((20, 0), (50, 137), (75, 301)):
        assert dswx.shad(np.full((5, 5), 812.0), 30, zenith, azimuth).all()
        grid = np.round(rough * 16) / 16  # adding 1024 to sixteenths loses no bit
        assert (dswx.shad(grid, 30, zenith, azimuth) == dswx.shad(grid + 1024, 30, zenith, azimuth)).all()


def test_a_void_in_the_elevation_is_not_masked():
    slope = np.repeat(np.arange(9.0)[:, None] * 40, 9, axis=1)  # rises southward, sun in the north: it faces the sun
    away = slope[::-1]
    assert dswx.shad(slope, 30, 60, 0).all()
    assert not dswx.shad(away, 30, 60, 0).any()
    away[4, 4] = np.nan
    lit = dswx.shad(away, 30, 60, 0)
    assert lit[[3, 5, 4, 4], [4, 4, 3, 5]].all()  # no slope is known beside the void
    assert lit.sum() == 4


# Snow over the adjacent ring


def grown(mask: np.ndarray, where: np.ndarray, rounds: int) -> np.ndarray:
    """Cross-shaped growth, pixel by pixel."""
    now = mask.copy()
    for _ in range(rounds):
        last = now.copy()
        for row, col in np.argwhere(where & ~last):
            near = [(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
            now[row, col] = any(0 <= r < now.shape[0] and 0 <= c < now.shape[1] and last[r, c] for r, c in near)
    return now


def test_cover_grows_snow_into_the_ring_and_gives_water_back():
    rng = np.random.default_rng(2)
    codes = rng.choice(np.array([64, 68, 68, 68, 80, 72, 66], np.uint8), (30, 40))
    wtr2 = rng.integers(0, 5, (30, 40)).astype(np.uint8)
    snow, clear = (codes & 16) != 0, (codes & 10) == 0
    ring = ((codes & 4) != 0) & clear
    wide = grown(snow, ring, 10)
    kept = wide & ~grown(~wide & clear, ring & (wtr2 >= 1) & (wtr2 <= 4), 7)
    cloud = dswx.cloud(codes, None, wtr2, "cover")
    assert (((cloud & 2) != 0) == kept).all()
    assert 0 < (kept & ~snow).sum() < (wide & ~snow).sum()
    assert ((cloud & 5) == (((codes & 8) != 0) * 1 + ((codes & 2) != 0) * 4)).all()


# A real granule


@pytest.fixture(scope="module")
def crop(shared: Path) -> tuple[np.ndarray, np.ndarray]:
    """Six bands of reflectance and Fmask of HLS.S30.T15SXR.2021250T163901, 1000 x 1000 px."""
    name = shared / CROP / "input/HLS.S30.T15SXR.2021250T163901.v2.0."
    bands = [_read(Path(f"{name}{code}.tif")) for code in ("B02", "B03", "B04", "B8A", "B11", "B12")]
    return reflectance(np.stack(bands)), _read(Path(f"{name}Fmask.tif"))


def _read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def test_operas_own_product_of_a_real_granule_to_the_pixel(shared, crop, capsys):
    bands, fmask = crop
    files = {path.stem.split("_")[-1]: _read(path) for path in (shared / CROP / "dswx_ref").glob("*.tif")}
    layers = dswx.classify(bands, fmask, shad=files["SHAD"] == 0, preset=dswx.V0_1)  # v0.1 wrote SHAD 1 = masked
    valid = np.isfinite(bands).all(axis=0) & (fmask != 255)
    flagged = np.where(layers.wtr == 255, 255, np.where(np.isin(layers.wtr, (252, 253)), 2, layers.wtr > 0))
    found = {
        "DIAG": layers.diagnostic,
        "WTR-1": layers.wtr1,
        "WTR-2": layers.wtr2,
        "CLOUD": layers.cloud,
        "WTR": np.where(np.isin(layers.wtr, (252, 253)), 9, layers.wtr),  # v0.1 has one value for all masked pixels
        "BWTR": flagged,
        "CONF": flagged,
    }
    with capsys.disabled():
        print("\nDSWx-HLS v0.1 on T15SXR, 1000 x 1000 px: layer, valid pixels, different")
        for name, layer in found.items():
            print(f"  {name:6s} {valid.sum():8d} {np.count_nonzero((layer != files[name])[valid]):4d}")
    assert valid.sum() == 999_990
    for name, layer in found.items():
        assert (layer == files[name])[valid].all(), name


def test_what_the_current_rules_change_on_the_same_granule(crop):
    bands, fmask = crop
    valid = np.isfinite(bands).all(axis=0) & (fmask != 255)
    old, new = (dswx.classify(bands, fmask, preset=preset) for preset in (dswx.V0_1, dswx.V1_0_2))
    differs = (old.diagnostic ^ new.diagnostic)[valid]
    assert np.count_nonzero(differs) == 740
    assert [np.count_nonzero(differs & bit) for bit in (1, 2, 4, 8, 16)] == [740, 0, 0, 17, 179]
    _, remapped = dswx.aerosol(new.wtr1, bands[3], fmask)
    assert np.count_nonzero(remapped & valid) == 1296
