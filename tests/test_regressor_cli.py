"""ssc regressor: train, evaluate, adapt, from the command line, and what they refuse."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from flows.cli import app
from manyrivers import many_rivers
from ssc.errors import InputError
from ssc.matchups.files import write_table
from ssc.regression import NAMES, load


def matchups_of(samples, ssc, site, *, reach_id=-1):
    """A match-up table of made-up rivers, four days per site."""
    number = np.arange(len(ssc))
    day = pd.Timestamp("2024-05-01T15:00Z") + pd.to_timedelta(number % 20, unit="D")
    return samples.assign(
        site=site, sample_id=[f"s{row}" for row in number], sample_time=day, ssc_mg_l=ssc, censored=False,
        label_source="ssc", weight=1.0, basin="made up", reach_id=reach_id, longitude=10.0, latitude=45.0,
        acquisition=day, dt_h=0.0, dt_uncertain_h=0.0, platform="L8", product="L30",
        granule_id=[f"g{row}" for row in number],
    )  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("matchups") / "rivers.parquet"
    write_table(matchups_of(*many_rivers(sites=12, rows=10)), path, "matchup")
    return path


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    return out, told("train", "--matchups", str(table), "--name", "made-up", "--out", str(out), "--folds", "3")


def told(*arguments):
    result = CliRunner().invoke(app, ["regressor", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_training_writes_a_regressor_that_estimates(trained, table):
    out, facts = trained
    assert facts["card"] == str(out / "made-up.json")
    assert (facts["rows"], facts["sites"]) == (120, 12)
    card = json.loads((out / "made-up.json").read_text())
    assert card["metrics"]["mdsa"] == facts["mdsa"]
    assert set(card["metrics"]["learners"]) == {"line", "forest", "boosting", "kernel", "chosen"}
    samples = pd.read_parquet(table).set_index("reach_id")
    answer = load(out / "made-up.json").predict(samples)
    assert ((answer["ssc_lo90"] < answer["ssc"]) & (answer["ssc"] < answer["ssc_hi90"])).all()
    assert np.corrcoef(np.log(answer["ssc"]), np.log(samples["ssc_mg_l"]))[0, 1] > 0.7


def test_scores_on_the_card_are_of_sites_held_out(trained, table):
    """On its own training rows it is better than it says."""
    out, facts = trained
    samples = pd.read_parquet(table).set_index("reach_id")
    ratio = np.log(load(out / "made-up.json").predict(samples)["ssc"] / samples["ssc_mg_l"])
    assert 100 * np.expm1(ratio.abs().median()) < facts["mdsa"]


def test_evaluation_writes_what_it_says(table, tmp_path):
    facts = told("evaluate", "--matchups", str(table), "--folds", "3", "--draws", "20", "--out", str(tmp_path))
    scores = pd.read_csv(tmp_path / "scores.csv")
    ours = scores[(scores["contender"] == "ssc-regressor") & (scores["group"] == scores["group"].iloc[0])].iloc[0]
    assert ours["mdsa"] == pytest.approx(facts["mdsa"])
    assert {"physical", "training-median"} <= set(scores["contender"])
    assert "MdSA" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "scatter.png").stat().st_size > 5000


def test_adapting_moves_the_reach_and_no_other(trained, tmp_path):
    out, _ = trained
    samples, ssc, site = many_rivers(sites=1, rows=8, seed=9)
    local = tmp_path / "local.parquet"
    write_table(matchups_of(samples, 5 * ssc, site, reach_id=74299900011), local, "matchup")
    facts = told("adapt", "--regressor", str(out / "made-up.json"), "--samples", str(local), "--out", str(tmp_path))
    assert facts["sites"] == ["74299900011"]
    before, after = (load(card) for card in (out / "made-up.json", facts["card"]))
    here, there = (samples.assign(product="L30").set_axis([reach] * 8) for reach in (74299900011, 74299900021))
    assert (after.predict(here)["ssc"] > before.predict(here)["ssc"]).all()
    pd.testing.assert_frame_equal(after.predict(there), before.predict(there))


def test_what_cannot_be_done_is_said_in_one_line(tmp_path):
    one = tmp_path / "one.parquet"
    write_table(matchups_of(*many_rivers(sites=1, rows=6)), one, "matchup")
    wrong = [
        (["train", "--matchups", str(one), "--name", "x", "--out", str(tmp_path)], "rows of 1 site to learn from"),
        (["adapt", "--regressor", "physical", "--samples", str(one), "--out", str(tmp_path)], "physical"),
        (["adapt", "--regressor", "magic", "--samples", str(one), "--out", str(tmp_path)], "magic"),
    ]
    for arguments, message in wrong:
        with pytest.raises(InputError, match=message):
            CliRunner().invoke(app, ["regressor", *arguments], catch_exceptions=False)
    assert not (tmp_path / "x.json").exists()


def test_the_shipped_regressor_says_what_it_is_for():
    assert "one river" in NAMES["parana-demo"]
    samples, _, _ = many_rivers(sites=2, rows=10)
    more = {"nir_bank": 0.0, "edge_frac": 0.2, "product": "S30"}
    more |= {f"{band}_mad": 0.002 for band in ("blue", "green", "red", "nir", "swir1", "swir2")}
    answer = load("parana-demo").predict(samples.assign(**more))
    assert answer["ssc"].between(30, 250).all()
