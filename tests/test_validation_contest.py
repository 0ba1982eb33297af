"""Splits, the contest, baselines, few-shot curves and the report, on tables whose truth is known and on real ones."""

from __future__ import annotations

import json

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ssc.errors import DataError, InputError
from ssc.matchups.columns import conform
from ssc.quality import Quality
from ssc.validation import PUBLISHED, Contender, Options, evaluate, read_pantanal
from ssc.validation.baselines import calibrated, formula, given, nechad_red, physical, site_variances, training_median
from ssc.validation.contest import contest, fitted, prepared
from ssc.validation.learning import curve, noise_floor
from ssc.validation.metrics import Pairs
from ssc.validation.splits import Split, by_basin, by_date, by_site, locked, locked_sites

OFFSETS = (-1.0, 0.0, 1.0)
"""ln SSC that the sites of the synthetic rivers add, in turn."""


def rivers(sites=12, rows=14, seed=0, noise=0.05):
    """Match-ups whose ln SSC is 1 + 0.5 ln(Nechad red) plus the offset of the site plus a little noise."""
    rng = np.random.default_rng(seed)
    n = sites * rows
    number = np.repeat(np.arange(sites), rows)
    red = rng.uniform(0.01, 0.09, n)
    base = 342.10 * red / (1 - red / 0.19563)
    ln_ssc = 1 + 0.5 * np.log(base) + np.array(OFFSETS)[number % 3] + rng.normal(0, noise, n)
    table = pd.DataFrame(dict.fromkeys(("blue_med", "green_med", "nir_med", "swir1_med", "swir2_med"), 0.01), range(n))
    return table.assign(
        site=[f"river {k:02d}" for k in number],
        basin=[f"basin {k % 4}" for k in number],
        sample_id=[f"s{k}" for k in range(n)],
        sample_time=pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.tile(np.arange(rows), sites), unit="D"),
        ssc_mg_l=np.exp(ln_ssc),
        red_med=red,
        product="S30",
        dt_h=rng.uniform(-90, 90, n),
        weight=1.0,
    )


class Memory:
    """Answers only for rows it was trained on, by their red reflectance."""

    def fit(self, x, y):
        self.seen = dict(zip(x["red_med"], y, strict=True))
        return self

    def predict(self, x):
        return x["red_med"].map(self.seen).to_numpy(dtype=float)


class Moody:
    """Median of the training labels, but NaN, infinite or negative where red is high."""

    def fit(self, x, y):
        self.middle = np.median(y)
        return self

    def predict(self, x):
        red = x["red_med"].to_numpy()
        return np.select([red > 0.08, red > 0.07, red > 0.06], [np.nan, np.inf, -1.0], self.middle)


class Witness:
    """Keeps what it was given to learn from."""

    def fit(self, x, y, *, groups, sample_weight=None):
        self.x, self.y, self.groups, self.weight = x, y, groups, sample_weight
        return self

    def predict(self, x):
        return np.full(len(x), 7.0)


def groups_of(split, side):
    return [set(split.groups[pair[side]]) for pair in split]


@pytest.mark.parametrize("make", [by_site, by_basin, by_date, lambda t: locked(t, locked_sites(t))])
def test_no_group_is_on_both_sides(make):
    table = rivers()
    split = make(table)
    for train, test in split:
        assert not set(split.groups[train]) & set(split.groups[test])
        assert len(train) + len(test) == len(table)
    if split.name != "locked":
        assert split.tested().tolist() == list(range(len(table)))


def test_a_split_that_leaks_is_refused():
    groups = np.array(["a", "a", "b", "b"])
    leak = (np.array([0, 2]), np.array([1]))
    with pytest.raises(InputError, match="fold 0: found a in train and in test"):
        Split(name="mine", groups=groups, inner=groups, pairs=(leak,))
    twice = ((np.array([0, 1]), np.array([2, 3])),) * 2
    with pytest.raises(InputError, match="rows tested twice"):
        Split(name="mine", groups=groups, inner=groups, pairs=twice)
    with pytest.raises(InputError, match="found 0 train and 4 test rows"):
        Split(name="mine", groups=groups, inner=groups, pairs=((np.array([], int), np.arange(4)),))


def test_folds_follow_the_seed_and_hold_about_as_many_rows():
    table = rivers().iloc[:-10]
    sizes = [len(test) for _, test in by_site(table, folds=4)]
    assert max(sizes) - min(sizes) <= 14
    assert groups_of(by_site(table, seed=1), 1) == groups_of(by_site(table, seed=1), 1)
    assert groups_of(by_site(table, seed=1), 1) != groups_of(by_site(table, seed=2), 1)
    with pytest.raises(InputError, match="12 sites into 13 folds"):
        by_site(table, folds=13)


def test_a_site_in_two_basins_and_a_row_without_are_refused():
    table = rivers()
    table.loc[0, "basin"] = "basin 3"
    with pytest.raises(InputError, match="river 00 lies in 2 basins"):
        by_basin(table)
    with pytest.raises(InputError, match="wanted a basin on every row, found 1 rows without"):
        by_basin(table.assign(basin=[""] + ["b"] * (len(table) - 1)))


def test_days_held_out_take_their_granules_along():
    table = rivers(sites=2, rows=4).assign(granule_id=["g0", "g0", "g2", "g3"] * 2)
    split = by_date(table)
    assert len(split.pairs) == 4
    train, test = split.pairs[0]
    assert test.tolist() == [0, 4]
    assert train.tolist() == [2, 3, 6, 7]  # rows 1 and 5 show the granules of rows 0 and 4


def test_locked_sites_span_the_range():
    table = rivers(sites=20)
    level = dict(zip((f"river {k:02d}" for k in range(20)), np.linspace(0, 5, 20), strict=True))
    table["ssc_mg_l"] = np.exp(table["site"].map(level))
    for seed in range(5):
        chosen = sorted(int(site[-2:]) for site in locked_sites(table, seed=seed))
        assert [number // 7 for number in chosen] == [0, 1, 2]
    assert locked_sites(table, seed=0) == locked_sites(table.iloc[::-1], seed=0)


def test_nobody_is_fitted_on_rows_it_answers_for():
    table = prepared(rivers())
    found = contest(table, [Contender(name="memory", make=Memory)], by_site(table))
    assert not found.answered("memory").any()
    assert found.missing("memory") == len(table)
    whole = fitted(Contender(name="memory", make=Memory), table, np.arange(len(table)), table["site"].to_numpy())
    assert whole.predict(table) == pytest.approx(table["ssc_mg_l"])


def test_every_row_has_an_answer_or_is_counted():
    table = prepared(rivers())
    red = table["red_med"]
    found = contest(table, [Contender(name="moody", make=Moody), training_median()], by_site(table))
    assert len(found.answers["moody"]) == len(found.rows) == len(table)
    assert found.missing("moody") == (red > 0.06).sum() > 30
    assert found.missing("training-median") == 0
    assert len(found.pairs("moody").observed) == (red <= 0.06).sum()
    assert found.common().tolist() == (red <= 0.06).tolist()
    assert len(found.long()) == 2 * len(table)


def test_answers_stand_beside_their_own_rows():
    table = prepared(rivers().assign(told=lambda t: t["ssc_mg_l"] * 2))
    found = contest(table, [given("told")], by_site(table, seed=3))
    assert found.answers["told"]["ssc"].to_numpy() == pytest.approx(2 * found.rows["observed"].to_numpy())
    assert found.rows["row"].tolist() == list(range(len(table)))


def test_what_an_estimator_is_given():
    table = rivers().assign(other=1.0, longitude=10.0)
    table["weight"] = np.tile([1.0, 0.5], len(table) // 2)
    table["censored"] = table.index == 5
    table.loc[7, "weight"] = 0
    table.loc[9, "nir_med"] = np.nan
    table = prepared(table)
    model = fitted(
        Contender(name="w", make=Witness, columns=("other",)), table, np.arange(40), table["site"].to_numpy()
    )
    assert set(model.x) == {*(c for c in table if c.endswith("_med")), "product", "other"}
    assert not {5, 7, 9} & set(model.x.index)
    assert len(model.x) == 37
    assert model.weight.tolist() == table["weight"][model.x.index].tolist()
    assert model.groups.tolist() == table["site"][model.x.index].tolist()
    with pytest.raises(InputError, match="contender w: match-ups without missing"):
        Contender(name="w", make=Witness, columns=("missing",)).features(table)


def test_censored_rows_are_answered_but_not_scored():
    table = rivers()
    table["censored"] = table.index < 20
    table = prepared(table)
    found = contest(table, [training_median()], by_site(table))
    assert found.answered("training-median").all()
    assert len(found.pairs("training-median").observed) == len(table) - 20


def test_tables_and_contenders_that_cannot_be_are_refused():
    table = rivers()
    with pytest.raises(InputError, match="without site"):
        prepared(table.drop(columns="site"))
    with pytest.raises(InputError, match="1 rows with ssc_mg_l not above 0"):
        prepared(table.assign(ssc_mg_l=np.where(table.index == 3, 0.0, 5.0)))
    with pytest.raises(InputError, match="weights below 0"):
        prepared(table.assign(weight=-1.0))
    frame = prepared(table)
    with pytest.raises(InputError, match="none twice"):
        contest(frame, [training_median(), training_median()], by_site(frame))
    with pytest.raises(InputError, match="made for 168 rows, found 100"):
        contest(frame.iloc[:100], [training_median()], by_site(frame))

    class Short(Witness):
        def predict(self, x):
            return np.ones(3)

    with pytest.raises(InputError, match=r"contender short: predict: found shape \(3,\)"):
        contest(frame, [Contender(name="short", make=Short)], by_site(frame))


def test_formulas_answer_as_they_do_alone():
    from ssc.regression import load

    table = prepared(rivers())
    found = contest(table, [physical(), nechad_red()], by_site(table))
    alone = load("physical").predict(table)
    for column in ("ssc", "ssc_lo90", "ssc_hi90", "ssc_qual"):
        assert found.answers["physical"][column].to_numpy() == pytest.approx(alone[column].to_numpy())
    dim = contest(prepared(rivers().assign(red_med=-0.01)), [physical()], by_site(table)).answers["physical"]
    assert set(dim["ssc_qual"]) == {int(Quality.BELOW_RANGE)}
    with pytest.raises(InputError, match="no regressor 'magic'"):
        formula("magic")


def test_the_fitted_line_is_the_true_one():
    table = prepared(rivers(sites=30, seed=4))
    sites = table["site"].to_numpy()
    model = fitted(calibrated("nechad-red"), table, np.arange(len(table)), sites)
    assert (model.start_, model.slope_) == pytest.approx((1.0, 0.5), abs=0.25)
    heavy = table.assign(weight=np.where(table["site"].str[-2:].astype(int) % 3 == 1, 1.0, 1e-9))
    only = fitted(calibrated("nechad-red"), heavy, np.arange(len(heavy)), sites)
    assert (only.start_, only.slope_) == pytest.approx((1.0, 0.5), abs=0.03)


def test_site_variances_are_those_the_data_were_made_with():
    rng = np.random.default_rng(5)
    sites = np.repeat(np.arange(400), rng.integers(2, 12, 400))
    residual = rng.normal(0, 0.7, 400)[sites] + rng.normal(0, 0.3, len(sites))
    between, within = site_variances(residual, sites)
    assert between == pytest.approx(0.49, rel=0.15)
    assert within == pytest.approx(0.09, rel=0.1)
    assert site_variances(np.array([1.0, 2.0]), np.array(["a", "b"])) == (0.0, 1.0)


def test_adapting_moves_one_site_alone():
    table = prepared(rivers())
    here = np.flatnonzero(table["site"] == "river 02")
    elsewhere = np.flatnonzero(table["site"] != "river 02")
    contender = calibrated("nechad-red")
    model = fitted(contender, table, elsewhere, table["site"].to_numpy())
    x, y = contender.features(table).iloc[here], table["ssc_mg_l"].to_numpy()[here]
    before = model.predict(x)
    after = model.adapt("river 02", x.iloc[:5], y[:5]).predict(x, sites=["river 02"] * len(x))
    assert np.median(np.abs(np.log(after / y))) < 0.25 < np.median(np.abs(np.log(before / y)))
    assert model.predict(x, sites=["another"] * len(x)).tolist() == before.tolist()


def test_learning_curve_falls_where_sites_differ():
    sizes = {"river 00": 4, "river 01": 9}
    table = rivers()
    table = prepared(table[table.groupby("site").cumcount() < table["site"].map(sizes).fillna(99)])
    found = curve(table, calibrated("nechad-red"), by_site(table, folds=4), draws=2, seed=1)
    assert found["rows"].tolist() == ["rest"] * 7 + ["same"] * 7
    rest, same = (found[found["rows"] == rows].set_index("k") for rows in ("rest", "same"))
    # 4 samples serve k up to 1, 9 samples up to 6, 14 samples all
    assert rest["n_left_out"].tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert same["n_left_out"].tolist() == [2] * 7
    assert rest.loc[1, "n_rows"] == 3 + 8 + 10 * 13
    assert same["n_rows"].tolist() == [10 * 4] * 7
    assert rest.loc[0, "mdsa"] > 80
    assert rest.loc[5, "mdsa"] < 35
    assert same["mdsa"].iloc[-1] < same["mdsa"].iloc[0] / 2
    assert (rest["mdsa_min"] <= rest["mdsa"]).all()
    pd.testing.assert_frame_equal(
        found, curve(table, calibrated("nechad-red"), by_site(table, folds=4), draws=2, seed=1)
    )


def test_local_samples_never_meet_the_rows_they_are_judged_on():
    """Each sample here has two granules; an estimator that remembers samples must remember none it is asked for."""

    class Local(Memory):
        def adapt(self, site, x, y):
            self.seen = dict(zip(x["red_med"], y, strict=True))

        def predict(self, x, sites=None):
            return super().predict(x)

    table = rivers(rows=8)
    twin = pd.concat([table, table.assign(blue_med=0.02)], ignore_index=True)
    found = curve(prepared(twin), Contender(name="l", make=Local), by_site(twin), ks=(0, 2, 5), draws=2)
    assert (found["n_missing"] == 2 * found["n_rows"]).all()
    assert found["mdsa"].isna().all()
    assert found.loc[found["rows"] == "rest", "n_rows"].tolist() == [12 * 16, 12 * 12, 12 * 6]


def test_an_estimator_that_refuses_so_few_samples_is_told():
    class Careful(Witness):
        def adapt(self, site, x, y):
            if len(x) < 3:
                raise InputError("wanted 3")

        def predict(self, x, sites=None):
            return np.full(len(x), 7.0)

    table = prepared(rivers())
    found = curve(table, Contender(name="c", make=Careful), by_site(table), ks=(0, 2, 3), draws=1)
    assert found["refused"].tolist() == [0, 1, 0] * 2


def test_noise_floor_is_what_offsets_of_sites_leave():
    """Sites off by factors of their own, rows by a factor of 2 either way: 100 % is left."""
    site = np.repeat(["a", "b", "c"], 20)
    wrong = np.repeat([10.0, 0.1, 3.0], 20) * np.where(np.arange(60) % 2, 2.0, 0.5)
    pairs = Pairs(observed=np.full(60, 50.0), predicted=50.0 * wrong, site=site)
    assert noise_floor(pairs) == pytest.approx(100.0)


def test_no_curve_without_adapt_or_over_seen_sites():
    table = prepared(rivers())
    with pytest.raises(InputError, match="no adapt"):
        curve(table, physical(), by_site(table))
    with pytest.raises(InputError, match="was trained on, wanted unseen"):
        curve(table, training_median(), by_date(table))


@pytest.fixture(scope="module")
def pantanal(shared):
    return read_pantanal(shared / "data" / "pantanal_landsat57_ssc" / "matchups.csv")


def test_pantanal_is_a_match_up_table(pantanal):
    table = conform(pantanal, "matchup")  # dt_h is acquisition minus sample_time, or this fails
    assert (len(table), table["site"].nunique()) == (578, 20)
    first = pantanal.iloc[0]
    assert (first["site"], first["sample_id"], first["dt_h"]) == ("66071382", "66071382_20170731", 48)
    assert [first[f"{b}_med"] for b in ("blue", "green", "red", "nir", "swir1", "swir2")] == pytest.approx(
        [0.0242, 0.0396, 0.0294, 0.0532, 0.0297, 0.0140]
    )
    assert first["ssc_mg_l"] == pytest.approx(10**-0.33254704711)
    assert (first["platform"], first["product"], first["basin"]) == ("L7", "L30", "Pantanal")


def test_another_file_is_not_taken_for_the_pantanal(tmp_path):
    pd.DataFrame({"site_no": [1]}).to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(DataError, match="not the Pantanal match-ups, columns sample_date"):
        read_pantanal(tmp_path / "other.csv")


def test_published_calibration_on_the_pantanal(pantanal, tmp_path):
    style = dict(mpl.rcParams)
    contenders = [given(PUBLISHED, remark="fitted with these very stations"), calibrated(), training_median()]
    options = Options(draws=50, ks=(0, 5), curve_draws=1)
    report = evaluate(pantanal, contenders, split="site", seed=0, out=tmp_path, options=options)
    published = report.score(PUBLISHED)
    assert round(published["mdsa"], 1) == 61.3
    assert round(published["medae"], 1) == 18.5
    assert round(published["r_log10"], 3) == 0.715
    assert (published["n"], published["n_sites"], published["n_missing"]) == (578, 20, 0)
    assert report.score(PUBLISHED, "lag <= 48 h")["n"] == (pantanal["dt_h"].abs() <= 48).sum()
    assert published["mdsa_lo"] < published["mdsa"] < published["mdsa_hi"]
    assert report.score("training-median")["mdsa"] > report.score("physical-calibrated")["mdsa"] > published["mdsa"]
    assert set(report.curve["contender"]) == {"physical-calibrated", "training-median"}
    assert report.differences["difference"].lt(0).all()
    assert dict(mpl.rcParams) == style

    text = (tmp_path / "report.md").read_text()
    assert "61.3" in text
    assert "fitted with these very stations" in text
    for name in ("scatter", "residuals", "coverage", "learning"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 400
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 20
    assert len(pd.read_parquet(tmp_path / "predictions.parquet")) == 3 * 578
    assert len(pd.read_csv(tmp_path / "scores.csv")) == len(report.scores)
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["scores"][0]["mdsa"] == pytest.approx(published["mdsa"])
    assert told["hashes"] == report.hashes


def test_rows_without_answer_show_in_the_report(tmp_path):
    contenders = [Contender(name="moody", make=Moody), training_median()]
    report = evaluate(
        rivers(), contenders, split="basin", out=tmp_path, options=Options(draws=20, ks=(), pictures=False)
    )
    high = int((rivers()["red_med"] > 0.06).sum())
    assert report.score("moody")["n_missing"] == high
    assert report.score("training-median")["n_missing"] == 0
    for name in ("moody", "training-median"):
        assert report.score(name, "answered by all")["n"] == len(rivers()) - high
    assert "Rows that every contender answered" in (tmp_path / "report.md").read_text()
    assert not list(tmp_path.glob("*.png"))


def test_scores_are_weighted_only_when_asked(tmp_path):
    table = rivers(sites=5).assign(told=lambda t: t["ssc_mg_l"] * np.where(t.index % 2, 3.0, 1.0))
    table["weight"] = np.where(table.index % 2, 0.1, 1.0)
    quick = {"draws": 0, "ks": (), "pictures": False}
    plain = evaluate(table, [given("told")], split="site", out=tmp_path / "a", options=Options(**quick))
    weighed = evaluate(
        table, [given("told")], split="site", out=tmp_path / "b", options=Options(**quick, weigh_scores=True)
    )
    assert plain.score("told")["mdsa"] == pytest.approx(100 * (np.sqrt(3) - 1))
    assert weighed.score("told")["mdsa"] == pytest.approx(0, abs=1e-9)
    assert weighed.score("told")["mae"] < plain.score("told")["mae"]
    assert "weighted by the column weight" in (tmp_path / "b" / "report.md").read_text()


def test_unknown_splits_are_refused(tmp_path):
    with pytest.raises(InputError, match="no split 'random': wanted one of site basin date locked"):
        evaluate(rivers(), [training_median()], split="random", out=tmp_path)
