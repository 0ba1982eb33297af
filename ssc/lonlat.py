"""Lines in longitude and latitude: lengths in metres, and what changes at the antimeridian.

SWORD touches both +180 and -180. A line that crosses jumps by 360 degrees between two vertices, so its bounding box
spans the globe and it meets every region of its latitude; unwrapped longitudes (which may pass 180) cure that.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from ssc.errors import InputError

BBox = tuple[float, float, float, float]
"""West, south, east, north in degrees; west > east means across the antimeridian."""

Geometries = NDArray[Any]
"""(n,) object array of shapely geometries."""

_A, _E2 = 6378137.0, 0.0066943799901413165
"""Semi-major axis (m) and squared eccentricity of WGS84."""


@lru_cache(maxsize=128)
def projection(crs: str) -> pyproj.Transformer:
    """From longitude, latitude (EPSG:4326, in this order) to x, y of a CRS; costly to make, so made once."""
    return pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def unwrap(lines: Geometries) -> Geometries:
    """The same lines with continuous longitude: a line across the antimeridian goes on beyond 180 (or -180)."""
    lonlat, line = shapely.get_coordinates(lines, return_index=True)
    turns = np.rint(np.diff(lonlat[:, 0], prepend=lonlat[:1, 0]) / 360)
    turns[np.diff(line, prepend=line[:1]) != 0] = 0
    if not turns.any():
        return lines
    passed = np.cumsum(turns)
    first = np.searchsorted(line, line)
    lonlat[:, 0] -= 360 * (passed - passed[first])
    return np.asarray(shapely.set_coordinates(lines.copy(), lonlat))


def touching(unwrapped: Geometries, region: shapely.Geometry) -> NDArray[np.bool_]:
    """Which unwrapped lines touch a region, wherever on the turn of the globe its longitudes are counted.

    Returns:
        (n,) bool, True = touches.
    """
    found = np.zeros(len(unwrapped), dtype=bool)
    for turn in (-360.0, 0.0, 360.0):
        shifted = shapely.transform(region, lambda xy, turn=turn: xy + np.array([turn, 0.0]))
        shapely.prepare(shifted)
        found |= shapely.intersects(shifted, unwrapped)
    return found


def box_of(bbox: BBox) -> shapely.Polygon:
    """The region of a bounding box, in continuous longitude.

    Raises:
        InputError: South is above north, or a number is out of range.
    """
    west, south, east, north = bbox
    if not (-90 <= south <= north <= 90 and -360 <= west <= 360 and -360 <= east <= 360):
        raise InputError(f"not a bounding box: found {tuple(bbox)}, wanted west south east north in degrees")
    return shapely.box(west, south, east + 360 if west > east else east, north)


def steps(lines: Geometries) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Vertices of unwrapped lines and the way walked to each.

    Distances are arcs at the middle latitude on WGS84: within 1e-5 of the geodesic for segments up to 10 km.

    Returns:
        (v, 2) degrees; (v,) metres from the vertex before, 0 at the start of each part; (v,) index of the line.
    """
    parts, owner = shapely.get_parts(lines, return_index=True)
    lonlat, part = shapely.get_coordinates(parts, return_index=True)
    delta = np.radians(np.diff(lonlat, axis=0, prepend=lonlat[:1]))
    sin2 = np.sin(np.radians(lonlat[:, 1]) - delta[:, 1] / 2) ** 2
    normal = _A / np.sqrt(1 - _E2 * sin2)
    meridian = normal * (1 - _E2) / (1 - _E2 * sin2)
    walked = np.hypot(delta[:, 0] * normal * np.sqrt(1 - sin2), delta[:, 1] * meridian)
    walked[np.diff(part, prepend=-1) != 0] = 0
    return lonlat, walked, owner[part]


def lengths(lines: Geometries) -> NDArray[np.float64]:
    """(n,) metres along unwrapped lines."""
    _, walked, line = steps(lines)
    return np.bincount(line, walked, minlength=len(lines)).astype(np.float64)
