"""The network pair trained by us: its loss, its rule on trained networks, and the defects of the published mode."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from ssc.bands import Band, Product
from ssc.errors import InputError
from ssc.quality import Quality
from ssc.regression.pair import published_loss
from ssc.regression.pair_fit import NetworkPair, loss_weight
from ssc.regression.pair_inputs import INPUTS
from ssc.regression.physical import SPM

COLUMNS = ("green_med", "red_med", "nir_med")


def bands(ssc):
    """Reflectance of sediment after Nechad; green goes blind first, as it does."""
    (a_red, c_red), (a_nir, c_nir) = SPM[Band.RED][Product.L30], SPM[Band.NIR][Product.L30]
    values = [0.8 * ssc / (0.6 * a_red + ssc / c_red), ssc / (a_red + ssc / c_red), ssc / (a_nir + ssc / c_nir)]
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))


def rivers(n=600, sites=30, seed=0):
    """Rivers whose sediment scatters light by a factor of their own."""
    rng = np.random.default_rng(seed)
    ssc = np.exp(rng.uniform(np.log(0.4), np.log(400), n))
    colour = np.repeat(rng.normal(0, 0.3, sites), n // sites)
    return bands(ssc * np.exp(colour)), ssc


@pytest.fixture(scope="module")
def trained():
    return NetworkPair(inputs=COLUMNS).fit(*rivers())


def as_mode(pair, mode):
    """The same networks under the other rule."""
    other = clone(pair).set_params(mode=mode)
    other.__dict__ |= {name: value for name, value in vars(pair).items() if name.endswith("_")}
    return other


def ramp(start=0.1, stop=3000.0, step=0.002):
    ssc = np.exp(np.arange(np.log(start), np.log(stop), np.log1p(step)))
    return ssc, bands(ssc)


# The loss


@given(st.lists(st.tuples(st.floats(-2, 3), st.floats(0, 1)), min_size=1, max_size=20))
def test_published_loss_is_a_weighted_squared_loss(pairs):
    estimate, target = np.transpose(pairs)
    weighted = np.mean(loss_weight(target) * (estimate - target) ** 2)
    assert weighted == pytest.approx(published_loss(estimate, target), rel=1e-12, abs=1e-300)


def scaled(pair, x, suffix):
    low, high = pair.limits_[f"min_input_{suffix}"], pair.limits_[f"max_input_{suffix}"]
    return (x.to_numpy().astype(np.float32).astype(float) - low) / (high - low)


def test_what_was_minimised_is_the_published_loss():
    x, ssc = rivers()
    pair = NetworkPair(inputs=COLUMNS, alpha=0.0, hidden_m1=(4,), hidden_m2=(4,), max_iter=2000).fit(x, ssc)
    for network, suffix, (low, high) in (
        (pair.network_1_, "m1", (np.exp(-1), np.exp(3))),
        (pair.network_2_, "m2", (np.exp(2.4), np.exp(6))),
    ):
        rows = (ssc >= low) & (ssc <= high)
        inputs = scaled(pair, x[rows], suffix)
        target = (np.log(ssc[rows]) - np.log(low)) / (np.log(high) - np.log(low))
        loss = published_loss(network.predict(inputs), target)
        # scikit-learn halves the loss and divides by the mean weight
        assert network.loss_ * 2 * np.mean(1 / (target + 0.01)) == pytest.approx(loss, rel=1e-9)
        # A minimum of the published loss itself: a step either way, for each weight in turn, gains next to nothing
        for coefficients in (*network.coefs_, *network.intercepts_):
            for at in np.ndindex(coefficients.shape):
                for step in (1e-3, -1e-3):
                    coefficients[at] += step
                    assert published_loss(network.predict(inputs), target) > loss * (1 - 1e-3)
                    coefficients[at] -= step


def test_the_loss_favours_the_lowest_concentrations():
    x, ssc = rivers()
    target = (np.log(ssc) + 1) / 4
    rows = target <= 1
    published = NetworkPair(inputs=COLUMNS, alpha=0.0).fit(x, ssc)
    # Sample weights that undo it: plain least squares
    plain = clone(published).fit(x, ssc, sample_weight=1 / loss_weight(np.clip(target, 0, 1)))
    losses = [published_loss(p.network_1_.predict(scaled(p, x[rows], "m1")), target[rows]) for p in (published, plain)]
    assert losses[0] < losses[1]


# The rule on trained networks


def forward(network, x):
    """One row through the layers, without scikit-learn."""
    for layer, (weights, bias) in enumerate(zip(network.coefs_, network.intercepts_, strict=True)):
        x = x @ weights + bias
        if layer < len(network.coefs_) - 1:
            x = np.maximum(x, 0)
    return float(x[0])


def test_strict_is_the_published_rule_row_by_row(trained):
    _, x = ramp(step=0.05)
    found = trained.predict(x)
    cut, top, end = 0.8, 3.0, 6.0
    wanted = []
    for row in x.to_numpy():
        p1 = forward(trained.network_1_, scaled(trained, pd.DataFrame([row]), "m1")[0])
        y1 = p1 * (top + 1) - 1
        y2 = forward(trained.network_2_, scaled(trained, pd.DataFrame([row]), "m2")[0]) * (end - cut * top) + cut * top
        above = 0.5 * y1 + 0.5 * y2 if y2 < top else y2
        wanted.append(np.nan if p1 < 0 else np.exp(y1 if p1 <= cut else above))
    np.testing.assert_allclose(found, wanted, rtol=2e-4)
    assert np.isnan(wanted).any()
    assert trained.explain(x)["branch"].nunique() == 4


def test_it_has_learned_something(trained):
    x, ssc = rivers(seed=1)
    repaired = as_mode(trained, "repaired").predict(x)
    # Rivers differ by exp(0.3 x 0.674) - 1 = 22 % in the median, whatever the learner
    assert np.expm1(np.median(np.abs(np.log(repaired / ssc)))) < 0.35


# Defects of strict, absent from repaired


def test_strict_drops_rows_and_repaired_answers_all(trained):
    ssc, x = ramp()
    strict, repaired = trained.explain(x), as_mode(trained, "repaired").explain(x)
    dropped = strict["branch"] == "dropped"
    assert dropped[ssc < 0.3].any()
    assert strict["ssc"].isna().tolist() == dropped.tolist()
    assert trained.count_dropped(x) == {"dropped": dropped.sum(), "missing": 0, "undefined": 0}
    assert repaired["ssc"].notna().all()
    assert repaired.index.tolist() == strict.index.tolist() == x.index.tolist()
    assert (repaired["ssc_qual"][dropped] != 0).all()


def test_strict_jumps_at_the_gate_and_repaired_does_not(trained):
    ssc, x = ramp(step=0.001)
    strict, repaired = trained.explain(x), as_mode(trained, "repaired").explain(x)
    steps = np.abs(np.diff(np.log(strict["ssc"])))
    gate = np.flatnonzero((strict["branch"].to_numpy()[:-1] == "low") & (strict["branch"].to_numpy()[1:] != "low"))
    # Network 2 begins at 11.02 mg/L, the gate is at 9.03: half of the way at once, and 0.1 % asked for
    assert ssc[gate].tolist() == pytest.approx([9.03], rel=0.2)
    assert steps[gate[0]] > 0.05
    assert np.nanmax(steps) == steps[gate[0]]
    assert np.abs(np.diff(np.log(repaired["ssc"]))).max() < 0.01


def test_strict_leaves_the_training_range_and_repaired_stays_inside(trained):
    ssc, x = ramp()
    strict, repaired = trained.explain(x), as_mode(trained, "repaired").explain(x)
    assert strict["ssc"].max() > 1.5 * 403.43
    assert repaired["ssc"].between(np.exp(-1) * 0.9999, 403.43 * 1.0001).all()
    far = ssc > 1500
    assert (repaired["ssc_qual"][far] & int(Quality.OOD_FEATURES) > 0).all()
    # Ten times as bright, as under glint: nothing holds the strict networks
    wild = [np.log(pair.predict(10 * x[far])) for pair in (trained, as_mode(trained, "repaired"))]
    assert not np.all(np.abs(wild[0]) < 7)
    assert np.all(np.abs(wild[1]) < 6.001)


# Inputs, counts, conventions


def test_the_66_inputs_are_taken_where_the_table_has_them():
    few, ssc = rivers(n=120)
    rng = np.random.default_rng(3)
    blank = pd.DataFrame(rng.integers(1, 3000, (120, 66)).astype(float), columns=INPUTS)
    table = blank.assign(B04_median=few["red_med"] * 1e4, B05_median=few["nir_med"] * 1e4, LorS=0.0, site="a")
    pair = NetworkPair(max_iter=30, hidden_m1=(8,), hidden_m2=(8,), mode="repaired").fit(table, ssc)
    assert tuple(pair.names_) == INPUTS
    shuffled = table[rng.permutation(table.columns)]
    np.testing.assert_array_equal(pair.predict(shuffled), pair.predict(table))
    assert np.isfinite(pair.predict(table)).all()
    with pytest.raises(InputError, match=r"no column B01_min .* wanted 66 inputs; or say which columns"):
        NetworkPair().fit(few, ssc)
    with pytest.raises(InputError, match=r"network pair: no column blue_med, wanted 2 inputs$"):
        NetworkPair(inputs=("red_med", "blue_med")).fit(few, ssc)


def test_every_training_row_is_accounted_for():
    x, ssc = rivers()
    ssc[:7], ssc[7:10] = 0.2, 900.0
    x.iloc[10:14, 1] = np.nan
    pair = NetworkPair(inputs=COLUMNS, max_iter=50).fit(x, ssc)
    inside = (ssc >= np.exp(-1)) & (ssc <= np.exp(6)) & x["red_med"].notna()
    assert {name: pair.dropped_[name] for name in ("missing", "below", "above")} == {
        "missing": 4,
        "below": 7,
        "above": 3,
    }
    assert pair.dropped_["rule"] == np.isnan(pair.predict(x[inside])).sum()
    assert pair.rows_ == {
        "network_1": (inside & (ssc <= np.exp(3))).sum(),
        "network_2": (inside & (ssc >= np.exp(2.4))).sum(),
    }
    unseen = pair.explain(x.iloc[10:14])
    assert unseen["branch"].tolist() == ["missing"] * 4
    assert np.isnan(pair.predict(x)[10:14]).all()


def test_the_upper_end_may_be_that_of_the_data():
    x, ssc = rivers(n=300)
    pair = NetworkPair(inputs=COLUMNS, max_m2=None, max_iter=20).fit(x, 3 * ssc)
    assert np.exp(pair.rule_.max_m2) == pytest.approx(3 * ssc.max(), rel=1e-9)
    assert pair.dropped_["above"] == 0


def test_a_weight_of_nothing_is_a_row_left_out_and_a_seed_is_a_result():
    x, ssc = rivers(n=300)
    weight = np.ones(300)
    weight[::3] = 0
    pair = NetworkPair(inputs=COLUMNS, max_iter=40, hidden_m1=(8,), hidden_m2=(8,))
    ignored = clone(pair).fit(x, ssc, sample_weight=weight, groups=np.arange(300))
    left_out = clone(pair).fit(x[weight > 0], ssc[weight > 0])
    np.testing.assert_allclose(ignored.predict(x), left_out.predict(x), rtol=1e-6)
    np.testing.assert_array_equal(clone(pair).fit(x, ssc).predict(x), clone(pair).fit(x, ssc).predict(x))
    other = clone(pair).set_params(random_state=1).fit(x, ssc)
    assert not np.allclose(other.predict(x), ignored.predict(x), equal_nan=True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ssc": 0.0}, "not above 0 mg/L"),
        ({"ssc": np.nan}, "not finite"),
        ({"weight": -1.0}, "a weight that is not finite or below 0"),
    ],
)
def test_values_that_cannot_be_are_refused(changes, told):
    x, ssc = rivers(n=60)
    weight = np.ones(60)
    {"ssc": ssc, "weight": weight}[next(iter(changes))][5] = next(iter(changes.values()))
    with pytest.raises(InputError, match=told):
        NetworkPair(inputs=COLUMNS).fit(x, ssc, sample_weight=weight)


def test_too_few_rows_or_another_shape_are_told():
    x, ssc = rivers(n=60)
    with pytest.raises(InputError, match=r"network 1 of the pair: found 0 rows .* between 0\.368 and 20\.1 mg/L"):
        NetworkPair(inputs=COLUMNS).fit(x, ssc + 30)
    with pytest.raises(InputError, match=r"60 rows, SSC \(59,\)"):
        NetworkPair(inputs=COLUMNS).fit(x, ssc[:-1])
    with pytest.raises(NotFittedError):
        NetworkPair(inputs=COLUMNS).predict(x)
    with pytest.raises(InputError, match="mode of the network pair: found 'mended'"):
        NetworkPair(inputs=COLUMNS, mode="mended").fit(x, ssc)
