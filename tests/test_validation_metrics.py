"""Error figures against hand-computed numbers, and the groups and intervals they are told for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ssc.errors import InputError
from ssc.validation.bootstrap import difference, draws, interval
from ssc.validation.groups import classes, row_groups, third_groups, thirds
from ssc.validation.metrics import METRICS, Pairs, mae, quantile, rmse, score, score_by
from ssc.validation.tables import markdown, ranged


def pairs(observed, predicted, **more):
    return Pairs(observed=np.array(observed, float), predicted=np.array(predicted, float), **more)


def test_rmse_is_not_the_mae():
    # The published metrics script takes sqrt((sum |e|)^2) / n for the RMSE, which is the MAE.
    errors = [1, 0, 2, -40]
    assert mae(errors) == 10.75
    assert rmse(errors) == pytest.approx(20.03, abs=0.005)
    scored = score(pairs([50, 50, 50, 50], [51, 50, 52, 10]))
    assert (scored["mae"], scored["medae"]) == (10.75, 1.5)
    assert scored["rmse"] == pytest.approx(np.sqrt((1 + 4 + 1600) / 4))


def test_ratios_count_alike_up_and_down():
    scored = score(pairs([10, 10, 10], [20, 5, 40]))
    assert scored["mdsa"] == pytest.approx(100)
    assert scored["sspb"] == pytest.approx(100)
    assert scored["rmsle"] == pytest.approx(np.log(2) * np.sqrt((1 + 1 + 4) / 3))
    turned = score(pairs([20, 5, 40], [10, 10, 10]))
    assert turned["sspb"] == pytest.approx(-100)
    assert turned["mdsa"] == pytest.approx(100)


def test_quantiles_of_the_absolute_error():
    scored = score(pairs([100.0] * 101, 100.0 + np.arange(101)))
    assert (scored["medae"], scored["e90"], scored["e95"]) == (50, 90, 95)


def test_fit_and_correlation_against_numpy():
    rng = np.random.default_rng(0)
    observed = np.exp(rng.normal(3, 1, 200))
    predicted = observed**0.8 * np.exp(rng.normal(0, 0.4, 200))
    found, x, y = score(pairs(observed, predicted)), np.log10(observed), np.log10(predicted)
    assert found["r_log10"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found["slope_log10"] == pytest.approx(np.polyfit(x, y, 1)[0])
    assert found["r2_log10"] == pytest.approx(1 - ((x - y) ** 2).sum() / ((x - x.mean()) ** 2).sum())
    assert found["r2"] == pytest.approx(1 - ((observed - predicted) ** 2).mean() / observed.var())
    assert found["spearman"] == pytest.approx(pd.Series(observed).corr(pd.Series(predicted), method="spearman"))
    assert found["sum_ratio"] == pytest.approx(predicted.sum() / observed.sum())
    assert np.isnan(found["mean_sum_ratio"])
    meant = score(pairs(observed, predicted, mean=1.2 * predicted))
    assert meant["mean_sum_ratio"] == pytest.approx(1.2 * found["sum_ratio"])


def test_constant_estimates_have_no_correlation():
    scored = score(pairs([1, 10, 100], [7, 7, 7]))
    assert np.isnan(scored["r_log10"])
    assert np.isnan(scored["spearman"])
    assert scored["mdsa"] > 0


def test_intervals():
    bounded = pairs(
        [10, 10, 10, 10], [10, 10, 10, 10], low=np.array([5, 20, 5, np.nan]), high=np.array([20, 40, 20, np.nan])
    )
    scored = score(bounded)
    assert scored["coverage"] == pytest.approx(200 / 3)
    assert scored["width"] == pytest.approx((4 * 2 * 4) ** (1 / 3))
    # The second lies ln 2 below an interval ln 2 wide: ln 2 + 2 / 0.1 x ln 2
    assert scored["winkler"] == pytest.approx((2 * np.log(4) + 21 * np.log(2)) / 3)
    assert np.isnan(score(pairs([1.0], [1.0]))["coverage"])


def test_sites_count_alike_in_site_figures():
    site = np.array(["a"] * 8 + ["b"] * 2)
    observed = np.full(10, 10.0)
    predicted = np.array([10.0] * 8 + [40.0, 40.0])
    scored = score(pairs(observed, predicted, site=site, low=predicted / 2, high=predicted * 2))
    assert scored["mdsa"] == 0
    assert scored["mdsa_sites"] == pytest.approx((0 + 300) / 2)
    assert (scored["coverage"], scored["coverage_sites"], scored["sites_poor"]) == (80, 50, 50)
    assert (scored["n"], scored["n_sites"]) == (10, 2)


def test_weights():
    values, rng = np.random.default_rng(1).normal(size=31), np.random.default_rng(2)
    for share in (0, 0.05, 0.5, 0.9, 1):
        assert quantile(values, share, np.full(31, 0.3)) == pytest.approx(np.quantile(values, share))
    weight = rng.uniform(0, 1, 31)
    weight[3] = 0
    without = quantile(np.delete(values, 3), 0.5, np.delete(weight, 3))
    assert quantile(values, 0.5, weight) == without
    doubled = score(pairs([10, 10, 20], [20, 20, 20], weight=np.array([0.5, 0.5, 1])))
    assert doubled["mae"] == 5
    assert doubled["sum_ratio"] == pytest.approx(20 / 15)


def test_what_cannot_be_a_pair_is_refused():
    with pytest.raises(InputError, match="predicted not finite or not above 0"):
        pairs([1.0, 2.0], [1.0, np.inf])
    with pytest.raises(InputError, match="observed not finite or not above 0"):
        pairs([0.0], [1.0])
    with pytest.raises(InputError, match="unequal length"):
        pairs([1.0], [1.0, 2.0])


def test_scores_of_no_rows_are_nan_and_groups_may_overlap():
    some = pairs([1.0, 10.0], [2.0, 10.0])
    found = score_by(some, {"all": np.array([True, True]), "one": np.array([True, False]), "none": np.zeros(2, bool)})
    assert [found[name]["n"] for name in found] == [2, 1, 0]
    assert found["one"]["mdsa"] == pytest.approx(100)
    assert all(np.isnan(found["none"][name]) for name in METRICS)


def test_classes_and_thirds():
    assert classes([0.1, 9.99, 10, 29, 30, 99, 100, 299.9, 300, 9000]).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    ssc = np.exp(np.random.default_rng(3).normal(3, 1, 90))
    assert np.bincount(thirds(ssc)).tolist() == [30, 30, 30]
    groups = third_groups(np.append(ssc, 1e6), np.append(np.ones(90, bool), False))
    assert [members.sum() for members in groups.values()] == [30, 30, 30]
    assert not any(members[-1] for members in groups.values())


def test_groups_of_rows():
    rows = pd.DataFrame({"observed": [5.0, 50, 500, 40], "censored": False, "dt_h": [0, -48, 49, np.nan]})
    groups = row_groups(rows, np.ones(4, bool))
    assert groups["lag <= 48 h"].tolist() == [True, True, False, False]
    assert groups["SSC >300 mg/L"].tolist() == [False, False, True, False]
    assert "answered by all" not in groups
    assert row_groups(rows, np.array([True, False, True, True]))["answered by all"].sum() == 3
    with_product = row_groups(rows.assign(product=["L30", "S30", "S30", "S30"]), np.ones(4, bool))
    assert with_product["S30"].sum() == 3


def test_draws_take_whole_sites():
    sites = np.array(["a", "b", "b", "c", "c", "c"])
    for rows, number in draws(sites, n=50, seed=1):
        drawn = [tuple(rows[number == n]) for n in range(3)]
        assert set(drawn) <= {(0,), (1, 2), (3, 4, 5)}
    again = [rows.tolist() for rows, _ in draws(sites, n=5, seed=1)]
    assert again == [rows.tolist() for rows, _ in draws(sites, n=5, seed=1)]


def clustered(seed, sites=12, rows=30):
    """Errors that are the site's own: rows of a site agree."""
    rng = np.random.default_rng(seed)
    offset = np.repeat(rng.normal(0, 0.7, sites), rows)
    observed = np.exp(rng.normal(4, 0.5, sites * rows))
    names = np.repeat(np.arange(sites).astype(str), rows)
    return pairs(observed, observed * np.exp(offset + rng.normal(0, 0.1, sites * rows)), site=names)


def test_the_interval_by_site_is_wide_where_rows_repeat_each_other():
    some = clustered(0)
    by_site = interval(some, METRICS["sspb"].of, n=300, seed=0)
    rows_alone = Pairs(observed=some.observed, predicted=some.predicted)
    by_row = interval(rows_alone, METRICS["sspb"].of, n=300, seed=0)
    assert by_site.low <= by_site.value <= by_site.high
    assert by_site.high - by_site.low > 2 * (by_row.high - by_row.low)
    # Mean ln ratio of 12 independent sites: the standard error of a mean, about 1.96 either way
    mean = interval(some, lambda p: float(np.log(p.predicted / p.observed).mean()), n=1000, seed=0)
    of_site = np.log(some.predicted / some.observed).reshape(12, 30).mean(axis=1)
    expected = 2 * 1.96 * of_site.std() / np.sqrt(12)
    assert mean.high - mean.low == pytest.approx(expected, rel=0.1)


def test_paired_differences_see_what_two_intervals_hide():
    some = clustered(1)
    worse = Pairs(observed=some.observed, predicted=some.predicted * 1.05, site=some.site)
    bias = METRICS["sspb"].of
    apart = difference(worse, some, bias, n=300, seed=0)
    alone, other = interval(worse, bias, n=300, seed=0), interval(some, bias, n=300, seed=0)
    assert other.low < alone.low < other.high  # overlapping
    assert apart.excludes_zero()
    assert apart.value == pytest.approx(bias(worse) - bias(some))
    assert difference(some, some, bias, n=50, seed=0).low == 0
    with pytest.raises(AssertionError, match="different rows"):
        difference(some.take(np.arange(10)), some.take(np.arange(10, 20)), bias)


def test_two_sites_give_no_interval():
    few = clustered(2, sites=2)
    assert np.isnan(interval(few, METRICS["mdsa"].of, n=50, seed=0).low)


def test_tables_are_markdown():
    assert markdown(["a", "b"], [["x|y", 1]]).splitlines()[-1] == "| x\\|y | 1 |"
    assert ranged(1.25, 1.0, 1.5, 2) == "1.25 (1.00 to 1.50)"
