"""The production network pair: golden numbers of rule and inputs, its defects, and what the repaired mode bounds."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from ssc.bands import CODES, Band, Product, band_of
from ssc.errors import BandError, InputError
from ssc.quality import Quality
from ssc.regression.pair import Mode, PairRule, combine, published_loss
from ssc.regression.pair_inputs import (
    BANDS,
    CIRCLE,
    INPUTS,
    SIZE,
    STATISTICS,
    node_pixel,
    node_statistics,
    node_window,
    pair_inputs,
)

EVERYWHERE = np.ones((SIZE, SIZE), bool)
MODES = [mode.value for mode in Mode]


# Combination rule


def rule_of(parameters, low_1, high_1, low_2, high_2):
    limits = [np.asarray(limit, float) for limit in (low_1, high_1, low_2, high_2)]
    return PairRule(
        maxval_cut=parameters["maxval_cut"],
        maximum_out=parameters["maximum_out"],
        max_m2=parameters["max_m2"],
        min_input_m1=limits[0],
        max_input_m1=limits[1],
        min_input_m2=limits[2],
        max_input_m2=limits[3],
        names=tuple(f"x{i}" for i in range(len(limits[0]))),
    )


def unit_rule(maxval_cut=0.8, maximum_out=3.0, max_m2=6.0, k=2):
    """Inputs that are the outputs: scaling from 0 and 1 to 0 and 1."""
    parameters = {"maxval_cut": maxval_cut, "maximum_out": maximum_out, "max_m2": max_m2}
    return rule_of(parameters, [0] * k, [1] * k, [0] * k, [1] * k)


def table(x, index=None):
    x = np.asarray(x, float)
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])], index=index)


def flagged(found, bit):
    return found["ssc_qual"].to_numpy() & int(bit) > 0


def first(z):
    return z[:, 0]


def second(z):
    return z[:, 1]


@pytest.fixture(scope="module")
def golden(shared):
    folder = shared / "reference" / "golden"
    case = json.loads((folder / "ann_rule.json").read_text())
    with np.load(folder / "ann_rule.npz") as arrays:
        return case, arrays["x"], arrays["ssc"], arrays["row"]


@pytest.fixture(scope="module")
def golden_rule(golden):
    p = golden[0]["parameters"]
    return rule_of(p, p["min_input_m1"], p["max_input_m1"], p["min_input_m2"], p["max_input_m2"])


def net_1(z):
    return 1.5 * z[:, 0] - 0.35 * z[:, 1] + 0.1 * z[:, 2] ** 2 - 0.15


def net_2(z):
    return 1.9 * z[:, 3] - 0.6 * z[:, 4] + 0.2 * z[:, 0] * z[:, 1]


def test_golden_rows_in_their_place(golden, golden_rule):
    case, x, ssc, row = golden
    found = combine(golden_rule, net_1, net_2, table(x), mode="strict")
    wanted = np.full(len(x), np.nan)
    wanted[row] = ssc
    assert golden_rule.min_m2 == pytest.approx(case["parameters"]["min_m2"], rel=1e-12)
    np.testing.assert_allclose(found["ssc"], wanted, rtol=1e-5)
    branch = np.array(case["branch_of_each_input_row"])
    assert found["branch"].tolist() == np.where(branch == "high_above_max", "high", branch).tolist()
    high = np.char.startswith(branch, "high")
    assert flagged(found, Quality.ABOVE_RANGE)[high].tolist() == (branch == "high_above_max")[high].tolist()
    assert flagged(found, Quality.BELOW_RANGE)[branch == "dropped"].all()
    assert (found["reason"] != "").tolist() == (branch == "dropped").tolist()


def test_published_order_follows_from_the_branches(golden, golden_rule):
    case, x, ssc, row = golden
    found = combine(golden_rule, net_1, net_2, table(x), mode="strict")
    order = np.concatenate([np.flatnonzero(found["branch"] == name) for name in ("low", "blend", "high")])
    assert order.tolist() == case["output_row_order"]
    np.testing.assert_allclose(found["ssc"].to_numpy()[order], ssc, rtol=1e-5)
    assert order.tolist() == row.tolist()


@pytest.mark.parametrize("name", ["only_low_rows", "only_dropped_rows", "no_low_rows"])
def test_golden_subsets(golden, golden_rule, name):
    case, x, *_ = golden
    run = case["subset_runs"][name]
    ids = run["input_rows"]
    found = combine(golden_rule, net_1, net_2, table(x[ids], index=ids), mode="strict")
    assert found.index.tolist() == ids
    np.testing.assert_allclose(found["ssc"].loc[run["output_rows"]], run["ssc"], rtol=1e-5)
    assert sorted(found.index[found["ssc"].notna()]) == sorted(run["output_rows"])


def test_golden_borders_belong_to_the_low_side(golden):
    case = golden[0]["boundary_case"]
    rule = unit_rule(case["parameters"]["maxval_cut"], case["parameters"]["maximum_out"], case["parameters"]["max_m2"])
    found = combine(rule, first, second, table(case["inputs"]), mode="strict")
    in_order = found.loc[case["output_row_order"]]
    np.testing.assert_allclose(in_order["ssc"], case["ssc"], rtol=1e-5)
    np.testing.assert_allclose(np.log(in_order["ssc"]), case["ln_ssc"], atol=1e-5)
    assert found["branch"].tolist() == ["dropped", *["low"] * 3, "blend", *["high"] * 3, "high", "blend"]


def test_gate_and_floor_of_the_notes():
    # 0.8 of -1 to 3 is ln 2.2: 9.03 mg/L; network 2 begins at 0.8 x 3 = ln 2.4: 11.02 mg/L
    rule = unit_rule(0.8, 3.0, 6.0)
    cut = float(np.float32(0.8))
    found = combine(rule, first, second, table([[cut, 0], [np.nextafter(np.float32(cut), np.float32(1)), 0]]))
    assert found["branch"].tolist() == ["low", "blend"]
    assert found["ssc"].iloc[0] == pytest.approx(9.0250, rel=1e-5)
    assert found["ssc"].iloc[1] == pytest.approx(np.sqrt(9.0250 * 11.0232), rel=1e-5)
    assert rule.minimum_out == -1
    assert float(np.exp(rule.min_m2)) == pytest.approx(11.0232, rel=1e-5)


@pytest.mark.parametrize("ssc", [0.5, 8.0, 40.0, 300.0])
def test_targets_undo_the_rule(ssc):
    rule = unit_rule()
    x = table([[rule.target_m1(ssc), rule.target_m2(ssc)]])
    found = [combine(rule, first, second, x, mode=mode)["ssc"].iloc[0] for mode in MODES]
    assert found == pytest.approx([ssc, ssc], rel=1e-5)


# No row is ever lost


FLOATS = st.one_of(st.floats(-3, 3), st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1e300, 1e38, 0.0, 1.0]))


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(FLOATS, FLOATS, FLOATS), max_size=12),
    seed=st.integers(0, 2**32 - 1),
    mode=st.sampled_from(MODES),
    scale=st.sampled_from([0.3, 3.0, 1e30]),
)
def test_no_row_is_dropped_moved_or_renamed(rows, seed, mode, scale):
    rng = np.random.default_rng(seed)
    nets = [stub(rng, scale), stub(rng, scale)]
    ids = rng.integers(0, 5, len(rows))  # repeated ids
    inputs = table(np.reshape(rows, (len(rows), 3)), index=ids)
    found = combine(unit_rule(k=3), *nets, inputs, mode=mode)
    assert found.index.tolist() == ids.tolist()
    assert (found["ssc"].isna() == (found["reason"] != "")).all()
    assert (found["ssc"].dropna() >= 0).all()
    unseen = [any(not abs(x) < 3.4e38 for x in row) for row in rows]
    assert (found["branch"] == "missing").tolist() == unseen
    assert mode == "strict" or not (found["branch"] == "dropped").any()
    order = rng.permutation(len(rows))
    pd.testing.assert_frame_equal(combine(unit_rule(k=3), *nets, inputs.iloc[order], mode=mode), found.iloc[order])


def stub(rng, scale):
    """A small random network with a tanh layer, row by row the same in any batch; now and then NaN."""
    first_layer, second_layer = rng.normal(size=(3, 4)), scale * rng.normal(size=4)
    gap = rng.uniform(0, 6)

    def network(z):
        hidden = np.tanh(np.clip(z.astype(float), -50, 50)[:, :, None] * first_layer).sum(axis=1)
        outputs = 0.5 + (hidden * second_layer).sum(axis=1)
        return np.where(np.abs(outputs - gap) < 0.05, np.nan, outputs)

    return network


def test_a_network_is_never_asked_of_nothing():
    def never(z):
        raise AssertionError(z.shape)

    for mode in MODES:
        assert combine(unit_rule(), never, never, table(np.empty((0, 2))), mode=mode).empty
        lost = combine(unit_rule(), never, never, table([[np.nan, 1], [1, np.inf]]), mode=mode)
        assert lost["branch"].tolist() == ["missing"] * 2
        assert lost["ssc_qual"].tolist() == [0, 0]
        low = combine(unit_rule(), first, never, table([[0.3, 1]]), mode=mode)
        assert low["branch"].tolist() == ["low"]


def test_a_nan_of_a_network_counts_only_where_the_network_does():
    def silent(z):
        return np.full(len(z), np.nan)

    x = table([[0.3, 0.5], [0.95, 0.5], [1.4, 0.5]])
    for mode in MODES:
        found = combine(unit_rule(), first, silent, x, mode=mode)
        assert found["branch"].tolist() == ["low", "undefined", "undefined"]
        assert found["ssc"].isna().tolist() == [False, True, True]
        assert combine(unit_rule(), silent, first, x, mode=mode)["reason"].tolist() == ["a network gave NaN"] * 3


def test_columns_are_found_by_name_and_types_are_the_house_s():
    inputs = table([[0.3, 0.7]]).assign(site="a")[["site", "x1", "x0"]]
    found = combine(unit_rule(), first, second, inputs)
    assert found["ssc"].iloc[0] == pytest.approx(np.exp(0.3 * 4 - 1), rel=1e-6)
    assert (str(found["ssc"].dtype), str(found["ssc_qual"].dtype)) == ("float32", "int32")


# Defects of strict, absent from repaired


def test_a_row_below_the_range_is_nan_in_strict_and_kept_in_repaired():
    x = table([[-0.05, 0.0], [0.0, 0.0], [0.1, 0.0]], index=[7, 8, 9])
    strict, repaired = (combine(unit_rule(), first, second, x, mode=mode) for mode in MODES)
    assert strict["ssc"].isna().tolist() == [True, False, False]
    assert "below 0" in strict.loc[7, "reason"]
    # e^-1 = 0.36788 mg/L, and 0.1 x 4 - 1 = ln 0.5488
    assert repaired["ssc"].tolist() == pytest.approx([0.367879, 0.367879, 0.548812], rel=1e-5)
    assert repaired["ssc_qual"].tolist() == [Quality.OOD_FEATURES, 0, 0]


def test_a_bare_output_below_zero_is_flagged_without_foreign_inputs():
    repaired = combine(unit_rule(), lambda z: z[:, 0] - 0.5, second, table([[0.1, 0.0]]), mode="repaired")
    assert repaired["ssc_qual"].tolist() == [Quality.BELOW_RANGE]
    assert repaired["ssc"].iloc[0] == pytest.approx(0.367879, rel=1e-5)


def ramp(rule, bias, mode, step=0.01):
    """Estimates from 0.1 to 2000 mg/L in steps of `step`; network 2 is off by `bias` in ln SSC."""
    truth = np.exp(np.arange(np.log(0.1), np.log(2000), np.log1p(step)))
    x = table(np.column_stack([np.log(truth), np.zeros(len(truth))]))
    spread = {"low_1": [-1e2, 0], "high_1": [1e2, 1], "low_2": [-1e2, 0], "high_2": [1e2, 1]}
    parameters = {"maxval_cut": rule.maxval_cut, "maximum_out": rule.maximum_out, "max_m2": rule.max_m2}

    def ln_ssc(z):
        return z[:, 0].astype(float) * 200 - 100

    def net_low(z):
        return rule.target_m1(np.exp(ln_ssc(z)))

    def net_high(z):
        return rule.target_m2(np.exp(ln_ssc(z) + bias))

    return truth, combine(rule_of(parameters, **spread), net_low, net_high, x, mode=mode)


def test_the_hard_gate_jumps_twice_and_the_smooth_one_never():
    rule = unit_rule()
    _, strict = ramp(rule, 0.6, "strict")
    factors = (strict["ssc"] / strict["ssc"].shift()).dropna()
    jumps = factors[factors > 1.05]
    # At the gate (9.03 mg/L) and where network 2 reaches its 20.09 mg/L: half of 0.6 each, and the step of 1 %
    assert jumps.tolist() == pytest.approx([1.01 * np.exp(0.3)] * 2, rel=1e-3)
    _, coarse = ramp(rule, 0.6, "strict", step=0.05)
    assert (coarse["ssc"] / coarse["ssc"].shift()).max() == pytest.approx(1.42, abs=0.005)
    _, repaired = ramp(rule, 0.6, "repaired")
    factors = (repaired["ssc"] / repaired["ssc"].shift()).dropna()
    assert factors.min() > 1 - 1e-4
    assert factors.max() < 1.025


@pytest.mark.parametrize("bias", [-1.0, -0.6, 0.0, 0.6, 1.0, 1.5, 2.0])
@pytest.mark.parametrize(("cut", "top"), [(0.8, 3.0), (0.6, 4.0), (0.7, 3.0)])
def test_one_percent_more_moves_a_repaired_estimate_by_less_than_five(bias, cut, top):
    rule = unit_rule(cut, top, 7.0)
    truth, found = ramp(rule, bias, "repaired")
    factors = (found["ssc"] / found["ssc"].shift()).dropna()
    # The promise of combine; at the gate network 2, clipped, is at least 1 - cut above network 1
    differ = max(abs(bias), 1 - cut)
    promised = 0.01 * (1 + 1.5 * differ / ((1 - cut) * (top + 1)))
    assert np.log(factors).abs().max() < min(promised + 1e-4, np.log(1.05))
    gate = np.exp(cut * (top + 1) - 1)
    low = (truth > np.exp(-1)) & (truth < 0.99 * gate)
    np.testing.assert_allclose(found["ssc"][low], truth[low], rtol=1e-4)
    assert found["ssc"].iloc[-1] == pytest.approx(np.exp(min(7.0, np.log(truth[-1]) + bias)), rel=1e-4)


def test_unclipped_outputs_explode_and_clipped_ones_are_bounded():
    rule = unit_rule()
    x = table([[1.0, 1.0], [1.2, 3.0], [12.0, 30.0], [1.0, 1e4], [0.5, 1e4]])
    strict, repaired = (combine(rule, first, second, x, mode=mode) for mode in MODES)
    # Network 2 spans 3.6: e^6 = 403.43 mg/L at its end, e^13.2 at three times its range
    assert strict["ssc"].tolist()[:2] == pytest.approx([403.429, np.exp(2.4 + 3 * 3.6)], rel=1e-5)
    assert np.isinf(strict["ssc"].iloc[2:4]).all()
    assert flagged(strict, Quality.ABOVE_RANGE).tolist() == [False, True, True, True, False]
    assert repaired["ssc"].tolist()[:4] == pytest.approx([403.429] * 4, rel=1e-5)
    assert repaired["ssc_qual"].tolist() == [0, *[int(Quality.OOD_FEATURES)] * 4]


def test_clipped_outputs_are_flagged_when_inputs_are_at_home():
    def beyond(z):
        return 40 * z[:, 0]

    found = combine(unit_rule(), beyond, beyond, table([[0.9, 0.0]]), mode="repaired")
    assert found["ssc"].iloc[0] == pytest.approx(403.429, rel=1e-5)
    assert found["ssc_qual"].tolist() == [Quality.ABOVE_RANGE]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), wild=st.sampled_from([1.0, 10.0, 1e6]))
def test_repaired_estimates_stay_in_the_training_range(seed, wild):
    rng = np.random.default_rng(seed)
    w1, w2 = rng.normal(size=(2, 3))
    nets = [lambda z: wild * (z @ w1), lambda z: wild * (z @ w2)]
    found = combine(unit_rule(k=3), *nets, table(rng.normal(0, wild, (20, 3))), mode="repaired")
    assert found["ssc"].between(np.exp(-1) * 0.99999, np.exp(6) * 1.00001).all()


def test_a_training_limit_is_no_stranger_and_a_constant_input_divides_by_one():
    # 0.1 and 0.7 have no exact float32; the last input was always 1 in training
    limits = ([0.1, 1.0], [0.7, 1.0])
    rule = rule_of({"maxval_cut": 0.8, "maximum_out": 3.0, "max_m2": 6.0}, *limits, *limits)
    x = table([[0.1, 1.0], [0.7, 1.0], [0.4, 1.5]])
    seen = []

    def kept(z):
        seen.append(z)
        return 0.5 * z[:, 0]

    strict, repaired = (combine(rule, kept, kept, x, mode=mode) for mode in MODES)
    for found in (strict, repaired):
        assert found["ssc_qual"].tolist() == [0, 0, Quality.OOD_FEATURES]
    assert seen[0][:, 1].tolist() == [0, 0, 0.5]
    assert seen[1][:, 1].tolist() == [0, 0, 0]
    assert all(z.dtype == np.float32 for z in seen)


def test_wrong_use_is_told():
    x, rule = table([[0.3, 0.7]]), unit_rule()
    with pytest.raises(InputError, match="mode of the network pair: found 'mended', wanted strict or repaired"):
        combine(rule, first, second, x, mode="mended")
    with pytest.raises(InputError, match="no column x1, wanted 2"):
        combine(rule, first, second, x[["x0"]])
    with pytest.raises(InputError, match=r"output of network 1: found shape \(1, 1\), wanted \(1,\)"):
        combine(rule, lambda z: z[:, :1], second, x)
    with pytest.raises(InputError, match="maxval_cut 1"):
        unit_rule(1.0)
    with pytest.raises(InputError, match=r"max_m2 2\.3"):
        unit_rule(max_m2=2.3)
    good = {"maxval_cut": 0.8, "maximum_out": 3.0, "max_m2": 6.0}
    with pytest.raises(InputError, match="network 2: wanted finite, smallest not above largest"):
        rule_of(good, [0, 0], [1, 1], [0, 2], [1, 1])
    with pytest.raises(InputError, match=r"network 1: found shapes \(2,\) and \(3,\)"):
        rule_of(good, [0, 0], [1, 1, 1], [0, 0], [1, 1])


# Loss


def test_loss_by_hand():
    # Errors 0.1, 0.2 and 0.3 at targets 0, 0.5 and 1
    wanted = (1 + 0.04 / 0.51 + 0.09 / 1.01) / 3
    assert published_loss([0.1, 0.3, 1.3], [0.0, 0.5, 1.0]) == pytest.approx(wanted, rel=1e-12)
    # The same error of 0.1 weighs 101 times as much at the lowest target
    assert published_loss([0.1], [0.0]) / published_loss([1.1], [1.0]) == pytest.approx(101)


@pytest.mark.parametrize(
    ("estimate", "target", "told"),
    [
        ([0.1], [-0.01], "smallest target -0.01, wanted all above -0.01"),
        ([0.1, 0.1], [0.5, -0.3], "smallest target -0.3"),
        ([np.nan], [0.5], "not finite"),
        ([0.5], [np.nan], "not finite"),
        ([], [], "not 0"),
        ([0.1, 0.2], [0.1], "as many"),
    ],
)
def test_loss_outside_its_domain_is_refused(estimate, target, told):
    with pytest.raises(InputError, match=told):
        published_loss(estimate, target)


# Inputs


def generator(label):
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")))


def integers(label, low, span):
    return (low + np.floor(span * generator(label).random((SIZE, SIZE)))).astype(np.int16)


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.fixture(scope="module")
def statistics(shared):
    return json.loads((shared / "reference" / "golden" / "node_statistics.json").read_text())


@pytest.fixture(scope="module")
def golden_bands():
    band_1 = integers("public-1:nodeband:1", 50, 3000)
    band_1[:40] = band_1[250, 250:256] = -9999
    band_3 = (0.02 + 0.3 * generator("public-1:nodeband:3").random((SIZE, SIZE))).astype(np.float32)
    zeros = integers("public-1:nodeband:2", -30, 90)
    return {"band1_int16": band_1, "band2_int16_with_zeros": zeros, "band3_float32": band_3}


@pytest.fixture(scope="module")
def golden_masks():
    half = generator("public-1:nodemask").random((SIZE, SIZE)) < 0.5
    return {"random_half": half, "all_ones": EVERYWHERE, "all_zeros": ~EVERYWHERE}


def slow_statistics(window, clear):
    """Pixel by pixel, no array of the module: distances from the corner (256, 256)."""
    water, everything, nonzero = [], [], 0
    for row, line in enumerate(window.tolist()):
        for col, value in enumerate(line):
            if value == -9999 or value != value:  # noqa: PLR0124  NaN
                continue
            everything.append(value)
            if (row + 0.5 - 256) ** 2 + (col + 0.5 - 256) ** 2 < 100 and clear[row, col]:
                water.append(value)
                nonzero += value != 0
    return [*slow_six(water, nonzero), *slow_six(everything, 0)[:5]]


def slow_six(values, count):
    if not values:
        return [np.nan] * 5 + [count]
    ranked, n = sorted(values), len(values)
    mean = sum(values) / n
    median = (ranked[(n - 1) // 2] + ranked[n // 2]) / 2
    return [ranked[0], mean, ranked[-1], (sum((v - mean) ** 2 for v in values) / n) ** 0.5, median, count]


@pytest.mark.parametrize("band", ["band1_int16", "band2_int16_with_zeros", "band3_float32"])
def test_golden_statistics(statistics, golden_bands, golden_masks, band):
    window = golden_bands[band]
    assert sha256(window) == statistics["band_sha256"][band]
    assert sha256(golden_masks["random_half"].astype(np.uint8)) == statistics["mask_sha256_as_uint8"]
    assert list(STATISTICS) == statistics["order"]
    for mask, wanted in statistics["bands"][band].items():
        found = node_statistics(window, golden_masks[mask])
        assert list(found) == list(wanted)
        numbers = [np.nan if number is None else number for number in wanted.values()]
        assert list(found.values()) == pytest.approx(numbers, rel=1e-5 if "float" in band else 1e-6, nan_ok=True)


def test_golden_pixels_are_those_stored(shared, golden_bands, golden_masks):
    with np.load(shared / "reference" / "golden" / "node_statistics.npz") as stored:
        for name, window in {**golden_bands, "mask": golden_masks["random_half"]}.items():
            assert np.array_equal(stored[f"{name}__rows236_275_cols236_275"], window[236:276, 236:276])


@pytest.mark.parametrize("seed", [1, 2])
def test_statistics_against_a_slow_loop(seed):
    rng = np.random.default_rng(seed)
    window = rng.integers(-50, 50, (SIZE, SIZE)).astype(np.float32 if seed == 2 else np.int16)
    window[rng.random(window.shape) < 0.3] = -9999
    if seed == 2:
        window[rng.random(window.shape) < 0.2] = np.nan
    clear = rng.random(window.shape) < 0.6
    assert list(node_statistics(window, clear).values()) == pytest.approx(slow_statistics(window, clear), rel=1e-9)


def test_the_circle_has_316_pixels_about_the_corner_of_the_node_pixel():
    assert CIRCLE.sum() == 316
    assert np.array_equal(CIRCLE, CIRCLE[::-1, ::-1])
    window = np.zeros((SIZE, SIZE), np.int16)
    window[246:266, 246:266][CIRCLE] = 1
    rows, cols = np.nonzero(window)
    # Centre of mass in pixel corners: the upper left corner of pixel (256, 256)
    assert (rows.mean() + 0.5, cols.mean() + 0.5) == (256, 256)
    assert node_statistics(window, EVERYWHERE)["min"] == 1
    assert node_statistics(1 - window, EVERYWHERE)["max"] == 0


@pytest.fixture(scope="module", params=list(Product))
def node(request, statistics):
    """One golden node: product, windows by file code, the final mask, and the golden numbers."""
    product = request.param
    wanted = statistics["node_path"][product[0]]
    raw = {}
    for code in wanted["bands"]:
        raw[code] = integers(f"public-1:node:{product[0]}:{code}", 100, 3000)
        raw[code][:20] = -9999
        assert sha256(raw[code]) == wanted["band_sha256"][code]
    return product, raw, final_mask(raw, product), wanted


def final_mask(raw, product):
    """The stub networks of the golden node, on bands prepared as production does."""
    codes = ("B05", "B06", "B07") if product is Product.L30 else ("B8A", "B11", "B12")
    x = np.stack([raw[code] for code in ("B02", "B03", "B04", *codes)]).astype(np.float32)
    x = np.where(x == -9999, x[x != -9999].min(), x)
    x -= x.min()
    x /= max(x.max(), 1)
    obstructed = (0.3 * x[0] > 0.2) | (0.5 * x[1] > 0.3) | (0.4 * x[4] > 0.2)
    return (x[3] > 0.2) & (1 - x[5] > 0.3) & ~obstructed


def by_meaning(raw, product):
    return {band_of(code, product): layer for code, layer in raw.items() if code in CODES[product].values()}


def renamed(features):
    """Production's renaming of S30 columns: substrings, one after the other."""
    steps = ("B05 NA1", "B8A B05", "B06 NA2", "B11 B06", "B07 NA3", "B12 B07", "B09 NA4", "B10 B09")
    for old, new in (step.split() for step in steps):
        features = {name.replace(old, new): number for name, number in features.items()}
    return features


def test_golden_node(node):
    product, raw, clear, wanted = node
    assert clear.sum() == wanted["final_mask_sum"]
    assert sha256(clear.astype(np.uint8)) == wanted["final_mask_sha256_uint8"]
    for code, layer in raw.items():
        for name, number in node_statistics(layer, clear).items():
            assert number == pytest.approx(wanted["features"][f"{code}_{name}"], rel=1e-6)
    columns = renamed(wanted["features"]) if product is Product.S30 else wanted["features"]
    columns["LorS"] = float(product is Product.S30)
    found = pair_inputs(by_meaning(raw, product), clear, product)
    assert found.tolist() == pytest.approx([columns[name] for name in INPUTS], rel=1e-6)


def test_names_of_the_66_inputs():
    # Notes, section 1.3, written out another way
    assert len(set(INPUTS)) == 66
    codes = list(dict.fromkeys(name.split("_")[0] for name in INPUTS))
    assert codes == ["B01", "B02", "B03", "B04", "B09", "B06", "B07", "B05", "LorS"]
    eight = ["min", "mean", "max", "std", "median", "wmean", "wstd", "wmedian"]
    assert list(INPUTS[:10]) == [*(f"B01_{name}" for name in eight), "B01_count", "B02_min"]
    assert list(INPUTS[57:]) == [*(f"B05_{name}" for name in eight), "LorS"]


def test_each_band_lands_under_its_common_name():
    for product in Product:
        windows = {band: np.full((SIZE, SIZE), 100 + i, np.int16) for i, band in enumerate(CODES[product])}
        found = dict(zip(INPUTS, pair_inputs(windows, EVERYWHERE, product), strict=True))
        for band in BANDS:
            assert found[f"{band.code(Product.L30)}_median"] == windows[band][0, 0]
        assert found["B01_count"] == 316
        assert found["LorS"] == (product is Product.S30)


def test_a_window_at_the_edge_of_the_tile_is_padded():
    tile = np.arange(600 * 700, dtype=np.int32).reshape(600, 700)
    places = [(0, 0), (3, 695), (599, 1), (300, 350), (-200, 20), (855, 955), (856, 0), (-257, 3), (9000, -9000)]
    for row, col in places:
        rows, cols = np.meshgrid(np.arange(SIZE) + row - 256, np.arange(SIZE) + col - 256, indexing="ij")
        inside = (rows >= 0) & (rows < 600) & (cols >= 0) & (cols < 700)
        window = node_window(tile, row, col)
        assert window.dtype == tile.dtype
        assert np.array_equal(window, np.where(inside, rows * 700 + cols, -9999))
    assert not node_window(np.ones((600, 700), bool), -257, 0, fill=False).any()


def test_padding_is_no_data():
    rng = np.random.default_rng(5)
    tile = rng.integers(1, 3000, (600, 700)).astype(np.int16)
    window, clear = node_window(tile, 4, 695), node_window(np.ones(tile.shape, bool), 4, 695, fill=False)
    found = node_statistics(window, clear)
    assert list(found.values()) == pytest.approx(slow_statistics(window, clear), rel=1e-9)
    # Rows 0 to 259, columns 439 to 699 are left of the window
    assert found["wmean"] == pytest.approx(tile[:260, 439:].mean(), rel=1e-9)
    assert 0 < found["count"] < 316


def test_nothing_seen_is_nan_and_the_networks_are_not_asked():
    unseen = {band: np.full((SIZE, SIZE), -9999, np.int16) for band in BANDS}
    blank = {band: np.full((SIZE, SIZE), np.nan, np.float32) for band in BANDS}
    for windows in (unseen, blank):
        inputs = pair_inputs(windows, EVERYWHERE, Product.L30)
        assert inputs[INPUTS.index("B01_count")] == 0
        assert inputs[-1] == 0
        assert np.isnan(np.delete(inputs, [INPUTS.index("B01_count"), 65])).all()
    seen = pair_inputs({band: np.full((SIZE, SIZE), 5, np.int16) for band in BANDS}, EVERYWHERE, Product.S30)
    nodes = pd.DataFrame([inputs, seen], columns=INPUTS, index=[62270000143, 62270000153])
    zeros, high = np.zeros(66), np.full(66, 400.0)
    rule = PairRule(
        maxval_cut=0.8,
        maximum_out=3.0,
        max_m2=6.0,
        min_input_m1=zeros,
        max_input_m1=high,
        min_input_m2=zeros,
        max_input_m2=high,
    )
    for mode in MODES:
        found = combine(rule, lambda z: z.mean(axis=1), lambda z: z.mean(axis=1), nodes, mode=mode)
        assert found.index.tolist() == nodes.index.tolist()
        assert found["branch"].tolist() == ["missing", "low"]


def test_where_a_node_lies():
    tile = Affine(30, 0, 300_000, 0, -30, 3_300_000)
    assert node_pixel(300_000 + 45 * 30 + 29, 3_300_000 - 7 * 30 - 1, tile) == (7, 45)
    # Truncated, not floored: 20 m outside is still pixel 0
    assert node_pixel(300_000 - 20, 3_300_000 + 20, tile) == (0, 0)
    assert node_pixel(300_000 - 40, 3_300_000 + 310, tile) == (-10, -1)


def test_wrong_windows_are_told():
    windows = {band: np.zeros((SIZE, SIZE), np.int16) for band in BANDS if band is not Band.NIR}
    with pytest.raises(BandError, match=r"S30: no window of nir \(B8A\)"):
        pair_inputs(windows, EVERYWHERE, Product.S30)
    with pytest.raises(InputError, match=r"window of a band: found shape \(3660, 3660\), wanted \(512, 512\)"):
        node_statistics(np.zeros((3660, 3660), np.int16), EVERYWHERE)
    with pytest.raises(InputError, match="clear water: found shape"):
        node_statistics(np.zeros((SIZE, SIZE), np.int16), EVERYWHERE[1:])
