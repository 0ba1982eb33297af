"""The locked test: who looks twice is told so."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from ssc.errors import DataError, InputError
from ssc.validation import Options, evaluate, ledger_path
from ssc.validation.baselines import calibrated, given, training_median
from ssc.validation.locked import hash_data, hash_settings, lock, outside, read

QUICK = Options(draws=0, ks=(), pictures=False)


def rivers(sites=20, rows=6, seed=0):
    rng = np.random.default_rng(seed)
    n = sites * rows
    bands = {f"{band}_med": rng.uniform(0.01, 0.1, n) for band in ("blue", "green", "red", "nir", "swir1", "swir2")}
    level = np.repeat(rng.normal(3, 1, sites), rows)
    return pd.DataFrame(
        {
            **bands,
            "site": np.repeat([f"r{k:02d}" for k in range(sites)], rows),
            "ssc_mg_l": np.exp(level + rng.normal(0, 0.3, n)),
            "product": "L30",
            "dt_h": 1.0,
        }
    )


@pytest.fixture
def look(tmp_path):
    """Runs the locked test beside tmp_path/matchups.csv."""

    def run(contenders=None, table=None, **more):
        given_table = rivers() if table is None else table
        ledger = ledger_path(tmp_path / "matchups.csv")
        out, options = tmp_path / "report", more.pop("options", QUICK)
        return evaluate(
            given_table,
            list(contenders or [training_median()]),
            split="locked",
            out=out,
            ledger=ledger,
            options=options,
            **more,
        )

    return run


def ledger(tmp_path):
    return json.loads((tmp_path / "matchups.locked.json").read_text())


def test_a_look_is_remembered(look, tmp_path):
    report = look()
    kept = ledger(tmp_path)
    assert len(kept["sites"]) == 3  # 15 % of 20
    assert set(report.contest.rows["site"]) == set(kept["sites"])
    run = kept["runs"][0]
    assert (run["settings_hash"], run["data_hash"]) == (report.hashes["settings"], report.hashes["data"])
    assert run["score"]["training-median"]["mdsa"] == pytest.approx(report.score("training-median")["mdsa"])
    assert run["score"]["training-median"]["r_log10"] is None  # a constant has no correlation
    assert not run["again"]
    assert pd.Timestamp(run["date"]).tzinfo is not None
    assert "First look" in (tmp_path / "report" / "report.md").read_text()


def test_the_same_again_is_allowed_and_told(look, tmp_path):
    first, second = look(), look()
    assert first.hashes == second.hashes
    assert first.score("training-median")["mdsa"] == second.score("training-median")["mdsa"]
    assert len(ledger(tmp_path)["runs"]) == 2
    assert "1 times before, with the same settings" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"contenders": (calibrated(),)}, "settings"),
        ({"seed": 7}, "settings"),
        ({"options": Options(draws=0, ks=(), pictures=False, weigh_scores=True)}, "settings"),
        ({"table": rivers().iloc[1:]}, "rows"),
        ({"table": rivers().assign(red_med=lambda t: t["red_med"] + 1e-9)}, "rows"),
    ],
)
def test_a_second_look_is_refused_unless_said(look, tmp_path, other, what):
    look()
    before, page = ledger(tmp_path), (tmp_path / "report" / "report.md").read_text()
    with pytest.raises(InputError, match=f"with other {what}.*--again"):
        look(**other)
    assert ledger(tmp_path) == before
    assert (tmp_path / "report" / "report.md").read_text() == page
    look(**other, again=True)
    after = ledger(tmp_path)
    assert [run["again"] for run in after["runs"]] == [False, True]
    assert after["sites"] == before["sites"]
    assert "Not a first look" in (tmp_path / "report" / "report.md").read_text()


def test_again_is_not_noted_where_nothing_changed(look, tmp_path):
    look()
    look(again=True)
    assert [run["again"] for run in ledger(tmp_path)["runs"]] == [False, False]


def test_earlier_other_looks_stay_in_every_report(look, tmp_path):
    look()
    look(seed=7, again=True)
    look()  # these very settings were the first look
    assert "looked at with other settings or rows 1 times" in (tmp_path / "report" / "report.md").read_text()


def test_other_splits_leave_the_locked_sites_out(look, tmp_path):
    table, path = rivers(), ledger_path(tmp_path / "matchups.csv")
    kept = lock(table, path, seed=3)
    assert lock(table, path, seed=4) == kept  # locked for good
    assert not set(outside(table, kept)["site"]) & set(kept.sites)
    report = evaluate(table, [training_median()], split="site", out=tmp_path / "cv", ledger=path, options=QUICK)
    assert not set(report.contest.rows["site"]) & set(kept.sites)
    assert "3 locked sites were left out" in (tmp_path / "cv" / "report.md").read_text()
    assert read(path).runs == ()


def test_locked_sites_are_never_trained_on(look):
    class Rollcall:
        def fit(self, x, y, *, groups):
            trained.update(groups)
            return self

        def predict(self, x):
            return np.ones(len(x))

    from ssc.validation import Contender

    trained: set[str] = set()
    report = look([Contender(name="rollcall", make=Rollcall)])
    assert len(trained) == 17
    assert not trained & set(report.contest.rows["site"])


def test_no_ledger_or_a_broken_one_is_no_licence(tmp_path, look):
    with pytest.raises(InputError, match="without a ledger"):
        evaluate(rivers(), [training_median()], split="locked", out=tmp_path)
    path = tmp_path / "matchups.locked.json"
    for content in ("{", "[]", '{"version": 1}', '{"version": 9, "sites": [], "seed": 0, "runs": []}'):
        path.write_text(content)
        with pytest.raises(DataError, match="ledger"):
            look()
        assert path.read_text() == content


def test_hashes_follow_what_counts_and_nothing_else():
    table = rivers()
    data = hash_data(table)
    assert hash_data(table.sample(frac=1, random_state=0)) == data
    assert hash_data(table.assign(remark="x", longitude=3.0)) == data
    assert hash_data(table.assign(ssc_mg_l=table["ssc_mg_l"] * 1.0001)) != data
    told = table.assign(told=1.0)
    assert hash_data(told, [given("told")]) != hash_data(told.assign(told=2.0), [given("told")])
    settings = hash_settings("locked", 0, [calibrated("physical")], QUICK.that_count())
    more_work = Options(draws=10, ks=(0, 5))
    assert hash_settings("locked", 0, [calibrated("physical")], more_work.that_count()) == settings
    assert hash_settings("locked", 0, [calibrated("nechad-red")], QUICK.that_count()) != settings


def test_parameters_of_an_estimator_count():
    from sklearn.ensemble import ExtraTreesRegressor

    from ssc.validation import Contender

    def trees(leaf):
        return Contender(name="trees", make=lambda: ExtraTreesRegressor(min_samples_leaf=leaf))

    assert hash_settings("locked", 0, [trees(1)], QUICK) == hash_settings("locked", 0, [trees(1)], QUICK)
    assert hash_settings("locked", 0, [trees(1)], QUICK) != hash_settings("locked", 0, [trees(2)], QUICK)
