"""Pixels of two overlapping tiles: each ground pixel once, and the better of the two."""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import LineString

from ssc.aggregate import reach_samples
from ssc.clear import ClearWaterRule
from ssc.corridor import CorridorRule, draw_corridor
from ssc.errors import GridError
from ssc.observation import Window
from ssc.pixels import State, gather_pixels
from ssc.pooling import pool_tiles
from ssc.reaches import read_reaches
from tinyriver import angles, corridor, grid, mask, observe

RULE = ClearWaterRule()
WEST, EAST = grid((60, 100)), grid((60, 100), east=600000 + 60 * 30)
BOTH = grid((60, 160))
CORRIDOR_RULE = CorridorRule()


@pytest.fixture(scope="module")
def reaches(tmp_path_factory):
    """Two reaches in a row across both tiles; the first ends inside their overlap."""
    lines = [LineString([(600300, 3699000), (602400, 3699300)]), LineString([(602400, 3699300), (604500, 3699000)])]
    table = gpd.GeoDataFrame(
        {"reach_id": [74270000011, 74270000021], "width": [240.0, 240.0]}, geometry=lines, crs=32615
    )
    path = tmp_path_factory.mktemp("reaches") / "reaches.geojson"
    table.to_crs(4326).to_file(path)
    return read_reaches(path)


def ground(tile):
    """Reflectance and fill that depend on the place alone, so that tiles agree where they overlap."""
    east = tile.affine.c + 30 * np.arange(tile.shape.x)[None, :]
    north = tile.affine.f - 30 * np.arange(tile.shape.y)[:, None]
    noise = np.sin(east * 0.37 + north * 0.11) * 0.01
    return np.stack([0.05 + 0.01 * band + noise for band in range(6)])


def tile_pixels(reaches, tile, *, fill=None, cloud=None):
    """The corridor pixels of one granule on a tile, all of it water."""
    shape = (tile.shape.y, tile.shape.x)
    reflectance = ground(tile)
    valid = np.ones(shape, bool) if fill is None else ~fill
    reflectance[:, ~valid] = np.nan
    masks = mask(shape, water=valid, valid=valid, cloud=np.zeros(shape, bool) if cloud is None else cloud)
    river = draw_corridor(reaches, tile, CORRIDOR_RULE)
    return gather_pixels(observe(reflectance, tile=tile), masks, river, Window.whole(shape), angles(shape), RULE)


def columns(shape, start, stop):
    layer = np.zeros(shape, bool)
    layer[:, start:stop] = True
    return layer


def test_two_tiles_tell_what_one_grid_over_both_tells(reaches):
    joint = draw_corridor(reaches, BOTH, CORRIDOR_RULE)
    pooled = pool_tiles([tile_pixels(reaches, WEST), tile_pixels(reaches, EAST)], joint)
    places = np.stack([pooled.easting, pooled.northing])
    assert np.unique(places, axis=1).shape[1] == len(pooled) == joint.row.size
    found = reach_samples(pooled, joint, RULE)
    wanted = reach_samples(tile_pixels(reaches, BOTH), joint, RULE)
    assert (found["n_px_used"] > 100).all()
    pd.testing.assert_frame_equal(found, wanted)


def test_the_order_of_tiles_does_not_matter(reaches):
    joint = draw_corridor(reaches, BOTH, CORRIDOR_RULE)
    parts = [tile_pixels(reaches, WEST, cloud=columns((60, 100), 70, 75)), tile_pixels(reaches, EAST)]
    samples = [reach_samples(pool_tiles(order, joint), joint, RULE) for order in (parts, parts[::-1])]
    pd.testing.assert_frame_equal(*samples)


def test_data_win_over_fill_and_clear_over_cloud(reaches):
    joint = draw_corridor(reaches, BOTH, CORRIDOR_RULE)
    west = tile_pixels(reaches, WEST, fill=columns((60, 100), 90, 100))
    east = tile_pixels(reaches, EAST, cloud=columns((60, 100), 0, 10))
    for parts in ([west, east], [east, west]):
        pooled = pool_tiles(parts, joint)
        assert len(pooled) == joint.row.size
        assert pooled.has(State.VALID).all()
        assert pooled.has(State.CLEAR).all()


def test_clouds_beyond_the_edge_of_one_tile_are_seen_by_the_other(reaches):
    joint = draw_corridor(reaches, BOTH, CORRIDOR_RULE)
    west = tile_pixels(reaches, WEST, cloud=columns((60, 100), 55, 60))
    pooled = pool_tiles([tile_pixels(reaches, EAST), west], joint)
    wanted = tile_pixels(reaches, BOTH, cloud=columns((60, 160), 55, 60))
    found = reach_samples(pooled, joint, RULE)
    pd.testing.assert_frame_equal(found, reach_samples(wanted, joint, RULE))


def test_pixels_outside_the_joint_corridor_are_left_out(reaches):
    joint = draw_corridor(reaches.select(ids=[74270000021]), BOTH, CORRIDOR_RULE)
    pooled = pool_tiles([tile_pixels(reaches, WEST), tile_pixels(reaches, EAST)], joint)
    assert 0 < len(pooled) <= joint.row.size
    assert set(pooled.reach.tolist()) == {0}


def test_a_corridor_without_pixels_pools_to_nothing(reaches):
    empty = corridor(np.full((60, 160), -1), tile=BOTH)
    assert len(pool_tiles([tile_pixels(reaches, WEST)], empty)) == 0


def test_tile_means_are_the_mean_of_the_tiles_that_know(reaches):
    west, east = tile_pixels(reaches, WEST), tile_pixels(reaches, EAST)
    west = replace(west, tile=replace(west.tile, cloud_cover=20.0, view_zenith=np.nan))
    east = replace(east, tile=replace(east.tile, cloud_cover=40.0, view_zenith=np.nan))
    tile = pool_tiles([west, east], draw_corridor(reaches, BOTH, CORRIDOR_RULE)).tile
    assert tile.cloud_cover == 30.0
    assert np.isnan(tile.view_zenith)


def test_pixels_of_two_zones_are_refused(reaches):
    west = tile_pixels(reaches, WEST)
    with pytest.raises(GridError, match="32615, 32616"):
        pool_tiles([west, replace(west, epsg=32616)], draw_corridor(reaches, BOTH, CORRIDOR_RULE))
