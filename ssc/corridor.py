"""The corridor: which pixels of a tile are looked at for which reach.

    corridor = draw_corridor(reaches, reader.facts.geobox)
    for core in corridor.windows(reader.facts.block, halo=32): ...

A reach owns the pixels within half its width of its centreline (the channel) and those of a search margin around it
(width is a prior from years of Landsat, not an edge). Where corridors of two reaches overlap, the nearer centreline
wins, so that a pixel counts once. A corridor depends on the reaches and the grid only: drawn once, cached by both.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from scipy.spatial import cKDTree

from ssc.blocks import cover
from ssc.lonlat import Geometries
from ssc.observation import Window
from ssc.reaches import Reaches
from ssc.tiles import lines_on, project

_FORMAT = 1
"""Part of the cache key: raise it when corridors are drawn differently."""
_SEAL = hashlib.sha256().digest_size
"""Bytes of the hash at the end of a cache file. The zip format alone lets some flipped bits through."""
_STEP_M = 10.0
"""Spacing of the points that stand for a centreline when two reaches compete: wrong by 1.2 m at most one pixel off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorridorRule:
    """How wide a corridor is."""

    default_width_m: float = 60.0
    """For reaches without a width: two pixels, the narrowest river whose water 30 m pixels still show."""
    margin_m: float = 60.0
    """Two pixels of search beyond the channel on either side: SWORD's centrelines are Landsat pixels, its widths differ
    by more than half from SWOT's for 52 % of reaches (SWORD v17c status)."""
    max_width_factor: float = 3.0
    """The search goes to half of SWORD's max_width (islands and bars included), but never beyond this many widths."""
    widest_m: float = 3000.0
    """Wider channels and lakes are looked at in their middle only: 30 000 pixels per reach are plenty."""

    def widths(self, width_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) channel widths in metres; NaN becomes the default."""
        return np.minimum(np.where(np.isnan(width_m), self.default_width_m, width_m), self.widest_m)

    def search_widths(self, width_m: NDArray[np.float64], max_width_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) full widths of the search corridor in metres."""
        width = self.widths(width_m)
        most = np.fmin(np.fmax(max_width_m, width), self.max_width_factor * width)
        return np.minimum(most, self.widest_m) + 2 * self.margin_m


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Corridor:
    """The corridor pixels of one tile. R reaches, N pixels, M nodes."""

    tile: GeoBox
    """Grid of the tile."""
    reach_ids: NDArray[np.int64]
    """(R,) ascending: reaches whose centreline lies on the tile, at least in part."""
    reach_share: NDArray[np.float32]
    """(R,) share of the centreline on the tile, 0 < share <= 1."""
    width_m: NDArray[np.float32]
    """(R,) channel width the corridor was drawn with, metres."""
    n_channel: NDArray[np.int32]
    """(R,) channel pixels of the reach on the tile."""
    row: NDArray[np.int32]
    """(N,) rows of the corridor pixels, sorted by reach, row, column; a pixel belongs to one reach."""
    col: NDArray[np.int32]
    """(N,) columns."""
    reach: NDArray[np.int32]
    """(N,) index into reach_ids."""
    node: NDArray[np.int32]
    """(N,) index into node_ids: the nearest node of the pixel's reach on the tile; -1 when it has none there."""
    node_ids: NDArray[np.int64]
    """(M,) nodes on the tile, ascending."""
    node_reach: NDArray[np.int32]
    """(M,) index into reach_ids."""
    channel: NDArray[np.bool_]
    """(N,) True inside the channel, False in the search margin."""

    def windows(self, block: tuple[int, int], halo: int) -> list[Window]:
        """Disjoint windows that hold every corridor pixel, snapped to blocks.

        Args:
            block: (rows, cols) of a compressed block of the files.
            halo: Pixels a masker needs around a window; it decides when the whole tile is cheaper.
        """
        shape = (self.tile.shape.y, self.tile.shape.x)
        return cover(self.row, self.col, shape, block, halo)

    def within(self, window: Window) -> NDArray[np.int64]:
        """Indices of the corridor pixels in a window, ascending."""
        rows, cols = window.slices
        inside = (self.row >= rows.start) & (self.row < rows.stop) & (self.col >= cols.start) & (self.col < cols.stop)
        return np.flatnonzero(inside)

    def only(self, reach_ids: Collection[int]) -> Corridor:
        """The same corridor for some of its reaches; ids that are not in it are passed over."""
        keep = np.flatnonzero(np.isin(self.reach_ids, list(reach_ids)))
        new_reach = np.full(len(self.reach_ids), -1, dtype=np.int32)
        new_reach[keep] = np.arange(len(keep), dtype=np.int32)
        nodes = np.flatnonzero(new_reach[self.node_reach] >= 0)
        # One place more, so that the -1 of a pixel without node stays -1.
        new_node = np.full(len(self.node_ids) + 1, -1, dtype=np.int32)
        new_node[nodes] = np.arange(len(nodes), dtype=np.int32)
        pixels = np.flatnonzero(new_reach[self.reach] >= 0)
        return Corridor(
            tile=self.tile,
            reach_ids=self.reach_ids[keep],
            reach_share=self.reach_share[keep],
            width_m=self.width_m[keep],
            n_channel=self.n_channel[keep],
            row=self.row[pixels],
            col=self.col[pixels],
            reach=new_reach[self.reach[pixels]],
            node=new_node[self.node[pixels]],
            node_ids=self.node_ids[nodes],
            node_reach=new_reach[self.node_reach[nodes]],
            channel=self.channel[pixels],
        )


def draw_corridor(
    reaches: Reaches, tile: GeoBox, rule: CorridorRule = CorridorRule(), cache: Path | None = None
) -> Corridor:
    """The corridor of the reaches on a tile; reaches partly outside are cut, reaches outside are not in it.

    Args:
        reaches: Any reaches; those far away cost little.
        tile: The full grid of the granule's files.
        rule: How wide.
        cache: Folder for drawn corridors. A file that does not read is drawn anew.
    """
    if cache is None:
        return _draw(reaches, tile, rule)
    path = cache / f"corridor-{_key(reaches, tile, rule)}.npz"
    corridor = _load(path, tile)
    if corridor is None:
        corridor = _draw(reaches, tile, rule)
        _save(path, corridor)
    return corridor


def _draw(reaches: Reaches, tile: GeoBox, rule: CorridorRule) -> Corridor:
    # Reaches beyond the edge compete too: a pixel has the same owner on both of two overlapping tiles.
    near = lines_on(reaches, tile, margin_m=0.5 * rule.widest_m + rule.margin_m)
    table = reaches.table.iloc[near.index]
    width = rule.widths(table["width_m"].to_numpy())
    search = rule.search_widths(table["width_m"].to_numpy(), table["max_width_m"].to_numpy())
    pixel, owner, channel = _one_owner(near.lines, tile, *_paint(near.lines, width, search, tile))
    ours = np.flatnonzero(near.share > 0)
    kept = np.isin(owner, ours)
    pixel, owner, channel = pixel[kept], np.searchsorted(ours, owner[kept]), channel[kept]
    order = np.lexsort((pixel, owner))  # a pixel number grows along rows, so this is by reach, row, column
    pixel, owner, channel = pixel[order], owner[order], channel[order]
    row, col = np.divmod(pixel, tile.shape.x)
    reach_ids = reaches.ids[near.index[ours]]
    node_ids, node_reach, node_xy = _nodes_on(reaches, reach_ids, tile)
    return Corridor(
        tile=tile,
        reach_ids=reach_ids,
        reach_share=near.share[ours].astype(np.float32),
        width_m=width[ours].astype(np.float32),
        n_channel=np.bincount(owner[channel], minlength=len(ours)).astype(np.int32),
        row=row.astype(np.int32),
        col=col.astype(np.int32),
        reach=owner.astype(np.int32),
        node=_nearest_node(node_xy, node_reach, _centres(pixel, tile), owner),
        node_ids=node_ids,
        node_reach=node_reach,
        channel=channel,
    )


def _paint(
    lines: Geometries, width: NDArray[np.float64], search: NDArray[np.float64], tile: GeoBox
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Pixels whose centre lies in the search corridor of each line, overlaps and all.

    Returns:
        (n,) pixel number (row x columns + column); (n,) index of the line; (n,) True inside its channel.
    """
    nearby = shapely.box(*tile.boundingbox.buffered(search.max(initial=0.0)))
    wide, narrow = (_strips(shapely.intersection(lines, nearby), full) for full in (search, width))
    pixels, inside = [np.empty(0, np.int64)], [np.empty(0, bool)]
    for outer, inner in zip(wide, narrow, strict=True):
        numbers, values = _burn(outer, inner, tile)
        pixels.append(numbers)
        inside.append(values == 2)
    owner = np.repeat(np.arange(len(lines)), [len(numbers) for numbers in pixels[1:]])
    return np.concatenate(pixels), owner, np.concatenate(inside)


def _strips(lines: Geometries, full_m: NDArray[np.float64]) -> Geometries:
    """Polygons along lines with flat ends: a reach chosen alone gets no half disc of its neighbours' water.

    Centrelines are chains of pixels that step in eighths of a turn; simplified by 5 % of the half width, their last
    segment shows where the river goes, and the flat end stands across it.
    """
    smooth = np.array([shapely.simplify(line, 0.025 * m) for line, m in zip(lines, full_m, strict=True)], dtype=object)
    return np.asarray(shapely.buffer(smooth, full_m / 2, cap_style="flat", quad_segs=16))


def _burn(outer: shapely.Polygon, inner: shapely.Polygon, tile: GeoBox) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Pixel numbers with their centre in outer, and 2 where it is in inner too, else 1."""
    box = _pixel_box(outer, tile)
    if box is None:
        return np.empty(0, np.int64), np.empty(0, np.uint8)
    shapes = [(shape, value) for shape, value in ((outer, 1), (inner, 2)) if not shape.is_empty]
    grid = tile.affine
    corner = Affine(grid.a, 0, grid.c + grid.a * box.col, 0, grid.e, grid.f + grid.e * box.row)
    painted = rasterize(shapes, out_shape=(box.height, box.width), transform=corner, dtype=np.uint8)
    row, col = np.nonzero(painted)
    return (row + box.row) * tile.shape.x + col + box.col, painted[row, col]


def _pixel_box(shape: shapely.Polygon, tile: GeoBox) -> Window | None:
    """The pixels of a tile under the bounding box of a polygon; None when it lies outside."""
    if shape.is_empty:
        return None
    west, south, east, north = shape.bounds
    grid = tile.affine  # north up, like every HLS tile
    cols = (np.array([west, east]) - grid.c) / grid.a
    rows = (np.array([north, south]) - grid.f) / grid.e
    rows = np.clip([np.floor(rows[0]), np.ceil(rows[1])], 0, tile.shape.y).astype(int)
    cols = np.clip([np.floor(cols[0]), np.ceil(cols[1])], 0, tile.shape.x).astype(int)
    height, width = int(rows[1] - rows[0]), int(cols[1] - cols[0])
    return Window(row=int(rows[0]), col=int(cols[0]), height=height, width=width) if height and width else None


def _one_owner(
    lines: Geometries,
    tile: GeoBox,
    pixel: NDArray[np.int64],
    owner: NDArray[np.int64],
    channel: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Each pixel once, with the nearest of the lines whose corridors hold it (the first, where two are as near)."""
    _, inverse, count = np.unique(pixel, return_inverse=True, return_counts=True)
    contested = np.flatnonzero(count[inverse] > 1)
    distance = np.zeros(len(pixel))
    for line in np.unique(owner[contested]):
        mine = contested[owner[contested] == line]
        distance[mine] = _distances(lines[line], _centres(pixel[mine], tile))
    order = np.lexsort((owner, distance, pixel))
    first = order[np.diff(pixel[order], prepend=-1) != 0]
    return pixel[first], owner[first], channel[first]


def _distances(line: shapely.LineString, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    points = shapely.get_coordinates(shapely.segmentize(line, _STEP_M))
    return np.asarray(cKDTree(points).query(xy)[0])


def _centres(pixel: NDArray[np.int64], tile: GeoBox) -> NDArray[np.float64]:
    """(n, 2) x, y of pixel centres in the tile's CRS."""
    row, col = np.divmod(pixel, tile.shape.x)
    grid = tile.affine
    return np.column_stack([grid.c + grid.a * (col + 0.5), grid.f + grid.e * (row + 0.5)])


def _nodes_on(
    reaches: Reaches, reach_ids: NDArray[np.int64], tile: GeoBox
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """Ids, index of the reach, and x, y of the nodes that lie on the tile."""
    nodes = reaches.nodes[reaches.nodes["reach_id"].isin(reach_ids)]
    xy = project(nodes[["lon", "lat"]].to_numpy(dtype=np.float64), str(tile.crs))
    west, south, east, north = tile.boundingbox
    inside = (xy[:, 0] >= west) & (xy[:, 0] < east) & (xy[:, 1] > south) & (xy[:, 1] <= north)
    owner = np.searchsorted(reach_ids, nodes["reach_id"].to_numpy()[inside])
    return nodes["node_id"].to_numpy(dtype=np.int64)[inside], owner.astype(np.int32), xy[inside]


def _nearest_node(
    node_xy: NDArray[np.float64], node_reach: NDArray[np.int32], xy: NDArray[np.float64], owner: NDArray[np.int64]
) -> NDArray[np.int32]:
    """(n,) index of the nearest node of a pixel's own reach, -1 when it has none. Pixels are sorted by owner."""
    nearest = np.full(len(owner), -1, dtype=np.int32)
    for reach in np.unique(node_reach):
        own = np.flatnonzero(node_reach == reach)
        pixels = slice(*np.searchsorted(owner, [reach, reach + 1]))
        nearest[pixels] = own[cKDTree(node_xy[own]).query(xy[pixels])[1]]
    return nearest


def _key(reaches: Reaches, tile: GeoBox, rule: CorridorRule) -> str:
    grid = (str(tile.crs), tuple(tile.shape), tuple(tile.affine))
    text = repr((_FORMAT, reaches.digest, grid, sorted(asdict(rule).items())))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _load(path: Path, tile: GeoBox) -> Corridor | None:
    """A drawn corridor; None when the file is not there or is not, to the last bit, what was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    payload, seal = data[:-_SEAL], data[-_SEAL:]
    if hashlib.sha256(payload).digest() != seal:
        return None
    with np.load(BytesIO(payload), allow_pickle=False) as arrays:
        content: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    return Corridor(tile=tile, **content)


def _save(path: Path, corridor: Corridor) -> None:
    """An npz and its SHA-256, first under a name of our own: workers that draw the same never see half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    npz = BytesIO()
    content = {field.name: getattr(corridor, field.name) for field in fields(Corridor) if field.name != "tile"}
    np.savez_compressed(npz, allow_pickle=False, **content)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        file.write(npz.getvalue() + hashlib.sha256(npz.getvalue()).digest())
    Path(file.name).replace(path)
