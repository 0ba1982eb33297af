"""Readers: services on loopback that answer in the shape of recorded answers, files of each archive, ratings by hand.

The headers of the WQX 3.0 answers are columns of answers recorded in dataretrieval's own tests; the rows are made up.
"""

from __future__ import annotations

import datetime as dt
import io
import itertools
import json
import logging
import re
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dataretrieval
import numpy as np
import pandas as pd
import pytest
from dataretrieval.waterdata import WaterdataConfiguration
from dataretrieval.wqp import WqpConfiguration
from hypothesis import given, settings
from hypothesis import strategies as st

from ssc.errors import AccessError, DataError, InputError, TransientError
from ssc.matchups import (
    fit_rating,
    fit_ratings,
    pair_samples,
    read_aquamatch,
    read_aquasat,
    read_gemstat,
    read_grqa,
    read_plain,
    read_table,
    surrogate_samples,
    write_table,
)
from ssc.matchups.usgs import pieces, read_continuous, read_nearest, read_usgs
from ssc.matchups.wqp import read_wqp

SITE = "USGS-05406500"
WQX3 = {
    "Org_Identifier": "USGS",
    "Location_Identifier": SITE,
    "Location_Type": "Stream",
    "Location_HUCEightDigitCode": "07070005",
    "Location_Latitude": "43.1341666666667",
    "Location_Longitude": "-89.7322222222222",
    "Activity_ActivityIdentifier": "3e391eba",
    "Activity_Media": "Water",
    "Activity_MediaSubdivision": "Surface water",
    "Activity_Comment": "",
    "Activity_StartDate": "2023-08-22",
    "Activity_StartTime": "08:50:00",
    "Activity_StartTimeZone": "CDT",
    "Activity_DepthHeightMeasure": "",
    "Activity_DepthHeightMeasureUnit": "",
    "SampleCollectionMethod_EquipmentName": "",
    "Result_ResultDetectionCondition": "",
    "Result_Characteristic": "Suspended Sediment Concentration (SSC)",
    "Result_Measure": "42.0",
    "Result_MeasureUnit": "mg/l",
    "Result_MeasureStatusIdentifier": "Provisional",
    "DetectionLimit_MeasureA": "",
    "DetectionLimit_MeasureUnitA": "",
    "ResultAnalyticalMethod_Name": "SSC by filtration",
    "USGSpcode": "80154",
}


def wqx3(*rows):
    """A CSV answer; each row tells what differs from the first result above."""
    return pd.DataFrame([{**WQX3, **row} for row in rows], columns=list(WQX3)).to_csv(index=False)


def features(*values, site=SITE):
    """A GeoJSON answer of the continuous service: (time, value) of one sensor."""
    return json.dumps(
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "id": f"id-{when}",
                    "geometry": None,
                    "properties": {
                        "time_series_id": "t1",
                        "monitoring_location_id": site,
                        "parameter_code": "63680",
                        "statistic_id": "00011",
                        "time": when,
                        "value": str(value),
                        "unit_of_measure": "FNU",
                        "approval_status": "Approved",
                        "qualifier": None,
                        "last_modified": "2024-01-01T00:00:00+00:00",
                    },
                }
                for when, value in values
            ],
            "numberReturned": len(values),
            "links": [],
        }
    )


@dataclass
class Service:
    """What is answered, and what was asked."""

    url: str = ""
    body: str = ""
    status: int = 200
    kind: str = "text/csv"
    delay_s: float = 0.0
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    service: Service

    def log_message(self, *_):
        """Keep quiet."""

    def do_GET(self):
        service = self.service
        parts = urllib.parse.urlsplit(self.path)
        service.asked.append((parts.path, urllib.parse.parse_qs(parts.query)))
        service.headers.append(dict(self.headers.items()))
        time.sleep(service.delay_s)
        body = service.body.encode()
        if "/schema" in parts.path or "/queryables" in parts.path:
            body = b'{"type": "object", "properties": {"time": {}, "value": {}, "monitoring_location_id": {}}}'
        self.send_response(service.status)
        self.send_header("Content-Type", service.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def service(monkeypatch):
    """A server on loopback; dataretrieval does not try again, and has a key that it must keep to itself."""
    monkeypatch.setenv("API_USGS_PAT", "very-secret-key")
    state = Service()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"service": state}))
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    with dataretrieval.configure(WaterdataConfiguration(retries=0), WqpConfiguration(retries=0)):
        yield state
    server.shutdown()
    server.server_close()
    thread.join()


def ask_usgs(service):
    return read_usgs(sites=[SITE], base_url=service.url)


def ask_wqp(service):
    return read_wqp(sites=[SITE], base_url=service.url)


def ask_sensor(service):
    day = pd.Timestamp("2023-08-22T00:00Z")
    return read_continuous(SITE, day, day + pd.Timedelta(days=1), base_url=service.url)


ASK = pytest.mark.parametrize("ask", [ask_usgs, ask_wqp, ask_sensor])
ASK_CSV = pytest.mark.parametrize("ask", [ask_usgs, ask_wqp])


def test_discrete_samples_of_the_usgs(service):
    service.body = wqx3(
        {},
        {"Activity_StartTime": "", "Activity_StartTimeZone": "", "Activity_StartDate": "2023-08-24"},
        {"Result_Measure": "", "Result_ResultDetectionCondition": "Not Detected", "DetectionLimit_MeasureA": "1",
         "DetectionLimit_MeasureUnitA": "mg/l", "Activity_StartDate": "2023-08-25"},
        {"Result_Measure": "57", "Result_MeasureUnit": "%", "USGSpcode": "70331"},
    )  # fmt: skip
    found = read_usgs(
        bbox=(-90.2, 42.6, -88.7, 43.2), start=dt.date(2023, 8, 1), end=dt.date(2023, 8, 31), base_url=service.url
    )
    path, query = service.asked[0]
    assert path == "/samples-data/results/fullphyschem"
    assert query["usgsPCode"] == ["80154"]
    assert query["boundingBox"] == ["-90.2,42.6,-88.7,43.2"]
    assert (query["activityStartDateLower"], query["activityStartDateUpper"]) == (["2023-08-01"], ["2023-08-31"])
    samples = found.samples
    assert samples["ssc_mg_l"].tolist() == [42.0, 42.0, 1.0]
    assert samples["censored"].tolist() == [False, False, True]
    assert samples["sample_time"].iloc[0] == pd.Timestamp("2023-08-22T13:50Z")  # 08:50 CDT
    # no time: local solar noon at 89.732 W is 12 h + 5.98215 h
    assert abs(samples["sample_time"].iloc[1] - pd.Timestamp("2023-08-24T17:58:55.7Z")) < pd.Timedelta(seconds=1)
    assert samples["dt_uncertain_h"].tolist() == [0.0, 12.0, 0.0]
    assert samples["basin"].tolist() == ["huc0707"] * 3
    assert not samples["field_flag"].any()
    assert found.attrition.dropped["quantity"] == 1


def test_the_portal_in_its_new_profile(service):
    service.body = wqx3(
        {"Org_Identifier": "WIDNR_WQX", "Result_Characteristic": "Total suspended solids", "USGSpcode": "",
         "Activity_DepthHeightMeasure": "10", "Activity_DepthHeightMeasureUnit": "ft", "Location_Type": "River/Stream"},
        {"Location_Type": "Lake", "USGSpcode": ""},
        {"Activity_StartTimeZone": "XYZ", "USGSpcode": ""},
    )  # fmt: skip
    found = read_wqp(huc="07070005", start=dt.date(2023, 8, 1), base_url=service.url)
    path, query = service.asked[0]
    assert path == "/wqx3/Result/search"
    assert query["dataProfile"] == ["fullPhysChem"]
    assert query["startDateLo"] == ["08-01-2023"]
    assert "Total suspended solids" in query["characteristicName"]
    samples = found.samples.set_index("label_source")
    assert samples.loc["tss", "field_flag"]  # 3 m deep
    assert samples.loc["ssc", "dt_uncertain_h"] == 3.0  # a zone nobody knows
    assert found.attrition.dropped["site_type"] == 1


@ASK
@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, DataError, "refuses the query: found .*400"),
        (401, AccessError, "refuses us: found .*API_USGS_PAT"),
        (403, AccessError, "refuses us: found .*403"),
        (404, DataError, "refuses the query: found .*404"),
        (429, TransientError, "did not answer: found"),
        (500, TransientError, "did not answer: found .*500"),
        (503, TransientError, "did not answer: found .*503"),
    ],
)
def test_http_failures_are_ours(service, ask, status, error, words):
    service.status, service.body = status, "no"
    with pytest.raises(error, match=words):
        ask(service)


@ASK
def test_nobody_there_is_worth_another_try(ask):
    with (
        dataretrieval.configure(WaterdataConfiguration(retries=0), WqpConfiguration(retries=0)),
        pytest.raises(TransientError, match="did not answer"),
    ):
        ask(Service(url="http://127.0.0.1:9"))  # the discard port: nothing listens


@ASK
def test_an_empty_answer_is_no_answer(service, ask):
    service.body = ""
    with pytest.raises(DataError, match="cannot read the answer of"):
        ask(service)


@ASK
def test_a_web_page_is_no_table(service, ask):
    service.body, service.kind = "<!DOCTYPE html>\n<html><title>Down for service, sorry</title></html>", "text/html"
    with pytest.raises(DataError, match=r"found a web page|cannot read the answer of"):
        ask(service)


@ASK_CSV
def test_a_missing_column_is_named(service, ask):
    service.body = wqx3({}).replace("Result_MeasureUnit", "Result_Unit", 1)
    with pytest.raises(DataError, match="missing Result_MeasureUnit"):
        ask(service)


@ASK_CSV
def test_a_site_without_samples_has_none(service, ask):
    service.body = wqx3()
    found = ask(service)
    assert len(found.samples) == found.attrition.start == 0


@ASK
def test_the_key_stays_with_the_library(service, ask, caplog):
    caplog.set_level(logging.DEBUG)
    service.status = 403
    with pytest.raises(AccessError) as refusal:
        ask(service)
    assert "very-secret-key" not in json.dumps(service.headers)  # loopback is not the USGS
    assert "very-secret-key" not in caplog.text + str(refusal.value)


def test_queries_for_the_world_are_refused():
    with pytest.raises(InputError, match="found none, wanted sites or bbox"):
        read_usgs()
    with pytest.raises(InputError, match="found none, wanted sites, bbox or huc"):
        read_wqp()
    with pytest.raises(InputError, match="start 2024-01-01 after end 2023-01-01"):
        read_wqp(huc="07", start=dt.date(2024, 1, 1), end=dt.date(2023, 1, 1))
    with pytest.raises(InputError, match="two boxes"):
        read_usgs(bbox=(170, 0, -170, 10))


def test_sensor_values_come_in_pieces_of_three_years(service):
    service.kind = "application/geo+json"
    service.body = features(("2016-01-01T00:15:00+00:00", 12.5), ("2016-01-01T00:00:00+00:00", 11.0))
    values = read_continuous(
        SITE, pd.Timestamp("2016-01-01T00:00Z"), pd.Timestamp("2023-01-01T00:00Z"), base_url=service.url
    )
    asked = [query["time"][0] for path, query in service.asked if path.endswith("/continuous/items")]
    assert asked == [
        "2016-01-01T00:00:00Z/2018-12-31T00:00:00Z",
        "2018-12-31T00:00:00Z/2021-12-30T00:00:00Z",
        "2021-12-30T00:00:00Z/2023-01-01T00:00:00Z",
    ]
    assert service.asked[0][1]["parameter_code"] == ["63680"]
    assert values["value"].tolist() == [11.0, 12.5]  # each once, in order
    assert values["time"].iloc[0] == pd.Timestamp("2016-01-01T00:00Z")
    assert values["site"].tolist() == [SITE, SITE]


def test_a_site_without_that_sensor(service):
    service.kind, service.body = "application/geo+json", features()
    values = ask_sensor(service)
    assert len(values) == 0
    assert values.columns.tolist() == ["site", "pcode", "time", "value", "unit", "approval"]


def test_the_sensor_value_nearest_to_each_overpass(service):
    service.kind = "application/geo+json"
    service.body = features(
        ("2023-08-22T16:45:00+00:00", 20.0), ("2023-08-22T17:00:00+00:00", 30.0), ("2023-08-27T17:00:00+00:00", 40.0)
    )
    overpasses = pd.to_datetime(["2023-08-27T17:01Z", "2023-08-22T16:50Z", "2023-08-24T17:00Z"])
    values = read_nearest(SITE, overpasses, base_url=service.url)
    assert values["target"].tolist() == list(overpasses[[1, 0]])
    assert values["value"].tolist() == [20.0, 40.0]
    with pytest.raises(InputError, match="found 0 naive times"):
        read_nearest(SITE, [])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 12_000 * 24), st.integers(1, 20_000 * 24))
def test_pieces_cover_the_time_without_gaps(start, hours):
    first = pd.Timestamp("1990-01-01T00:00Z") + pd.Timedelta(hours=start)
    last = first + pd.Timedelta(hours=hours)
    found = pieces(first, last)
    assert (found[0][0], found[-1][1]) == (first, last)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    assert all(pd.Timedelta(0) < b - a <= pd.Timedelta(days=1095) for a, b in found)


def test_pieces_of_no_time_are_refused():
    day = pd.Timestamp("2023-01-01")
    for start, end in [(day, day), (day, day.tz_localize("UTC")), (day.tz_localize("UTC"), day.tz_localize("UTC"))]:
        with pytest.raises(InputError, match="wanted aware times"):
            pieces(start, end)


AQUAMATCH = """\
parameter,OrganizationIdentifier,MonitoringLocationIdentifier,ResolvedMonitoringLocationTypeName,ActivityStartDate,\
ActivityStartTime.Time,harmonized_utc,harmonized_discrete_depth_value,mdl_flag,greater_flag,field_flag,\
harmonized_units,harmonized_value,lat,lon
tss,STATE,STATE-1,Stream,2015-06-01,09:00:00,2015-06-01T14:00:00Z,NA,0,0,0,mg/L,12.5,40.0,-90.0
tss,STATE,STATE-1,Stream,2015-06-02,NA,2015-06-02T16:59:59Z,2,0,0,1,mg/L,20,40.0,-90.0
tss,STATE,STATE-1,Stream,2015-06-03,09:00:00,2015-06-03T14:00:00Z,NA,1,0,0,mg/L,0.3,40.0,-90.0
ssc,USGS-IL,USGS-2,Stream,2015-06-04,09:00:00,2015-06-04T14:00:00Z,NA,0,1,0,mg/L,900,41.0,-90.0
ssc,STATE,STATE-1,Stream,2015-06-05,09:00:00,2015-06-05T14:00:00Z,NA,0,0,1,mg/L,30,40.0,-90.0
tss,STATE,STATE-3,Estuary,2015-06-05,09:00:00,2015-06-05T14:00:00Z,NA,0,0,0,mg/L,31,42.0,-90.0
tss,STATE,STATE-4,"Lake, Reservoir, Impoundment",2015-06-05,09:00:00,2015-06-05T14:00:00Z,NA,0,0,0,mg/L,3,43.0,-90.0
"""


@pytest.mark.parametrize("suffix", [".csv", ".feather", ".parquet"])
def test_aquamatch(tmp_path, suffix):
    path = tmp_path / f"tss{suffix}"
    if suffix == ".csv":
        path.write_text(AQUAMATCH)
    else:
        table = pd.read_csv(io.StringIO(AQUAMATCH))
        table.to_feather(path) if suffix == ".feather" else table.to_parquet(path)
    found = read_aquamatch(path)
    samples = found.samples
    assert samples["ssc_mg_l"].tolist() == [12.5, 20.0, 30.0, 31.0]
    assert samples["label_source"].tolist() == ["tss", "tss", "ssc", "tss"]
    assert samples["field_flag"].tolist() == [False, True, True, False]  # as AquaMatch has them
    assert samples["dt_uncertain_h"].tolist() == [0.0, 12.0, 0.0, 0.0]
    assert samples["sample_time"].iloc[1] == pd.Timestamp("2015-06-02T18:00Z")  # local noon at 90 W
    lost = {name: n for name, n in found.attrition.dropped.items() if n}
    assert lost == {"no_limit": 1, "above_range": 1, "site_type": 1}


def test_aquasat(tmp_path):
    path = tmp_path / "sr_wq_rs_join.csv"
    path.write_text(
        "SiteID,lat,long,type,source,date,date_utc,date_only,tss,chl_a,blue\n"
        "USGS-1,40.0,-90.0,Stream,WQP,2015-06-01T09:00:00Z,2015-06-01T14:00:00Z,FALSE,12,NA,500\n"
        "USGS-1,40.0,-90.0,Stream,WQP,2015-06-01T09:00:00Z,2015-06-01T14:00:00Z,FALSE,12,NA,510\n"
        "USGS-1,40.0,-90.0,Stream,WQP,2015-06-02,2015-06-02T00:00:00Z,TRUE,13,NA,510\n"
        "USGS-1,40.0,-90.0,Stream,WQP,2015-06-03,2015-06-03T00:00:00Z,TRUE,NA,4,510\n"
        "L-1,41.0,-90.0,Lake,LAGOS,2015-06-03,2015-06-03T00:00:00Z,TRUE,5,4,510\n"
    )
    found = read_aquasat(path)
    assert found.samples["ssc_mg_l"].tolist() == [12.0, 13.0]
    assert found.samples["dt_uncertain_h"].tolist() == [0.0, 12.0]
    lost = {name: n for name, n in found.attrition.dropped.items() if n}
    assert lost == {"duplicate": 1, "quantity": 1, "site_type": 1}


@pytest.mark.parametrize(("separator", "gap"), [(";", " "), (",", " "), (";", ".")])
def test_gemstat(tmp_path, separator, gap):
    results = [
        ["GEMS Station Number", "Sample Date", "Sample Time", "Depth", "Parameter Code", "Analysis Method Code",
         "Value Flags", "Value", "Unit", "Data Quality"],
        ["BRA1", "2001-05-06", "10:30", "0.3", "TSS", "M1", "", "33", "mg/l", "Good"],
        ["BRA1", "2001-05-07", "12:00", "0.3", "TSS", "M1", "<", "5", "mg/l", ""],
        ["BRA1", "2001-05-08", "00:00", "0.3", "TSS", "M1", "", "7", "mg/l", "Suspect"],
        ["BRA1", "2001-05-08", "00:00", "0.3", "pH", "M1", "", "7", "---", ""],
        ["BRA2", "2001-05-08", "00:00", "0.3", "TSS", "M1", "", "7", "mg/l", ""],
    ]  # fmt: skip
    results[0] = [name.replace(" ", gap) for name in results[0]]
    stations = [
        ["GEMS Station Number", "Water Type", "Main Basin", "Latitude", "Longitude"],
        ["BRA1", "River station", "Paran\u00e1", "-15.5", "-60.0"],
        ["BRA2", "Lake station", "", "-15.5", "-61.0"],
    ]
    for name, rows in (("tss", results), ("stations", stations)):
        (tmp_path / f"{name}.csv").write_text("\n".join(map(separator.join, rows)), encoding="latin-1")
    found = read_gemstat(tmp_path / "tss.csv", tmp_path / "stations.csv")
    samples = found.samples
    assert samples["ssc_mg_l"].tolist() == [33.0, 5.0]
    assert samples["censored"].tolist() == [False, True]
    assert samples["dt_uncertain_h"].tolist() == [3.0, 12.0]  # 12:00 is no time
    assert samples["sample_time"].iloc[0] == pd.Timestamp("2001-05-06T14:30Z")  # 60 W
    assert samples["basin"].tolist() == ["Paran\u00e1"] * 2
    lost = {name: n for name, n in found.attrition.dropped.items() if n}
    assert lost == {"status": 1, "quantity": 1, "site_type": 1}


def test_decimal_commas_of_gemstat(tmp_path):
    (tmp_path / "tss.csv").write_text(
        "GEMS Station Number;Sample Date;Parameter Code;Value;Unit\nA;2001-05-06;TSS;33,5;mg/l\n"
    )
    (tmp_path / "stations.csv").write_text("GEMS Station Number;Latitude;Longitude\nA;-26,925888;30,5\n")
    sample = read_gemstat(tmp_path / "tss.csv", tmp_path / "stations.csv").samples.iloc[0]
    assert (sample["ssc_mg_l"], sample["latitude"], sample["longitude"]) == (33.5, -26.925888, 30.5)


def test_grqa(tmp_path):
    path = tmp_path / "TSS_GRQA.csv"
    path.write_text(
        "obs_id;lat_wgs84;lon_wgs84;obs_date;obs_time;obs_time_zone;site_id;drainage_region_name;param_code;obs_value;"
        "detection_limit_flag;unit;source\n"
        "1;40.0;-90.0;2001-05-06;10:30:00;CST;W1;;TSS;33;;mg/l;WQP\n"
        "2;50.0;15.0;2001-05-07;12:00:00;;G1;Elbe;TSS;34;<;mg/l;GEMSTAT\n"
        "3;50.0;15.0;2001-05-08;;;E1;Elbe;TSS;35;;mg/l;WATERBASE\n"
        "4;50.0;15.0;2001-05-08;;;E1;Elbe;DOC;35;;mg/l;WATERBASE\n"
    )
    found = read_grqa(path)
    samples = found.samples.set_index("sample_id")
    assert samples.loc["1", "sample_time"] == pd.Timestamp("2001-05-06T16:30Z")
    assert samples.loc["2", "sample_time"] == pd.Timestamp("2001-05-07T11:00Z")  # noon at 15 E, no zone
    assert samples["dt_uncertain_h"].to_dict() == {"1": 0.0, "2": 12.0, "3": 12.0}
    assert samples["censored"].to_dict() == {"1": False, "2": True, "3": False}
    assert samples["site"].to_dict() == {"1": "W1", "2": "E1", "3": "E1"}  # one place of two providers
    assert found.attrition.dropped["quantity"] == 1


def test_plain_csv_of_the_parana(shared):
    path = shared / "data/parana_sentinel2_tss/matchups_acolite_wide.csv"
    columns = {"time": "fecha", "value": "sst_mg_l", "longitude": "longitud", "latitude": "latitud"}
    found = read_plain(path, {**columns, "site": "longitud"}, label="tss", constants={"basin": "Parana"})
    table = pd.read_csv(path)
    expected = table["sst_mg_l"].dropna()
    assert found.attrition.start == len(table)
    assert found.attrition.dropped["no_value"] == table["sst_mg_l"].isna().sum()
    assert found.samples["n_samples"].sum() + found.attrition.dropped["duplicate"] == len(expected) == 63
    assert (found.samples["ssc_mg_l"].min(), found.samples["ssc_mg_l"].max()) == (expected.min(), expected.max())
    assert (found.samples["dt_uncertain_h"] == 12.0).all()
    assert (found.samples["label_source"] == "tss").all()


def test_plain_csv_with_other_dates_and_columns(tmp_path, shared):
    pantanal = shared / "data/pantanal_landsat57_ssc/matchups.csv"
    columns = {"site": "site_no", "time": "sample_date", "value": "cluster", "longitude": "Longitude"}
    found = read_plain(pantanal, columns, date_format="%d/%m/%Y")
    assert found.samples["site"].nunique() == 20
    assert (found.samples["dt_uncertain_h"] == 12.0).all()
    with pytest.raises(DataError, match="cannot read times of"):
        read_plain(pantanal, columns)
    with pytest.raises(InputError, match=r"no column ssc in .*found site_no"):
        read_plain(pantanal, {**columns, "value": "ssc"})
    with pytest.raises(InputError, match=r"unknown columns depth, missing time, label ssc"):
        read_plain(pantanal, {"site": "site_no", "value": "cluster", "depth": "x"})
    with pytest.raises(InputError, match="no file"):
        read_plain(tmp_path / "none.csv", columns)


def test_times_of_plain_csv(tmp_path):
    path = tmp_path / "lab.csv"
    path.write_text(
        "s,t,v,x\nA,2020-06-01T10:00:00-03:00,1,-45\nA,2020-06-02T10:00,2,-45\nA,2020-06-03,3,-45\nA,,4,-45\n"
    )
    found = read_plain(path, {"site": "s", "time": "t", "value": "v", "longitude": "x"})
    assert [f"{when:%dT%H}" for when in found.samples["sample_time"]] == ["01T13", "02T13", "03T15"]
    assert found.samples["dt_uncertain_h"].tolist() == [0.0, 3.0, 12.0]
    assert found.attrition.dropped["no_time"] == 1


@pytest.mark.parametrize("reader", [read_aquamatch, read_aquasat, read_grqa])
def test_files_of_another_kind_are_refused(tmp_path, reader):
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"no column .* in .*other.csv: found a b"):
        reader(path)
    path.write_text("")
    with pytest.raises(DataError, match=re.escape(f"cannot read {path}")):
        reader(path)


@pytest.mark.parametrize("name", ["samples.csv", "samples.parquet"])
def test_our_own_tables_come_back_as_they_were(tmp_path, service, name):
    service.body = wqx3({}, {"Activity_StartDate": "2023-08-25", "Activity_StartTime": ""})
    samples = ask_usgs(service).samples.assign(reach_id=74299900011)
    write_table(samples, tmp_path / name, "sample")
    pd.testing.assert_frame_equal(read_table(tmp_path / name, "sample"), samples, check_exact=True)
    with pytest.raises(DataError, match=f"cannot use .*{name}: not a matchup table"):
        read_table(tmp_path / name, "matchup")


def test_rating_by_hand():
    # log10 T = 0 and 1, five pairs each; log10 SSC = 0.5 + log10 T, one half 0.1 above, one 0.1 below (T = 1 and 10)
    turbidity = np.repeat([1.0, 10.0], 6)
    ssc = 10 ** (0.5 + np.log10(turbidity) + np.tile([0.1, -0.1], 6))
    rating = fit_rating("A", turbidity, ssc)
    assert (rating.intercept, rating.slope) == (pytest.approx(0.5), pytest.approx(1.0))
    assert rating.smearing == pytest.approx((10**0.1 + 10**-0.1) / 2)  # 1.02661
    assert rating.residual_sd == pytest.approx(np.sqrt(12 * 0.01 / 10))
    assert rating.ssc([1.0, 5.0]) == pytest.approx([3.246479, 16.232395], rel=1e-6)
    assert np.isnan(rating.ssc([0.9, 11.0, np.nan, -1.0])).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.5, 500), st.floats(-0.8, 0.8)), min_size=12, max_size=40))
def test_smearing_gives_back_what_retransformation_loses(pairs):
    turbidity = np.array([t for t, _ in pairs] + [0.4, 600.0])
    ssc = 10 ** (0.3 + 2 * np.log10(turbidity) + np.array([e for _, e in pairs] + [0.0, 0.0]))
    rating = fit_rating("A", turbidity, ssc)
    ratio = ssc / 10 ** (rating.intercept + rating.slope * np.log10(turbidity))
    assert rating.smearing == pytest.approx(ratio.mean())
    assert rating.smearing >= 1 - 1e-12


def test_ratings_that_are_none():
    ten = np.geomspace(1, 100, 10)
    with pytest.raises(DataError, match="no rating of A: found 9 pairs of 9 turbidities, wanted 10 pairs"):
        fit_rating("A", ten, np.r_[np.nan, ten[1:]])
    with pytest.raises(DataError, match="found 10 pairs of 1 turbidities"):
        fit_rating("A", np.full(10, 5.0), ten)
    with pytest.raises(DataError, match=r"found slope -1.000"):
        fit_rating("A", ten, 1 / ten)
    pairs = pd.DataFrame({"site": ["A"] * 10 + ["B"], "turbidity": [*ten, 1.0], "ssc_mg_l": [*ten, 1.0]})
    ratings, refused = fit_ratings(pairs)
    assert list(ratings) == ["A"]
    assert list(refused) == ["B"]


def test_surrogate_samples(service):
    service.body = wqx3({}, {"Activity_StartDate": "2023-08-25", "Activity_StartTime": ""})
    samples = ask_usgs(service).samples
    moments = pd.to_datetime(["2023-08-22T13:40Z", "2023-08-22T14:10Z", "2023-08-25T17:55Z"])
    sensor = pd.DataFrame({"site": SITE, "time": moments, "value": [20.0, 30.0, 40.0]})
    pairs = pair_samples(samples, sensor)
    assert pairs["turbidity"].tolist() == [20.0]  # 13:40 is nearer to 13:50; a date alone is no pair
    rating = fit_rating(SITE, np.geomspace(1, 35, 10), 2 * np.geomspace(1, 35, 10))
    elsewhere = pd.DataFrame({"site": ["other"], "time": moments[:1], "value": [20.0]})
    found = surrogate_samples({SITE: rating}, pd.concat([sensor, sensor[:1], elsewhere]), samples)
    assert found.samples["ssc_mg_l"].tolist() == pytest.approx([40.0, 60.0])
    assert found.samples["label_source"].unique().tolist() == ["turbidity_surrogate"]
    assert found.samples["weight"].unique().tolist() == [0.5]
    assert found.samples["latitude"].tolist() == pytest.approx([43.1341666666667] * 2)
    assert found.attrition.dropped == {"no_rating": 1, "outside_rating": 1, "duplicate": 1}
    assert found.attrition.kept == 2
