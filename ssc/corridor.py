"""The corridor: which pixels of a tile are looked at for which reach.

    corridor = draw_corridor(reaches, reader.facts.geobox)
    for core in corridor.windows(reader.facts.block, halo=32): ...

A reach owns the pixels within half its width of its centreline (the channel) and those of a search margin around it
(width is a prior from years of Landsat, not an edge). Where corridors of two reaches overlap, the nearer centreline
wins, so that a pixel counts once. A corridor depends on the reaches and the grid only: drawn once, cached by both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.spatial import cKDTree

from ssc.blocks import cover
from ssc.drafts import drafted
from ssc.observation import Window
from ssc.reaches import Reaches
from ssc.strips import centres, paint
from ssc.tiles import lines_on, project

_FORMAT = 1
"""Part of the cache key: raise it when corridors are drawn differently."""
_SEAL = hashlib.sha256().digest_size
"""Bytes of the hash at the end of a cache file. The zip format alone lets some flipped bits through."""


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
        """Disjoint windows that hold every corridor pixel and touch few blocks of the files.

        Args:
            block: (rows, cols) of a compressed block.
            halo: Pixels a masker needs around a window: read `window.padded(halo, shape)`. The larger, the sooner the
                whole tile is one window.
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
    painted = paint(near.lines, width, search, tile)
    ours = np.flatnonzero(near.share > 0)
    painted = painted.take(np.isin(painted.line, ours))
    painted = painted.take(np.lexsort((painted.pixel, painted.line)))  # by reach, row, column
    row, col = np.divmod(painted.pixel, tile.shape.x)
    owner = np.searchsorted(ours, painted.line)
    reach_ids = reaches.ids[near.index[ours]]
    node_ids, node_reach, node_xy = _nodes_on(reaches, reach_ids, tile)
    return Corridor(
        tile=tile,
        reach_ids=reach_ids,
        reach_share=near.share[ours].astype(np.float32),
        width_m=width[ours].astype(np.float32),
        n_channel=np.bincount(owner[painted.channel], minlength=len(ours)).astype(np.int32),
        row=row.astype(np.int32),
        col=col.astype(np.int32),
        reach=owner.astype(np.int32),
        node=_nearest_node(node_xy, node_reach, centres(painted.pixel, tile), owner),
        node_ids=node_ids,
        node_reach=node_reach,
        channel=painted.channel,
    )


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
    """An npz and its SHA-256; workers that draw the same never see half a file."""
    npz = BytesIO()
    content = {field.name: getattr(corridor, field.name) for field in fields(Corridor) if field.name != "tile"}
    np.savez_compressed(npz, allow_pickle=False, **content)
    with drafted(path) as draft:
        draft.write_bytes(npz.getvalue() + hashlib.sha256(npz.getvalue()).digest())
