"""Small hand-made windows, masks and corridors: every pixel is chosen by the test."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from ssc.bands import SIX
from ssc.corridor import Corridor
from ssc.granules import parse
from ssc.masks import Mask, Masks
from ssc.observation import AngleGrid, Directions, Observation, TileFacts, Window

GRANULE = parse("HLS.S30.T15SXR.2021250T163901.v2.0")
TILE_DIRECTIONS = Directions(sun_zenith=31.0, sun_azimuth=350.0, view_zenith=7.0, view_azimuth=20.0)


def grid(shape, *, east=600000, north=3700020, epsg=32615):
    """A north-up 30 m grid."""
    return GeoBox(shape, Affine(30, 0, east, 0, -30, north), f"EPSG:{epsg}")


def facts(tile, *, directions=TILE_DIRECTIONS, cloud_cover=12.0):
    """Headers of a granule on that grid."""
    return TileFacts(
        geobox=tile,
        block=(16, 16),
        directions=directions,
        sensed=datetime(2021, 9, 7, 16, 54, tzinfo=UTC),
        platform="S2A",
        cloud_cover=cloud_cover,
    )


def observe(reflectance, *, fmask=None, window=None, tile=None, bands=SIX, **about):
    """An observation of (B, H, W) reflectance; the whole tile unless a window of it is given."""
    reflectance = np.asarray(reflectance, np.float32)
    shape = reflectance.shape[1:]
    tile = grid(shape) if tile is None else tile
    fmask = np.zeros(shape, np.uint8) if fmask is None else fmask
    window = Window.whole(shape) if window is None else window
    cut = window.slices
    return Observation(
        granule=GRANULE,
        facts=facts(tile, **about),
        window=window,
        bands=bands,
        reflectance=reflectance[:, *cut],
        fmask=fmask[cut],
    )


def mask(shape, *, valid=None, **layers):
    """Masks with the named layers (water, cloud, cloud_shadow, snow_ice, terrain_shadow), the others empty."""
    stack = np.zeros((len(Mask), *shape), bool)
    for name, layer in layers.items():
        stack[Mask[name.upper()]] = layer
    return Masks(stack=stack, valid=np.ones(shape, bool) if valid is None else valid)


def cut(masks, window):
    """The masks of a window."""
    return Masks(stack=masks.stack[:, *window.slices], valid=masks.valid[window.slices])


def angles(shape, *, step=4, **layers):
    """Angle layers of a tile from scalars or (h, w) arrays; the tile's means where not given."""
    small = tuple(-(-side // step) for side in shape)
    names = ("sun_zenith", "sun_azimuth", "view_zenith", "view_azimuth")
    values = {name: layers.get(name, getattr(TILE_DIRECTIONS, name)) for name in names}
    return AngleGrid(step=step, **{name: np.full(small, value, np.float32) for name, value in values.items()})


def corridor(labels, *, width_m=300.0, nodes=None, channel=True, tile=None):
    """A corridor from (H, W) reach numbers, -1 outside; `nodes` (H, W) numbers the nodes 0.. over all reaches."""
    labels = np.asarray(labels)
    tile = grid(labels.shape) if tile is None else tile
    row, col = np.nonzero(labels >= 0)
    reach = labels[row, col]
    order = np.lexsort((col, row, reach))
    row, col, reach = row[order], col[order], reach[order]
    reaches = int(reach.max(initial=-1)) + 1
    node = np.full(reach.size, -1) if nodes is None else np.asarray(nodes)[row, col]
    node_reach = [int(reach[node == index][0]) for index in range(int(node.max(initial=-1)) + 1)]
    inside = np.broadcast_to(channel, labels.shape)[row, col]
    return Corridor(
        tile=tile,
        reach_ids=np.arange(reaches, dtype=np.int64) * 10 + 74270000011,
        reach_share=np.ones(reaches, np.float32),
        width_m=np.broadcast_to(np.asarray(width_m, np.float32), reaches),
        n_channel=np.bincount(reach[inside], minlength=reaches).astype(np.int32),
        row=row.astype(np.int32),
        col=col.astype(np.int32),
        reach=reach.astype(np.int32),
        node=node.astype(np.int32),
        node_ids=np.arange(len(node_reach), dtype=np.int64) * 10 + 74270000010011,
        node_reach=np.array(node_reach, np.int32),
        channel=inside.copy(),
    )
