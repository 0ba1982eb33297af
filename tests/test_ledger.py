"""The ledger: one entry per granule, masker and regressor, rewritten only when it says something else."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from ssc.errors import InputError
from ssc.ledger import Entry
from ssc.provenance import code_version
from ssc.results import open_store

NAME = "HLS.S30.T15SXR.2021250T163901.v2.0"
OTHER = "HLS.L30.T15SXR.2022001T164501.v2.0"


@pytest.fixture
def ledger(tmp_path):
    return open_store(tmp_path / "store", create=True).ledger


def entry(granule_id=NAME, status="estimated", **more):
    return Entry(
        **{"masker": "mndwi", "regressor": "physical", "settings_hash": "aa"} | more,
        granule_id=granule_id,
        status=status,
    )


def test_done_are_those_with_the_same_settings_that_could_be_read(ledger):
    ledger.write(
        [
            entry(),
            entry(OTHER, "set_aside", reason="cut short"),
            entry("HLS.S30.T15SXR.2021251T163901.v2.0", "cloudy", settings_hash="bb"),
            entry("HLS.S30.T15SXR.2021252T163901.v2.0", "no_reach"),
        ]
    )
    assert ledger.done("mndwi", "physical") == {
        NAME: "aa",
        "HLS.S30.T15SXR.2021252T163901.v2.0": "aa",
        "HLS.S30.T15SXR.2021251T163901.v2.0": "bb",
    }
    assert ledger.done("fmask", "physical") == {}
    assert ledger.done("mndwi", "nechad-red") == {}


def test_entries_read_back(ledger):
    finished = datetime(2026, 11, 21, 12, tzinfo=UTC)
    ledger.write([entry(n_reaches=8, n_estimated=5, seconds=1.5, finished=finished)])
    (found,) = ledger.read().to_dict("records")
    assert found == {
        "granule_id": NAME,
        "masker": "mndwi",
        "regressor": "physical",
        "status": "estimated",
        "reason": "",
        "n_reaches": 8,
        "n_estimated": 5,
        "settings_hash": "aa",
        "code_version": code_version(),
        "seconds": 1.5,
        "finished": pd.Timestamp(finished),
    }


def test_the_clock_alone_writes_nothing(ledger):
    ledger.write([entry(seconds=1.0), entry(OTHER)])
    before, version = ledger.read(), ledger.table.version
    written = ledger.write([entry(seconds=2.0), entry(OTHER, seconds=3.0)])
    assert (written.inserted, written.updated, written.unchanged) == (0, 0, 2)
    assert ledger.table.version == version
    pd.testing.assert_frame_equal(ledger.read(), before)


def test_a_granule_that_can_be_read_at_last_replaces_its_entry(ledger):
    ledger.write([entry(status="set_aside", reason="cut short")])
    assert ledger.write([entry(), entry(OTHER)]).updated == 1
    assert ledger.read()["status"].tolist() == ["estimated", "estimated"]
    assert ledger.done("mndwi", "physical") == {NAME: "aa", OTHER: "aa"}


def test_maskers_have_entries_of_their_own_and_the_later_of_two_counts(ledger):
    ledger.write([entry(), entry(masker="fmask"), entry(status="cloudy")])
    assert ledger.read()[["masker", "status"]].to_numpy().tolist() == [["fmask", "estimated"], ["mndwi", "cloudy"]]


def test_files_without_an_hls_name_have_entries_too(ledger):
    ledger.write([entry("HLS.S30.copy.tif", "set_aside", reason="not an HLS granule name")])
    ledger.write([])
    assert ledger.read()["granule_id"].tolist() == ["HLS.S30.copy.tif"]


def test_unknown_status_is_refused():
    with pytest.raises(InputError, match="no status 'fine' for HLS"):
        entry(status="fine")
