"""Tiles by name, reaches on tiles, and which granule speaks for a reach."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from shapely import LineString

from ssc.bands import Product
from ssc.errors import GranuleNameError
from ssc.granules import Granule
from ssc.mgrs import in_zone, tile_name, zone_of
from ssc.overlaps import resolve
from ssc.pools import Duty, plan_pools
from ssc.reaches import Reaches, read_reaches
from ssc.schema import KEY
from ssc.tiles import footprint, on_tile, tile_geobox, tiles_of


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "data" / "reaches_tiles"


@pytest.fixture(scope="module")
def index(folder):
    """ESA's tiling grid over land: 20 430 tiles."""
    return gpd.read_parquet(folder / "sentinel-2-grid_LAND.parquet")


@pytest.fixture(scope="module")
def america(folder):
    return read_reaches(folder / "swot_na_687_reaches")


def reaches_of(lines, crs="EPSG:4326", **columns):
    table = gpd.GeoDataFrame(geometry=gpd.GeoSeries(list(lines), crs=crs).to_crs("EPSG:4326"))
    table.index = pd.Index(10 * np.arange(1, len(table) + 1) + 1, name="reach_id")
    nothing = {"width_m": np.nan, "max_width_m": np.nan, "length_m": 1.0, "river_name": "", "kind": 1, "lakeflag": -1}
    empty = pd.DataFrame({"node_id": [], "reach_id": [], "lon": [], "lat": [], "width_m": []}).astype(
        {"node_id": "int64", "reach_id": "int64"}
    )
    return Reaches(table=table.assign(**(nothing | columns), n_nodes=0), nodes=empty, version="test")


def corner_of(tile):
    box = tile_geobox(tile).boundingbox
    return box.left, box.top


# ---------------------------------------------------------------- tiles by name


@pytest.mark.parametrize(
    ("tile", "corner", "epsg"),
    [
        ("13RCN", (300000, 3300000), 32613),
        ("06WVS", (399960, 7200000), 32606),
        ("19LBJ", (199980, -1099980), 32619),
        ("15SXR", (600000, 3600000), 32615),
        ("22VEQ", (499980, 7000020), 32622),
    ],
)
def test_corners_of_real_granules(tile, corner, epsg):
    grid = tile_geobox(tile)
    assert corner_of(tile) == corner_of("T" + tile) == corner
    assert grid.crs.to_epsg() == epsg
    assert tuple(grid.shape) == (3660, 3660)
    assert tuple(grid.affine)[:6] == (30, 0, corner[0], 0, -30, corner[1])


def test_every_tile_of_the_index_is_where_esa_has_it(index):
    for tile, epsg, text in zip(index["tile"], index["epsg"], index["utm_wkt"], strict=True):
        numbers = np.array(re.findall(r"[-\d.]+", text), dtype=float).reshape(-1, 2)
        west, north = numbers[:, 0].min(), numbers[:, 1].max()
        grid = tile_geobox(tile)
        box = grid.boundingbox
        # Sentinel-2 counts southern northings from 10 000 000 (EPSG:327zz), HLS from the equator (EPSG:326zz).
        assert (box.left, box.top) == (west, north - 1e7 * (epsg > 32700)), tile
        assert str(grid.crs) == f"EPSG:{32600 + epsg % 100}", tile


def test_every_tile_of_the_index_touches_its_zone(index):
    for tile in index["tile"][::7]:
        west, north = corner_of(tile)
        square = int(tile[:2]), round(west / 1e5), round(north / 1e5) - 1
        assert tile_name(*square) == tile
        assert in_zone(*square), tile


@pytest.mark.parametrize("tile", ["15SXW", "15SIR", "61SXR", "00SXR", "15SAR", "15AXR", "15SXM", "5SXR", "15sxr", ""])
def test_what_is_no_tile(tile):
    with pytest.raises(GranuleNameError, match="no such MGRS tile"):
        tile_geobox(tile)


@pytest.mark.parametrize(
    ("lon", "lat", "zone"),
    [(-180, 0, 1), (180, 0, 1), (179.9, 0, 60), (5, 60, 32), (2.9, 60, 31), (5, 55, 31), (5, 70, 31), (8, 75, 31),
     (10, 75, 33), (20.9, 75, 33), (21, 75, 35), (34, 75, 37), (42, 75, 38), (-91.5, 32.5, 15)],
)  # fmt: skip
def test_zones_and_their_exceptions(lon, lat, zone):
    assert zone_of(np.array([lon]), np.array([lat])).tolist() == [zone]


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 8), st.integers(-80, 83))
def test_names_of_squares_lead_back(zone, column, row):
    west, north = corner_of(tile_name(zone, column, row))
    assert 0 <= column * 1e5 - west < 60
    assert 0 <= north - (row + 1) * 1e5 < 60


# ---------------------------------------------------------------- reaches on a tile


def test_share_on_a_tile_equals_geopandas(america):
    grid = tile_geobox("15UUR")
    share = on_tile(america, grid)
    lines = america.table.geometry.to_crs("EPSG:32615")
    true = lines.intersection(shapely.box(*grid.boundingbox)).length / lines.length
    true = true[true > 0]
    assert len(true) > 20
    assert share.index.tolist() == true.index.tolist()
    # A line that runs over itself is counted once by intersection().
    assert share.to_numpy() == pytest.approx(true.to_numpy(), abs=0.03)
    assert np.median(np.abs(share - true)) < 1e-12


def test_south_of_the_equator_both_conventions_agree(folder):
    reaches = read_reaches(folder / "swot_nz_52_reaches.zip")
    north = tile_geobox("59GNM")
    south = GeoBox(north.shape, Affine(30, 0, north.affine.c, 0, -30, north.affine.f + 1e7), "EPSG:32759")
    assert north.boundingbox.top < 0 < south.boundingbox.bottom
    share = on_tile(reaches, north)
    assert len(share) > 5
    pd.testing.assert_series_equal(share, on_tile(reaches, south), rtol=1e-9)


@pytest.mark.parametrize("tile", ["01WCQ", "60VXR"])
def test_reach_across_the_antimeridian_is_on_tiles_of_both_sides(tile, index):
    (whole,) = index.loc[index["tile"] == tile, "geometry"]
    assert whole.geom_type == "MultiPolygon"
    south, north = whole.bounds[1], whole.bounds[3]
    lat = (south + north) / 2
    line = LineString([(179.95, lat), (-179.95, lat + 0.001)])
    other = LineString([(0, lat), (0.1, lat)])
    assert on_tile(reaches_of([line, other]), tile_geobox(tile)).to_dict() == {11: 1.0}
    assert set(tiles_of(reaches_of([line, other])).query("reach_id == 11")["tile"].str[:2]) == {"01", "60"}


@pytest.mark.parametrize("tile", ["15SXR", "19LBJ", "33XWJ", "59GNM"])
def test_footprint_holds_the_tile_and_little_more(index, tile):
    (true,) = index.loc[index["tile"] == tile, "geometry"]
    ours = footprint(tile_geobox(tile))
    assert ours.covers(true)
    assert ours.area < 1.25 * true.area


def test_reaches_far_away_do_no_harm(america):
    around_the_world = LineString([(lon, 10 * np.sin(lon)) for lon in np.linspace(-179, 179, 400)])
    reaches = reaches_of([around_the_world, LineString([(-91.5, 32.5), (-91.4, 32.5)])])
    assert on_tile(reaches, tile_geobox("15SXR")).to_dict() == {21: 1.0}
    assert len(on_tile(america, tile_geobox("60HUB"))) == 0


# ---------------------------------------------------------------- tiles of a reach


@pytest.mark.parametrize("name", ["swot_nz_52_reaches.zip", "swot_na_687_reaches", "sword_reaches_167_global.geojson"])
def test_tiles_of_reaches_equal_esas_index(folder, index, name):
    reaches = read_reaches(folder / name)
    ours = tiles_of(reaches)
    assert ours.groupby("reach_id")["share"].max().min() > 0.9
    assert set(ours["reach_id"]) == set(reaches.ids)
    pairs = gpd.sjoin(reaches.table[["geometry"]].reset_index(), index[["geometry", "tile", "epsg", "utm_wkt"]])
    true = {}
    for epsg, rows in pairs.groupby("epsg"):
        lines = rows.geometry.to_crs(int(epsg))
        inside = shapely.length(shapely.intersection(lines.to_numpy(), shapely.from_wkt(rows["utm_wkt"].to_numpy())))
        keys = zip(rows["reach_id"], rows["tile"], strict=True)
        true |= {key: share for key, share in zip(keys, inside / lines.length, strict=True) if share > 0}
    found = {(reach, tile): share for reach, tile, share in ours.itertuples(index=False)}
    assert true.keys() <= found.keys()
    assert max(abs(found[key] - share) for key, share in true.items()) < 0.03
    # What ESA leaves out are slivers that other tiles hold.
    assert len(found) - len(true) < 0.15 * len(found)


def test_tiles_of_nothing_near_land():
    tiles = tiles_of(reaches_of([LineString([(3.0, 62.0), (3.1, 62.0)])]))
    assert set(tiles["tile"].str[:3]) >= {"32V"}
    assert tiles["share"].between(0, 1).all()


# ---------------------------------------------------------------- one row per overpass

START = datetime(2024, 5, 1, 10, tzinfo=UTC)


def row(reach=11, minutes=0.0, tile="15SXR", share=1.0, used=50, **more):
    time = pd.Timestamp(START + timedelta(minutes=minutes))
    base = {"reach_id": reach, "acquisition": time, "platform": "S2A", "masker": "m", "regressor": "r"}
    return base | {"reach_share": share, "n_px_used": used, "tile_ids": [tile], "ssc": 1.0} | more


def kept(*rows):
    table = resolve(pd.DataFrame(list(rows)))
    return [tiles[0] for tiles in table["tile_ids"]]


def test_largest_share_speaks_for_the_reach():
    assert kept(row(share=0.4), row(tile="15SXS", share=0.9, minutes=0.4), row(tile="16SBA", share=0.7)) == ["15SXS"]


def test_ties_go_to_more_pixels_then_to_the_first_tile():
    assert kept(row(used=5), row(tile="15SYR", used=9)) == ["15SYR"]
    assert kept(row(tile="15SYR"), row(tile="15SXR")) == ["15SXR"]
    assert kept(row(tile="15SYR", share=np.float32(1)), row(share=np.float32(1) - np.float32(1e-7), used=60)) == [
        "15SXR"
    ]


@pytest.mark.parametrize(
    ("minutes", "rows"), [((0, 30), 1), ((0, 30.1), 2), ((0, 29, 58), 1), ((0, 29, 58, 100), 2), ((0, 1440), 2)]
)
def test_thirty_minutes_make_an_overpass_chained(minutes, rows):
    assert len(kept(*(row(minutes=m) for m in minutes))) == rows


@pytest.mark.parametrize("other", [{"platform": "S2B"}, {"masker": "n"}, {"regressor": "s"}, {"reach": 21}])
def test_only_rows_of_one_kind_compete(other):
    assert len(kept(row(), row(**other))) == 2


def test_no_rows_stay_no_rows():
    empty = pd.DataFrame([row()]).iloc[:0]
    assert resolve(empty).empty
    assert list(resolve(empty).columns) == list(empty.columns)


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(2, 12))
def test_resolve_does_not_depend_on_the_order(random, count):
    rows = [
        row(
            reach=random.choice([11, 21]),
            minutes=random.choice([0, 0.4, 25, 50, 90, 1440]),
            tile=random.choice(["15SXR", "15SXS", "16SBA"]),
            share=random.choice([0.3, 1.0]),
            used=random.choice([0, 9]),
            platform=random.choice(["S2A", "L8"]),
        )
        for _ in range(count)
    ]
    table = pd.DataFrame(rows).drop_duplicates(["reach_id", "acquisition", "platform", "reach_share", "n_px_used"])
    first = resolve(table)
    second = resolve(table.iloc[random.sample(range(len(table)), len(table))])
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(first, resolve(first))
    assert not first.duplicated(list(KEY)).any()
    assert set(first["reach_id"]) == set(table["reach_id"])


# ---------------------------------------------------------------- who does what


def granule(tile, minutes=0.0, product=Product.S30):
    return Granule(product=product, tile=tile, acquired=START + timedelta(minutes=minutes))


def lines_in(tile, *lines):
    """Reaches given in kilometres east and south of a tile's corner."""
    grid = tile_geobox(tile)
    west, north = corner_of(tile)
    moved = [LineString([(west + 1e3 * x, north - 1e3 * y) for x, y in line]) for line in lines]
    return reaches_of(moved, crs=str(grid.crs))


def test_a_reach_in_the_overlap_is_done_once():
    reaches = lines_in("15SXR", [(102, 50), (108, 50)], [(20, 50), (30, 50)])
    east = granule("15SYR", 0.4)
    plan = plan_pools([east, granule("15SXR")], reaches)
    assert plan == {granule("15SXR").name: Duty(owned=(11, 21)), east.name: Duty()}


def test_a_reach_that_no_tile_holds_whole_is_pooled():
    reaches = lines_in("15SXR", [(90, 50), (120, 50)], [(5, 50), (15, 50)])
    west, east = granule("15SXR"), granule("15SYR")
    plan = plan_pools([west, east], reaches)
    assert plan[west.name] == Duty(owned=(21,))
    assert plan[east.name] == Duty(pooled=((11, (west.name,)),))


def test_partners_that_add_nothing_are_left_out():
    reaches = lines_in("15SXR", [(80, 104), (130, 104)])  # in the overlap with the row below, too
    tiles = ["15SXR", "15SYR", "15RXQ", "15RYQ"]
    plan = plan_pools([granule(tile) for tile in tiles], reaches)
    duties = {name[9:14]: duty for name, duty in plan.items() if duty != Duty()}
    assert len(duties) == 1
    ((_, partners),) = next(iter(duties.values())).pooled
    assert len(partners) == 1


def test_alone_even_a_part_is_owned():
    reaches = lines_in("15SXR", [(90, 50), (120, 50)])
    assert plan_pools([granule("15SXR")], reaches)[granule("15SXR").name] == Duty(owned=(11,))


def test_products_and_overpasses_are_apart():
    reaches = lines_in("15SXR", [(20, 50), (30, 50)])
    looks = [granule("15SXR"), granule("15SXR", 1440), granule("15SXR", 3, Product.L30)]
    assert {duty.owned for duty in plan_pools(looks, reaches).values()} == {(11,)}


def test_across_zones_the_zone_of_the_midpoint_does_it():
    line = LineString([(-90.08, 32.3), (-89.96, 32.3)])  # zones 15 and 16 meet at 90 degrees west
    reaches = reaches_of([line])
    tiles = tiles_of(reaches)["tile"]
    assert set(tiles.str[:2]) == {"15", "16"}
    plan = plan_pools([granule(tile) for tile in tiles], reaches)
    (owner,) = [name for name, duty in plan.items() if duty.owned]
    assert owner[9:11] == "15"


def test_actual_grids_win_over_nominal_ones():
    reaches = lines_in("15SXR", [(20, 50), (30, 50)])
    cut = GeoBox((1000, 1000), tile_geobox("15SXR").affine, "EPSG:32615")
    assert plan_pools([granule("15SXR")], reaches, {"15SXR": cut})[granule("15SXR").name] == Duty()
    assert plan_pools([], reaches) == {}


def test_every_reach_of_every_overpass_is_done_exactly_once(america):
    tiles = tiles_of(america)
    granules = [granule(tile, minutes) for tile in sorted(tiles["tile"].unique()) for minutes in (0, 1440)]
    plan = plan_pools(granules, america)
    assert plan.keys() == {g.name for g in granules}
    done = pd.Series([reach for d in plan.values() for reach in (*d.owned, *(r for r, _ in d.pooled))])
    assert (done.value_counts() == 2).all()
    assert set(done) == set(america.ids)
    for duty in plan.values():
        for _, partners in duty.pooled:
            assert len({partner[9:11] for partner in partners}) == 1
