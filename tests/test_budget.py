"""The error budget on simulated rivers: parts add up, pure water equals a slow count, tables equal hand counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flows.budget import run_budget
from scenes import scene as example
from ssc.bands import SIX, Band
from ssc.errors import InputError
from ssc.matchups.columns import conform
from ssc.quality import Quality
from ssc.regression import load
from ssc.regression.physical import novoa
from ssc.schema import SAMPLE
from ssc.simulate import optics, truth
from tasks.experiments import budget_tables as tables
from tasks.experiments.basin_samples import ALL_WATER, SAME_PIXELS, TRUE_MASKS, water_colour
from tasks.experiments.basins import TEST_SEEDS, TRAINING_SEEDS, BasinPlan, _passes, loaded, require_apart, run_basins
from tasks.experiments.budget_parts import CLASSES, HALVES, KEY, PARTS, split, whole
from tasks.experiments.train_rows import match_ups, run, training_plan

PLAN = BasinPlan(maskers=("mndwi", "fmask"), basins=1, granules=2, size=128, processes=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("budget")


@pytest.fixture(scope="module")
def samples(folder):
    """One tiny basin: two overpasses through two maskers and the truth."""
    return run_basins(PLAN, folder, lambda *_: None)


@pytest.fixture(scope="module")
def rows(samples):
    return split(samples, load("physical"))


# The levels


def test_parts_add_up_row_by_row(rows):
    found = whole(rows)
    assert len(found) >= 8
    assert set(found["masker"]) == {"mndwi", "fmask"}
    error = np.log(found["ssc"] / found["ssc_true"])
    np.testing.assert_allclose(found[list(PARTS)].sum(axis=1), error, atol=1e-9)
    np.testing.assert_allclose(found[list(HALVES)].sum(axis=1), found["aggregation"], atol=1e-9)
    np.testing.assert_allclose(found["error"], error, atol=1e-9)


def test_regression_part_knows_neither_masker_nor_sky(rows):
    by_masker = rows.pivot_table(index=KEY, columns="masker", values="regression")
    np.testing.assert_array_equal(by_masker["mndwi"], by_masker["fmask"])


def test_colour_of_all_water_equals_a_slow_count(samples):
    from ssc.simulate.grid import corner
    from ssc.simulate.landscape import shape_land

    tile = PLAN.tile(PLAN.first)
    land = shape_land(corner(tile, PLAN.size), tile=tile, seed=PLAN.first)
    compared = 0
    for scene, factor in _passes(land, PLAN.granules):
        mine = samples[(samples["granule"] == scene.passing.granule.name) & (samples["masks"] == ALL_WATER)]
        assert (mine["load"] == factor).all()
        ground, ids = scene.ground, land.rivers.reaches["reach_id"].to_numpy()
        for row in mine[mine["ssc_true"].notna()].to_dict("records"):
            wet = (ids[ground.reach] == row["reach_id"]) & (ground.reach >= 0) & (ground.water >= truth.COVERED)
            ssc = ground.mineral[wet].astype(float) + ground.organic[wet]
            assert row["n_px_used"] == wet.sum() == row["n_px_true"]
            assert row["ssc_true"] == pytest.approx(np.median(ssc), abs=1e-3)
            red = optics.reflectance(Band.RED, ground.mineral[wet], ground.organic[wet])
            assert row["red_med"] == pytest.approx(np.median(red), rel=1e-5)
            compared += 1
    assert compared >= 4


def test_water_alone_is_darker_than_what_is_seen_of_it():
    """Sky, glint and land add light to dark water; the colour of the water alone is none of these."""
    seen = example(7)
    colour, water = water_colour(seen.scene), truth.masks(seen.scene).stack[0]
    assert np.isfinite(colour[:, water]).all()
    off_water = np.ones(water.size, dtype=bool)
    off_water[seen.scene.ground.pixel] = False
    assert np.isnan(colour.reshape(len(SIX), -1)[:, off_water]).all()
    swir = SIX.index(Band.SWIR1)
    assert np.median(colour[swir][water]) < np.median(seen.observation.reflectance[swir][water])


def test_clean_pixels_are_those_used_under_the_true_masks(samples):
    by = samples.pivot_table(index=KEY, columns="masks", values="n_px_used")
    np.testing.assert_array_equal(by[SAME_PIXELS], by[TRUE_MASKS])
    assert (by[TRUE_MASKS] < by[ALL_WATER]).any()


def test_choosing_pixels_costs_little(rows):
    """The river is well mixed, so which of its pixels are used hardly matters: what is left is mostly texture."""
    good = whole(rows)[whole(rows)["n_px_true"] > 300]
    assert len(good) >= 4
    assert good["choice"].abs().median() < 0.05


# From samples to parts, by hand


class TenThousandRed:
    """mg/L = 10 000 x red."""

    name = "by hand"

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"ssc": 1e4 * table["red_med"], "ssc_qual": 0}, index=table.index)


def by_hand(samples, **reds):
    """A reach-day in the shape of the first, with these red medians by masks."""
    first = samples[samples["masks"].isin(["mndwi", TRUE_MASKS, SAME_PIXELS, ALL_WATER])].drop_duplicates("masks")
    names = {"mndwi": "masker", TRUE_MASKS: "known", SAME_PIXELS: "same", ALL_WATER: "ideal"}
    assert len(first) == 4
    reach = first["reach_id"].iloc[0]
    return first.assign(
        red_med=[reds[names[masks]] for masks in first["masks"]], flags=0, reach_id=reach, ssc_true=50.0
    )


def test_parts_of_one_reach_day_by_hand(samples):
    table = by_hand(samples, masker=0.024, known=0.012, same=0.006, ideal=0.004)
    row = split(table, TenThousandRed()).iloc[0]
    assert (row["ssc"], row["ssc_true_masks"], row["ssc_own_colour"], row["ssc_all_water"]) == pytest.approx(
        (240, 120, 60, 40)
    )
    expected = {"mask": 2, "light": 2, "choice": 1.5, "aggregation": 3, "regression": 0.8, "error": 4.8}
    assert row[list(expected)].to_dict() == pytest.approx({name: np.log(x) for name, x in expected.items()})
    assert row["ssc_class"] == "30-100"


def test_withheld_estimates_leave_the_parts_but_not_the_row(samples):
    table = by_hand(samples, masker=0.024, known=0.012, same=0.006, ideal=0.004)
    very_few = table["masks"].isin([TRUE_MASKS, SAME_PIXELS, ALL_WATER])
    row = split(table.assign(flags=np.where(very_few, int(Quality.VERY_FEW), 0)), TenThousandRed())
    assert len(row) == 1
    assert np.isnan(row[["ssc_true_masks", "mask", "aggregation"]].iloc[0].astype(float)).all()
    assert row["ssc_all_water"].iloc[0] == pytest.approx(40)  # the ideal is never withheld
    assert row["error"].iloc[0] == pytest.approx(np.log(240 / 50))
    assert whole(row).empty
    covered = tables.coverage_table(row).iloc[0]
    assert (covered["covered"], covered["covered_by_truth"], covered["extra"], covered["lost"]) == (1, 0, 1, 0)
    assert covered["extra_error"] == pytest.approx(np.log(4.8))


@pytest.mark.parametrize(
    ("ssc", "name"), [(0.1, "0-10"), (9.99, "0-10"), (10, "10-30"), (300, "300-1000"), (1000, ">1000"), (np.nan, "")]
)
def test_classes_begin_at_their_edge(samples, ssc, name):
    table = by_hand(samples, masker=0.01, known=0.01, same=0.01, ideal=0.01).assign(ssc_true=ssc)
    assert split(table, TenThousandRed())["ssc_class"].tolist() == [name]


# Tables


def made_rows(count=60, seed=4):
    """Rows of three maskers on the same reach-days of five basins, some without estimates."""
    rng, parts = np.random.default_rng(seed), []
    ideal, true = rng.normal(0, 0.3, count), np.exp(rng.normal(4, 1.3, count))
    for number, masker in enumerate(("a", "b", "c")):
        mask, light, choice = rng.normal(0.05 * number, 0.1 + 0.2 * number, (3, count))
        table = pd.DataFrame({"basin": np.arange(count) % 5, "granule": "g", "reach_id": np.arange(count)})
        table = table.assign(masker=masker, ssc_true=true, mask=mask, light=light, choice=choice, regression=ideal)
        table["aggregation"] = light + choice
        table["error"] = mask + light + choice + ideal
        table["ssc"] = true * np.exp(table["error"])
        table["ssc_true_masks"] = true
        gone = rng.random(count) < 0.1 * number
        table.loc[gone, ["ssc", "mask", "error"]] = np.nan
        parts.append(table)
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(ssc_class=np.array(CLASSES)[np.digitize(rows["ssc_true"], [10, 30, 100, 300, 1000])])


def test_parts_table_counts_as_by_hand_and_biases_add_up():
    rows = made_rows()
    table = tables.parts_table(rows).set_index(["masker", "ssc_class"])
    some = rows[(rows["masker"] == "b") & (rows["ssc_class"] == "30-100") & rows["ssc"].notna()]
    row = table.loc[("b", "30-100")]
    assert row["n"] == len(some) > 3
    assert row["mask_median_abs"] == pytest.approx(some["mask"].abs().median())
    assert row["mask_rms"] == pytest.approx(np.sqrt((some["mask"] ** 2).mean()))
    assert row["regression_bias"] == pytest.approx(some["regression"].mean())
    summed = sum(table[f"{part}_bias"] for part in PARTS)
    np.testing.assert_allclose(summed, table["error_bias"], atol=1e-12)


def test_coverage_lost_is_what_the_true_masks_would_have_given():
    rows = made_rows()
    table = tables.coverage_table(rows).set_index(["masker", "ssc_class"])
    missing = rows[rows["masker"] == "c"]["ssc"].isna().mean()
    assert missing > 0.1
    assert table.loc[("c", "all"), "lost"] == pytest.approx(missing)
    assert table.loc[("a", "all"), "covered"] == 1


def test_medians_of_resamples_equal_those_of_repeated_rows():
    rng = np.random.default_rng(0)
    values, counts = rng.normal(size=11), rng.integers(0, 4, size=(50, 11)).astype(float)
    slow = [np.median(np.repeat(values, times.astype(int))) for times in counts]
    np.testing.assert_allclose(tables.weighted_medians(values, counts), slow)
    assert np.isnan(tables.weighted_medians(values, np.zeros((1, 11)))).all()


def test_differences_equal_a_slow_bootstrap_of_basins():
    """Draw basins, glue their rows together, compute: the same draws must give the same interval."""
    rows = made_rows()
    found = tables.differences(rows, "a", resamples=200, seed=1)
    one = found[(found["minus"] == "c") & (found["ssc_class"] == "all")].set_index(["reach_days", "metric"])
    a, c = (rows[rows["masker"] == name].reset_index(drop=True) for name in "ac")
    both = c["ssc"].notna()
    counts = tables.draw_basins(a["basin"], n=200, seed=1)
    rms, mdsa = [], []
    for times in counts.astype(int):
        place = np.repeat(np.arange(len(a)), times)
        paired = place[both.to_numpy()[place]]
        rms.append(np.sqrt((a["error"][paired] ** 2).mean()) - np.sqrt((c["error"][paired] ** 2).mean()))
        median = [np.expm1(np.nanmedian(of["error"].abs().to_numpy()[place])) for of in (a, c)]
        mdsa.append(100 * (median[0] - median[1]))
    paired, own = one.loc[(tables.PAIRED, "rms_ln")], one.loc[(tables.OWN, "mdsa_percent")]
    assert [paired["low"], paired["high"]] == pytest.approx(np.quantile(rms, [0.05, 0.95]))
    assert [own["low"], own["high"]] == pytest.approx(np.quantile(mdsa, [0.05, 0.95]))
    assert (paired["n"], own["n"], own["n_minus"]) == (both.sum(), len(a), both.sum())
    assert paired["low"] < paired["value"] < paired["high"] < 0  # c is much the worse
    gap = one.loc[(tables.OWN, "coverage_percent"), "value"]
    assert gap == pytest.approx(100 * (1 - both.mean()))


def test_one_basin_has_no_interval(rows):
    found = tables.differences(rows, "mndwi", resamples=50)
    assert len(found) > 0
    assert found[["low", "high"]].isna().all(axis=None)


# Basins


def test_finished_basins_are_not_done_again_and_changed_plans_are(samples, folder):
    files = sorted((folder / "basins").iterdir())
    assert [file.suffix for file in files] == [".parquet"]  # granules and half-done work are gone
    before = files[0].stat().st_mtime_ns
    ticks = []
    again = run_basins(PLAN, folder, lambda *told: ticks.append(told[:3]))
    pd.testing.assert_frame_equal(again, samples)
    assert ticks == [("simulated basins", 1, 1)]
    assert files[0].stat().st_mtime_ns == before
    changed = [replace(PLAN, size=160), replace(PLAN, granules=3), replace(PLAN, maskers=("mndwi",))]
    assert len({plan.key(9300) for plan in (PLAN, *changed)}) == 4
    assert replace(PLAN, basins=5, processes=2).key(9300) == PLAN.key(9300)


def test_a_loaded_river_carries_so_much_more_but_no_more_than_there_is():
    one = example(7).scene
    double, flood = loaded(one, 2.0), loaded(one, 1e6)
    np.testing.assert_allclose(
        double.ground.ssc[one.ground.reach >= 0], 2 * one.ground.ssc[one.ground.reach >= 0], rtol=1e-5
    )
    assert flood.load.mineral.max() <= 5000
    np.testing.assert_allclose(flood.load.organic, 3 * one.load.organic)


def test_seeds_for_tests_and_for_training_are_kept_apart():
    with pytest.raises(InputError, match=r"9500 to 19999 are kept for training: found 9500 to 9500"):
        require_apart(replace(PLAN, basins=201), TRAINING_SEEDS, "training")
    with pytest.raises(InputError, match="kept for tests: found 9499"):
        run(training_plan(basins=2, first=9499), None, report=print)
    assert not set(TEST_SEEDS) & set(training_plan(basins=50).seeds)


def test_training_rows_are_match_ups_that_say_they_are_simulated(samples):
    table = match_ups(samples, ("fmask",))
    pd.testing.assert_frame_equal(conform(table, "matchup"), table)
    mine = samples[(samples["masks"] == "fmask") & (samples["n_px_used"] >= 8)].reset_index(drop=True)
    assert len(table) == len(mine) > 3
    np.testing.assert_array_equal(table["ssc_mg_l"], mine["ssc_true"])
    np.testing.assert_allclose(table[["red_med", "nir_red"]], mine[["red_med", "nir_red"]])
    assert {column.name for column in SAMPLE} <= set(table)
    assert table["simulated"].all()
    assert table["site"].str.startswith("SIM-9300-").all()
    assert table.groupby("site")["reach_id"].nunique().eq(1).all()
    assert table["sample_id"].is_unique


# The command


def test_the_command_writes_tables_that_say_what_they_are(samples, folder):
    facts = run_budget(folder, basins=1, granules=2, size=PLAN.size, maskers=PLAN.maskers, regressor="nechad-red")
    assert len(list((folder / "basins").iterdir())) == 1  # another regressor, the same samples
    page = (folder / "budget.md").read_text()
    titles = [line for line in page.splitlines() if line.startswith("#")]
    assert len(titles) >= 7
    assert all("SIMULATED, seeds 9300-9300" in title for title in titles)
    for name in ("budget.csv", "skill.csv", "differences.csv"):
        table = pd.read_csv(folder / name)
        assert set(table["data"]) == {"SIMULATED, seeds 9300-9300"}
        assert set(table["regressor"]) == {"nechad-red"}
    rows = pd.read_parquet(folder / "rows.parquet")
    assert rows["simulated"].all()
    assert len(rows) == 2 * len(rows[KEY].drop_duplicates())
    assert facts["reach_days"] == len(rows[rows["ssc_true"].notna()]) / 2
    with Image.open(folder / "budget.png") as picture:
        assert picture.width > 1000


def test_physical_estimates_are_those_of_the_formula(rows, samples):
    ideal = samples[samples["masks"] == ALL_WATER].set_index(KEY)
    mine = rows[(rows["masker"] == "fmask") & rows["ssc_true"].notna()].set_index(KEY)
    there = ideal.loc[mine.index]
    formula = novoa(there["red_med"], there["nir_med"], there["product"])
    np.testing.assert_allclose(mine["ssc_all_water"], np.maximum(formula, 0.5), rtol=1e-5)
    np.testing.assert_allclose(mine["regression"], np.log(mine["ssc_all_water"] / mine["ssc_true"]))
