"""`ssc flux`: a store and files of discharge in, a table of fluxes out."""

from __future__ import annotations

import json
import sys

import netCDF4
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr

from flows.cli import main
from ssc.errors import DataError, InputError
from ssc.flux import FluxQuality, Kind, read_discharge
from ssc.flux.source import kind_of
from ssc.results import open_store
from tables import REACHES, make_reaches, make_rows

FILL = -999999999999.0
NAMES = {"mean": np.float32(250), "lo": np.float32(100), "hi": np.float32(625)}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Four days of three reaches, mean 250 mg/L; on the last day nothing but the median is known."""
    store = open_store(tmp_path_factory.mktemp("flux") / "store", create=True)
    rows = make_rows(ssc=np.float32(200), ssc_mean=NAMES["mean"], ssc_lo90=NAMES["lo"], ssc_hi90=NAMES["hi"])
    rows["ssc_mean"] = rows["ssc_mean"].mask(rows["acquisition"] == rows["acquisition"].max())
    store.write(rows)
    store.write_reaches(make_reaches())
    return store


@pytest.fixture
def gauges(tmp_path):
    """1000 m3/s of the first reach at noon of every day, as text with an hour before UTC."""
    path = tmp_path / "gauges.csv"
    lines = [f"2021-09-{day:02d}T12:00:00,{REACHES[0]},{35314.6667}" for day in range(5, 9)]
    path.write_text("when,id,flow\n" + "\n".join([*lines, f"2021-09-09T12:00:00,{REACHES[0]},-999999"]) + "\n")
    return path


@pytest.fixture
def ssc(capsys, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ssc", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


def of_gauges(path):
    return (
        "--discharge",
        path,
        "--unit",
        "ft3/s",
        "--time-column",
        "when",
        "--reach-column",
        "id",
        "--q-column",
        "flow",
    )


def write_sos(path, reach_id, q, seconds):
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("num_reaches", 1)
        file.createGroup("reaches").createVariable("reach_id", "i8", ("num_reaches",))[:] = [reach_id]
        group = file.createGroup("consensus")
        for name, values, dtype in (("consensus_q", q, np.float64), ("time_int", seconds, np.int64)):
            kind = group.createVLType(dtype, f"ragged_{name}")
            group.createVariable(name, kind, ("num_reaches",))[0] = np.array(values, dtype=dtype)
    return path


def test_gauges_to_csv(ssc, store, gauges, tmp_path):
    out = tmp_path / "flux.csv"
    code, printed, told = ssc("flux", store.place, *of_gauges(gauges), "--out", out)
    assert code == 0
    assert "4 fluxes in 12 rows, from 4 discharges" in printed
    assert "left out: 1 negative" in told
    found = pd.read_csv(out, parse_dates=["time", "q_time"]).set_index("reach_id")
    assert len(found) == 12
    # 35 314.6667 ft3/s are 1000 m3/s; 250 kg/s and 21 600 t/d by the mean, 200 kg/s by the median
    mine = found.loc[REACHES[0]].sort_values("time")
    np.testing.assert_allclose(mine["sed_flux"], [250, 250, 250, 200], rtol=1e-7)
    np.testing.assert_allclose(mine["sed_flux_t_d"], [21600, 21600, 21600, 17280], rtol=1e-7)
    assert mine["ssc_used"].tolist() == ["mean"] * 3 + ["median"]
    unknown = FluxQuality.Q_ERROR_UNKNOWN
    assert mine["flux_qual"].tolist() == [unknown] * 3 + [unknown | FluxQuality.MEDIAN_SSC]
    # 16:54:47.751044 UTC minus noon
    np.testing.assert_allclose(mine["dt_q_ssc_h"], -4.913264, rtol=1e-6)
    others = found.drop(index=REACHES[0])
    assert others["sed_flux"].isna().all()
    assert ((others["flux_qual"] & int(FluxQuality.NO_DISCHARGE)) != 0).all()


def test_options_reach_the_product(ssc, store, gauges, tmp_path):
    def run(*options):
        out = tmp_path / "flux.parquet"
        code, printed, _ = ssc("flux", store.place, *of_gauges(gauges), "--out", out, "--json", *options)
        assert code == 0
        return json.loads(printed), pq.read_table(out).to_pandas()

    summary, all_of_it = run()
    assert (summary["rows"], summary["fluxes"], summary["left_out"]["negative"]) == (12, 4, 1)
    assert run("--within", 4)[0]["fluxes"] == 0
    assert run("--timezone", "Etc/GMT+1", "--within", 4)[0]["fluxes"] == 4
    assert run("--reach", REACHES[0], "--start", "2021-09-06", "--end", "2021-09-07")[0]["rows"] == 2
    assert run("--masker", "mndwi")[0]["rows"] == 0
    assert run("--regressor", "physical")[0]["rows"] == 12
    wide = run("--assumed-sd", 0.5)[1]
    assert (wide["sed_flux_hi90"].dropna() > all_of_it["sed_flux_hi90"].dropna()).all()


def test_parquet_tells_units_and_netcdf_what_flags_mean(ssc, store, gauges, tmp_path):
    for name in ("flux.parquet", "flux.nc"):
        assert ssc("flux", store.place, *of_gauges(gauges), "--out", tmp_path / name)[0] == 0
    table = pq.read_table(tmp_path / "flux.parquet")
    assert table.schema.field("sed_flux").metadata[b"units"] == b"kg s-1"
    assert table.schema.field("reach_id").type == "int64"
    with xr.open_dataset(tmp_path / "flux.nc") as found:
        np.testing.assert_array_equal(found["sed_flux"], table["sed_flux"].to_numpy())
        assert found["flux_qual"].attrs["flag_meanings"].split()[0] == "no_discharge"
        assert found["flux_qual"].attrs["flag_masks"].tolist() == [bit.value for bit in FluxQuality]
        assert found["rowSize"].to_numpy().tolist() == [4, 4, 4]
        assert found.attrs["title"] == "Sediment flux of river reaches"
        assert found["sed_flux"].attrs["ancillary_variables"].split()[-1] == "flux_qual"
        assert set(found["q_source"].to_numpy()) == {"", "gauge"}


def test_sos_first_then_gauges(ssc, store, gauges, tmp_path):
    """Of two sources at one moment the first given counts."""
    # 2021-09-05 is day 7918 since 2000-01-01; noon of the 5th and the 6th
    noon = [7918 * 86400 + 43200, 7919 * 86400 + 43200]
    sos = write_sos(tmp_path / "na_SOS_results_unconstrained.nc", REACHES[0], [2000.0, FILL], noon)
    out = tmp_path / "flux.csv"
    assert ssc("flux", store.place, "--discharge", sos, *of_gauges(gauges), "--out", out)[0] == 0
    found = pd.read_csv(out).query(f"reach_id == {REACHES[0]}").sort_values("time")
    np.testing.assert_allclose(found["sed_flux"], [500, 250, 250, 200], rtol=1e-7)
    assert found["q_source"].tolist() == ["sos_consensus_unc", "gauge", "gauge", "gauge"]


def test_files_are_told_apart_by_what_is_in_them(shared, gauges, tmp_path):
    folder = shared / "data" / "reaches_tiles" / "confluence"
    sos = write_sos(tmp_path / "a.nc", REACHES[0], [1.0], [1])
    old = tmp_path / f"{REACHES[0]}_consensus.csv"
    old.write_text("date,median\n2021-09-05,3\n")
    new = tmp_path / f"{REACHES[0]}_consensus.nc"
    with netCDF4.Dataset(new, "w") as file:
        file.createDimension("nt", 1)
        file.createVariable("consensus_q", "f8", ("nt",))[:] = [7.0]
        file.createVariable("time_str", str, ("nt",))[:] = np.array(["2021-09-05T00:00:00Z"], dtype=object)
    geobam = folder / "74269800011_geobam.nc"
    kinds = [kind_of(path) for path in (sos, old, new, gauges, geobam)]
    assert kinds == [Kind.SOS, Kind.CONSENSUS, Kind.CONSENSUS, Kind.GAUGES, Kind.ALGORITHM]
    assert read_discharge(new).table["q_m3_s"].tolist() == [7]
    assert read_discharge(old).table["day_only"].all()
    assert len(read_discharge(geobam, swot=folder / "74269800011_SWOT.nc").table) == 114
    assert read_discharge(sos, reach_ids=[1]).table.empty
    with pytest.raises(InputError, match="wanted the SWOT input file"):
        read_discharge(geobam)
    with pytest.raises(InputError, match="no unit of discharge"):
        read_discharge(gauges)
    with pytest.raises(DataError, match=r"found groups .*node.* wanted groups reaches and consensus"):
        kind_of(folder / "74269800011_SWOT.nc")
    with pytest.raises(DataError, match="cannot read"):
        kind_of(_written(tmp_path / "broken.nc", "no netCDF"))
    with pytest.raises(DataError, match="cannot read"):
        kind_of(_written(tmp_path / "empty.csv", ""))


def _written(path, text):
    path.write_text(text)
    return path


def test_wrong_use_is_told_before_any_work(ssc, store, gauges, tmp_path):
    code, _, err = ssc("flux", store.place, *of_gauges(gauges), "--out", tmp_path / "flux.xlsx")
    assert code == 2
    assert "found .xlsx, wanted one of .csv .parquet .nc" in err
    code, _, err = ssc("flux", store.place, "--discharge", tmp_path / "none.csv", "--out", tmp_path / "flux.csv")
    assert code == 2
    assert "none.csv" in err
    assert not (tmp_path / "flux.csv").exists()
