"""Corridors against a slow definition, real reaches, and windows that must hold every pixel."""

from __future__ import annotations

import dataclasses

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from shapely import LineString, MultiLineString

from ssc.blocks import MOST, cover
from ssc.corridor import Corridor, CorridorRule, draw_corridor
from ssc.observation import Window
from ssc.reaches import Reaches, number_nodes, read_reaches
from ssc.sword import reach_of
from ssc.tiles import on_tile, tile_geobox

UTM = "EPSG:32615"
WEST, NORTH = 600_000.0, 3_600_000.0
FIELDS = [field.name for field in dataclasses.fields(Corridor) if field.name != "tile"]


def grid(rows=3660, cols=3660, row=0, col=0):
    return GeoBox((rows, cols), Affine(30, 0, WEST + 30 * col, 0, -30, NORTH - 30 * row), UTM)


def reaches_of(*lines, width=100.0, max_width=np.nan):
    """Reaches whose lines are given in metres east and south of the tile's corner."""
    moved = [shapely.transform(line, lambda xy: [WEST, NORTH] + xy * [1, -1]) for line in lines]
    table = gpd.GeoDataFrame(geometry=gpd.GeoSeries(moved, crs=UTM).to_crs("EPSG:4326"))
    table.index = pd.Index(10 * np.arange(1, len(table) + 1) + 1, name="reach_id")
    length = [line.length for line in lines]
    table = table.assign(width_m=width, max_width_m=max_width, length_m=length, river_name="", kind=1, lakeflag=0)
    nodes = number_nodes(table.assign(n_nodes=np.nan))
    return Reaches(table=table.assign(n_nodes=nodes.groupby("reach_id").size()), nodes=nodes, version="test")


def same(first, second):
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in FIELDS)


BEND = LineString([(1000, 1000), (4000, 1500), (5000, 4000), (9000, 4500)])
SIDE = LineString([(4800, 4000), (7000, 2000), (8000, 400)])
FAR = LineString([(2000, 7000), (8000, 7500)])


# ---------------------------------------------------------------- the slow definition


def slow(lines, widths, tile, rule):
    """For every pixel centre: the nearest line that has it beside itself (not beyond an end) within its corridor.

    Returns (rows, cols) index of the line (-1 none), True in its channel, and how far (m) from any decision.
    """
    y, x = np.mgrid[: tile.shape.y, : tile.shape.x]
    points = shapely.points(tile.affine.c + 30 * (x + 0.5), tile.affine.f - 30 * (y + 0.5))
    distance = np.full((len(lines), *points.shape), np.inf)
    doubt = np.full(points.shape, np.inf)
    for k, (line, width) in enumerate(zip(lines, widths, strict=True)):
        d, along = shapely.distance(points, line), shapely.line_locate_point(line, points)
        beside = (along > 0) & (along < line.length)
        near_end = np.minimum(along, line.length - along)
        for radius in (width / 2, width / 2 + rule.margin_m):
            doubt = np.minimum(doubt, np.abs(d - radius))
        doubt = np.where((near_end < 30) & (d < width / 2 + rule.margin_m + 30), 0, doubt)
        distance[k] = np.where(beside & (d <= width / 2 + rule.margin_m), d, np.inf)
    ordered = np.sort(distance, axis=0)
    if len(lines) > 1:
        first, second = np.minimum(ordered[:2], 1e9)  # infinity minus infinity is a warning
        doubt = np.where(second < 1e9, np.minimum(doubt, second - first), doubt)
    owner = np.where(np.isfinite(ordered[0]), distance.argmin(axis=0), -1)
    channel = (owner >= 0) & (ordered[0] <= np.asarray(widths)[owner] / 2)
    return owner, channel, doubt


def painted(corridor):
    owner = np.full(tuple(corridor.tile.shape), -1)
    channel = np.zeros(owner.shape, dtype=bool)
    owner[corridor.row, corridor.col] = corridor.reach
    channel[corridor.row, corridor.col] = corridor.channel
    return owner, channel


def projected(reaches):
    return reaches.table.geometry.to_crs(UTM).to_numpy()


@pytest.mark.parametrize("widths", [(60, 60, 60), (300, 90, 60), (45, 800, 200)])
def test_corridor_equals_the_slow_definition(widths):
    reaches, tile, rule = reaches_of(BEND, SIDE, FAR, width=list(widths)), grid(300, 320), CorridorRule()
    owner, channel, doubt = slow(projected(reaches), widths, tile, rule)
    # Lines are smoothed by 5 % of the radius before they are widened.
    sure = doubt > 0.05 * (max(widths) / 2 + rule.margin_m)
    ours = painted(draw_corridor(reaches, tile, rule))
    assert sure.mean() > 0.9
    assert (ours[0] >= 0).sum() > 2000
    assert (ours[0] == owner)[sure].all()
    assert (ours[1] == channel)[sure].all()


def test_real_centrelines_equal_the_slow_definition(shared):
    reaches = read_reaches(shared / "data" / "hls_s30_t15sxr" / "reaches.geojson")
    tile = grid(250, 250, row=560, col=60)
    near = on_tile(reaches, tile).index
    chosen = reaches.select(ids=near)
    rule = CorridorRule()
    owner, channel, doubt = slow(projected(chosen), [60.0] * len(chosen), tile, rule)
    ours = painted(draw_corridor(reaches, tile, rule))
    sure = doubt > 5
    assert (owner >= 0).sum() > 500
    assert (ours[0] == owner)[sure].mean() > 0.999
    assert (ours[1] == channel)[sure].mean() > 0.999


def test_nearest_node_of_the_own_reach():
    reaches, tile = reaches_of(BEND, SIDE, width=200.0), grid(300, 320)
    corridor = draw_corridor(reaches, tile)
    nodes = reaches.nodes.set_index("node_id")
    points = gpd.GeoSeries(gpd.points_from_xy(nodes["lon"], nodes["lat"]), crs="EPSG:4326").to_crs(UTM)
    xy = np.column_stack([points.x, points.y])
    assert (corridor.node_ids == nodes.index).all()
    assert (corridor.reach_ids[corridor.node_reach] == nodes["reach_id"]).all()
    assert (corridor.node_reach[corridor.node] == corridor.reach).all()
    px = np.column_stack([WEST + 30 * (corridor.col + 0.5), NORTH - 30 * (corridor.row + 0.5)])
    distance = np.linalg.norm(px[:, None] - xy[None], axis=2)
    distance[corridor.reach[:, None] != corridor.node_reach[None]] = np.inf
    chosen = distance[np.arange(len(px)), corridor.node]
    assert chosen == pytest.approx(distance.min(axis=1), abs=1e-6)


# ---------------------------------------------------------------- shape of a corridor


def check(corridor):
    pixel = corridor.row.astype(np.int64) * corridor.tile.shape.x + corridor.col
    assert len(np.unique(pixel)) == len(pixel)
    assert (np.diff(corridor.reach) >= 0).all()
    for reach in range(len(corridor.reach_ids)):
        assert (np.diff(pixel[corridor.reach == reach]) > 0).all()
    assert corridor.row.min(initial=0) >= 0
    assert corridor.col.min(initial=0) >= 0
    assert corridor.row.max(initial=0) < corridor.tile.shape.y
    assert corridor.col.max(initial=0) < corridor.tile.shape.x
    counts = np.bincount(corridor.reach[corridor.channel], minlength=len(corridor.reach_ids))
    assert (counts == corridor.n_channel).all()
    kinds = {"reach_ids": "i8", "reach_share": "f4", "width_m": "f4", "n_channel": "i4", "row": "i4", "col": "i4"}
    kinds |= {"reach": "i4", "node": "i4", "node_ids": "i8", "node_reach": "i4", "channel": "?"}
    assert {name: getattr(corridor, name).dtype for name in FIELDS} == {n: np.dtype(k) for n, k in kinds.items()}


def test_real_reaches_on_a_real_tile(shared):
    reaches = read_reaches(shared / "data" / "hls_s30_t15sxr" / "reaches.geojson")
    corridor = draw_corridor(reaches, grid(1000, 1000))
    check(corridor)
    assert (corridor.reach_ids == reaches.ids).all()
    assert (corridor.reach_share == 1).all()
    # Length times width over pixel area, less what neighbours and ends take.
    wanted = reaches.table["length_m"].to_numpy() * 60 / 900
    assert corridor.n_channel == pytest.approx(wanted, rel=0.12)
    assert (corridor.node >= 0).all()
    assert set(corridor.node_ids) == set(reaches.nodes["node_id"])


def test_a_full_tile_among_687_reaches(shared):
    reaches = read_reaches(shared / "data" / "reaches_tiles" / "swot_na_687_reaches")
    tile = tile_geobox("15UUR")
    corridor = draw_corridor(reaches, tile)
    check(corridor)
    assert len(corridor.reach_ids) > 50
    pd.testing.assert_index_equal(on_tile(reaches, tile).index, pd.Index(corridor.reach_ids, name="reach_id"))


def test_missing_width_is_narrow_and_wide_is_cut():
    rule = CorridorRule()
    line = LineString([(2000, 2000), (9000, 2000)])
    corridor = draw_corridor(reaches_of(line, line, line, width=[np.nan, 60.0, 9e4]), grid(400, 400), rule)
    assert corridor.width_m.tolist() == [60, 60, 3000]
    lone = [draw_corridor(reaches_of(line, width=w), grid(400, 400)).n_channel[0] for w in (np.nan, 60.0, 9e4, 3e3)]
    assert lone[0] == lone[1] == pytest.approx(7000 * 60 / 900, rel=0.05)
    assert lone[2] == lone[3] == pytest.approx(7000 * 3000 / 900, rel=0.02)


@pytest.mark.parametrize(("max_width", "full"), [(np.nan, 320), (50.0, 320), (500.0, 620), (9000.0, 720)])
def test_search_goes_to_max_width_but_not_beyond_three_widths(max_width, full):
    line = LineString([(2000, 2000), (9000, 2000)])
    corridor = draw_corridor(reaches_of(line, width=200.0, max_width=max_width), grid(400, 400))
    assert len(corridor.row) == pytest.approx(7000 * full / 900, rel=0.05)
    assert corridor.n_channel[0] == pytest.approx(7000 * 200 / 900, rel=0.05)


def test_ends_are_flat_so_a_reach_takes_no_water_of_its_neighbour():
    whole = LineString([(2000, 2000), (9000, 2000)])
    half = LineString([(2000, 2000), (5500, 2000)])
    corridor = draw_corridor(reaches_of(half, width=2000.0), grid(400, 400))
    assert (corridor.col + 0.5).max() * 30 <= 5500 + 15
    assert (corridor.col + 0.5).min() * 30 >= 2000 - 15
    assert corridor.n_channel[0] == pytest.approx(
        draw_corridor(reaches_of(whole, width=2000.0), grid(400, 400)).n_channel[0] / 2, rel=0.02
    )


def test_tributary_in_a_wide_river_keeps_the_river_whole():
    river = LineString([(0, 3000), (9000, 3000)])
    tributary = LineString([(4500, 0), (4500, 2950)])  # SWORD draws it to the river's centreline
    corridor = draw_corridor(reaches_of(river, tributary, width=[1500.0, 60.0]), grid(300, 300))
    owner, _ = painted(corridor)
    assert (owner[80:120, :140] == 0).all()
    assert (owner[80:95, 149:151] == 1).all()


def test_two_reaches_share_no_pixel_and_meet_in_the_middle():
    north, south = LineString([(0, 1000), (6000, 1000)]), LineString([(0, 1180), (6000, 1180)])
    corridor = draw_corridor(reaches_of(north, south, width=300.0), grid(100, 200))
    check(corridor)
    rows = [corridor.row[corridor.reach == k] for k in (0, 1)]
    assert rows[0].max() + 1 == rows[1].min() == 36  # 1090 m lies in row 36, whose centre is nearer to the south


# ---------------------------------------------------------------- reaches partly or wholly outside


@pytest.mark.parametrize("beyond_m", [500, 7_700, 20_000])
def test_reach_half_outside_is_cut(beyond_m):
    outside = LineString([(-beyond_m, 2000), (3000, 2000)])
    corridor = draw_corridor(reaches_of(BEND, outside, width=120.0), grid(400, 400))
    check(corridor)
    assert corridor.reach_ids.tolist() == [11, 21]
    assert corridor.reach_share.tolist() == pytest.approx([1, 3000 / (3000 + beyond_m)], rel=1e-4)
    assert corridor.n_channel[1] == pytest.approx(3000 * 120 / 900, rel=0.05)
    own = corridor.node_ids[corridor.node_reach == 1]
    assert len(own) == pytest.approx(3000 / 200, abs=1)


@pytest.mark.parametrize("gap_m", [10, 60, 7_700, 20_000, 4e6])
def test_reach_outside_is_not_in_it(gap_m):
    outside = LineString([(-gap_m, 2000), (-gap_m, 12000)])
    corridor = draw_corridor(reaches_of(BEND, outside, width=200.0), grid(400, 400))
    check(corridor)
    assert corridor.reach_ids.tolist() == [11]
    alone = draw_corridor(reaches_of(outside, width=200.0), grid(400, 400))
    check(alone)
    assert alone.reach_ids.size == alone.row.size == alone.node_ids.size == 0
    assert alone.windows((256, 256), 16) == []


def test_line_that_only_touches_a_corner():
    corridor = draw_corridor(reaches_of(LineString([(-100, 40), (40, -100)]), width=30.0), grid(400, 400))
    assert corridor.reach_ids.size == corridor.row.size == 0
    corridor = draw_corridor(reaches_of(LineString([(-100, 105), (105, -100)]), width=30.0), grid(400, 400))
    assert corridor.reach_ids.tolist() == [11]
    assert (corridor.node == -1).sum() == len(corridor.row) - (corridor.node >= 0).sum()


def test_pieces_with_a_gap():
    line = MultiLineString([[(1000, 1000), (3000, 1000)], [(5000, 1000), (7000, 1000)]])
    corridor = draw_corridor(reaches_of(line, width=90.0), grid(100, 300))
    owner, _ = painted(corridor)
    assert (owner[33, 40:95] == 0).all()
    assert (owner[33, 105:160] == -1).all()
    assert (owner[33, 170:230] == 0).all()


def test_overlapping_tiles_agree_on_the_owner_of_a_pixel(shared):
    reaches = read_reaches(shared / "data" / "reaches_tiles" / "swot_na_687_reaches")
    west, east = tile_geobox("15UUR"), tile_geobox("15UVR")
    found = []
    for tile in (west, east):
        corridor = draw_corridor(reaches, tile)
        easting = tile.affine.c + 30 * corridor.col.astype(int)
        northing = tile.affine.f - 30 * corridor.row.astype(int)
        shared_strip = (easting >= east.affine.c) & (easting < west.boundingbox.right)
        found.append(pd.Series(corridor.reach_ids[corridor.reach], [easting, northing])[shared_strip].sort_index())
    both = found[0].index.intersection(found[1].index)
    assert len(both) > 1000
    assert (found[0][both] == found[1][both]).all()
    # Only pixels of reaches whose line leaves the other tile are in one and not in the other.
    assert len(both) > 0.9 * max(len(found[0]), len(found[1]))


def test_only_some_reaches_of_a_corridor():
    corridor = draw_corridor(reaches_of(BEND, SIDE, FAR), grid(300, 320))
    some = corridor.only([31, 11, 99])
    check(some)
    assert some.reach_ids.tolist() == [11, 31]
    assert some.n_channel.tolist() == corridor.n_channel[[0, 2]].tolist()
    pixels = np.flatnonzero(corridor.reach != 1)
    assert (some.row == corridor.row[pixels]).all()
    assert (some.reach_ids[some.reach] == corridor.reach_ids[corridor.reach[pixels]]).all()
    assert (some.node_ids[some.node] == corridor.node_ids[corridor.node[pixels]]).all()
    assert (some.reach_ids[some.node_reach] == reach_of(some.node_ids)).all()
    check(corridor.only([]))


# ---------------------------------------------------------------- cache


def test_cache_gives_the_same_corridor(tmp_path):
    reaches, tile = reaches_of(BEND, SIDE, FAR), grid(400, 400)
    drawn = draw_corridor(reaches, tile, cache=tmp_path / "deep")
    (file,) = (tmp_path / "deep").iterdir()
    before = file.stat().st_mtime_ns
    again = draw_corridor(reaches, tile, cache=tmp_path / "deep")
    assert same(drawn, again)
    assert same(drawn, draw_corridor(reaches, tile))
    assert again.tile == tile
    check(again)
    assert file.stat().st_mtime_ns == before


def test_cache_knows_reaches_grid_and_rule(tmp_path):
    def files():
        return len(list(tmp_path.iterdir()))

    draw_corridor(reaches_of(BEND), grid(400, 400), cache=tmp_path)
    draw_corridor(reaches_of(BEND, width=101.0), grid(400, 400), cache=tmp_path)
    assert files() == 2
    draw_corridor(reaches_of(BEND), grid(400, 401), cache=tmp_path)
    draw_corridor(reaches_of(BEND), grid(400, 400, row=1), cache=tmp_path)
    assert files() == 4
    draw_corridor(reaches_of(BEND), grid(400, 400), CorridorRule(margin_m=90.0), cache=tmp_path)
    assert files() == 5


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None, b"\x93NUMPY"])
def test_a_broken_cache_file_is_drawn_anew(tmp_path, damage):
    reaches, tile = reaches_of(BEND, SIDE), grid(400, 400)
    drawn = draw_corridor(reaches, tile, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert same(drawn, draw_corridor(reaches, tile, cache=tmp_path))
    assert [file] == list(tmp_path.iterdir())
    assert same(drawn, draw_corridor(reaches, tile, cache=tmp_path))


@pytest.mark.parametrize("where", range(40, 4000, 180))
def test_a_flipped_byte_in_the_cache_does_no_harm(tmp_path, where):
    reaches, tile = reaches_of(BEND), grid(400, 400)
    drawn = draw_corridor(reaches, tile, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    data[where % len(data)] ^= 0xFF
    file.write_bytes(data)
    assert same(drawn, draw_corridor(reaches, tile, cache=tmp_path))


# ---------------------------------------------------------------- windows


def blocks_under(window, shape, block, halo):
    w = window.padded(halo, shape)
    rows, cols = range(w.row, w.row + w.height), range(w.col, w.col + w.width)
    return {(r, c) for r in {r // block[0] for r in rows} for c in {c // block[1] for c in cols}}


@settings(deadline=None, max_examples=150)
@given(
    st.tuples(st.integers(1, 700), st.integers(1, 700)),
    st.sampled_from([(256, 256), (64, 64), (4, 10_000), (1, 700), (512, 128), (10_000, 10_000)]),
    st.integers(0, 150),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)), max_size=30),
)
def test_windows_hold_every_pixel_once(shape, block, halo, places):
    row = np.array([int(y * shape[0]) for y, _ in places], dtype=np.int32)
    col = np.array([int(x * shape[1]) for _, x in places], dtype=np.int32)
    windows = cover(row, col, shape, block, halo)
    hits = np.zeros(shape, dtype=int)
    for window in windows:
        assert window.row + window.height <= shape[0]
        assert window.col + window.width <= shape[1]
        hits[window.slices] += 1
    assert hits.max(initial=0) <= 1
    assert (hits[row, col] == 1).all()
    assert bool(windows) == bool(len(places))


def test_windows_read_few_blocks():
    row = np.array([100, 2000, 2010, 3630], dtype=np.int32)
    col = np.array([100, 3000, 3010, 50], dtype=np.int32)
    windows = cover(row, col, (3660, 3660), (256, 256), 32)
    assert [window.slices for window in windows] == [
        np.s_[100:101, 100:101],
        np.s_[2000:2011, 3000:3011],
        np.s_[3630:3631, 50:51],
    ]
    assert sum(len(blocks_under(w, (3660, 3660), (256, 256), 32)) for w in windows) == 3


def test_neighbouring_pixels_of_many_blocks_come_in_one_window():
    row = np.repeat(np.arange(300, 1800, dtype=np.int32), 3)
    (window,) = cover(row, np.full_like(row, 400), (3660, 3660), (256, 256), 16)
    assert window == Window(row=300, col=400, height=1500, width=1)


def test_full_tile_when_windows_would_read_most_of_it():
    spread = np.arange(0, 3660, 128, dtype=np.int32)
    row, col = (axis.ravel() for axis in np.meshgrid(spread, spread))
    assert cover(row, col, (3660, 3660), (256, 256), 16) == [Window.whole((3660, 3660))]


@pytest.mark.parametrize("halo", [0, 16, 128])
def test_windows_of_rivers_save_reading(halo):
    rng = np.random.default_rng(5)
    steps = np.cumsum(rng.normal(scale=0.15, size=(8, 340)), axis=1) + rng.uniform(0, 6.28, (8, 1))
    x = np.cumsum(np.cos(steps), axis=1) + rng.uniform(500, 3000, (8, 1))
    y = np.cumsum(np.sin(steps), axis=1) + rng.uniform(500, 3000, (8, 1))
    inside = (x >= 0) & (x < 3660) & (y >= 0) & (y < 3660)
    windows = cover(y[inside].astype(np.int32), x[inside].astype(np.int32), (3660, 3660), (256, 256), halo)
    read = sum(len(blocks_under(w, (3660, 3660), (256, 256), halo)) for w in windows)
    needed = set().union(
        *(
            blocks_under(Window(row=int(b), col=int(a), height=1, width=1), (3660, 3660), (256, 256), halo)
            for a, b in zip(x[inside], y[inside], strict=True)
        )
    )
    assert read <= MOST * 225
    assert read < 1.6 * len(needed)
    assert len(windows) < 25


def test_within_tells_the_pixels_of_a_window():
    corridor = draw_corridor(reaches_of(BEND, SIDE, FAR), grid(400, 400))
    windows = corridor.windows((64, 64), 8)
    assert len(windows) > 1
    parts = [corridor.within(window) for window in windows]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(corridor.row)))
    for window, part in zip(windows, parts, strict=True):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
        assert (corridor.row[part] >= window.row).all()
        assert (corridor.col[part] < window.col + window.width).all()
