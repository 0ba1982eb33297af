"""Sites to reaches and samples to granules: against a slow version with loops, by hand, and on real reaches."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, Point

from ssc.errors import InputError
from ssc.matchups.assigning import assign_sites, with_reaches
from ssc.matchups.hydrography import Extras, read_extras
from ssc.matchups.pairing import PairRule, pair
from ssc.reaches import read_reaches
from ssc.schema import COLUMNS, SAMPLE

DEGREE_M = 111_320.0
RIVER, UP, TRIBUTARY, DAM, LAKE = 74100000011, 74100000021, 74100000031, 74100000034, 74100000043
HOUR = pd.Timedelta(hours=1)

# ---------------------------------------------------------------- sites


def rivers(tmp_path, lines, **columns):
    """Reaches whose vertices are given in km east and north of 0 N 10 E, where a degree is the same both ways."""
    geometry = [LineString(np.array(xy) * 1000 / DEGREE_M + [10, 0]) for xy in lines.values()]
    table = {"reach_id": list(lines), "width": 200.0, **columns}
    path = tmp_path / "rivers.gpkg"
    gpd.GeoDataFrame(table, geometry=geometry, crs="EPSG:4326").to_file(path)
    return path


def at(x_km, y_km, site="A", **columns):
    lon, lat = 10 + x_km * 1000 / DEGREE_M, y_km * 1000 / DEGREE_M
    return pd.DataFrame({"site": [site], "longitude": lon, "latitude": lat, **columns})


def only(table):
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize(("width", "away_m", "found"), [(200, 495, True), (200, 505, False), (1000, 845, True)])
def test_how_far_a_site_may_be_grows_with_the_width(tmp_path, width, away_m, found):
    # max(500, 0.75 x width + 100): 500 m for 200 m, 850 m for 1 km
    reaches = read_reaches(rivers(tmp_path, {RIVER: [(0, 0), (10, 0)]}, width=float(width)))
    row = only(assign_sites(at(3, away_m / 1000), reaches))
    assert row["reach_id"] == (RIVER if found else -1)
    assert row["reason"] == ("" if found else "no reach near")
    if found:
        assert row["distance_m"] == pytest.approx(away_m, abs=1)
        assert row["width_m"] == width


def test_a_site_in_a_lake_or_at_a_dam_is_not_given_the_river_beside(tmp_path):
    path = rivers(tmp_path, {RIVER: [(0, 0), (10, 0)], LAKE: [(0, 0.3), (10, 0.3)]})
    row = only(assign_sites(at(3, 0.25), read_reaches(path)))
    assert (row["reach_id"], row["reason"]) == (-1, "nearest reach is a lake on the river")
    path = rivers(tmp_path, {RIVER: [(0, 0), (10, 0)], DAM: [(10, 0), (10.3, 0)]})
    assert only(assign_sites(at(10.2, 0), read_reaches(path)))["reason"] == "nearest reach is a dam"


def test_a_tidal_reach_is_kept_and_told_a_lake_by_flag_is_not(tmp_path):
    line = {RIVER: [(0, 0), (10, 0)]}
    row = only(assign_sites(at(3, 0.1), read_reaches(rivers(tmp_path, line, lakeflag=3))))
    assert (row["reach_id"], row["tidal"]) == (RIVER, True)
    row = only(assign_sites(at(3, 0.1), read_reaches(rivers(tmp_path, line, lakeflag=1))))
    assert (row["reach_id"], row["reason"]) == (-1, "nearest reach is a lake")


def test_a_dam_at_the_end_of_the_reach_behind_the_site_does_no_harm(tmp_path):
    lines = {RIVER: [(0, 0), (10, 0)], DAM: [(-0.2, 0), (0, 0)]}
    reaches = read_reaches(rivers(tmp_path, lines, width=600.0))
    assert only(assign_sites(at(0.05, 0.3), reaches))["reach_id"] == RIVER


def test_a_dam_reach_along_the_way_refuses(tmp_path):
    # A side channel with a dam, drawn 150 m from the line, halfway between the site and the middle of the reach
    lines = {RIVER: [(0, 0), (10, 0)], DAM: [(2.9, 0.15), (3.1, 0.15)]}
    reaches = read_reaches(rivers(tmp_path, lines, width=400.0))
    assert only(assign_sites(at(1, 0), reaches))["reason"] == "a dam between site and reach centre"
    assert only(assign_sites(at(7, 0), reaches))["reach_id"] == RIVER


@pytest.mark.parametrize(
    ("site_km", "barrier_km", "refused"),
    [(1, 2, True), (3, 2, False), (9, 8, True), (9, 2, False), (-0.3, -0.1, True), (-0.1, -0.3, False)],
)
def test_a_barrier_counts_between_site_and_reach_centre_only(tmp_path, site_km, barrier_km, refused):
    reaches = read_reaches(rivers(tmp_path, {RIVER: [(0, 0), (10, 0)]}))
    barriers = pd.DataFrame({"lon": [10 + barrier_km * 1000 / DEGREE_M], "lat": [0.0], "what": ["a tributary"]})
    row = only(assign_sites(at(site_km, 0), reaches, extras=Extras(barriers=barriers)))
    assert row["reason"] == ("a tributary between site and reach centre" if refused else "")


def test_two_pieces_of_one_river_are_no_confluence(tmp_path):
    reaches = read_reaches(rivers(tmp_path, {RIVER: [(0, 0), (10, 0)], UP: [(10, 0), (20, 0)]}))
    row = only(assign_sites(at(10.05, 0.1), reaches))
    assert (row["reach_id"], row["near_confluence"]) == (UP, False)


@pytest.fixture
def confluence(tmp_path):
    lines = {RIVER: [(0, 0), (10, 0)], UP: [(10, 0), (20, 0)], TRIBUTARY: [(10, 0), (10.5, 8)]}
    names = ["Main River", "Main River", "Little Creek"]
    return read_reaches(rivers(tmp_path, lines, river_name=names))


def test_near_a_confluence_the_name_decides_not_the_distance(confluence):
    place = (10.1, 0.3)  # nearest to the tributary
    assert only(assign_sites(at(*place), confluence))["reason"] == (
        "near a confluence, without river name or drainage area to decide"
    )
    row = only(assign_sites(at(*place, river_name="Main River at Ford"), confluence))
    assert (row["reach_id"], row["near_confluence"], row["reason"]) == (UP, True, "")
    assert only(assign_sites(at(*place, river_name="little creek"), confluence))["reach_id"] == TRIBUTARY
    other = only(assign_sites(at(*place, river_name="Elsewhere"), confluence))
    assert other["reason"] == "near a confluence, no reach agrees in river name or drainage area"


def test_near_a_confluence_the_drainage_area_decides_within_a_factor_of_two(confluence):
    extras = Extras(facc_km2=pd.Series({RIVER: 10_000.0, UP: 9_000.0, TRIBUTARY: 900.0}))
    place = (10.1, 0.3)
    assert only(assign_sites(at(*place, drainage_km2=1_700.0), confluence, extras=extras))["reach_id"] == TRIBUTARY
    assert only(assign_sites(at(*place, drainage_km2=8_000.0), confluence, extras=extras))["reach_id"] == UP
    # Between the two, 1.9 x 900 < 2000 < 9000 / 2
    assert only(assign_sites(at(*place, drainage_km2=2_000.0), confluence, extras=extras))["reach_id"] == -1


def test_far_from_the_confluence_no_name_is_needed(confluence):
    assert only(assign_sites(at(5, 0.1), confluence))["reach_id"] == RIVER


def test_rivers_side_by_side_are_told_apart_by_name_only(tmp_path):
    lines = {RIVER: [(0, 0), (10, 0)], UP: [(0, 0.4), (10, 0.4)]}
    reaches = read_reaches(rivers(tmp_path, lines, river_name=["North Fork;Fork", "South Fork"]))
    assert only(assign_sites(at(5, 0.1), reaches))["reach_id"] == -1
    assert only(assign_sites(at(5, 0.1, river_name="South Fork"), reaches))["reach_id"] == UP


def test_across_the_antimeridian(tmp_path):
    line = LineString([(179.98, 0), (-179.95, 0)])
    path = tmp_path / "dateline.gpkg"
    gpd.GeoDataFrame({"reach_id": [RIVER], "width": 200.0}, geometry=[line], crs="EPSG:4326").to_file(path)
    reaches = read_reaches(path)
    for longitude in (179.99, -179.99):
        sites = pd.DataFrame({"site": ["A"], "longitude": [longitude], "latitude": [0.002]})
        row = only(assign_sites(sites, reaches))
        assert row["reach_id"] == RIVER
        assert row["distance_m"] == pytest.approx(0.002 * DEGREE_M, rel=0.01)


def test_real_reaches_find_themselves_or_say_why(shared):
    reaches = read_reaches(shared / "data" / "reaches_tiles" / "swot_na_687_reaches")
    middles = shapely.line_interpolate_point(reaches.lines, 0.5, normalized=True)
    sites = pd.DataFrame(
        {"site": reaches.ids.astype(str), "longitude": shapely.get_x(middles), "latitude": shapely.get_y(middles)}
    )[::4]
    table = assign_sites(sites, reaches)
    given_one = table["reach_id"] > 0
    assert (table.loc[given_one, "reach_id"].astype(str) == table.loc[given_one, "site"]).all()
    assert (given_one == (table["reason"] == "")).all()
    kinds = reaches.table["kind"].to_numpy()[::4]
    assert not given_one.to_numpy()[np.isin(kinds, [3, 4, 5, 6])].any()
    assert given_one.to_numpy()[kinds == 1].mean() > 0.8
    assert table.loc[given_one, "distance_m"].max() < 1


def test_dams_and_areas_are_read_from_sword_files(tmp_path):
    path = tmp_path / "nodes.gpkg"
    table = {"node_id": [1, 2, 3, 4], "obstr_type": [0, 1, 4, 0], "trib_flag": [0, 0, 0, 1]}
    gpd.GeoDataFrame(table, geometry=[Point(k, 5) for k in range(4)], crs="EPSG:4326").to_file(path)
    reaches = rivers(tmp_path, {RIVER: [(0, 0), (10, 0)], UP: [(10, 0), (20, 0)]}, facc=[500.0, -9999.0])
    extras = read_extras(reaches, path)
    assert extras.facc_km2.to_dict() == {RIVER: 500.0}
    assert extras.barriers.to_dict("list") == {"lon": [1.0, 3.0], "lat": [5.0, 5.0], "what": ["a dam", "a tributary"]}
    assert read_extras(reaches).barriers.empty


def test_sites_must_be_one_row_each(tmp_path):
    reaches = read_reaches(rivers(tmp_path, {RIVER: [(0, 0), (10, 0)]}))
    with pytest.raises(InputError, match="site 'A' is there twice"):
        assign_sites(pd.concat([at(1, 0), at(2, 0)]), reaches)
    with pytest.raises(InputError, match="sites without latitude"):
        assign_sites(at(1, 0).drop(columns="latitude"), reaches)


# ---------------------------------------------------------------- pairs

NOW = pd.Timestamp("2021-09-07T16:39:01Z")


def results(**columns):
    """Rows of a results store; everything seen and clear where not told otherwise."""
    n = len(columns["acquisition"])
    numbers = {column.name: np.full(n, 0.05) for column in SAMPLE}
    names = {"platform": "L8", "product": "L30", "masker": "mndwi", "regressor": "physical", "reach_id": RIVER}
    counts = {"n_px_channel": 100, "n_px_valid": 100, "n_px_used": 50, "clear_frac": 0.9}
    shares = dict.fromkeys(["cloud_frac", "cloud_shadow_frac", "snow_ice_frac", "terrain_shadow_frac"], 0.0)
    ids = {"granule_ids": [[f"G{k}"] for k in range(n)]}
    return pd.DataFrame(numbers).assign(**(names | counts | shares | ids | columns))


def lab(times, **columns):
    given_columns = {"site": "A", "ssc_mg_l": 30.0, "reach_id": RIVER, "longitude": -91.0, "latitude": 32.5} | columns
    return pd.DataFrame({"sample_time": times}).assign(**given_columns)


def hours(*shifts):
    return [NOW + shift * HOUR for shift in shifts]


def test_the_rows_of_a_store_are_what_is_paired():
    names = {column.name for column in COLUMNS}
    assert set(results(acquisition=hours(0)).columns) <= names


def test_weights_by_time_and_by_group():
    # At 91 W the sun is 6.07 h behind: the sample of 16:39 UTC is of 10:35, its day lasts until 30:04 UTC.
    rows = results(acquisition=hours(-11, -2, 23, 25))
    paired = pair(lab(hours(0), weight=0.5), rows)
    table = paired.matchups
    assert table["granule_id"].tolist() == ["G1", "G0", "G2"]
    assert table["rank"].tolist() == [0, 1, 2]
    assert table["dt_h"].tolist() == pytest.approx([-2, -11, 23])
    # 0.5 of the sample x (1 same day, 0.7 the day before but < 12 h, 0.4) / 3 rows of the group
    assert table["weight"].tolist() == pytest.approx([0.5 / 3, 0.35 / 3, 0.2 / 3])
    assert set(table["group"]) == {"A 2021-09-07"}
    assert paired.counts() == {"paired": 1, "replicates": 2}


def test_a_utc_day_does_not_part_afternoon_from_morning():
    # 00:30 UTC on the 8th is 18:26 of the 7th at 91 W, and the overpass of 16:39 UTC is of the same day.
    table = pair(lab([pd.Timestamp("2021-09-08T00:30Z")]), results(acquisition=hours(0))).matchups
    assert (table["group"].item(), table["weight"].item()) == ("A 2021-09-07", 1.0)


def test_samples_of_one_site_and_day_share_one_weight():
    samples = lab([*hours(-1), *hours(1), *hours(1)], site=["A", "A", "B"])
    table = pair(samples, results(acquisition=hours(0))).matchups
    assert table["weight"].tolist() == pytest.approx([0.5, 0.5, 1.0])
    assert table.groupby("group")["weight"].sum().tolist() == pytest.approx([1.0, 1.0])


def test_of_equally_near_granules_the_clearer_is_the_samples_own():
    rows = results(acquisition=hours(-3, 3), clear_frac=[0.4, 0.8])
    assert pair(lab(hours(0)), rows).matchups["granule_id"].tolist() == ["G1", "G0"]


def test_the_edge_of_the_window_belongs_to_it():
    rows = results(acquisition=hours(-24, 24, 24.001))
    assert pair(lab(hours(0)), rows).matchups["granule_id"].tolist() == ["G0", "G1"]


def test_widths_are_classed_and_too_narrow_reaches_refused():
    paired = pair(lab(hours(0) * 4, width_m=[59.0, 60.0, 90.0, np.nan]), results(acquisition=hours(0)))
    assert paired.matchups["width_class"].tolist() == ["narrow", "wide", "unknown"]
    assert paired.lost["reason"].tolist() == ["too narrow"]


def test_who_found_nothing_says_why():
    seen = {
        "cloud": {"cloud_frac": 0.5, "cloud_shadow_frac": 0.2},
        "cloud shadow": {"cloud_frac": 0.2, "cloud_shadow_frac": 0.3},
        "snow or ice": {"snow_ice_frac": 0.9},
        "terrain shadow": {"terrain_shadow_frac": 0.6},
        "outside the swath": {"n_px_valid": 49, "cloud_frac": 1.0},
        "too few pixels": {"cloud_frac": 0.4},
    }
    rows = [
        results(acquisition=hours(0), reach_id=RIVER + 10 * k, n_px_used=7, **shares)
        for k, shares in enumerate(seen.values())
    ]
    ids = [RIVER + 10 * k for k in range(len(seen))]
    nothing = lab(hours(0, 0), reach_id=[RIVER + 990, -1], reason=["", "no reach near"])
    paired = pair(pd.concat([lab(hours(0) * len(seen), reach_id=ids, reason=""), nothing]), pd.concat(rows))
    assert paired.matchups.empty
    assert paired.lost["reason"].tolist() == [*seen, "no granule", "no reach: no reach near"]
    assert paired.lost["n_looks"].tolist() == [1] * len(seen) + [0, 0]
    assert list(paired.matchups.columns[:4]) == ["site", "sample_id", "sample_time", "ssc_mg_l"]


def test_one_good_look_is_enough_and_only_it_is_kept():
    paired = pair(lab(hours(0)), results(acquisition=hours(-1, 2), n_px_used=[7, 8]))
    assert paired.matchups["granule_id"].tolist() == ["G1"]
    assert paired.matchups["weight"].tolist() == [1.0]
    assert paired.lost.empty


def test_regressors_count_once_maskers_are_refused():
    rows = pd.concat([results(acquisition=hours(0), regressor=name) for name in ("physical", "nechad-red")])
    assert len(pair(lab(hours(0)), rows).matchups) == 1
    both = pd.concat([results(acquisition=hours(0), masker=name) for name in ("mndwi", "fmask")])
    with pytest.raises(InputError, match="several maskers: found fmask mndwi"):
        pair(lab(hours(0)), both)
    with pytest.raises(InputError, match="results without clear_frac"):
        pair(lab(hours(0)), rows.drop(columns="clear_frac"))


def slowly(samples, rows, rule):
    """(sample, granule, weight) of every pair, by loops over all of them."""
    found = []
    for number, sample in samples.iterrows():
        near = []
        for _, row in rows.iterrows():
            apart = (row["acquisition"] - sample["sample_time"]) / HOUR
            if row["reach_id"] == sample["reach_id"] and abs(apart) <= rule.within_h and row["n_px_used"] >= 8:
                shift = pd.Timedelta(hours=sample["longitude"] / 15)
                days = [(when + shift).date() for when in (row["acquisition"], sample["sample_time"])]
                weight = 1.0 if days[0] == days[1] else 0.7 if abs(apart) < 12 else 0.4
                near.append(
                    (abs(apart), -row["clear_frac"], row["granule_ids"][0], weight, f"{sample['site']} {days[1]}")
                )
        found += [(number, name, weight, group) for _, _, name, weight, group in sorted(near)]
    sizes = pd.Series([group for *_, group in found]).value_counts()
    return [(number, name, weight / sizes[group]) for number, name, weight, group in found]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_as_the_slow_version(data):
    shift, reach = st.integers(-40, 40), st.sampled_from([RIVER, UP, TRIBUTARY])
    looks = data.draw(st.lists(st.tuples(reach, shift), max_size=12, unique=True))
    wanted = data.draw(
        st.lists(st.tuples(reach, shift, st.sampled_from("AB"), st.integers(-180, 180)), min_size=1, max_size=8)
    )
    used = data.draw(st.lists(st.integers(6, 12), min_size=len(looks), max_size=len(looks)))
    clear = np.linspace(0.3, 0.9, len(looks))
    rows = results(
        acquisition=hours(*(h for _, h in looks)), reach_id=[r for r, _ in looks], n_px_used=used, clear_frac=clear
    )
    rows["acquisition"] = pd.to_datetime(rows["acquisition"], utc=True)
    reach_ids, when, sites, longitude = zip(*wanted, strict=True)
    samples = lab(hours(*when), reach_id=reach_ids, site=sites, longitude=np.array(longitude, float))
    rule = PairRule(within_h=data.draw(st.sampled_from([0.0, 10.0, 24.0])))
    samples["sample_id"] = samples.index.astype(str)
    paired = pair(samples, rows.sample(frac=1, random_state=1), rule)
    expected = slowly(samples, rows, rule)
    table = paired.matchups
    assert list(zip(table["sample_id"].astype(int), table["granule_id"], strict=True)) == [e[:2] for e in expected]
    assert table["weight"].tolist() == pytest.approx([e[2] for e in expected])
    assert len(paired.lost) == len(samples) - len({number for number, *_ in expected})


def test_two_platforms_at_one_moment_are_two_looks():
    rows = results(acquisition=hours(5, 5), platform=["L8", "L9"])
    assert sorted(pair(lab(hours(0)), rows).matchups["granule_id"]) == ["G0", "G1"]


def test_what_a_site_was_given_reaches_its_samples():
    assigned = pd.DataFrame({"site": ["A"], "reach_id": [UP], "width_m": [70.0], "tidal": [True], "reason": [""]})
    table = with_reaches(lab(hours(0)), assigned)
    assert (table["reach_id"].item(), table["width_m"].item()) == (UP, 70.0)
    paired = pair(table, results(acquisition=hours(1), reach_id=UP))
    assert paired.matchups["width_class"].item() == "narrow"
