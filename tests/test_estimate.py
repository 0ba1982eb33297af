"""The main job: granules in, rows in the store; what is broken is set aside, what is done is not done again."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import rasterio

from flows.engine import Engine, run_estimate
from malformed import MALFORMED
from rangeserver import serving
from ssc.errors import ReachError
from ssc.granules import find
from ssc.quality import Quality
from ssc.reaches import read_reaches
from ssc.results import open_store
from ssc.schema import COLUMNS
from tiny import L30, S30, write_granule, write_river

NAMES = [column.name for column in COLUMNS]


def estimate(granules, reaches, store, **settings):
    """Run the road over plain threads, with a masker that judges each pixel by itself unless another is named."""
    settings = {"masker": "legacy-dswx"} | settings
    options = {
        key: settings.pop(key) for key in ("quicklooks", "redo", "ids", "bbox", "basin", "polygon") if key in settings
    }
    parameters = {"granules": [str(granules)], "reaches": str(reaches), "store": str(store), "settings": settings}
    return run_estimate({**parameters, **options}, Engine.LOCAL)


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    """The real S30 granule of Louisiana through the whole road: (summary, rows)."""
    store = tmp_path_factory.mktemp("real") / "store"
    data = shared / "data" / "hls_s30_t15sxr"
    summary = estimate(data / "input", data / "reaches.geojson", store, masker="legacy-dswx")
    return summary, open_store(store).query()


def test_real_granule_gives_a_row_for_each_reach(real):
    summary, rows = real
    assert summary.exit_code == 0
    assert list(rows.columns) == NAMES
    assert rows["reach_id"].tolist() == [74299900011 + 10 * number for number in range(8)]
    assert set(rows["platform"]) == {"S2A"}
    assert (rows["time"] == pd.Timestamp("2021-09-07T16:54:47.751044Z")).all()
    assert (rows["acquisition"] == pd.Timestamp("2021-09-07T16:39:01Z")).all()


def test_real_granule_has_ssc_exactly_where_water_is_clear(real):
    _, rows = real
    enough = rows["n_px_used"] >= 8
    assert enough.any()
    assert (rows["ssc"].notna() == enough).all()
    withheld = (rows["ssc_qual"] & int(Quality.VERY_FEW)) != 0
    assert (withheld == ~enough).all()
    known = rows[enough]
    assert known["ssc"].between(0.5, 1500).all()
    assert (known["ssc_lo90"] < known["ssc"]).all()
    assert (known["ssc"] < known["ssc_hi90"]).all()


def test_real_granule_counts_agree_with_nasa_open_water(real, shared):
    """Clear pixels per reach cannot exceed NASA's open, clear water within the corridor's reach of the line."""
    _, rows = real
    reference = shared / "data" / "hls_s30_t15sxr" / "dswx_ref"
    with rasterio.open(reference / "dswx_hls_v0.1_B05_WTR-1.tif") as layer:
        water = np.isin(layer.read(1), (1, 2))
    with rasterio.open(reference / "dswx_hls_v0.1_B09_CLOUD.tif") as layer:
        hidden = (layer.read(1) & 0b110) != 0
    assert 0 < rows["n_px_clear"].sum() <= (water & ~hidden).sum() + 1296  # 1.0.2 remaps 1296 px to water


@pytest.fixture(scope="module")
def first(basin, tmp_path_factory):
    """The simulated basin through the whole road: (summary, store path)."""
    store = tmp_path_factory.mktemp("first") / "store"
    return estimate(basin.granules, basin.reaches, store, dem=str(basin.dem)), store


def test_every_granule_ends_with_a_status(first, basin):
    summary, store = first
    assert sum(summary.statuses.values()) == len(find(basin.granules))
    assert summary.exit_code == 0
    ledger = open_store(store).ledger.read()
    assert sorted(ledger["granule_id"]) == [granule.name for granule in find(basin.granules)]


def test_second_run_does_nothing(first, basin):
    _, store = first
    before = open_store(store).query()
    again = estimate(basin.granules, basin.reaches, store, dem=str(basin.dem))
    assert again.done_before == len(find(basin.granules))
    assert sum(again.statuses.values()) == 0
    pd.testing.assert_frame_equal(open_store(store).query(), before)


def test_redo_changes_no_row(first, basin):
    _, store = first
    before = open_store(store).query()
    again = estimate(basin.granules, basin.reaches, store, dem=str(basin.dem), redo=True)
    assert (again.inserted, again.updated) == (0, 0)
    assert again.unchanged == len(before)
    pd.testing.assert_frame_equal(open_store(store).query(), before)


def test_the_default_is_the_shipped_network(basin, tmp_path):
    parameters = {"granules": [str(basin.granules)], "reaches": str(basin.reaches), "store": str(tmp_path / "store")}
    summary = run_estimate(parameters, Engine.LOCAL)
    rows = open_store(tmp_path / "store").query()
    assert summary.exit_code == 0
    assert set(rows["masker"]) == {"default"}
    assert rows["ssc"].notna().sum() > 0.3 * len(rows)


def test_other_settings_are_other_work(first, basin):
    _, store = first
    again = estimate(basin.granules, basin.reaches, store, masker="mndwi")
    assert again.done_before == 0
    assert set(open_store(store).query()["masker"]) == {"legacy-dswx", "mndwi"}


@pytest.mark.parametrize("kind", ["ids", "bbox", "basin", "polygon"])
def test_selected_reaches_alone_are_estimated(basin, tmp_path, kind):
    some = read_reaches(basin.reaches).table.iloc[[0]]
    west, south, east, north = (float(value) for value in some.total_bounds)
    some.to_file(tmp_path / "region.geojson")
    asked = {
        "ids": [int(some.index[0])],
        "bbox": [west, south, east, north],
        "basin": str(some.index[0])[:9],
        "polygon": str(tmp_path / "region.geojson"),
    }[kind]
    estimate(basin.granules, basin.reaches, tmp_path / "store", **{kind: asked})
    expected = read_reaches(basin.reaches, **{kind: asked}).ids
    found = set(open_store(tmp_path / "store").query()["reach_id"])
    assert int(some.index[0]) in found
    assert found <= set(expected)


def test_unknown_reach_is_wrong_use(basin, tmp_path):
    with pytest.raises(ReachError, match="74000000011"):
        estimate(basin.granules, basin.reaches, tmp_path / "store", ids=[74000000011])
    assert not (tmp_path / "store").exists()


def test_windows_and_whole_tiles_give_the_same_rows(first, basin, tmp_path):
    """Quick-looks force whole-tile reading; the numbers must not depend on how pixels were read."""
    _, store = first
    estimate(basin.granules, basin.reaches, tmp_path / "store", dem=str(basin.dem), quicklooks=str(tmp_path / "looks"))
    windowed = open_store(store).query(masker="legacy-dswx")
    pd.testing.assert_frame_equal(open_store(tmp_path / "store").query(), windowed)
    assert len(list((tmp_path / "looks").glob("*.jpg"))) == len(find(basin.granules))


def test_each_malformed_granule_is_set_aside_and_the_others_go_on(tmp_path):
    """At least 25 kinds of damage in one call, beside two good granules."""
    assert len(MALFORMED) >= 25
    river = write_river(tmp_path / "river.geojson")
    good = [write_granule(tmp_path / "in" / name, name) for name in (S30, L30)]
    for year, (name, damage) in enumerate(sorted(MALFORMED.items()), start=1):
        folder = tmp_path / "in" / name
        damage(folder, write_granule(folder, f"HLS.S30.T15SXR.20{year:02d}032T163901.v2.0"))
    summary = estimate(tmp_path / "in", river, tmp_path / "store")
    assert summary.exit_code == 3
    assert len(summary.set_aside) == len(MALFORMED)
    assert all(reason and "\n" not in reason for reason in summary.set_aside.values())
    rows = open_store(tmp_path / "store").query()
    assert {name for names in rows["granule_ids"] for name in names} == {granule.name for granule in good}
    assert rows["ssc"].notna().all()
    estimate(tmp_path / "in" / S30, river, tmp_path / "alone")
    alone = open_store(tmp_path / "alone").query()
    pd.testing.assert_frame_equal(rows[rows["product"] == "S30"].reset_index(drop=True), alone)


def test_real_truncated_files_are_set_aside(shared, basin, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(shared / "data" / "hls_v20_truncated", folder)
    summary = estimate(folder, basin.reaches, tmp_path / "store")
    assert summary.exit_code == 3
    assert set(summary.set_aside) == {"HLS.L30.T19LBJ.2020239T144556.v2.0", "HLS.S30.T35VLJ.2021168T100559.v2.0"}


def test_prefect_gives_the_same_rows(first, basin, tmp_path, prefect):
    from flows.estimate import estimate as flow

    summary = flow(
        granules=[str(basin.granules)],
        reaches=str(basin.reaches),
        store=str(tmp_path / "store"),
        settings={"dem": str(basin.dem), "masker": "legacy-dswx"},
    )
    assert summary.exit_code == 0
    expected = open_store(first[1]).query(masker="legacy-dswx")
    pd.testing.assert_frame_equal(open_store(tmp_path / "store").query(), expected)


def test_summary_is_json(first):
    summary, _ = first
    assert json.loads(json.dumps(summary.as_dict()))["exit_code"] == 0


def test_a_changed_reach_file_is_read_again(tmp_path):
    granule = write_granule(tmp_path / "in")
    river = write_river(tmp_path / "river.geojson")
    estimate(tmp_path / "in", river, tmp_path / "store")
    river.write_text(river.read_text().replace("74299900011", "74299900021"))
    again = estimate(tmp_path / "in", river, tmp_path / "store")
    assert again.done_before == 0
    rows = open_store(tmp_path / "store").query()
    assert rows["reach_id"].tolist() == [74299900011, 74299900021]
    assert rows["granule_ids"].map(list).tolist() == [[granule.name]] * 2


@pytest.fixture
def over_prefect(tmp_path, prefect, monkeypatch):
    """Run the flow on a granule behind a server that answers for Fmask so often in its own way."""
    from flows.estimate import estimate as flow

    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    write_granule(tmp_path / "data", S30)
    river = write_river(tmp_path / "river.geojson")

    def run(answer: str, times: float):
        with serving(tmp_path / "data") as server:
            server.answer, server.only, server.times = answer, f"{S30}.Fmask", times
            return flow(granules=[f"{server.url}/{S30}"], reaches=str(river), store=str(tmp_path / "store"))

    return run


def test_prefect_retries_what_may_pass(over_prefect):
    assert over_prefect("503", times=2).exit_code == 0


def test_prefect_does_not_retry_what_stays(over_prefect):
    summary = over_prefect("404", times=2)
    assert summary.exit_code == 3
    assert "HTTP 404" in summary.set_aside[S30]
