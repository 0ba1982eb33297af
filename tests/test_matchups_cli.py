"""`ssc matchups`: from a store and from rasters to match-up tables, exit codes, summaries."""

from __future__ import annotations

import json
import sys
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely import LineString

from flows.cli import main
from ssc.matchups.files import read_table
from ssc.results import open_store
from tables import make_rows

REACH, OTHER = 74299900011, 74299900021


@pytest.fixture
def ssc(capsys, monkeypatch):
    """Run the command in this process; gives (exit code, stdout, stderr)."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ssc", "matchups", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


@pytest.fixture
def store(tmp_path):
    """Two reaches, four days; the second reach is under cloud on all of them."""
    rows = make_rows(reaches=(REACH, OTHER), days=4)
    cloudy = rows["reach_id"] == OTHER
    rows = rows.assign(
        n_px_used=np.where(cloudy, 3, 60).astype("int32"),
        n_px_valid=np.int32(100),
        n_px_channel=np.int32(100),
        cloud_frac=np.where(cloudy, 0.9, 0.0).astype("float32"),
        cloud_shadow_frac=np.float32(0),
        snow_ice_frac=np.float32(0),
        terrain_shadow_frac=np.float32(0),
    )
    open_store(tmp_path / "store", create=True).write(rows)
    return tmp_path / "store"


@pytest.fixture
def reaches(tmp_path):
    lines = [LineString([(-91, 32), (-91, 32.09)]), LineString([(-91.5, 32), (-91.5, 32.09)])]
    path = tmp_path / "rivers.gpkg"
    table = {"reach_id": [REACH, OTHER], "width": [200.0, 80.0]}
    gpd.GeoDataFrame(table, geometry=lines, crs="EPSG:4326").to_file(path)
    return path


def written(path, **columns):
    table = {"site": ["near", "cloudy", "lost", "told"], "ssc_mg_l": [20.0, 300.0, 40.0, 50.0]}
    table |= {"sample_time": ["2021-09-05T15:00:00Z"] * 4, "longitude": [-91.001, -91.5, -95.0, np.nan]}
    table |= {"latitude": [32.02, 32.04, 32.0, np.nan], "reach_id": [-1, -1, -1, REACH]}
    pd.DataFrame(table | columns).to_csv(path, index=False)
    return path


def test_pair_gives_sites_their_reach_and_samples_their_granule(ssc, tmp_path, store, reaches):
    samples = written(tmp_path / "samples.csv")
    out, lost = tmp_path / "pairs.parquet", tmp_path / "lost.csv"
    code, text, err = ssc(
        *("pair", "--store", store, "--samples", samples, "--reaches", reaches),
        *("--out", out, "--lost", lost, "--within-hours", 30, "--json"),
    )
    assert code == 0, err
    facts = json.loads(text)
    assert facts["samples"] == {"paired": 2, "replicates": 2, "cloud": 1, "no reach: no reach near": 1}
    table = read_table(out, "matchup")
    assert sorted(table["site"]) == ["near", "near", "told", "told"]
    assert set(table["reach_id"]) == {REACH}
    assert set(table["width_m"]) == {200.0}
    own = table[table["rank"] == 0]
    assert own["dt_h"].tolist() == pytest.approx([1 + 39 / 60 + 1 / 3600] * 2)
    rows = open_store(store).query([REACH])
    assert own["red_med"].tolist() == pytest.approx([rows["red_med"][0]] * 2, nan_ok=True)
    assert own["granule_id"].iloc[0] == "HLS.S30.T15SXR.2021248T163901.v2.0"
    gone = pd.read_csv(lost)
    assert dict(zip(gone["site"], gone["reason"], strict=True)) == {
        "cloudy": "cloud",
        "lost": "no reach: no reach near",
    }
    assert "[3/3]" in err


def test_pair_says_in_words_what_it_did(ssc, tmp_path, store, reaches):
    samples = written(tmp_path / "samples.csv", reach_id=[REACH] * 3 + [12345678901])
    code, text, _ = ssc(
        *("pair", "--store", store, "--samples", samples, "--reaches", reaches, "--out", tmp_path / "pairs.csv")
    )
    assert code == 0
    assert "      3 paired" in text
    assert "no reach: not in the reach file" in text
    assert len(pd.read_csv(tmp_path / "pairs.csv")) == 3


def test_wrong_use_is_told_in_one_line(ssc, tmp_path, store, reaches):
    samples = written(tmp_path / "samples.csv")
    options = ("--samples", samples, "--reaches", reaches, "--out", tmp_path / "pairs.csv")
    code, _, err = ssc("pair", "--store", tmp_path / "nowhere", *options)
    assert code == 2
    assert "nowhere" in err
    code, _, err = ssc("pair", "--store", store, *options[2:], "--samples", tmp_path / "none.csv")
    assert code == 2
    assert "none.csv" in err
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    code, _, err = ssc("pair", "--store", store, *options[2:], "--samples", tmp_path / "odd.csv")
    assert code == 1
    assert "missing site" in err


def test_points_of_the_parana(ssc, shared, tmp_path):
    folder = shared / "data" / "parana_sentinel2_tss"
    lab = tmp_path / "lab.csv"
    code, text, err = ssc(
        *("read", folder / "matchups_sen2cor_wide.csv", "--label", "tss", "--out", lab, "--json"),
        *("--column", "time=fecha", "--column", "value=sst_mg_l", "--column", "longitude=longitud"),
        *("--column", "latitude=latitud", "--column", "site=fecha", "--constant", "unit=mg/L"),
    )
    assert code == 0, err
    assert json.loads(text)["read"] == 66
    from tasks.parana import read_samples

    read_samples(folder).to_csv(lab, index=False)
    out = tmp_path / "pairs.parquet"
    options = ("--points", lab, "--out", out, "--factor", 3, "--overpass", "14:10", "--masker", "mndwi")
    code, text, err = ssc(
        *("points", "--raster", folder / "sen2cor", *options, "--name-time", "%Y%m%d", "--json"),
        *("--scale", 1e-4, "--offset", -0.1, "--nodata", 0),
    )
    assert code == 0, err
    assert json.loads(text)["samples"] == {"paired": 63, "replicates": 0}
    assert "rasters 20251126.tif" in err
    from tasks.parana import parana_matchups

    expected, _ = parana_matchups(folder, correction="sen2cor", masker="mndwi")
    table = read_table(out, "matchup")
    features = [name for name in expected if name.endswith(("_med", "_mad"))]
    pd.testing.assert_frame_equal(table[features], expected[features])
    code, _, err = ssc("points", "--raster", folder / "sen2cor", *options)
    assert code == 2
    assert "no time in the name 20230511.tif" in err
    code, _, err = ssc("points", "--raster", folder / "sen2cor", *options, "--name-time", "%Y%m%d")
    assert code == 1
    assert "give scale and offset" in err
    code, _, err = ssc("points", "--raster", folder / "sen2cor", *options, "--product", "L8")
    assert code == 2
    assert "--product L8: wanted L30 or S30" in err


def test_read_wants_pairs_and_stations(ssc, tmp_path):
    code, _, err = ssc("read", tmp_path / "a.csv", "--column", "value", "--out", tmp_path / "b.csv")
    assert code == 2
    assert "--column value: wanted OURS=THEIRS" in err
    code, _, err = ssc("read", tmp_path / "a.csv", "--format", "gemstat", "--out", tmp_path / "b.csv")
    assert code == 2
    assert "--stations" in err


class Refusing(BaseHTTPRequestHandler):
    """A service that refuses everyone, and counts."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *arguments):
        pass


@pytest.fixture
def refusing():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.asked = []
    Thread(target=partial(server.serve_forever, poll_interval=0.05), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("service", ["usgs", "wqp"])
def test_services_are_asked_and_their_refusal_is_told(ssc, refusing, tmp_path, service):
    url = f"http://127.0.0.1:{refusing.server_address[1]}"
    options = ("--site", "USGS-05586100", "--start", "2020-01-01", "--end", "2020-12-31", "--out", tmp_path / "s.csv")
    code, _, err = ssc(service, *options, "--base-url", url)
    assert code == 1
    assert "AccessError" in err
    assert any("05586100" in path for path in refusing.asked)
    code, _, err = ssc(service, "--out", tmp_path / "s.csv")
    assert code == 2
    assert "without an area" in err
