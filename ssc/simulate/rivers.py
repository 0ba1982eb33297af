"""Rivers as SWORD tells them: reaches of about 10 km, nodes every 200 m, ids numbered from the outlet up.

Ids follow SWORD: reach CBBBBBRRRRT, node CBBBBBRRRRNNNT, type T = 1 (river). Column names are those of the SWORD v17b
vector files (Altenau et al. 2021, 10.1029/2021WR030054; product description v17b).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssc.simulate.centrelines import Line, Points, arc
from ssc.simulate.terrain import PIXEL_M

NODE_M = 200.0
REACH_M = 10_000.0
NAMES = ("Alder", "Birch", "Cedar", "Dogwood", "Elder", "Fir", "Gorse", "Hazel", "Ivy", "Juniper", "Larch", "Maple")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """Every centreline point of the domain, 30 m apart, line by line, each from its downstream end up."""

    xy_m: Points
    """(n, 2) metres east and south of the domain's upper-left corner."""
    right: Points
    """(n, 2) unit vectors to the right of the upstream direction."""
    width_m: Points
    height_m: Points
    curvature: Points
    """(n,) 1/m, positive where the line turns right, upstream."""
    area_km2: Points
    dist_out_m: Points
    """(n,) distance to the outlet along the rivers."""
    line: NDArray[np.int64]
    reach: NDArray[np.int64]
    """(n,) row in `Rivers.reaches`."""
    node: NDArray[np.int64]
    """(n,) row in `Rivers.nodes`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rivers:
    """Centrelines, and the reaches and nodes made of them."""

    course: Course
    reaches: pd.DataFrame
    """One row per reach, those downstream first: SWORD columns, and `downstream` (row of the reach below, -1 none)."""
    nodes: pd.DataFrame
    """One row per node, from downstream up: SWORD columns, and metres `x_m`, `y_m` in the domain."""


def split(lines: list[Line], *, basin: str, reach_m: float = REACH_M) -> Rivers:
    """Cut lines (those downstream first) into reaches of about `reach_m` and nodes of about 200 m.

    Args:
        lines: As `centrelines.trace` gives them.
        basin: The first six digits of every id, CBBBBB.
        reach_m: Wanted length of a reach, metres.
    """
    parts = [_equal_parts(line.xy_m, reach_m) for line in lines]
    first = np.cumsum([0, *(int(part[-1]) + 1 for part in parts)])
    reach = np.concatenate([part + start for part, start in zip(parts, first, strict=False)])
    course = Course(
        xy_m=np.concatenate([line.xy_m for line in lines]),
        right=np.concatenate([line.normal for line in lines]),
        width_m=np.concatenate([line.width_m for line in lines]),
        height_m=np.concatenate([line.height_m for line in lines]),
        curvature=np.concatenate([line.curvature for line in lines]),
        area_km2=np.concatenate([line.area_km2 for line in lines]),
        dist_out_m=_distance_out(lines),
        line=np.repeat(np.arange(len(lines)), [len(line.xy_m) for line in lines]),
        reach=reach,
        node=_nodes(lines, reach),
    )
    reaches = _reach_table(course, _downstream(lines, first), _names(lines)[course.line], basin)
    return Rivers(course=course, reaches=reaches, nodes=_node_table(course, reaches))


def _equal_parts(xy_m: Points, wanted_m: float) -> NDArray[np.int64]:
    """Number of the part, from 0, that each point of a line lies in."""
    s = arc(xy_m)
    count = max(round(s[-1] / wanted_m), 1)
    return np.minimum(s / s[-1] * count, count - 1).astype(np.int64)


def _nodes(lines: list[Line], reach: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the node of each point; nodes divide each reach evenly."""
    xy = np.concatenate([line.xy_m for line in lines])
    node, count = np.empty_like(reach), 0
    for number in range(int(reach[-1]) + 1):
        inside = np.flatnonzero(reach == number)
        part = _equal_parts(xy[inside], NODE_M)
        node[inside] = part + count
        count += int(part[-1]) + 1
    return node


def _distance_out(lines: list[Line]) -> Points:
    out: list[Points] = []
    for line in lines:
        base = out[line.downstream][-1] if line.downstream >= 0 else 0.0
        out.append(arc(line.xy_m) + base)
    return np.concatenate(out)


def _downstream(lines: list[Line], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of the reach below each reach; -1 at the outlet."""
    below = np.arange(-1, first[-1] - 1)
    for number, line in enumerate(lines):
        below[first[number]] = first[line.downstream + 1] - 1 if line.downstream >= 0 else -1
    return below


def _names(lines: list[Line]) -> NDArray[np.str_]:
    """A name per line: the larger branch keeps the name upstream of a junction, the others get their own."""
    largest: dict[int, float] = {}
    for line in lines:
        largest[line.downstream] = max(largest.get(line.downstream, 0.0), float(line.area_km2[0]))
    names: list[str] = []
    fresh = 0
    for line in lines:
        if line.downstream >= 0 and line.area_km2[0] == largest[line.downstream]:
            names.append(names[line.downstream])
            continue
        names.append(f"{NAMES[fresh % len(NAMES)]} River (simulated)")
        fresh += 1
    return np.array(names)


def _reach_table(course: Course, downstream: NDArray[np.int64], name: NDArray[np.str_], basin: str) -> pd.DataFrame:
    points = pd.DataFrame(
        {
            "reach": course.reach,
            "width": course.width_m,
            "height": course.height_m,
            "area": course.area_km2,
            "dist": course.dist_out_m,
            "node": course.node,
            "name": name,
        }
    )
    by = points.groupby("reach")
    length = by.size().to_numpy() * PIXEL_M
    rise = (by["height"].last() - by["height"].first()).to_numpy()
    up = [np.flatnonzero(downstream == row) for row in range(len(downstream))]
    ids = np.array([int(f"{basin}{row + 1:04d}1") for row in range(len(downstream))])
    table = pd.DataFrame(
        {
            "reach_id": ids,
            "reach_len": length,
            "n_nodes": by["node"].nunique().to_numpy(),
            "wse": by["height"].mean().to_numpy(),
            "width": by["width"].median().to_numpy(),
            "max_width": by["width"].max().to_numpy(),
            "slope": rise / length * 1000,  # m/km, as SWORD
            "facc": by["area"].max().to_numpy(),
            "dist_out": by["dist"].max().to_numpy(),
            "n_chan_max": 1,
            "n_chan_mod": 1,
            "lakeflag": 0,
            "type": 1,
            "river_name": by["name"].first().to_numpy(),
            "n_rch_up": [len(rows) for rows in up],
            "n_rch_dn": (downstream >= 0).astype(int),
            "rch_id_up": [" ".join(str(ids[row]) for row in rows) for rows in up],
            "rch_id_dn": [str(ids[row]) if row >= 0 else "" for row in downstream],
            "downstream": downstream,
        }
    )
    return table.round({"wse": 3, "width": 1, "max_width": 1, "slope": 4, "facc": 1, "dist_out": 1})


def _node_table(course: Course, reaches: pd.DataFrame) -> pd.DataFrame:
    points = pd.DataFrame(
        {
            "node": course.node,
            "reach": course.reach,
            "x_m": course.xy_m[:, 0],
            "y_m": course.xy_m[:, 1],
            "width": course.width_m,
            "wse": course.height_m,
            "facc": course.area_km2,
            "dist_out": course.dist_out_m,
        }
    )
    by = points.groupby("node")
    nodes = by[["x_m", "y_m", "width", "wse", "facc", "dist_out"]].mean().reset_index(drop=True)
    reach = by["reach"].first().to_numpy()
    number = nodes.groupby(reach).cumcount() + 1
    owner = reaches["reach_id"].to_numpy()[reach]
    nodes.insert(0, "node_id", [int(f"{str(r)[:-1]}{n:03d}{str(r)[-1]}") for r, n in zip(owner, number, strict=True)])
    nodes.insert(1, "reach_id", owner)
    nodes["node_len"] = by.size().to_numpy() * PIXEL_M
    nodes["max_width"] = by["width"].max().to_numpy()
    nodes["river_name"] = reaches["river_name"].to_numpy()[reach]
    nodes["lakeflag"] = 0
    return nodes.round({"width": 1, "max_width": 1, "wse": 3, "facc": 1, "dist_out": 1})
