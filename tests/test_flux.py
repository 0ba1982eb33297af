"""Sediment flux against arithmetic, a slow search for the nearest discharge, drawn products, and real files."""

from __future__ import annotations

import json
import zoneinfo

import netCDF4
import numpy as np
import pandas as pd
import pytest

from ssc.errors import DataError, InputError, ReachError
from ssc.flux import (
    DISCHARGE,
    FluxQuality,
    flux,
    flux_interval,
    nearest_discharge,
    read_algorithm,
    read_consensus,
    read_gauges,
    read_sos,
)
from ssc.flux.compute import FLUX
from ssc.regression import load

REACH, OTHER = 62270000143, 62270000153
"""float32 holds both as 62270001152."""
FILL = -999999999999.0
NOTHING_LEFT_OUT = {"no_time": 0, "missing": 0, "negative": 0, "repeated": 0, "contradictory": 0}


def utc(*times):
    return pd.to_datetime(list(times), utc=True, format="ISO8601").as_unit("us")


def estimates(*times, reach=REACH, ssc=250.0, lo=100.0, hi=625.0, **columns):
    known = {"reach_id": reach, "time": utc(*times), "ssc": ssc, "ssc_lo90": lo, "ssc_hi90": hi}
    return pd.DataFrame(known | columns)


def discharge(*times, q=1000.0, reach=REACH, sd=0.0, day_only=False, source="gauge"):
    known = {"reach_id": reach, "time": utc(*times), "q_m3_s": q, "ln_q_sd": sd, "day_only": day_only, "source": source}
    return pd.DataFrame(known)


def one(ssc, q, **options):
    found = flux(ssc, q, **options)
    assert len(found) == 1
    return found.iloc[0]


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def write_sos(path, ids, q, seconds, algorithms=None):
    """The layout of output/modules/Consensus.py: ragged by num_reaches, one fill value where a reach was not run."""
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("num_reaches", len(ids))
        reaches = file.createGroup("reaches")
        reaches.createVariable("reach_id", "i8", ("num_reaches",))[:] = np.array(ids)
        ragged = {"consensus/consensus_q": (q, np.float64), "consensus/time_int": (seconds, np.int64)}
        ragged |= {name: (values, np.float64) for name, values in (algorithms or {}).items()}
        for name, (values, dtype) in ragged.items():
            folder, variable = name.split("/")
            group = file.groups.get(folder) or file.createGroup(folder)
            kind = file.vltypes.get(np.dtype(dtype).name) or file.createVLType(dtype, np.dtype(dtype).name)
            made = group.createVariable(variable, kind, ("num_reaches",))
            made.missing_value = FILL
            for index, array in enumerate(values):
                made[index] = np.array(array, dtype=dtype)
    return path


# The product


def test_units_by_hand():
    # 1000 m3/s x 250 g/m3 = 250 000 g/s = 250 kg/s; x 86 400 s/d = 21 600 000 kg/d = 21 600 t/d
    row = one(estimates("2021-09-07T16:55Z"), discharge("2021-09-07T16:55Z"))
    assert row["sed_flux"] == pytest.approx(250, rel=1e-12)
    assert row["sed_flux_t_d"] == pytest.approx(21600, rel=1e-12)
    assert row["method"] == "instantaneous product"


def test_columns_types_index_and_what_names_the_estimate():
    known = estimates("2021-09-07T16:55Z", "2021-09-08T16:55Z", platform="L8", masker="neural", ssc_qual=1024)
    found = flux(known.set_axis([42, 7]), discharge("2021-09-08T16:55Z"))
    assert list(found.columns) == ["reach_id", "platform", "masker", "time", "ssc_qual", *(c.name for c in FLUX)]
    assert found.index.tolist() == [42, 7]
    assert found["ssc_qual"].tolist() == [1024, 1024]
    assert found["dt_q_ssc_h"].tolist() == [24.0, 0.0]
    assert found["flux_qual"].dtype == np.int32
    for column in FLUX:
        assert pd.api.types.is_string_dtype(found[column.name]) == (column.type == "string"), column.name


def test_rows_of_one_index_keep_their_own_flux():
    twice = estimates("2021-09-09T00:00Z", "2021-09-07T00:00Z", ssc=[20.0, 10.0]).set_axis([5, 5])
    found = flux(twice, discharge("2021-09-07T00:00Z", "2021-09-09T00:00Z", q=[1000.0, 3000.0]))
    assert found["sed_flux"].tolist() == pytest.approx([60, 10])
    assert found.index.tolist() == [5, 5]


def test_the_mean_is_used_where_there_is_one_and_never_revives_a_withheld_row():
    moment = "2021-09-07T16:55Z"
    both = estimates(*[moment] * 4, ssc=[250.0, 250.0, np.nan, np.nan], ssc_mean=[300.0, np.nan, 300.0, np.nan])
    found = flux(both, discharge(moment))
    np.testing.assert_allclose(found["sed_flux"], [300, 250, np.nan, np.nan])
    assert found["ssc_used"].fillna("none").tolist() == ["mean", "median", "none", "none"]
    assert found["flux_qual"].tolist() == [0, FluxQuality.MEDIAN_SSC, FluxQuality.NO_SSC, FluxQuality.NO_SSC]
    assert found.loc[2:, ["sed_flux", "sed_flux_t_d", "sed_flux_lo90", "sed_flux_hi90"]].isna().all(axis=None)
    alone = one(both.drop(columns="ssc").iloc[[2]], discharge(moment))
    assert (alone["sed_flux"], alone["ssc_used"], alone["flux_qual"]) == (pytest.approx(300), "mean", 0)


def test_rows_of_the_shipped_regressors_are_fluxes_of_the_mean():
    """Novoa by hand 23.1248 mg/L, times exp(0.82801^2 / 2) = 1.40888, times 1000 m3/s."""
    known = estimates("2021-09-07T16:55Z").drop(columns=["ssc", "ssc_lo90", "ssc_hi90"])
    known = known.assign(**load("physical").predict(pd.DataFrame({"red_med": [0.05], "nir_med": [0.02]})))
    row = one(known, discharge("2021-09-07T16:55Z"))
    assert row["sed_flux"] == pytest.approx(23.1248 * 1.40888, rel=1e-5)
    assert (row["ssc_used"], row["flux_qual"]) == ("mean", 0)
    assert row["sed_flux_lo90"] < row["sed_flux"] < row["sed_flux_hi90"]


def test_float32_estimates_of_the_results_table_are_multiplied_exactly():
    known = estimates("2021-09-07T16:55Z", ssc_mean=np.float32(0.1)).astype({"ssc": "float32"})
    assert one(known, discharge("2021-09-07T16:55Z", q=1e6))["sed_flux"] == float(np.float32(0.1)) * 1e6 * 1e-3


def test_a_dry_river_carries_nothing():
    row = one(estimates("2021-09-07T16:55Z"), discharge("2021-09-07T16:55Z", q=0.0, sd=0.3))
    assert row[["sed_flux", "sed_flux_t_d", "sed_flux_lo90", "sed_flux_hi90"]].tolist() == [0, 0, 0, 0]


# The interval


def test_interval_by_hand():
    # ln(625/100)/2 = 0.916291; 1.644854 x 0.3 = 0.493456; hypot 1.040707; centre sqrt(100 x 625) = 250
    lo, hi = flux_interval(100.0, 625.0, 1000.0, 0.3)
    assert lo == pytest.approx(250 / np.exp(1.040707), rel=1e-5)
    assert hi == pytest.approx(250 * np.exp(1.040707), rel=1e-5)
    # Fully dependent: 0.916291 + 0.493456 = 1.409747; opposite: 0.422835
    assert flux_interval(100.0, 625.0, 1000.0, 0.3, correlation=1.0)[1] == pytest.approx(
        250 * np.exp(1.409747), rel=1e-5
    )
    assert flux_interval(100.0, 625.0, 1000.0, 0.3, correlation=-1.0)[1] == pytest.approx(
        250 * np.exp(0.422835), rel=1e-5
    )


def test_discharge_known_exactly_scales_the_interval_of_ssc():
    row = one(estimates("2021-09-07T16:55Z"), discharge("2021-09-07T16:55Z", q=40.0))
    assert row[["sed_flux_lo90", "sed_flux_hi90"]].tolist() == pytest.approx([4.0, 25.0])


@pytest.mark.parametrize("correlation", [-0.6, 0.0, 0.4])
def test_interval_is_that_of_drawn_products(correlation):
    random = np.random.default_rng(5)
    a, b = random.standard_normal((2, 400_000))
    b = correlation * a + np.sqrt(1 - correlation**2) * b
    drawn = 80 * np.exp(0.5 * a) * 300 * np.exp(0.35 * b) * 1e-3
    ends = flux_interval(
        80 * np.exp(-1.644854 * 0.5), 80 * np.exp(1.644854 * 0.5), 300.0, 0.35, correlation=correlation
    )
    assert ends == pytest.approx(np.quantile(drawn, [0.05, 0.95]), rel=0.01)


def test_opposite_errors_of_one_size_cancel():
    lo, hi = flux_interval(100.0, 100.0 * np.exp(2 * 1.6448536269514722 * 0.3), 10.0, 0.3, correlation=-1.0)
    assert hi == pytest.approx(lo, rel=1e-6)


@pytest.mark.parametrize("ends", [(np.nan, 625.0), (100.0, np.nan), (0.0, 625.0), (625.0, 100.0), (100.0, np.inf)])
def test_what_is_no_interval_gives_none_but_keeps_the_flux(ends):
    row = one(estimates("2021-09-07T16:55Z", lo=ends[0], hi=ends[1]), discharge("2021-09-07T16:55Z"))
    assert row[["sed_flux_lo90", "sed_flux_hi90"]].isna().all()
    assert row["sed_flux"] == pytest.approx(250)
    assert row["flux_qual"] == FluxQuality.NO_INTERVAL | FluxQuality.MEDIAN_SSC


def test_an_unknown_error_of_discharge_is_flagged_and_may_be_assumed():
    known, q = estimates("2021-09-07T16:55Z", ssc_mean=250.0), discharge("2021-09-07T16:55Z", sd=np.nan)
    bare, assumed = one(known, q), one(known, q, assumed_ln_q_sd=0.3)
    told = one(known, discharge("2021-09-07T16:55Z", sd=0.3), assumed_ln_q_sd=5.0)
    assert bare["sed_flux_hi90"] == pytest.approx(625)
    assert assumed["sed_flux_hi90"] == told["sed_flux_hi90"] > 700
    assert [row["flux_qual"] for row in (bare, assumed, told)] == [FluxQuality.Q_ERROR_UNKNOWN] * 2 + [0]
    assert np.isnan(assumed["ln_q_sd"])


# The nearest discharge


def test_24_hours_are_near_and_a_microsecond_more_is_not():
    known = estimates("2021-09-07T12:00:00.000001Z", "2021-09-07T12:00:00Z", ssc_mean=250.0)
    found = flux(known, discharge("2021-09-06T12:00:00Z"))
    assert found["flux_qual"].tolist() == [FluxQuality.TOO_FAR_IN_TIME, 0]
    assert found["sed_flux"].isna().tolist() == [True, False]
    assert found["dt_q_ssc_h"].to_numpy() == pytest.approx([-24, -24], abs=1e-6)
    assert found["q_time"].tolist() == utc("2021-09-06T12:00:00Z").tolist() * 2
    assert found["q_m3_s"].isna().tolist() == found["q_source"].isna().tolist() == [True, False]
    assert flux(known, discharge("2021-09-06T12:00:00Z"), within_h=23.9)["sed_flux"].isna().all()


def test_days_are_not_averaged():
    q = discharge("2021-09-06T20:00Z", "2021-09-07T10:00Z", "2021-09-07T23:00Z", q=[10.0, 1000.0, 4000.0])
    assert one(estimates("2021-09-07T16:00Z"), q)["q_m3_s"] == 1000


def test_of_two_equally_near_the_earlier_and_at_one_time_the_first_given():
    tie = discharge("2021-09-07T18:00Z", "2021-09-07T14:00Z", q=[1.0, 2.0])
    row = one(estimates("2021-09-07T16:00Z"), tie)
    assert (row["q_m3_s"], row["dt_q_ssc_h"]) == (2.0, -2.0)
    for times in ("2021-09-07T15:00Z", "2021-09-07T17:00Z", "2021-09-07T16:00Z"):
        twice = discharge(times, times, times, q=[3.0, 1.0, 2.0], source=["gauge", "sos", "sos"])
        assert one(estimates("2021-09-07T16:00Z"), twice)["q_m3_s"] == 3.0


def test_ids_that_float32_confuses_stay_apart():
    assert np.float32(REACH) == np.float32(OTHER)
    q = discharge("2021-09-07T16:00Z", "2021-09-07T12:00Z", q=[1.0, 2.0], reach=[OTHER, REACH])
    assert one(estimates("2021-09-07T16:00Z"), q)["q_m3_s"] == 2.0
    row = one(estimates("2021-09-07T16:00Z", reach=REACH + 10**10), q)
    assert row["flux_qual"] == FluxQuality.NO_DISCHARGE | FluxQuality.MEDIAN_SSC


def test_time_zones_are_one_time():
    here = estimates("2021-09-07T16:00Z")
    there = here.assign(time=here["time"].dt.tz_convert("America/Chicago"))
    q = discharge("2021-09-07T15:00Z", "2021-09-07T20:00Z", q=[1.0, 2.0])
    far = q.assign(time=q["time"].dt.tz_convert("Asia/Kolkata").astype("datetime64[ns, Asia/Kolkata]"))
    for known, flow in ((there, q), (here, far), (there, far)):
        row = one(known, flow)
        assert (row["q_m3_s"], row["dt_q_ssc_h"]) == (1.0, -1.0)
        assert row["q_time"] == pd.Timestamp("2021-09-07T15:00Z")


def slow_nearest(reach, time, q):
    """First of the least |dt|, the earlier first, the table's order last; None without discharge."""
    best = None
    for position, row in enumerate(q.itertuples()):
        if row.reach_id != reach:
            continue
        rank = (abs((row.time - time).value), row.time.value, position)
        if best is None or rank < best[0]:
            best = (rank, row)
    return None if best is None else best[1]


@pytest.mark.parametrize("seed", range(6))
def test_nearest_is_what_a_slow_search_finds(seed):
    """Unsorted, in steps of an hour: many ties, many times twice, some reaches without discharge."""
    random = np.random.default_rng(seed)
    start = pd.Timestamp("2021-09-01", tz="UTC").as_unit("us")

    def moments(count):
        return start + pd.to_timedelta(random.integers(0, 24 * 12, count), unit="h")

    q = discharge(*moments(60), q=random.permutation(60) + 1.0, reach=REACH + 10 * random.integers(0, 5, 60))
    known = estimates(*moments(80), reach=REACH + 10 * random.integers(0, 7, 80)).set_axis(random.permutation(80))
    found, near = flux(known, q), nearest_discharge(known, q)
    assert found.index.equals(known.index)
    kinds = set()
    for index, row in known.iterrows():
        wanted = slow_nearest(row["reach_id"], row["time"], q)
        got = found.loc[index]
        if wanted is None:
            kinds.add("none")
            assert np.isnan(got["dt_q_ssc_h"])
            assert got["flux_qual"] & FluxQuality.NO_DISCHARGE
            continue
        hours = (wanted.time - row["time"]) / pd.Timedelta(hours=1)
        kinds.add(abs(hours) <= 24)
        assert got["dt_q_ssc_h"] == hours
        assert near.loc[index, "q_m3_s"] == wanted.q_m3_s
        assert bool(got["flux_qual"] & FluxQuality.TOO_FAR_IN_TIME) == (abs(hours) > 24)
        assert got["sed_flux"] == pytest.approx(wanted.q_m3_s * 0.25 if abs(hours) <= 24 else np.nan, nan_ok=True)
    assert kinds == {"none", True, False}


def test_empty_tables():
    known, q = estimates("2021-09-07T16:00Z"), discharge("2021-09-07T16:00Z")
    full = flux(known, q)
    nothing = flux(known.iloc[:0], q)
    assert nothing.empty
    assert nothing.dtypes.to_dict() == full.dtypes.to_dict()
    without = flux(known, q.iloc[:0])
    assert without.dtypes.to_dict() == full.dtypes.to_dict()
    assert without["flux_qual"].tolist() == [FluxQuality.NO_DISCHARGE | FluxQuality.MEDIAN_SSC]
    assert flux(known.iloc[:0], q.iloc[:0]).empty


def test_a_value_of_a_day_is_flagged():
    row = one(estimates("2021-09-07T16:00Z", ssc_mean=1.0), discharge("2021-09-07T12:00Z", day_only=True))
    assert row["flux_qual"] == FluxQuality.DAY_ONLY


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e, q: (e.astype({"reach_id": "float64"}), q), "reach_id of estimates is not an integer: found float64"),
        (lambda e, q: (e, q.astype({"reach_id": "float32"})), "reach_id of discharge is not an integer: found float32"),
        (lambda e, q: (e.assign(time=e["time"].dt.tz_localize(None)), q), "time of estimates has no zone"),
        (lambda e, q: (e, q.assign(time=pd.NaT)), "time of discharge has no zone or is missing"),
        (lambda e, q: (e, q.assign(q_m3_s=-1.0)), "discharge below 0 or missing: found 1 of 1 rows"),
        (lambda e, q: (e, q.assign(q_m3_s=np.nan)), "discharge below 0 or missing: found 1 of 1 rows"),
        (lambda e, q: (e, q.assign(q_m3_s=np.inf)), "discharge below 0 or missing: found 1 of 1 rows"),
        (lambda e, q: (e, q.drop(columns="source")), "discharge without source: found reach_id time"),
        (lambda e, q: (e.drop(columns="ssc"), q), "estimates without ssc or ssc_mean"),
        (lambda e, q: (e.drop(columns="ssc_hi90"), q), "estimates without ssc_hi90"),
    ],
)
def test_tables_that_cannot_be_matched_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        flux(*change(estimates("2021-09-07T16:00Z"), discharge("2021-09-07T16:00Z")))


@pytest.mark.parametrize("option", [{"within_h": -1}, {"correlation": 1.1}, {"assumed_ln_q_sd": np.inf}])
def test_arguments_out_of_range_are_refused(option):
    with pytest.raises(InputError, match="wanted"):
        flux(estimates("2021-09-07T16:00Z"), discharge("2021-09-07T16:00Z"), **option)


# Confluence


def test_sos_file(tmp_path):
    """Ragged series, fill values, a reach that was not run, and NaN times cast to int64, as the writer leaves them."""
    ids, lowest = [OTHER, REACH, 62270000163], np.iinfo(np.int64).min
    q = [[FILL], [50.0, FILL, 70.0, -3.0, 0.0], [9.0, 9.0, 9.0]]
    seconds = [[-999999999999], [735000000, lowest, 735086400, 735100000, lowest], [1, 2]]
    path = write_sos(tmp_path / "af_sword_v16_SOS_results_unconstrained_2023.nc", ids, q, seconds)
    found = read_sos(path)
    # 8506 days of 86 400 s are 734 918 400 s, until 2023-04-16; the rest, 81 600 s, is 22:40
    assert found.table["time"].tolist() == utc("2023-04-16T22:40:00Z", "2023-04-17T22:40:00Z").tolist()
    assert found.table["reach_id"].tolist() == [REACH, REACH]
    assert found.table["q_m3_s"].tolist() == [50, 70]
    assert set(found.table["source"]) == {"sos_consensus_unc"}
    assert found.table["ln_q_sd"].isna().all()
    # First reason counts: no time for the two fills, the zero and the three whose times are two
    assert found.left_out == NOTHING_LEFT_OUT | {"no_time": 6, "negative": 1}
    assert list(found.table.columns) == [column.name for column in DISCHARGE]
    assert found.table["reach_id"].dtype == np.int64
    only = read_sos(path, [REACH, 11111111111])
    pd.testing.assert_frame_equal(only.table, found.table)
    assert only.left_out == NOTHING_LEFT_OUT | {"no_time": 2, "negative": 1}
    assert read_sos(path, []).table.dtypes.to_dict() == found.table.dtypes.to_dict()


def test_spread_of_the_algorithms_of_a_sos_file(tmp_path):
    path = write_sos(
        tmp_path / "na_sword_v16_SOS_results_constrained_2023.nc",
        [REACH, OTHER],
        [[100.0, 100.0, 100.0], [5.0]],
        [[10, 20, 30], [40]],
        {
            "momma/Q": [[50.0, 100.0, FILL], [5.0, 6.0]],
            "hivdi/Q": [[200.0, 100.0, 80.0], [4.0]],
            "sic4dvar/Q_da": [[-7.0, 100.0, FILL], [FILL]],
        },
    )
    found = read_sos(path).table
    # ln 50 and ln 200 lie ln 4 apart: sample standard deviation ln 4 / sqrt 2 = 0.980258; equal values: 0; one: none
    assert found["ln_q_sd"].to_numpy() == pytest.approx([0.980258, 0, np.nan, np.nan], rel=1e-5, nan_ok=True)
    assert set(found["source"]) == {"sos_consensus_con"}


def test_repeated_and_contradictory_passes_of_a_sos_file(tmp_path):
    path = write_sos(tmp_path / "x_SOS.nc", [REACH], [[1.0, 1.0, 2.0, 3.0, 4.0]], [[10, 10, 20, 20, 30]])
    found = read_sos(path)
    assert found.table["q_m3_s"].tolist() == [1, 4]
    assert found.left_out == NOTHING_LEFT_OUT | {"repeated": 1, "contradictory": 2}


@pytest.mark.parametrize("characters", [False, True])
def test_consensus_netcdf_of_one_reach(tmp_path, characters):
    path = tmp_path / f"{REACH}_consensus.nc"
    texts = ["2023-05-26T03:04:05Z", "no_data", "2023-05-25T03:04:05Z", "2023-05-27T03:04:05Z"]
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("nt", 4)
        file.createVariable("consensus_q", "f8", ("nt",), fill_value=FILL)[:] = [10.0, 20.0, 30.0, FILL]
        if characters:
            file.createDimension("chartime", 20)
            made = file.createVariable("time_str", "S1", ("nt", "chartime"))
            made[:] = netCDF4.stringtochar(np.array(texts, dtype="S20"))
        else:
            file.createVariable("time_str", str, ("nt",), fill_value="no_data")[:] = np.array(texts, dtype=object)
    found = read_consensus(path)
    assert found.table["time"].tolist() == utc("2023-05-25T03:04:05Z", "2023-05-26T03:04:05Z").tolist()
    assert found.table["q_m3_s"].tolist() == [30, 10]
    assert found.table["reach_id"].tolist() == [REACH, REACH]
    assert not found.table["day_only"].any()
    assert found.left_out == NOTHING_LEFT_OUT | {"no_time": 1, "missing": 1}
    assert read_consensus(path, 7).table["reach_id"].tolist() == [7, 7]


def test_older_consensus_csv_has_days(tmp_path):
    path = write(tmp_path / f"{REACH}_consensus.csv", "date,median\n2023-05-26,10.5\n,3\n2023-05-27,\n2023-05-28,-1\n")
    found = read_consensus(path)
    assert found.table["time"].tolist() == utc("2023-05-26T12:00Z").tolist()
    assert found.table["q_m3_s"].tolist() == [10.5]
    assert found.table["day_only"].all()
    assert found.left_out == NOTHING_LEFT_OUT | {"no_time": 1, "missing": 1, "negative": 1}
    with pytest.raises(InputError, match="wanted eleven digits"):
        read_consensus(write(tmp_path / "consensus.csv", "date,median\n"))


def test_real_geobam_discharge_with_the_times_of_its_swot_file(shared):
    folder = shared / "data" / "reaches_tiles" / "confluence"
    found = read_algorithm(folder / "74269800011_geobam.nc", folder / "74269800011_SWOT.nc")
    # 154 passes, 40 of them fill in each of the three chains
    assert len(found.table) == 114
    assert found.left_out == NOTHING_LEFT_OUT | {"missing": 40}
    assert set(found.table["reach_id"]) == {74269800011}
    assert set(found.table["source"]) == {"confluence_geobam"}
    assert found.table["time"].is_monotonic_increasing
    assert found.table["time"].dt.year.isin(range(2010, 2015)).all()
    with (
        netCDF4.Dataset(folder / "74269800011_geobam.nc") as q,
        netCDF4.Dataset(folder / "74269800011_SWOT.nc") as swot,
    ):
        chains = [q[f"q/q{number}"][:] for number in (1, 2, 3)]
        seconds, slope = swot["reach/time"][:].data, swot["reach/slope2"][:].data
    # geoBAM needs a slope: that its gaps are the passes without one shows that both files have the same order
    assert (np.ma.getmaskarray(chains[0]) == (slope <= 0)).all()
    found_s = (found.table["time"] - pd.Timestamp("2000-01-01", tz="UTC")).dt.total_seconds()
    np.testing.assert_allclose(found_s, np.sort(seconds[slope > 0]), rtol=0, atol=1e-6)
    row = found.table.iloc[0]
    middle = sorted(chain[seconds == seconds[slope > 0].min()].item() for chain in chains)[1]
    assert row["q_m3_s"] == middle
    near = one(estimates(str(row["time"] + pd.Timedelta(hours=5)), reach=74269800011, ssc_mean=40.0), found.table)
    assert near["dt_q_ssc_h"] == pytest.approx(-5)
    assert near["sed_flux"] == pytest.approx(middle * 0.04)
    assert near["flux_qual"] == FluxQuality.Q_ERROR_UNKNOWN


def test_files_of_two_reaches_or_of_another_kind_are_refused(shared, tmp_path):
    folder = shared / "data" / "reaches_tiles" / "confluence"
    geobam, swot = folder / "74269800011_geobam.nc", folder / "74269800011_SWOT.nc"
    with pytest.raises(DataError, match=r"cannot read .*SWOT.nc as SoS results.*wanted reaches/reach_id"):
        read_sos(swot)
    with pytest.raises(DataError, match="as a consensus file"):
        read_consensus(geobam)
    with pytest.raises(DataError, match="as an algorithm's discharge"):
        read_algorithm(swot, swot)
    with pytest.raises(DataError, match="cannot read"):
        read_sos(write(tmp_path / "text.nc", "no netCDF"))
    with pytest.raises(InputError, match="no file"):
        read_sos(tmp_path / "none.nc")
    with netCDF4.Dataset(tmp_path / "other.nc", "w") as file:
        file.createDimension("nt", 154)
        reach = file.createGroup("reach")
        reach.createVariable("reach_id", "i8", ())[...] = REACH
        reach.createVariable("time", "f8", ("nt",))[:] = np.arange(154.0)
    with pytest.raises(InputError, match=f"files of two reaches: found 74269800011 in .* and {REACH}"):
        read_algorithm(geobam, tmp_path / "other.nc")


# Gauges


def test_gauge_table_in_cubic_feet_and_local_time(tmp_path):
    text = (
        "# USGS, provisional\nsite,reach,when,flow,err\n"
        f"Baton Rouge #2,{OTHER},2021-09-07 18:00,35314.6667,0.08\n"
        f"Baton Rouge #2,{REACH},2021-09-07T12:00-05:00,1000,\n"
        f"Baton Rouge #2,{REACH},2021-09-08,2000,0.08\n"
        f"Baton Rouge #2,{REACH},2021-09-09T00:00Z,Ice,0.08\n"
        f"Baton Rouge #2,{REACH},2021-09-10T00:00Z,-999999,0.08\n"
        f"Baton Rouge #2,{REACH},2021-09-11T00:00Z,,0.08\n"
        f"Baton Rouge #2,{REACH},2021-11-07T01:30,3,0.08\n"
        f"Baton Rouge #2,{REACH},2021-09-07T17:00:00Z,1000,\n"
    )
    found = read_gauges(
        write(tmp_path / "gauges.csv", text),
        unit="cfs",
        q="flow",
        time="when",
        reach="reach",
        relative_sd="err",
        timezone="America/Chicago",
    )
    table = found.table
    assert table["reach_id"].tolist() == [REACH, REACH, OTHER]
    # 1 ft3 = 0.028316846592 m3; Chicago is 5 h behind UTC in September; 01:30 on 7 November is twice
    assert table["q_m3_s"].to_numpy() == pytest.approx([28.316846592, 56.633693184, 1000], rel=1e-8)
    assert table["time"].tolist() == utc("2021-09-07T17:00Z", "2021-09-08T17:00Z", "2021-09-07T23:00Z").tolist()
    assert table["day_only"].tolist() == [False, True, False]
    # sqrt(ln(1 + 0.08^2)) = 0.0798726
    assert table["ln_q_sd"].to_numpy() == pytest.approx([np.nan, 0.0798726, 0.0798726], rel=1e-5, nan_ok=True)
    assert found.left_out == NOTHING_LEFT_OUT | {"no_time": 1, "missing": 2, "negative": 1, "repeated": 1}


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("m3/s", 1), ("m^3/s", 1), ("M3 s-1", 1), ("cumecs", 1), ("ft3/s", 0.0283168), ("ft^3/s", 0.0283168)],
)
def test_units_by_name(tmp_path, unit, factor):
    path = write(tmp_path / "gauge.csv", "time,q\n2021-09-07T00:00Z,100\n")
    table = read_gauges(path, unit=unit, reach=REACH).table
    assert table["q_m3_s"].tolist() == pytest.approx([100 * factor], rel=1e-5)
    assert table["reach_id"].tolist() == [REACH]


def test_gauge_tables_that_cannot_be_trusted_are_refused(tmp_path):
    head = "reach_id,time,q\n"
    good = write(tmp_path / "good.csv", f"{head}{REACH},2021-09-07T00:00Z,100\n")
    with pytest.raises(InputError, match="unknown unit of discharge 'l/s': wanted one of m3/s"):
        read_gauges(good, unit="l/s")
    with pytest.raises(InputError, match=r"no column flow in .*: found reach_id time q"):
        read_gauges(good, unit="cms", q="flow")
    with pytest.raises(InputError, match="no time zone 'Mars/Olympus'"):
        read_gauges(good, unit="cms", timezone="Mars/Olympus")
    with pytest.raises(InputError, match="no file"):
        read_gauges(tmp_path / "none.csv", unit="cms")
    bad = {
        f"{head}{REACH},2021-09-07T00:00Z,100\n{REACH},2021-09-06T19:00-05:00,101\n": (
            DataError,
            f"2 rows of .* contradict each other: found 100 and 101 m3/s for reach {REACH} at 2021-09-07T00:00:00Z",
        ),
        f"{head}{REACH},07/09/2021,100\n": (DataError, "cannot read times of .*07/09/2021"),
        f"{head}{REACH},2021-09,100\n": (DataError, "cannot read times of .*2021-09"),
        f"{head}{REACH},2021-13-07T00:00Z,100\n": (DataError, "cannot read times of"),
        f"{head}6.2270000143e10,2021-09-07T00:00Z,100\n": (ReachError, "cannot use column reach_id"),
        "": (DataError, "cannot read .* as CSV"),
    }
    for number, (text, (kind, message)) in enumerate(bad.items()):
        with pytest.raises(kind, match=message):
            read_gauges(write(tmp_path / f"{number}.csv", text), unit="m3/s")
    negative = write(tmp_path / "sd.csv", f"reach_id,time,q,err\n{REACH},2021-09-07T00:00Z,1,-0.1\n")
    with pytest.raises(DataError, match="relative error below 0"):
        read_gauges(negative, unit="m3/s", relative_sd="err")


def test_a_gauge_table_without_rows(tmp_path):
    empty = read_gauges(write(tmp_path / "gauge.csv", "reach_id,time,q\n"), unit="m3/s")
    assert empty.left_out == NOTHING_LEFT_OUT
    full = read_gauges(write(tmp_path / "more.csv", "reach_id,time,q\n62270000143,2021-09-07,1\n"), unit="m3/s")
    assert empty.table.dtypes.to_dict() == full.table.dtypes.to_dict()
    assert one(estimates("2021-09-07T16:00Z"), pd.concat([empty.table, full.table]))["q_m3_s"] == 1


def test_recorded_hydrocron_answers_hold_no_discharge_yet(shared, tmp_path):
    """All consensus discharge of the recorded answers is fill, so the table is empty and says why."""
    for name, count in (("reach_discharge.csv", 5), ("reach_d_discharge.csv", 3)):
        answer = json.loads((shared / "data" / "reaches_tiles" / "hydrocron_api" / name).read_text())
        path = write(tmp_path / name, answer["results"]["csv"])
        found = read_gauges(path, unit="m^3/s", q="dschg_c", time="time_str")
        assert found.table.empty
        assert found.left_out == NOTHING_LEFT_OUT | {"missing": count}


def test_every_zone_the_tests_speak_of_is_installed():
    assert {"America/Chicago", "Asia/Kolkata"} <= zoneinfo.available_timezones()
