"""Laboratory results: every rule by hand, every row counted, and tables that say what is wrong with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssc.errors import DataError, InputError
from ssc.matchups import Attrition, combine, conform, harmonise
from ssc.matchups.harmonise import CHECKS
from ssc.matchups.sites import average, merge_sites

SSC, TSS = "Suspended Sediment Concentration (SSC)", "Total suspended solids"
NOON = pd.Timestamp("2020-06-01T12:00Z")


def raw(n=1, **columns):
    """Results of one USGS site, one a day unless told otherwise."""
    told = {
        "site": "USGS-1",
        "provider": "USGS",
        "name": SSC,
        "value": "25",
        "unit": "mg/l",
        "sample_time": [NOON + pd.Timedelta(days=i) for i in range(n)],
        **columns,
    }
    return pd.DataFrame(told, index=range(n))


def only(**columns):
    """The one sample of one result."""
    return harmonise(raw(**columns)).samples.iloc[0]


def reason(**columns):
    """Why one result is left out."""
    lost = {name: n for name, n in harmonise(raw(**columns)).attrition.dropped.items() if n}
    assert sum(lost.values()) <= 1
    return next(iter(lost), None)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("25", "mg/L", 25.0),
        ("1.5", "g/L", 1500.0),
        ("2500", "\u00b5g/L", 2.5),
        ("2500", "ug/l", 2.5),
        ("30", "ppm", 30.0),
        ("3", "kg/m3", 3000.0),
        ("12*", "mg/l", 12.0),
        ("~12", "mg/l", 12.0),
        ("1.2e2", "mg/l", 120.0),
    ],
)
def test_units_become_mg_l(value, unit, expected):
    sample = only(value=value, unit=unit)
    assert sample["ssc_mg_l"] == pytest.approx(expected, rel=1e-12)
    assert not sample["censored"]


@pytest.mark.parametrize(
    ("name", "pcode", "label"),
    [
        (SSC, "", "ssc"),
        ("Suspended sediment concentration (SSC)", "80154", "ssc"),
        (TSS, "00530", "tss"),
        (TSS, "530", "tss"),  # a reader of CSV took the zeros away
        ("Total Suspended Particulate Matter", "", "tss"),
        ("anything", "69585", "tss"),
        (SSC, "70299", "ssc"),
        (SSC, "99409", "turbidity_surrogate"),
    ],
)
def test_names_and_codes_that_are_kept(name, pcode, label):
    sample = only(name=name, pcode=pcode)
    assert sample["label_source"] == label
    assert sample["weight"] == {"ssc": 1.0, "tss": 1.0, "turbidity_surrogate": 0.5}[label]


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"name": "Fixed suspended solids"}, "quantity"),
        ({"name": SSC, "pcode": "80155"}, "quantity"),  # sediment discharge, tons per day
        ({"site": ""}, "no_site"),
        ({"site_type": "Lake, Reservoir, Impoundment"}, "site_type"),
        ({"site_type": "River/Stream"}, None),
        ({"media": "Groundwater"}, "media"),
        ({"media": "Surface water"}, None),
        ({"status": "Rejected"}, "status"),
        ({"status": "Provisional"}, None),
        ({"comment": "Sample CONTAMINATed in the lab"}, "fail_word"),
        ({"value": ">1000"}, "above_range"),
        ({"value": "", "condition": "Present Above Quantification Limit"}, "above_range"),
        ({"value": "", "condition": "Not Detected"}, "no_limit"),
        ({"value": "1,200"}, "no_value"),
        ({"value": ""}, "no_value"),
        ({"unit": "%"}, "unit"),
        ({"unit": "tons/day"}, "unit"),
        ({"value": "-3"}, "negative"),
        ({"sample_time": pd.NaT}, "no_time"),
    ],
)
def test_each_reason_to_leave_a_result_out(columns, why):
    assert reason(**columns) == why


@pytest.mark.parametrize(
    ("columns", "limit"),
    [
        ({"value": "<5"}, 5.0),
        ({"value": "< 0.005", "unit": "g/l"}, 5.0),
        ({"value": "", "condition": "Not Detected", "limit": "3", "limit_unit": "mg/L"}, 3.0),
        ({"value": "", "condition": "Present Below Quantification Limit", "limit": "2000", "limit_unit": "ug/L"}, 2.0),
        ({"value": "ND", "limit": "4"}, 4.0),
        ({"value": "7", "condition": "Not Detected"}, 7.0),
        ({"value": "0"}, 0.5),
        ({"value": "0", "limit": "2"}, 2.0),
    ],
)
def test_what_is_below_detection_is_censored_at_its_limit(columns, limit):
    sample = only(**columns)
    assert sample["censored"]
    assert sample["ssc_mg_l"] == pytest.approx(limit, rel=1e-12)


def test_a_value_below_a_limit_that_was_detected_stays_as_it_is():
    sample = only(value="2", limit="3", limit_unit="mg/l")
    assert (sample["ssc_mg_l"], bool(sample["censored"])) == (2.0, False)


def test_depth_flag():
    # TSS from depth is flagged; SSC that is not depth-integrated, unless the USGS took it
    assert only(name=TSS, depth_m=3.0)["field_flag"]
    assert only(name=TSS, sampling="Van Dorn Bottle")["field_flag"]
    assert not only(name=TSS, depth_m=0.3)["field_flag"]
    assert only(provider="WIDNR_WQX")["field_flag"]
    assert not only(provider="WIDNR_WQX", depth_m=2.0)["field_flag"]
    assert not only(provider="USGS-WI")["field_flag"]


def test_times_of_unknown_zone_and_dates_alone():
    # 75 W is five hours behind: local solar noon is 17:00 UTC
    day = only(sample_time=pd.NaT, local_date="2020-06-01", longitude=-75.0)
    assert (day["sample_time"], day["dt_uncertain_h"]) == (pd.Timestamp("2020-06-01T17:00Z"), 12.0)
    clock = only(sample_time=pd.NaT, local_date="2020-06-01", local_clock="08:50", longitude=-75.0)
    assert (clock["sample_time"], clock["dt_uncertain_h"]) == (pd.Timestamp("2020-06-01T13:50Z"), 3.0)
    nowhere = only(sample_time=pd.NaT, local_date="2020-06-01", local_clock="08:50:00")
    assert (nowhere["sample_time"], nowhere["dt_uncertain_h"]) == (pd.Timestamp("2020-06-01T08:50Z"), 12.0)
    assert only()["dt_uncertain_h"] == 0.0


def test_replicates_within_an_hour_become_their_mean():
    minutes = [0, 20, 60, 61, 200]
    times = [NOON + pd.Timedelta(minutes=m) for m in minutes]
    found = harmonise(raw(5, value=["10", "20", "30", "7", "8"], sample_time=times))
    # the hour begins with the first sample: 0, 20 and 60 minutes; 61 begins the next
    samples = found.samples
    assert samples["ssc_mg_l"].tolist() == [20.0, 7.0, 8.0]
    assert samples["n_samples"].tolist() == [3, 1, 1]
    assert samples["cv"].iloc[0] == pytest.approx(10 / 20)
    assert samples["cv"].iloc[1:].isna().all()
    assert samples["sample_time"].iloc[0] == NOON + pd.Timedelta(minutes=80 / 3)
    assert found.attrition.dropped["averaged"] == 2


def test_only_samples_of_one_method_and_kind_are_averaged():
    rows = raw(
        4, value=["10", "20", "<5", "40"], sample_time=NOON, method=["A", "B", "A", "A"], name=[SSC, SSC, SSC, TSS]
    )
    assert len(harmonise(rows).samples) == 4


def test_exact_duplicates_are_dropped_before_the_mean():
    found = harmonise(raw(3, value=["10", "10", "40"], sample_time=NOON, sample_id=["a", "b", "c"]))
    assert found.samples["ssc_mg_l"].tolist() == [25.0]  # 20 if the duplicate counted
    assert (found.attrition.dropped["duplicate"], found.attrition.dropped["averaged"]) == (1, 1)


def two_sites(metres, providers=("USGS", "STORET"), reaches=("", "")):
    rows = raw(
        3, site=["A", "B", "B"], provider=[providers[0], providers[1], providers[1]], reach_id=[*reaches, reaches[1]]
    )
    north = metres / 6371008.8 * 180 / np.pi
    return rows.assign(longitude=179.9999, latitude=[45.0, 45.0 + north, 45.0 + north])


def test_sites_of_two_providers_within_500_m_are_one():
    assert harmonise(two_sites(490)).samples["site"].tolist() == ["B", "B", "B"]  # the name of most samples
    assert sorted(harmonise(two_sites(510)).samples["site"]) == ["A", "B", "B"]
    assert sorted(harmonise(two_sites(10, ("USGS", "USGS"))).samples["site"]) == ["A", "B", "B"]
    apart = harmonise(two_sites(10, reaches=("74299900011", "74299900021"))).samples
    assert sorted(apart["site"]) == ["A", "B", "B"]
    assert apart["reach_id"].tolist() == [74299900011, 74299900021, 74299900021]


def test_sites_merge_across_the_antimeridian():
    samples = pd.DataFrame(
        {"site": ["A", "B"], "provider": ["x", "y"], "longitude": [179.999, -179.999], "latitude": 0.0, "reach_id": -1}
    )
    assert merge_sites(samples)["site"].tolist() == ["A", "A"]  # 222 m apart
    assert merge_sites(samples, near_m=200)["site"].tolist() == ["A", "B"]


def test_one_sample_told_by_two_providers_is_one():
    ours = harmonise(raw(2, longitude=-90.0, latitude=40.0))
    theirs = harmonise(raw(2, site="WQP-9", provider="STORET", longitude=-90.001, latitude=40.0))
    both = combine([ours, theirs])
    assert both.samples["site"].unique().tolist() == ["USGS-1"]
    assert len(both.samples) == both.attrition.kept == 2
    assert both.attrition.start == 4
    assert both.attrition.dropped["duplicate"] == 2


def test_nothing_is_nothing():
    found = harmonise(raw(0))
    assert len(found.samples) == 0
    assert conform(found.samples, "sample").dtypes.equals(harmonise(raw()).samples.dtypes)
    assert combine([]).attrition == Attrition(start=0, dropped={"duplicate": 0, "averaged": 0})
    with pytest.raises(DataError, match="found columns value, wanted also site"):
        harmonise(pd.DataFrame({"value": ["1"]}))


def test_attrition_as_a_table():
    attrition = harmonise(raw(4, value=["1", "x", "3", "4"], unit=["mg/l", "mg/l", "%", "mg/l"])).attrition
    table = attrition.table().set_index("reason")
    assert table.loc["read", "left"] == 4
    assert (table.loc["no_value", "dropped"], table.loc["unit", "dropped"]) == (1, 1)
    assert table["left"].iloc[-1] == attrition.kept == 2
    assert (attrition + attrition).dropped["unit"] == 2


RESULTS = st.fixed_dictionaries(
    {
        "site": st.sampled_from(["A", "B", ""]),
        "provider": st.sampled_from(["USGS", "STORET"]),
        "name": st.sampled_from([SSC, TSS, "Nitrate"]),
        "value": st.sampled_from(["", "5", "<5", ">9", "ND", "0", "-1", "7.5", "x", "1e3"]),
        "unit": st.sampled_from(["mg/l", "g/l", "%", ""]),
        "limit": st.sampled_from(["", "2", "0"]),
        "condition": st.sampled_from(["", "Not Detected"]),
        "comment": st.sampled_from(["", "error"]),
        "method": st.sampled_from(["", "A"]),
        "sample_time": st.sampled_from([NOON, NOON + pd.Timedelta(minutes=30), NOON + pd.Timedelta(hours=2), pd.NaT]),
        "local_date": st.sampled_from(["", "2020-06-01", "June"]),
        "longitude": st.sampled_from([0.0, 0.001, np.nan]),
        "latitude": st.just(0.0),
    }
)


@settings(max_examples=12, deadline=None)
@given(st.lists(RESULTS, max_size=12))
def test_every_result_is_in_the_samples_or_counted(results):
    rows = pd.DataFrame(results, columns=None if results else ["site", "value"])
    found = harmonise(rows)
    samples, dropped = found.samples, found.attrition.dropped
    assert found.attrition.start == len(results)
    assert found.attrition.kept == len(samples)
    assert all(n >= 0 for n in dropped.values())
    assert samples["n_samples"].sum() == len(results) - sum(dropped[name] for name in CHECKS) - dropped["duplicate"]
    assert (samples["ssc_mg_l"] > 0).all()
    assert samples["dt_uncertain_h"].isin([0.0, 3.0, 12.0]).all()
    assert conform(samples, "sample").equals(samples)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 600), min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_groups_of_replicates_span_an_hour_and_begin_after_the_last_one(minutes, random):
    random.shuffle(minutes)
    rows = (
        harmonise(raw())
        .samples.loc[[0] * len(minutes)]
        .assign(sample_time=[NOON + pd.Timedelta(minutes=m) for m in minutes], ssc_mg_l=[float(m) for m in minutes])
    )
    means = average(rows)
    expected, first = [], None
    for minute in sorted(minutes):
        if first is None or minute - first > 60:
            expected.append([])
            first = minute
        expected[-1].append(minute)
    assert means["n_samples"].tolist() == [len(group) for group in expected]
    assert means["ssc_mg_l"].tolist() == pytest.approx([float(np.mean(group)) for group in expected])


def sample(**columns):
    return pd.DataFrame({"site": ["A"], "sample_time": [NOON], "ssc_mg_l": [3.0], **columns})


def matchup(**columns):
    bands = {f"{band}_med": [0.05] for band in ("blue", "green", "red", "nir", "swir1", "swir2")}
    return sample(**{"acquisition": [NOON + pd.Timedelta(hours=3)], "product": ["L30"], **bands, **columns})


def test_conform_fills_what_is_not_told():
    row = conform(sample(), "sample").iloc[0]
    assert row["sample_id"] == "A@2020-06-01T12:00:00Z"
    assert (row["label_source"], row["weight"], row["reach_id"], row["censored"]) == ("ssc", 1.0, -1, False)
    pair = conform(matchup(note=["mine"]), "matchup").iloc[0]
    assert pair["dt_h"] == 3.0
    assert pair["note"] == "mine"


def test_conform_reads_the_text_of_csv():
    table = sample(reach_id=["74299900011"], censored=["True"], weight=["0.5"])
    table = table.assign(sample_time="2020-06-01T12:00:00+00:00", ssc_mg_l="3.0")
    row = conform(table, "sample").iloc[0]
    assert (row["reach_id"], row["censored"], row["weight"], row["sample_time"]) == (74299900011, True, 0.5, NOON)


def test_a_censored_sample_of_unknown_limit_gets_the_floor():
    assert conform(sample(censored=True).assign(ssc_mg_l=0.0), "sample")["ssc_mg_l"].tolist() == [0.5]
    assert conform(sample(censored=True).assign(ssc_mg_l=np.nan), "sample")["ssc_mg_l"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("table", "kind", "message"),
    [
        (sample().drop(columns="site"), "sample", "missing site"),
        (sample().assign(site=" "), "sample", "site missing in 1 rows"),
        (sample().assign(sample_time="31/07/2017"), "sample", "sample_time '31/07/2017' in 1 rows"),
        (sample().assign(sample_time=20200601), "sample", "sample_time '20200601' in 1 rows"),
        (sample().assign(ssc_mg_l=0.0), "sample", "ssc_mg_l missing or not above 0 in 1 rows"),
        (sample().assign(ssc_mg_l="much"), "sample", "ssc_mg_l 'much' in 1 rows, wanted float64"),
        (sample(label_source="guess"), "sample", "label_source other than ssc tss"),
        (sample(weight=0.0), "sample", "weight not in"),
        (sample(latitude=95.0), "sample", "latitude not within"),
        (sample(reach_id=np.float32(74299900011)), "sample", "reach_id .* wanted int64"),
        (sample(censored="maybe"), "sample", "censored 'maybe' in 1 rows, wanted bool"),
        (sample(), "matchup", "missing acquisition product blue_med"),
        (matchup(dt_h=-3.0), "matchup", "dt_h other than acquisition minus sample_time"),
        (matchup(product="L8"), "matchup", "product other than L30 S30"),
    ],
)
def test_conform_says_what_is_wrong(table, kind, message):
    with pytest.raises(DataError, match=message):
        conform(table, kind)


def test_conform_tells_all_at_once():
    with pytest.raises(DataError, match=r"2 rows: found weight .*; latitude"):
        conform(sample(weight=2.0, latitude=95.0).loc[[0, 0]], "sample")
    with pytest.raises(InputError, match="no kind of table 'samples': wanted sample or matchup"):
        conform(sample(), "samples")


def test_a_clouded_view_is_a_matchup():
    assert conform(matchup(red_med=np.nan), "matchup")["red_med"].isna().tolist() == [True]
