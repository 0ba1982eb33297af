"""Which reach a sampling site speaks for, and why some sites speak for none.

    assigned = assign_sites(sites, read_reaches("na_sword_v17b.nc"), extras=read_extras("na_sword_v17b.nc"))

Gauges lie beside their river, and 5 to 10 % of those near a confluence are put on the wrong one by distance alone
(SWORD product description). So distance decides only where nothing else can be meant: near a confluence the river's
name or the drainage area must agree, and a dam or a tributary between site and reach centre parts the two. A site that
is refused keeps its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from ssc.errors import InputError
from ssc.lonlat import Geometries
from ssc.matchups.hydrography import Extras
from ssc.reaches import Reaches

COLUMNS: Final = ("site", "reach_id", "distance_m", "width_m", "tidal", "near_confluence", "reason")
"""What `assign_sites` gives."""

_GHOST: Final = 6
_DAM: Final = 4
_EXCLUDED: Final = {3: "a lake on the river", _DAM: "a dam", 5: "of unreliable topology", _GHOST: "a ghost"}
"""Kinds of reach whose colour is not that of a river at the site."""
_LAKE, _TIDAL = 1, 3
"""Values of lakeflag."""
_DEGREE_M: Final = 111_320.0
_FAR_DEG: Final = 0.5
"""Of latitude: 55 km, farther than any reach is long."""
_SAME_END_M: Final = 150.0
"""Ends of lines this close are one place: netCDF centrelines leave a gap of some 30 m points between reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRule:
    """When a site belongs to a reach (notes on SSC, 4.2)."""

    least_m: float = 500.0
    """A reach this near is a candidate whatever its width."""
    width_factor: float = 0.75
    """Of the reach's width: half of it, and half again because SWORD's width is a prior."""
    margin_m: float = 100.0
    """Beside that share of the width: gauges stand on the bank."""
    area_factor: float = 2.0
    """Drainage areas that differ by more are those of two rivers."""
    barrier_m: float = 100.0
    """A dam this near to the way from site to reach centre, or within half a width of it, lies on it."""

    def radius(self, width_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) metres within which reaches of these widths (NaN unknown) are candidates."""
        return np.maximum(self.least_m, self.width_factor * np.nan_to_num(width_m) + self.margin_m)


def assign_sites(
    sites: pd.DataFrame, reaches: Reaches, *, extras: Extras | None = None, rule: SiteRule = SiteRule()
) -> pd.DataFrame:
    """The reach of every site, or why it has none.

    Args:
        sites: site, longitude, latitude (degrees); river_name and drainage_km2 where known. One row per site.
        reaches: All there are, also lakes, dams and ghosts: they must be seen to be avoided.
        extras: Drainage areas and barriers; without them names alone decide at confluences.
        rule: Distances.

    Returns:
        Columns of `COLUMNS`, rows as in `sites`: reach_id -1 and a reason where refused, "" where not; distance_m to
        the nearest point of the reach; tidal True in tidal reaches, which are kept.

    Raises:
        InputError: A column is missing, or a site is there twice.
    """
    _check(sites)
    near = dict(list(_candidates(sites, reaches, rule).groupby("row", sort=False)))
    told = extras or Extras()
    known = replace(told, barriers=_barriers(reaches, told))
    records = enumerate(sites.to_dict("records"))
    rows = [_assign(site, near.get(number), reaches, known, rule) for number, site in records]
    types = {"reach_id": np.int64, "tidal": bool, "near_confluence": bool}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(types)


def with_reaches(samples: pd.DataFrame, assigned: pd.DataFrame) -> pd.DataFrame:
    """Samples with reach_id, width_m, tidal and reason of their site; what they said of these before is dropped."""
    told = assigned[["site", "reach_id", "width_m", "tidal", "reason"]]
    return samples.drop(columns=[name for name in told.columns[1:] if name in samples]).merge(
        told, on="site", how="left", validate="many_to_one"
    )


def _check(sites: pd.DataFrame) -> None:
    missing = {"site", "longitude", "latitude"} - set(sites)
    if missing:
        raise InputError(f"sites without {' '.join(sorted(missing))}: found columns {' '.join(map(str, sites))}")
    twice = sites["site"][sites["site"].duplicated()]
    if len(twice):
        raise InputError(f"site {twice.iloc[0]!r} is there twice: wanted one row per site")


def _candidates(sites: pd.DataFrame, reaches: Reaches, rule: SiteRule) -> pd.DataFrame:
    """Pairs within the reach's radius, nearest first: row of the site, reach (position in the table), distance_m."""
    radius = rule.radius(reaches.table["width_m"].to_numpy(dtype=np.float64))
    lonlat = sites[["longitude", "latitude"]].to_numpy(dtype=np.float64)
    placed = np.flatnonzero(np.isfinite(lonlat).all(axis=1))
    tree = shapely.STRtree(_boxes(reaches.lines, radius))
    turned = [tree.query(shapely.points(lonlat[placed] + np.array([turn, 0.0]))) for turn in (-360.0, 0.0, 360.0)]
    which, reach = np.unique(np.concatenate(turned, axis=1), axis=1)
    row = placed[which]
    apart = shapely.distance(_around(reaches.lines[reach], lonlat[row]), shapely.points(0.0, 0.0))
    near = pd.DataFrame({"row": row, "reach": reach, "distance_m": apart})[apart <= radius[reach]]
    return near.sort_values(["row", "distance_m", "reach"], ignore_index=True)


def _boxes(lines: Geometries, radius: NDArray[np.float64]) -> Geometries:
    """Boxes in degrees that hold everything within a radius of the lines."""
    west, south, east, north = shapely.bounds(lines).T
    high = radius / (0.99 * _DEGREE_M)
    wide = high / np.cos(np.radians(np.minimum(np.maximum(np.abs(south), np.abs(north)) + high, 89.0)))
    return np.asarray(shapely.box(west - wide, south - high, east + wide, north + high))


def _around(lines: Geometries, lonlat: NDArray[np.float64]) -> Geometries:
    """(n,) lines or points in metres east and north of one place each: a plane, good to 1 % within 10 km."""
    coordinates, line = shapely.get_coordinates(lines, return_index=True)
    east, north = (coordinates - lonlat[line]).T
    east = (east + 180.0) % 360.0 - 180.0
    x = east * _DEGREE_M * np.cos(np.radians(lonlat[line, 1]))
    return np.asarray(shapely.set_coordinates(lines.copy(), np.column_stack([x, north * _DEGREE_M])))


def _assign(
    site: dict[Any, Any], near: pd.DataFrame | None, reaches: Reaches, extras: Extras, rule: SiteRule
) -> dict[str, Any]:
    """One row of `assign_sites`."""
    answer = dict(zip(COLUMNS, (site["site"], -1, np.nan, np.nan, False, False, ""), strict=True))
    if near is None:
        return answer | {"reason": "no reach near"}
    table = reaches.table.iloc[near["reach"]].assign(distance_m=near["distance_m"].to_numpy())
    rivers = table[table["kind"] != _GHOST]
    usable = rivers[~rivers["kind"].isin(list(_EXCLUDED)) & (rivers["lakeflag"] != _LAKE)]
    if rivers.empty or rivers.index[0] not in usable.index:
        return answer | {"reason": f"nearest reach is {_what(rivers)}"}
    origin = np.array([[site["longitude"], site["latitude"]]], dtype=np.float64)
    answer["near_confluence"] = not is_chain(_local(reaches, rivers.index, origin))
    if answer["near_confluence"]:
        usable, why = _agreeing(usable, site, extras, rule)
        if usable.empty:
            return answer | {"reason": why}
    reach_id, chosen = int(usable.index[0]), usable.iloc[0]
    within_m = max(rule.barrier_m, 0.5 * float(np.nan_to_num(chosen["width_m"])))
    if barrier := _between(_local(reaches, [reach_id], origin)[0], extras.barriers, origin, within_m):
        return answer | {"reason": f"{barrier} between site and reach centre"}
    found = {"reach_id": reach_id, "distance_m": float(chosen["distance_m"]), "width_m": float(chosen["width_m"])}
    return answer | found | {"tidal": bool(chosen["lakeflag"] == _TIDAL)}


def _what(rivers: pd.DataFrame) -> str:
    if rivers.empty:
        return _EXCLUDED[_GHOST]
    return _EXCLUDED.get(int(rivers["kind"].iloc[0]), "a lake")


def _local(reaches: Reaches, ids: Sequence[int] | pd.Index[Any], origin: NDArray[np.float64]) -> Geometries:
    lines = reaches.lines[reaches.table.index.get_indexer(pd.Index(ids))]
    return _around(lines, np.repeat(origin, len(lines), axis=0))


def is_chain(lines: Geometries) -> bool:
    """Whether lines (metres) follow each other end to end; if not, more than one river may be meant near a site.

    At a confluence an end of each meets two others; rivers side by side do not meet.
    """
    ends = np.array([shapely.get_coordinates(line)[[0, -1]] for line in lines])  # (n, 2, 2): line, end, x and y
    apart = np.linalg.norm(ends[:, :, None, None] - ends[None, None], axis=-1)  # (n, 2, n, 2)
    meets = (apart <= _SAME_END_M).any(axis=3)
    meets[np.arange(len(ends)), :, np.arange(len(ends))] = False
    partners = meets.sum(axis=2)
    return bool((partners <= 1).all() and partners.sum() == 2 * (len(ends) - 1))


def _agreeing(usable: pd.DataFrame, site: dict[Any, Any], extras: Extras, rule: SiteRule) -> tuple[pd.DataFrame, str]:
    """Candidates that drain about the site's area or bear its river's name; and why, if there are none."""
    name, area = _word(site.get("river_name")), float(site.get("drainage_km2") or np.nan)
    if not name and not area > 0:
        return usable.iloc[:0], "near a confluence, without river name or drainage area to decide"
    alike = np.array([_likeness(name, other) for other in usable["river_name"]])
    same_name = (alike > 0) & (alike == alike.max(initial=0))
    facc = extras.facc_km2.reindex(usable.index).to_numpy(dtype=np.float64)
    same_area = np.abs(np.log(facc / area)) <= np.log(rule.area_factor)  # NaN is False
    # Names are spelt in many ways and cover branches: where the areas of both are known, these decide.
    agree = np.where(np.isfinite(facc) & (area > 0), same_area, same_name)
    return usable[agree], "near a confluence, no reach agrees in river name or drainage area"


def _word(text: object) -> str:
    return text.strip().casefold() if isinstance(text, str) else ""


def _likeness(name: str, sword_names: str) -> int:
    """2: one of SWORD's names (joined by ;) is the site's; 1: one stands in the other ("ohio river at louisville")."""
    others = [_word(other) for other in sword_names.split(";") if other.strip()]
    if not name:
        return 0
    return 2 if name in others else int(any(other in name or name in other for other in others))


def _barriers(reaches: Reaches, extras: Extras) -> pd.DataFrame:
    """Dams that are reaches of their own, by their middle, and the barriers told beside: lon, lat, what."""
    dams = reaches.lines[(reaches.table["kind"] == _DAM).to_numpy()]
    middles = shapely.line_interpolate_point(dams, 0.5, normalized=True)
    own = pd.DataFrame({"lon": shapely.get_x(middles), "lat": shapely.get_y(middles), "what": _EXCLUDED[_DAM]})
    told = [table for table in (own, extras.barriers) if len(table)]
    return pd.concat(told, ignore_index=True) if told else own


def _between(line: shapely.Geometry, barriers: pd.DataFrame, origin: NDArray[np.float64], within_m: float) -> str:
    """What lies between the origin (a site) and the middle of a line (metres): a dam or a tributary, "" neither.

    On the leg from the site to the line, or along the line from there to its middle; strictly, since a barrier behind
    the site projects on the end of both and does no harm.
    """
    near = barriers[(barriers["lat"] - origin[0, 1]).abs() < _FAR_DEG]
    places = shapely.points(near[["lon", "lat"]].to_numpy(dtype=np.float64).reshape(-1, 2))
    places = _around(places, np.repeat(origin, len(places), axis=0))
    river = shapely.LineString(shapely.get_coordinates(shapely.line_merge(line)))
    start, centre = shapely.line_locate_point(river, shapely.Point(0, 0)), river.length / 2
    low, high = sorted((start, centre))
    foot = shapely.get_coordinates(shapely.line_interpolate_point(river, start))[0]
    leg = shapely.LineString([(0.0, 0.0), foot])
    hit = _strictly_on(leg, places, 0.0, leg.length, within_m) | _strictly_on(river, places, low, high, within_m)
    return str(near["what"].to_numpy()[hit][0]) if hit.any() else ""


def _strictly_on(
    line: shapely.LineString, places: Geometries, low: float, high: float, within_m: float
) -> NDArray[np.bool_]:
    """(n,) True for places by a line whose foot on it lies between two distances along it, ends apart."""
    along = shapely.line_locate_point(line, places)
    return np.asarray((along > low + 1.0) & (along < high - 1.0) & (shapely.distance(line, places) <= within_m))
