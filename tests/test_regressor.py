"""SSCRegressor: what it refuses, what it answers, and what its answers are worth on rivers it has not seen."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GroupKFold
from sklearn.utils.estimator_checks import estimator_checks_generator

from manyrivers import colours, many_rivers
from ssc.errors import InputError
from ssc.quality import Quality
from ssc.regression import SSCRegressor
from ssc.regression.columns import BESIDE, COLOUR, available, make_features, schema, schema_hash
from ssc.regression.ensemble import fit_ensemble
from ssc.regression.intervals import Residuals, per_site
from ssc.regression.learners import LEARNERS, ColourKernel
from ssc.regression.local import ASSUMED, Parts, learn_correction, learn_parts
from ssc.validation import read_pantanal


@pytest.fixture(scope="module")
def rivers():
    return many_rivers()


@pytest.fixture(scope="module")
def model(rivers):
    samples, ssc, site = rivers
    return SSCRegressor().fit(samples, ssc, groups=site)


@pytest.fixture
def own(rivers):
    """A model of its own, quick to fit, for tests that change it."""
    samples, ssc, site = rivers
    return SSCRegressor(learners=("kernel", "line")).fit(samples, ssc, groups=site)


def mdsa(estimate, observed):
    return 100 * np.expm1(np.median(np.abs(np.log(estimate / observed))))


# what it refuses


def test_without_groups_there_is_no_fit(rivers):
    samples, ssc, _ = rivers
    with pytest.raises(InputError, match="fit without groups"):
        SSCRegressor().fit(samples, ssc)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, y, g: (s, y, np.full(len(y), "one")), "of one site"),
        (lambda s, y, g: (s, y, g[:-1]), "one site per sample"),
        (lambda s, y, g: (s.drop(columns="nir_med"), y, g), "no nir_med"),
        (lambda s, y, g: (s.to_numpy(), y, g), "wanted a DataFrame"),
        (lambda s, y, g: (s, np.where(np.arange(len(y)) == 3, -1.0, y), g), "first in row 3"),
        (lambda s, y, g: (s, np.where(np.arange(len(y)) == 4, np.nan, y), g), "first in row 4"),
        (lambda s, y, g: (s, y[:-1], g), "one value per sample"),
        (lambda s, y, g: (s.assign(red_med=np.nan), y, g), "without reflectance"),
        (lambda s, y, g: (s.assign(red_med="wet"), y, g), "wanted numbers"),
        (lambda s, y, g: (s.assign(product="L5"), y, g), "unknown product"),
    ],
)
def test_what_is_no_training_table_is_refused_by_name(rivers, change, message):
    samples, ssc, site = change(*rivers)
    with pytest.raises(InputError, match=message):
        SSCRegressor(learners=("line",)).fit(samples, ssc, groups=site)


@pytest.mark.parametrize(
    ("wrong", "message"), [({"learners": ("oracle",)}, "no learner oracle"), ({"feature_set": "core-v2"}, "core-v2")]
)
def test_parameters_are_checked_when_fitted(rivers, wrong, message):
    samples, ssc, site = rivers
    with pytest.raises(InputError, match=message):
        SSCRegressor(**wrong).fit(samples, ssc, groups=site)


APPLY = {
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_estimators_unfitted",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
}
"""scikit-learn's checks that need no fit; all others fit a bare array without groups, which is refused on purpose."""


def test_scikit_learns_checks_hold_where_they_apply():
    checks = {
        check.func.__name__: (check, estimator) for estimator, check in estimator_checks_generator(SSCRegressor())
    }
    assert set(checks) >= APPLY
    for name in APPLY:
        check, estimator = checks[name]
        check(estimator)


def test_a_clone_is_unfitted_and_fits_to_the_same(rivers, own):
    samples, ssc, site = rivers
    again = clone(own)
    assert not hasattr(again, "ensemble_")
    np.testing.assert_array_equal(again.fit(samples, ssc, groups=site).predict(samples), own.predict(samples))


# features


def test_ratios_are_the_tables_own_where_it_has_them(rivers):
    samples = rivers[0]
    plain, told = (make_features(table, COLOUR) for table in (samples, samples.assign(red_green=0.5)))
    np.testing.assert_allclose(plain["red_green"], samples["red_med"] / samples["green_med"], rtol=1e-6)
    assert (told["red_green"] == 0.5).all()
    pd.testing.assert_frame_equal(plain.drop(columns="red_green"), told.drop(columns="red_green"))


def test_other_columns_are_used_when_present_and_wanted_afterwards(rivers):
    samples, ssc, site = rivers
    more = samples.assign(sun_zenith=30.0, red_mad=0.01, width_m=100.0)
    assert set(available(more)) - set(available(samples)) == {"sun_zenith", "red_mad"}
    fitted = SSCRegressor(learners=("forest",)).fit(more, ssc, groups=site)
    assert set(fitted.feature_names_in_) == {*COLOUR, "sun_zenith", "red_mad"}
    with pytest.raises(InputError, match="no red_mad sun_zenith"):
        fitted.predict(samples)


def test_the_schema_hash_tells_features_and_their_order_apart():
    hashes = {schema_hash(names) for names in (COLOUR, COLOUR[::-1], (*COLOUR, BESIDE[0]), (*COLOUR, BESIDE[1]))}
    assert len(hashes) == 4
    assert all(one["unit"] and one["definition"] for one in schema((*COLOUR, *BESIDE)))


# what it answers


@given(lost=st.sets(st.integers(0, 59)), order=st.permutations(range(60)))
@settings(max_examples=15, deadline=None)
def test_no_row_is_ever_dropped_or_moved(model, rivers, lost, order):
    samples = rivers[0].iloc[:60].copy()
    samples.loc[list(lost), "green_med"] = np.nan
    answer, shuffled = model.predict(samples), model.predict(samples.iloc[order])
    assert answer.shape == (60,)
    np.testing.assert_array_equal(np.isnan(answer), samples["green_med"].isna())
    np.testing.assert_array_equal(shuffled, answer[order])


def test_estimates_stay_in_the_training_range_and_say_so(model, rivers):
    low, _, high = model.range_
    assert rivers[1].min() == pytest.approx(max(low, 0.5))
    ramp = colours(np.geomspace(0.1, 1500, 60))
    answer, flags = model.predict(ramp), model.predict_flags(ramp)
    assert answer.min() >= low - 1e-9
    assert answer.max() <= high + 1e-9
    assert flags[0] & Quality.OOD_FEATURES
    assert flags[-1] & Quality.OOD_FEATURES
    assert flags[-1] & Quality.ABOVE_RANGE
    assert ((model.predict_flags(rivers[0]) & Quality.OOD_FEATURES) > 0).mean() < 0.05


def test_an_ood_flag_is_set_for_colours_that_never_occur_together(model, rivers):
    usual = rivers[0].median().to_frame().T
    odd = usual.assign(red_med=rivers[0]["red_med"].max(), nir_med=rivers[0]["nir_med"].min())
    assert not model.predict_flags(usual)[0] & Quality.OOD_FEATURES
    assert model.predict_flags(odd)[0] & Quality.OOD_FEATURES


def test_no_jump_along_a_turbidity_ramp(model):
    """1 % more sediment changes no estimate by more than 5 %, within the training range and far beyond it."""
    ssc = 0.2 * 1.01 ** np.arange(900)
    steps = np.abs(np.diff(np.log(model.predict(colours(ssc)))))
    assert steps.max() < np.log(1.05)


def test_beyond_the_training_data_estimates_rise_with_the_physical_baseline():
    """Nothing above 25 mg/L was seen, nor are there rows enough to learn from: the line on the baseline takes over."""
    samples, ssc, site = many_rivers(sites=8, rows=12, middle=8.0)
    fitted = SSCRegressor().fit(samples, ssc, groups=site)
    unbounded = fitted._unbounded(make_features(colours(np.geomspace(150, 1500, 50)), fitted.feature_names_in_))
    assert (np.diff(unbounded) > 0).all()


def test_few_rows_are_enough_to_fit():
    samples, ssc, site = many_rivers(sites=2, rows=3)
    fitted = SSCRegressor().fit(samples, ssc, groups=site)
    assert np.isfinite(fitted.predict_interval(samples)).all()
    assert fitted.parts_ == ASSUMED


# intervals and the mean


def test_intervals_hold_the_estimate_and_grow_with_certainty(model, rivers):
    samples = rivers[0]
    middle = model.predict(samples)
    narrow, wide = model.predict_interval(samples, 0.5), model.predict_interval(samples, 0.05)
    assert ((wide[:, 0] <= narrow[:, 0]) & (narrow[:, 0] <= middle)).all()
    assert ((middle <= narrow[:, 1]) & (narrow[:, 1] <= wide[:, 1])).all()
    with pytest.raises(InputError, match="alpha"):
        model.predict_interval(samples, 90)


def test_intervals_cover_rivers_never_seen():
    samples, ssc, site = many_rivers(sites=120, rows=10, seed=5)
    seen = np.isin(site, np.unique(site)[:60])
    fitted = SSCRegressor(learners=("kernel",)).fit(samples[seen], ssc[seen], groups=site[seen])
    low, high = fitted.predict_interval(samples[~seen]).T
    assert 0.86 <= ((low <= ssc[~seen]) & (ssc[~seen] <= high)).mean() <= 0.94


def test_the_mean_gives_back_the_mass_that_the_median_loses():
    samples, ssc, site = many_rivers(sites=80, rows=10, seed=2, site_sd=0.7, noise=0.5)
    fitted = SSCRegressor(learners=("kernel",)).fit(samples, ssc, groups=site)
    others, true, _ = many_rivers(sites=80, rows=10, seed=3, site_sd=0.7, noise=0.5)
    median, mean = fitted.predict(others).sum() / true.sum(), fitted.predict_mean(others).sum() / true.sum()
    assert median < 0.85
    assert abs(np.log(mean)) < abs(np.log(median)) / 2


def test_quantiles_are_those_of_a_slow_count():
    rng = np.random.default_rng(1)
    estimate, site = rng.normal(3, 1, 300), np.repeat(np.arange(10), 30)
    target = estimate + rng.normal(0, 0.4, 300)
    residuals = Residuals.of(estimate, target, per_site(site, np.ones(300)), 10)
    scores = (target - estimate) / np.interp(estimate, residuals.knots, residuals.sizes)
    low, high = residuals.interval(np.array([3.0]), 0.2)[0] - 3.0
    size = np.interp(3.0, residuals.knots, residuals.sizes)
    np.testing.assert_allclose([low / size, high / size], np.quantile(scores, [0.1, 0.9]), atol=0.03)


def test_each_site_counts_alike_however_many_rows_it_has():
    estimate = np.zeros(1010)
    target = np.concatenate([np.full(1000, 0.1), np.full(10, 1.0)])  # one busy quiet site, one wild with few rows
    site = np.concatenate([np.zeros(1000), np.ones(10)])
    residuals = Residuals.of(estimate, target, per_site(site, np.ones(1010)), 2)
    assert residuals.factors[0] == pytest.approx((np.exp(0.1) + np.exp(1.0)) / 2, rel=1e-6)


def test_few_sites_give_their_largest_residuals_as_ends():
    rng = np.random.default_rng(1)
    estimate, site = rng.normal(3, 1, 300), np.repeat(np.arange(6), 50)
    error = rng.normal(0, 0.4, 300)
    residuals = Residuals.of(estimate, estimate + error, per_site(site, np.ones(300)), 6)
    ends = residuals.interval(estimate, 0.1)
    inside = (ends[:, 0] <= estimate + error + 1e-9) & (estimate + error - 1e-9 <= ends[:, 1])
    assert inside.all()
    assert (np.diff(residuals.interval(estimate, 0.5)) < np.diff(ends)).all()


# nothing is learned from the rows it is judged on


def test_out_of_fold_estimates_of_a_site_know_nothing_of_its_samples(rivers):
    samples, ssc, site = rivers
    features, target, alike = make_features(samples, COLOUR), np.log(ssc), np.ones(len(site))
    changed = np.where(site == "river 7", target + 5, target)
    for name in LEARNERS:
        first, second = (
            fit_ensemble(features, values, site, names=(name,), weights=alike).out_of_fold[site == "river 7"]
            for values in (target, changed)
        )
        np.testing.assert_array_equal(first, second)


def test_a_kernel_is_trained_on_a_bounded_number_of_rows(rivers):
    samples, ssc, _ = rivers
    features = make_features(samples, COLOUR)
    few = ColourKernel(rows=100).fit(features, np.log(ssc))
    assert len(few.machine_[-1].support_) <= 100
    assert np.corrcoef(few.predict(features), np.log(ssc))[0, 1] > 0.7


# local samples


def test_three_local_samples_help_and_more_help_more():
    samples, ssc, site = many_rivers(sites=60, rows=12, seed=7)
    seen = np.isin(site, np.unique(site)[:30])
    fitted = SSCRegressor(learners=("kernel",)).fit(samples[seen], ssc[seen], groups=site[seen])
    errors = {0: [], 3: [], 8: []}
    for name in np.unique(site[~seen]):
        rows = np.flatnonzero(site == name)
        for count, found in errors.items():
            here = fitted.adapt(name, samples.iloc[rows[:count]], ssc[rows[:count]]) if count else fitted
            found.append(np.abs(np.log(here.predict(samples.iloc[rows[8:]]) / ssc[rows[8:]])))
    none, three, eight = (np.median(np.concatenate(found)) for found in errors.values())
    assert three < 0.8 * none
    assert eight < three


def test_adapting_a_site_changes_that_site_alone(own, rivers):
    samples, ssc, _ = rivers
    before = own.predict(samples)
    here = own.adapt("new", samples.iloc[:5], 3 * ssc[:5])
    np.testing.assert_array_equal(own.predict(samples), before)
    assert (here.predict(samples) > before).mean() > 0.95
    sites = np.where(np.arange(len(samples)) < 10, "new", "river 2")
    mixed = own.predict(samples, sites=sites)
    np.testing.assert_array_equal(mixed[10:], before[10:])
    np.testing.assert_array_equal(mixed[:10], own.at("new").predict(samples)[:10])
    width, usual = (np.diff(np.log(one.predict_interval(samples.iloc[:20])), axis=1) for one in (here, own))
    assert (width < usual).all()


def test_one_contradicting_sample_does_not_rule_a_site(own, rivers):
    samples = rivers[0]
    local, usual = samples.iloc[:9], own.predict(samples.iloc[:9])
    wrong = usual.copy()
    wrong[4] *= 100
    moved = np.log(own.adapt("one", local, wrong).predict(local) / usual)
    mean = np.log(100) / 9
    assert np.abs(np.delete(moved, 4)).max() < 0.6 * mean


def test_too_few_or_unknown_sites_are_refused(own, rivers):
    samples, ssc, _ = rivers
    with pytest.raises(InputError, match="2 samples with reflectance, wanted 3"):
        own.adapt("new", samples.iloc[:2], ssc[:2])
    with pytest.raises(InputError, match="not adapted to site elsewhere"):
        own.at("elsewhere")
    with pytest.raises(InputError, match="one per row"):
        own.predict(samples, sites=["new"])


def test_the_variances_between_and_within_sites_are_found_again():
    rng = np.random.default_rng(4)
    site = np.repeat(np.arange(80), 25)
    places = rng.standard_normal((site.size, 3))
    truth = Parts(constant=0.3, colour=0.0, noise=0.2, length=2.0)
    residuals = np.sqrt(0.3) * rng.standard_normal(80)[site] + np.sqrt(0.2) * rng.standard_normal(site.size)
    found = learn_parts(residuals, places, site)
    assert found.constant + found.colour == pytest.approx(truth.constant, rel=0.35)
    assert found.noise == pytest.approx(truth.noise, rel=0.1)


def test_without_noise_of_others_a_correction_is_the_shrunken_mean():
    """Constant part alone, equal residuals: the mean times n v / (n v + noise), the textbook's answer."""
    parts = Parts(constant=0.4, colour=0.0, noise=0.4, length=1.0)
    for count in (3, 10):
        residuals = np.full(count, 0.05)
        added, shrunk = learn_correction(parts, residuals, np.zeros((count, 2))).at(np.zeros((1, 2)))
        assert 0.05 * count / (count + 1) * 0.9 < added[0] < 0.05
        assert 0 < shrunk[0] < 1


# real rivers


def test_real_stations_never_seen(shared):
    """Pantanal, Landsat 5 and 7: 20 stations, each estimated by a model that has seen none of its samples."""
    table = read_pantanal(shared / "data/pantanal_landsat57_ssc/matchups.csv")
    ssc, site, weight = (table[name].to_numpy() for name in ("ssc_mg_l", "site", "weight"))
    answer, ends = np.empty(len(ssc)), np.empty((len(ssc), 2))
    for train, test in GroupKFold(5, shuffle=True, random_state=2026).split(table, ssc, site):
        fitted = SSCRegressor().fit(table.iloc[train], ssc[train], groups=site[train], sample_weight=weight[train])
        answer[test] = fitted.predict(table.iloc[test])
        ends[test] = fitted.predict_interval(table.iloc[test])
    inside = (ends[:, 0] <= ssc) & (ssc <= ends[:, 1])
    thirds = np.digitize(ssc, np.quantile(ssc, [1 / 3, 2 / 3]))
    assert mdsa(answer, ssc) <= 66
    assert np.median(np.abs(answer - ssc)) <= 19
    assert 0.86 <= inside.mean() <= 0.94
    assert min(inside[thirds == third].mean() for third in range(3)) >= 0.80
