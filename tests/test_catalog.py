"""Searching CMR: real recorded answers, and a CMR on loopback that pages, repeats itself, stalls and loses things."""

from __future__ import annotations

import ast
import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from math import isnan

import geopandas as gpd
import pytest
import shapely
from shapely import LineString

from cmrserver import Answer, record, record_of_feature, recorded, serving_cmr
from ssc.bands import CODES, Band, Layer, Product
from ssc.catalog import Found, Query, by_reach, newest, read_record, search, searches, tiles_on
from ssc.cmr import Patience, granule_records
from ssc.errors import AccessError, DataError, GranuleNameError, InputError, TransientError
from ssc.granules import parse
from ssc.mgrs import tile_name
from ssc.reaches import read_reaches
from ssc.tiles import footprint, tile_geobox

QUICK = Patience(tries=3, first_s=0.01, most_s=0.02, timeout_s=(2.0, 5.0))
QUERY = Query(start="2021-09-01", end="2021-09-30", bbox=(-92, 31, -90, 33))
NAMES = [
    f"HLS.{product}.T15SXR.2021{day}T16390{second}.v2.0"
    for day, product, second in (
        (250, "S30", 1),
        (250, "L30", 5),
        (244, "S30", 2),
        (262, "L30", 3),
        (255, "S30", 4),
    )
]
IN_ORDER = [NAMES[number] for number in (2, 0, 1, 4, 3)]


@pytest.fixture(autouse=True)
def loopback(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def server():
    with serving_cmr([record(name, concept=f"G{number}-LPCLOUD") for number, name in enumerate(NAMES)]) as server:
        yield server


def ask(server, query=QUERY, **options):
    return search(query, base=server.url, patience=QUICK, **options)


def names(found):
    return [each.granule.name for each in found]


def reach_file(path, *lines):
    ids = [74270000011 + 10 * number for number in range(len(lines))]
    gpd.GeoDataFrame({"reach_id": ids}, geometry=list(lines), crs="EPSG:4326").to_file(path)
    return path


# ---- real answers


def test_recorded_hls_granules_parse(shared):
    (body, headers), *_ = recorded(shared / "data/cmr_stac/python_cmr_cassettes/TestGranuleClass.test_stac_output.yaml")
    features = json.loads(body)["features"]
    found = [read_record(record_of_feature(feature)) for feature in features]
    assert len(found) == int(headers["CMR-Hits"]) == 2
    assert names(found) == ["HLS.L30.T13SDV.2021035T173836.v2.0", "HLS.L30.T13SDV.2021051T173832.v2.0"]
    assert [each.cloud for each in found] == [14.0, 2.0]
    first = found[0]
    assert set(first.granule.hrefs) == {*CODES[Product.L30], *Layer}  # the two thermal bands are none of ours
    assert first.granule.href(Band.NIR).endswith(".v2.0/HLS.L30.T13SDV.2021035T173836.v2.0.B05.tif")
    assert first.footprint.bounds == (-106.1119251, 35.1499121, -104.8915104, 36.1448493)
    seen = shapely.intersection(first.footprint, footprint(tile_geobox("13SDV"))).area
    assert seen > 0.99 * first.footprint.area


def test_recorded_tutorial_granule_parses(shared):
    """The first granule of LP DAAC's tutorial, with the meta of its printed table."""
    text = (shared / "data/cmr_stac/from_notebooks/hls_tutorial_earthaccess_results.txt").read_text()
    extent, urls = (
        ast.literal_eval(re.search(rf"^{name}: (.*)$", text, re.MULTILINE)[1]) for name in ("Spatial coverage", "Data")
    )
    megabytes = float(re.search(r"Size\(MB\): (.*)", text)[1])
    found = read_record(
        {
            "meta": {
                "native-id": "HLS.S30.T10TEK.2021122T185911.v2.0",
                "concept-id": "G2153255128-LPCLOUD",
                "revision-id": 1,
                "revision-date": "2021-10-29T10:47:01.310Z",
            },
            "umm": {
                "SpatialExtent": extent,
                "RelatedUrls": [{"URL": url} for url in urls],
                "DataGranule": {"ArchiveAndDistributionInformation": [{"Size": megabytes, "SizeUnit": "MB"}]},
            },
        }
    )
    assert found.granule == parse("HLS.S30.T10TEK.2021122T185911.v2.0")
    assert set(found.granule.hrefs) == {*CODES[Product.S30], *Layer}
    assert sorted(found.granule.hrefs.values()) == sorted(urls)
    assert str(found.size).startswith("20854")  # as the table prints SizeInBytes
    assert (found.revision, found.revised) == (1, datetime(2021, 10, 29, 10, 47, 1, 310000, UTC))
    assert isnan(found.cloud)
    assert found.footprint.bounds == (-123.00023656, 39.65696806, -121.70165934, 40.65085652)


def test_a_recorded_page_of_another_collection_is_read_whole_and_is_not_hls(shared, server):
    """163 records of a GRACE collection: the last page but one, and then the empty one."""
    answers = recorded(shared / "data/cmr_stac/earthaccess_cassettes/TestResults.test_get_all_less_than_2k.yaml")
    body, headers = next((body, headers) for body, headers in answers if "CMR-Search-After" in headers)
    kept = {name: headers[name] for name in ("CMR-Hits", "CMR-Search-After")}
    nothing = Answer(body='{"hits":163,"took":5,"items":[]}', headers={"CMR-Hits": "163"})
    server.faults = [Answer(body=body, headers=kept), nothing]
    records = granule_records([("short_name[]", "GRACE")], base=server.url, patience=QUICK)
    assert len(records) == 163
    assert server.requests[1][2]["CMR-Search-After"] == '["pocloud",1495497600000,2658328520]'
    with pytest.raises(DataError, match=r"GRD-3_2002094.*not an HLS granule name"):
        read_record(records[0])


def test_a_recorded_single_page_of_218_granules_does_not_pass_for_all(shared, server):
    answers = recorded(shared / "data/cmr_stac/earthaccess_cassettes/TestResults.test_data_links.yaml")
    body, _ = next((body, headers) for body, headers in answers if "CMR-Search-After" in headers)
    server.faults = [Answer(body=body, headers={"CMR-Hits": "218"})]
    with pytest.raises(TransientError, match="found 1 granules on 1 pages, wanted the 218"):
        ask(server)


# ---- pages


@pytest.mark.parametrize("page_size", [1, 2, 5, 2000])
def test_all_pages_are_turned(server, page_size):
    assert names(ask(server, page_size=page_size)) == IN_ORDER


def test_short_pages_are_not_the_end(server):
    server.short = 1
    assert names(ask(server, page_size=3)) == IN_ORDER


def test_the_newest_revision_wins_and_each_granule_comes_once(server):
    server.records += [
        record(NAMES[0], concept="G9-LPCLOUD", revision=3, cloud=40),
        record(NAMES[0], concept="G8-LPCLOUD", revision=2, cloud=30),
        server.records[1],
    ]
    server.records.append(record("HLS.S30.T15SYR.2021250T163901.v2.0", concept="G7-LPCLOUD"))
    hits = 8  # the one that comes twice counts once
    pages = [server.answer([("page_size", "4")], after) for after in (None, "[4]", "[8]", "[12]")]
    server.faults = [replace(page, headers=page.headers | {"CMR-Hits": str(hits)}) for page in pages]
    found = ask(server, page_size=4)
    assert names(found) == [*IN_ORDER[:2], "HLS.S30.T15SYR.2021250T163901.v2.0", *IN_ORDER[2:]]
    assert (found[1].revision, found[1].cloud) == (3, 40)


def test_order_of_arrival_does_not_matter(server):
    found = [read_record(each) for each in server.records]
    assert newest(found) == newest(found[::-1])


def test_a_lost_page_is_noticed(server):
    server.lost = frozenset({2, 3})
    with pytest.raises(TransientError, match=r"found 3 granules on \d pages, wanted the 5 that CMR-Hits tells"):
        ask(server, page_size=2)


def test_hits_that_change_between_pages_may_be_met_anywhere_between(server):
    first, second, last = (server.answer([("page_size", "3")], after) for after in (None, "[3]", "[6]"))
    grown = {"CMR-Hits": "6"}
    server.faults = [
        first,
        replace(second, headers=second.headers | grown),
        replace(last, headers=last.headers | grown),
    ]
    assert len(ask(server)) == 5


def test_a_search_that_never_ends_is_stopped(server):
    page = Answer(body='{"hits":0,"items":[]}', headers={"CMR-Hits": "0", "CMR-Search-After": "[1]"})
    server.faults = [page] * 3
    with pytest.raises(DataError, match="goes in circles"):
        ask(server)


# ---- trouble


def test_a_pause_that_cmr_asks_for_is_kept(server):
    server.faults = [Answer(status=429, headers={"Retry-After": "1"}), Answer(status=503)]
    started = time.monotonic()
    assert len(ask(server)) == 5
    assert time.monotonic() - started >= 1.0


def test_a_pause_may_be_asked_for_by_date(server):
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server.faults = [Answer(status=503, headers={"Retry-After": soon})]
    started = time.monotonic()
    assert len(ask(server)) == 5
    assert time.monotonic() - started >= 0.9


def test_a_pause_of_hours_is_not_waited_for(server):
    server.faults = [Answer(status=429, headers={"Retry-After": "7200"})]
    with pytest.raises(TransientError, match=r"found HTTP 429, wanted 200 \(try again in 7200 s\)"):
        ask(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "error", "message", "requests"),
    [
        (Answer(status=500), TransientError, "CMR in trouble.*HTTP 500", 3),
        (Answer(status=429), TransientError, r"HTTP 429, wanted 200 \(try again later\)", 3),
        (Answer(status=403, body="<html>"), AccessError, "CMR refuses us.*HTTP 403", 1),
        (Answer(status=404), DataError, "no CMR search here.*HTTP 404", 1),
        (
            Answer(status=400, body='{"errors":["[-200,0,1,1] is not a valid bounding box"]}'),
            InputError,
            r"does not take this search.*HTTP 400 \(\[-200,0,1,1\] is not a valid",
            1,
        ),
        (Answer(body="<!DOCTYPE html><title>Login</title>"), DataError, "found a web page, wanted granules in JSON", 1),
        (Answer(body='{"hits": 5, "items": [{"me'), DataError, "found broken JSON", 1),
        (Answer(body='{"errors":["An Internal Error has occurred."]}'), DataError, "reports errors.*Internal Error", 1),
        (Answer(body='{"hits": 5}', headers={"CMR-Hits": "5"}), DataError, "found no items", 1),
        (Answer(body='{"hits": 0, "items": []}'), DataError, "found CMR-Hits ''", 1),
        (
            Answer(body='{"hits": 0, "items": []}', headers={"CMR-Hits": "0", "CMR-Timed-Out": "true"}),
            TransientError,
            "CMR timed out",
            3,
        ),
        (Answer(body='{"items": [{}]}', headers={"CMR-Hits": "1"}), DataError, "found no meta.concept-id", 1),
    ],
)
def test_each_trouble_has_its_error(server, answer, error, message, requests):
    server.faults = [answer] * requests
    with pytest.raises(error, match=message):
        ask(server)
    assert len(server.requests) == requests


def test_no_server_is_worth_another_try():
    with pytest.raises(TransientError, match=r"no answer from CMR.*found ConnectionError"):
        search(QUERY, base="http://127.0.0.1:9", patience=QUICK)


def test_an_address_that_is_none():
    with pytest.raises(InputError, match="not an address of CMR"):
        search(QUERY, base="cmr.earthdata.nasa.gov", patience=QUICK)


# ---- records


def test_a_record(server):
    found = read_record(record(NAMES[1], revision=2, cloud=12, size=107_777_000))
    name = found.granule.name
    assert isinstance(found, Found)
    assert (found.granule.product, found.revision, found.cloud, found.size) == (Product.L30, 2, 12.0, 107_777_000)
    assert set(found.granule.hrefs) == {Band.RED, Layer.FMASK}
    assert found.s3 == {Band.RED: f"s3://lp-prod-protected/HLSL30.020/{name}/{name}.B04.tif"}
    assert found.direct == found.granule
    assert found.direct.href(Band.RED).startswith("s3://")
    assert found.footprint.equals(shapely.box(-91, 32, -90, 33))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("meta", "native-id"), "G1-LPCLOUD: found no native-id"),
        (("meta", "revision-id"), "T15SXR.2021250T163901.v2.0: found no revision-id"),
        (("meta", "revision-date"), "found no revision-date"),
        (("umm", "SpatialExtent"), "found no SpatialExtent"),
        (("umm",), "found no umm"),
        (("meta",), "a record without name: found no meta"),
    ],
)
def test_a_missing_field_is_named(path, message):
    broken = record(NAMES[0])
    *way, last = path
    inner = broken
    for key in way:
        inner = inner[key]
    del inner[last]
    with pytest.raises(DataError, match=message):
        read_record(broken)


@pytest.mark.parametrize("strange", [None, "text", {"meta": None, "umm": {}}, {"meta": {"native-id": "x"}, "umm": {}}])
def test_no_record_at_all(strange):
    with pytest.raises(DataError, match="unreadable CMR record"):
        read_record(strange)


def test_what_cmr_does_not_tell_is_not_made_up():
    bare = record(NAMES[0])
    for name in ("AdditionalAttributes", "DataGranule", "RelatedUrls"):
        del bare["umm"][name]
    found = read_record(bare)
    assert isnan(found.cloud)
    assert found.size == 0
    with pytest.raises(DataError, match=r"no Fmask in HLS\.S30"):
        found.granule.href(Layer.FMASK)


def test_a_footprint_in_two_parts_and_one_across_the_antimeridian():
    halves = record(NAMES[0], box=(179, -10, 180, -9))
    halves["umm"]["SpatialExtent"]["HorizontalSpatialDomain"]["Geometry"]["GPolygons"] += record(
        NAMES[0], box=(-180, -10, -179, -9)
    )["umm"]["SpatialExtent"]["HorizontalSpatialDomain"]["Geometry"]["GPolygons"]
    assert read_record(halves).footprint.area == pytest.approx(2)
    assert read_record(record(NAMES[0], box=(179, -10, -179, -9))).footprint.area == pytest.approx(2)


def test_an_outline_that_encloses_nothing_counts_as_the_tile():
    flat = read_record(record(NAMES[0], box=(-91, 32, -90, 32)))
    assert flat.footprint.equals(footprint(tile_geobox("15SXR")))


# ---- what is asked


def test_cloud_is_judged_here_and_unknown_cloud_stays(server):
    for number, cloud in enumerate((90, 20, 21, 0)):
        server.records[number] = record(NAMES[number], concept=f"G{number}-LPCLOUD", cloud=cloud)
    del server.records[4]["umm"]["AdditionalAttributes"]
    assert names(ask(server, replace(QUERY, max_cloud=20))) == [NAMES[1], NAMES[4], NAMES[3]]
    assert not [name for name, _ in server.requests[0][1] if "cloud" in name]


def test_dates_box_and_products_are_asked_for(server):
    ask(server)
    method, parameters, headers = server.requests[0]
    assert method == "GET"
    assert headers["Client-Id"] == "river-ssc"
    assert parameters == [
        ("short_name[]", "HLSL30"),
        ("short_name[]", "HLSS30"),
        ("version", "2.0"),
        ("temporal[]", "2021-09-01T00:00:00.000Z,2021-09-30T23:59:59.999Z"),
        ("bounding_box[]", "-92.0,31.0,-90.0,33.0"),
        ("page_size", "2000"),
    ]


def test_tiles_are_asked_for_by_name():
    wanted = searches(replace(QUERY, bbox=None, tiles=("T15SXR", "15SXR", "15SYR")))
    assert [value for name, value in wanted[0] if name == "readable_granule_name[]"] == [
        "HLS.L30.T15SXR.*",
        "HLS.S30.T15SXR.*",
        "HLS.L30.T15SYR.*",
        "HLS.S30.T15SYR.*",
    ]
    assert ("options[readable_granule_name][pattern]", "true") in wanted[0]
    assert len(wanted) == 1


def test_many_tiles_go_by_post_and_overlapping_answers_count_once(server):
    tiles = tuple(tile_name(zone, 5, 20) for zone in range(1, 61))
    assert len(searches(replace(QUERY, tiles=tiles))) == 2
    found = ask(server, replace(QUERY, bbox=None, tiles=tiles))
    assert names(found) == IN_ORDER
    assert {method for method, *_ in server.requests[:1]} == {"POST"}
    asked = {value for _, parameters, _ in server.requests for name, value in parameters if "granule_name[]" in name}
    assert len(asked) == 2 * len(tiles)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"bbox": None}, "no place to search"),
        ({"start": "2021-10-01"}, "found start 2021-10-01 after end 2021-09-30"),
        ({"start": "yesterday"}, "yesterday"),
        ({"bbox": (0, 5, 1, 4)}, "not a bounding box"),
        ({"max_cloud": 101}, "not a cloud limit"),
        ({"tiles": ("15SXX",)}, "no such MGRS tile"),
    ],
)
def test_searches_that_cannot_be(change, error):
    with pytest.raises(InputError, match=error):
        searches(replace(QUERY, **change))


# ---- reaches


def test_reaches_are_searched_by_their_tiles(tmp_path):
    reaches = read_reaches(reach_file(tmp_path / "r.geojson", LineString([(-91.5, 32.2), (-91.4, 32.3)])))
    tiles = tiles_on(reaches)
    assert "15SXR" in tiles
    for tile in tiles:
        assert footprint(tile_geobox(tile)).intersects(reaches.lines[0])


def test_granules_see_the_reaches_under_their_footprints(tmp_path):
    lines = [LineString([(lon, 32.5), (lon + 0.05, 32.55)]) for lon in (-90.5, -90.2, -89.9, -85)]
    reaches = read_reaches(reach_file(tmp_path / "r.geojson", *lines))
    found = [
        read_record(record(NAMES[0])),
        read_record(record(NAMES[1], box=(-90.3, 32, -88, 33))),
        read_record(record(NAMES[2], box=(0, 0, 1, 1))),
    ]
    slow = {
        each.granule: tuple(
            int(reach_id)
            for reach_id, line in zip(reaches.ids, reaches.lines, strict=True)
            if each.footprint.buffer(0.02).intersects(line)
        )
        for each in found
    }
    assert by_reach(found, reaches) == {granule: ids for granule, ids in slow.items() if ids}
    assert by_reach(found, reaches)[found[0].granule] == (74270000011, 74270000021)
    assert by_reach([], reaches) == {}


def test_granules_see_reaches_across_the_antimeridian(tmp_path):
    reaches = read_reaches(reach_file(tmp_path / "r.geojson", LineString([(179.9, -9.5), (-179.9, -9.5)])))
    east, west = (
        read_record(record(name, box=box))
        for name, box in ((NAMES[0], (-179.95, -10, -179, -9)), (NAMES[1], (179, -10, 179.95, -9)))
    )
    assert set(by_reach([east, west], reaches)) == {east.granule, west.granule}


def test_a_tile_name_that_is_none():
    with pytest.raises(GranuleNameError):
        searches(replace(QUERY, tiles=("00AAA",)))
