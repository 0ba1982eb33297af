"""Before the work: which granule of an overpass does which reach, and which reaches need the pixels of two.

The platform is in the files, not in the name, so granules are told apart by product and time. Over one reach that is
enough: two satellites of one product pass days apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from odc.geo.geobox import GeoBox

from ssc.granules import Granule
from ssc.lonlat import Geometries
from ssc.mgrs import tile_geobox, zone_of
from ssc.overlaps import number_overpasses
from ssc.reaches import Reaches
from ssc.tiles import on_tile, to_crs

WHOLE = 0.99
"""A tile with this share of a reach needs no partner."""
WORTH = 0.005
"""A partner must add this share of a reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """The reaches one granule speaks for."""

    owned: tuple[int, ...] = ()
    """Reach ids it does alone, ascending."""
    pooled: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """Reach ids it does with pixels of partners (granule names, same UTM zone), ascending. The granule named here
    holds the largest part; its partners have no duty for the reach."""


def plan_pools(
    granules: Iterable[Granule], reaches: Reaches, geoboxes: Mapping[str, GeoBox] | None = None
) -> dict[str, Duty]:
    """Share the reaches of every overpass out among its granules: each reach is done once.

    A tile that holds at least 99 % of a reach does it alone (among several: one in the zone of the reach's midpoint,
    then the largest share, then the first name). Else the tiles of one zone, that of the midpoint if it was seen, pool
    their pixels, as far as each adds something.

    Args:
        granules: Of any products, tiles and times.
        reaches: The reaches to be done.
        geoboxes: Actual grids by tile; the nominal grid where missing.

    Returns:
        Duty by granule name, for every granule, also those with nothing to do.
    """
    granules = list(granules)
    if not granules:
        return {}
    known = geoboxes or {}
    grids = {tile: known.get(tile) or tile_geobox(tile) for tile in {granule.tile for granule in granules}}
    looks = _looks(granules, reaches, grids)
    alone = _alone(looks)
    owned: dict[str, list[int]] = {granule.name: [] for granule in granules}
    pooled: dict[str, list[tuple[int, tuple[str, ...]]]] = {granule.name: [] for granule in granules}
    for name, reach_id in zip(alone["name"], alone["reach_id"], strict=True):
        owned[name].append(int(reach_id))
    for _, partial in looks[~looks["overpass"].isin(alone["overpass"])].groupby("overpass"):
        reach_id = int(partial["reach_id"].iloc[0])
        lead, *partners = _team(partial, reaches, grids)
        if partners:
            pooled[lead].append((reach_id, tuple(partners)))
        else:
            owned[lead].append(reach_id)
    return {name: Duty(owned=tuple(sorted(owned[name])), pooled=tuple(sorted(pooled[name]))) for name in sorted(owned)}


def _looks(granules: list[Granule], reaches: Reaches, grids: Mapping[str, GeoBox]) -> pd.DataFrame:
    """A row per reach and granule that sees some of it: name, tile, zone, share, overpass, home.

    The best first: in the zone of the reach's midpoint (home), a large share, the first name.
    """
    names = pd.DataFrame(
        [(g.name, str(g.product), g.tile, g.acquired) for g in granules],
        columns=["name", "product", "tile", "acquisition"],
    ).drop_duplicates("name")
    shares = [on_tile(reaches, grids[tile]).reset_index().assign(tile=tile) for tile in sorted(names["tile"].unique())]
    looks = names.merge(pd.concat(shares), on="tile")
    looks["overpass"] = number_overpasses(looks, ["reach_id", "product"])
    looks["share"] = looks["share"].round(6)  # a rounding error is no larger share
    looks["zone"] = looks["tile"].str[:2].astype(int)
    looks["home"] = looks["zone"] == looks["reach_id"].map(_midpoint_zones(reaches))
    return looks.sort_values(["home", "share", "name"], ascending=[False, False, True])


def _midpoint_zones(reaches: Reaches) -> pd.Series[int]:
    middle = shapely.line_interpolate_point(_one_line(reaches.lines), 0.5, normalized=True)
    return pd.Series(zone_of(shapely.get_x(middle), shapely.get_y(middle)), index=reaches.ids)


def _one_line(lines: Geometries) -> Geometries:
    """The longest piece of each line: a point can be found along one piece only."""
    pieces, owner = shapely.get_parts(lines, return_index=True)
    order = np.lexsort((-shapely.length(pieces), owner))
    return np.asarray(pieces[order[np.diff(owner[order], prepend=-1) > 0]])


def _alone(looks: pd.DataFrame) -> pd.DataFrame:
    """One look for each overpass that needs but one: the best of those that hold the reach whole, or the only one."""
    whole = looks[looks["share"] >= WHOLE].drop_duplicates("overpass")
    only = looks[~looks["overpass"].duplicated(keep=False) & ~looks["overpass"].isin(whole["overpass"])]
    return pd.concat([whole, only])


def _team(partial: pd.DataFrame, reaches: Reaches, grids: Mapping[str, GeoBox]) -> list[str]:
    """Names of the granules that do a reach together, the lead first, of looks that each see a part."""
    zone = partial if partial["home"].any() else partial.sort_values(["share", "name"], ascending=[False, True])
    zone = zone[zone["zone"] == zone["zone"].iloc[0]].drop_duplicates("tile")
    line = reaches.lines[np.searchsorted(reaches.ids, partial["reach_id"].iloc[0])]
    (rest,) = to_crs(np.array([line]), str(grids[zone["tile"].iloc[0]].crs))
    length = rest.length
    names: list[str] = []
    for name, tile in zip(zone["name"], zone["tile"], strict=True):
        left = shapely.difference(rest, shapely.box(*grids[tile].boundingbox))
        if not names or rest.length - left.length >= WORTH * length:
            names.append(str(name))
            rest = left
    return names
