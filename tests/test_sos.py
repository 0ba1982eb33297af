"""SSC in the layout of the SoS, read back as its consumers read it: group ssc, node by node, day by day."""

from __future__ import annotations

import netCDF4
import numpy as np
import pandas as pd
import pytest

from ssc.errors import InputError
from ssc.exports import export
from ssc.quality import Quality
from ssc.results import open_store
from ssc.sword import reach_of
from tables import REACHES, make_reaches, make_rows

NODES = {REACHES[0]: 3, REACHES[1]: 50}
"""The third reach does not tell; its rows saw six nodes."""
EPOCH = pd.Timestamp("2000-01-01", tz="UTC")


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "store", create=True)
    rows = make_rows(days=3, n_nodes=np.int32(6), ssc_qual=np.int32(Quality.NARROW), ssc_quality=np.int8(1))
    rows["ssc"] = np.array([10, 20, np.nan, 30, 40, 50, 60, 70, 80], dtype=np.float32)
    rows["ln_ssc_sd"] = np.float32(0.5)
    store.write(rows)
    reaches = make_reaches()
    store.write_reaches(reaches.assign(n_nodes=pd.Series(NODES).reindex(reaches.index)))
    return store


def read(path):
    """(nodes, days): a frame of ssc_pred, and tile names, as a reader of the SoS makes them."""
    with netCDF4.Dataset(path) as file:
        group = file["ssc"]
        nodes = np.asarray(group["ssc_nodes"][:], dtype=np.int64)
        days = EPOCH + pd.to_timedelta(group["ssc_date"][:].data, unit="s")
        values = np.ma.filled(group["ssc_pred"][:], np.nan)
        return pd.DataFrame(values, nodes, days), pd.DataFrame(group["tile_name"][:], nodes, days)


def test_layout_is_that_of_the_sos(store, tmp_path):
    with netCDF4.Dataset(export(store, tmp_path / "out.nc", "sos")) as file:
        group = file["ssc"]
        found = {name: (str(variable.dtype), variable.dimensions) for name, variable in group.variables.items()}
        both = ("num_ssc_nodes", "ssc_dates")
        assert found == {
            "ssc_date": ("float64", ("ssc_dates",)),
            "ssc_nodes": ("float64", ("num_ssc_nodes",)),
            "ssc_pred": ("float64", both),
            "tile_name": ("<class 'str'>", both),
        }
        assert group["ssc_date"].units == "seconds since 2000-01-01 00:00:00.000"
        assert (group["ssc_pred"].valid_min, group["ssc_pred"].valid_max) == (0, 1e8)
        assert group["ssc_pred"]._FillValue == group["ssc_pred"].missing_value == -999999999999.0
        assert set(file.groups) == {"ssc"}
        assert set(group.groups) == {"reach"}


def test_each_node_has_the_value_of_its_reach(store, tmp_path):
    values, names = read(export(store, tmp_path / "out.nc", "sos"))
    reach = reach_of(values.index.to_numpy())
    # SWORD: NNN before the last digit counts a reach's nodes from 1
    assert values.index[reach == REACHES[0]].tolist() == [74299900010011, 74299900010021, 74299900010031]
    assert {i: (reach == i).sum() for i in REACHES} == NODES | {REACHES[2]: 6}
    assert values.columns.strftime("%Y-%m-%dT%H").tolist() == ["2021-09-05T00", "2021-09-06T00", "2021-09-07T00"]
    for row in store.query().itertuples():
        day = row.time.floor("D")
        np.testing.assert_array_equal(values.loc[reach == row.reach_id, day], row.ssc)
        assert set(names.loc[reach == row.reach_id, day]) == set(row.granule_ids)


def test_what_the_layout_has_no_place_for_stands_beside(store, tmp_path):
    rows = store.query()
    with netCDF4.Dataset(export(store, tmp_path / "out.nc", "sos")) as file:
        nodes, reach = file["ssc/ssc_nodes"][:].astype(np.int64), file["ssc/reach"]
        assert reach["reach_id"][:].tolist() == sorted(REACHES)
        assert (reach["reach_id"][:][reach["node_reach"][:]] == reach_of(nodes)).all()
        assert reach["node_value"].flag_meanings.split()[1] == "reach_value"
        assert set(reach["node_value"][:].tolist()) == {1}
        assert "no node samples" in file["ssc/ssc_pred"].comment
        for name, column in (("ssc_reach", "ssc"), ("n_px", "n_px_used"), ("ssc_qual", "ssc_qual")):
            found = np.ma.filled(reach[name][:].astype(float), np.nan).ravel()
            np.testing.assert_array_equal(found, rows[column].astype(float))
        # sinh(0.5) = 0.521095
        np.testing.assert_allclose(reach["ssc_u"][:].compressed(), 0.521095 * rows["ssc"].dropna(), rtol=1e-5)
        assert (reach.masker, reach.regressor) == ("legacy-dswx", "physical")


def test_of_two_looks_a_day_the_better_one_counts(store, tmp_path):
    rows = store.query()
    worse = rows.assign(platform="S2B", ssc=np.float32(1), ssc_quality=np.int8(2), n_px_used=np.int32(10**6))
    equal = rows.assign(platform="L8", ssc=np.float32(2), n_px_used=rows["n_px_used"] - 1)
    values, _ = read(export(store, tmp_path / "out.nc", "sos", rows=pd.concat([worse, equal, rows])))
    seen = rows.dropna(subset="ssc")
    for row in seen.itertuples():
        assert set(values[reach_of(values.index.to_numpy()) == row.reach_id][row.time.floor("D")]) == {row.ssc}
    # A withheld estimate gives way to any other
    lost = rows[rows["ssc"].isna()].iloc[0]
    assert set(values[reach_of(values.index.to_numpy()) == lost["reach_id"]][lost["time"].floor("D")]) == {2.0}


def test_days_without_a_look_are_fill(store, tmp_path):
    rows = store.query()
    values, names = read(export(store, tmp_path / "out.nc", "sos", rows=rows.drop(index=rows.index[-1])))
    last = reach_of(values.index.to_numpy()) == rows["reach_id"].iloc[-1]
    assert values[last].iloc[:, -1].isna().all()
    assert set(names[last].iloc[:, -1]) == {""}
    assert values[~last].notna().any(axis=None)


def test_what_the_layout_cannot_hold_is_refused(store, tmp_path):
    rows = store.query()
    with pytest.raises(InputError, match="one masker and regressor: found legacy-dswx with physical, mndwi with phys"):
        export(store, tmp_path / "out.nc", "sos", rows=pd.concat([rows, rows.assign(masker="mndwi")]))
    with pytest.raises(InputError, match="no sos export without ln_ssc_sd"):
        export(store, tmp_path / "out.nc", "sos", rows=rows.drop(columns="ln_ssc_sd"))
