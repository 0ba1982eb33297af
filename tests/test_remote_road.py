"""The main job on granules behind a web server: the same rows as from disk; trouble, refusal and patience."""

from __future__ import annotations

import pandas as pd
import pytest

from flows.engine import Engine, run_estimate
from rangeserver import serving
from ssc.errors import AccessError
from ssc.results import open_store
from tasks import policy
from tiny import L30, S30, write_granule, write_river


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(policy, "FIRST_PAUSE_S", 0.01)


@pytest.fixture
def data(tmp_path):
    """Two granules in one folder, and a reach along their river."""
    for name in (S30, L30):
        write_granule(tmp_path / "data", name)
    write_river(tmp_path / "reaches.geojson")
    return tmp_path


@pytest.fixture
def server(data):
    with serving(data / "data") as server:
        yield server


def estimate(data, store, paths):
    parameters = {"granules": paths, "reaches": str(data / "reaches.geojson"), "store": str(data / store)}
    return run_estimate(parameters, Engine.LOCAL)


def remote(server):
    return [f"{server.url}/HLSS30.020/{S30}", f"{server.url}/HLSL30.020/{L30}"]


def test_remote_granules_give_the_rows_of_local_ones(data, server):
    assert estimate(data, "remote", remote(server)).exit_code == 0
    assert estimate(data, "local", [str(data / "data")]).exit_code == 0
    pd.testing.assert_frame_equal(open_store(data / "remote").query(), open_store(data / "local").query())


def test_a_passing_trouble_costs_nothing(data, server):
    server.answer, server.only, server.times = "503", f"{S30}.B04", 2
    summary = estimate(data, "store", remote(server))
    assert summary.exit_code == 0
    assert len(open_store(data / "store").query()) == 2


def test_a_lasting_trouble_sets_one_granule_aside(data, server):
    server.answer, server.only = "503", f"{S30}.B04"
    summary = estimate(data, "store", remote(server))
    assert summary.exit_code == 3
    assert "503" in summary.set_aside[S30]
    assert "gave up after 4 tries" in summary.set_aside[S30]
    assert open_store(data / "store").query()["product"].tolist() == ["L30"]

    server.answer = "serve"
    assert estimate(data, "store", remote(server)).exit_code == 0
    assert open_store(data / "store").query()["product"].tolist() == ["L30", "S30"]


def test_a_refusal_stops_the_run_and_keeps_what_was_ready(data, server):
    server.answer, server.only = "401", f"{S30}.B04"
    with pytest.raises(AccessError, match="log in to Earthdata"):
        estimate(data, "store", remote(server))
    assert set(open_store(data / "store").query()["product"]) <= {"L30"}
    server.answer = "serve"
    assert estimate(data, "store", remote(server)).exit_code == 0
    assert len(open_store(data / "store").query()) == 2
