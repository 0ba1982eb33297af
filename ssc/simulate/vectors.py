"""Reaches and nodes as a GeoPackage with SWORD's columns."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from ssc.simulate.grid import epsg
from ssc.simulate.landscape import Landscape

MADE = "2024-01-01T00:00:00Z"
"""Time of writing that the file claims, so that the same seed gives the same bytes."""


def reaches(landscape: Landscape) -> gpd.GeoDataFrame:
    """Lines from the downstream end up, longitude and latitude, with SWORD columns."""
    rivers = landscape.rivers
    lonlat = _lonlat(landscape, rivers.course.xy_m)
    lines = [shapely.LineString(lonlat[_joined(landscape, row)]) for row in range(len(rivers.reaches))]
    middle = shapely.get_coordinates(shapely.line_interpolate_point(lines, 0.5, normalized=True))
    table = rivers.reaches.drop(columns="downstream").assign(x=middle[:, 0], y=middle[:, 1], simulated=1)
    return gpd.GeoDataFrame(table, geometry=lines, crs="EPSG:4326")


def nodes(landscape: Landscape) -> gpd.GeoDataFrame:
    """Points every 200 m, longitude and latitude, with SWORD columns."""
    table = landscape.rivers.nodes
    lonlat = _lonlat(landscape, table[["x_m", "y_m"]].to_numpy())
    table = table.drop(columns=["x_m", "y_m"]).assign(x=lonlat[:, 0], y=lonlat[:, 1], simulated=1)
    return gpd.GeoDataFrame(table, geometry=shapely.points(lonlat), crs="EPSG:4326")


def write_reaches(landscape: Landscape, path: Path) -> None:
    """Write layers `reaches` and `nodes`."""
    path.unlink(missing_ok=True)
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": MADE})
    try:
        reaches(landscape).to_file(path, layer="reaches", driver="GPKG")
        nodes(landscape).to_file(path, layer="nodes", driver="GPKG")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _joined(landscape: Landscape, row: int) -> NDArray[np.intp]:
    """Points of a reach, and the first one of the reach above on the same line: vector reaches share end points."""
    course = landscape.rivers.course
    inside = np.flatnonzero(course.reach == row)
    after = inside[-1] + 1
    if after < len(course.line) and course.line[after] == course.line[inside[0]]:
        return np.append(inside, after)
    return inside


def _lonlat(landscape: Landscape, xy_m: NDArray[np.float64]) -> NDArray[np.float64]:
    west, north = landscape.origin_m
    to_degrees = Transformer.from_crs(epsg(landscape.geobox), 4326, always_xy=True)
    return np.stack(to_degrees.transform(west + xy_m[:, 0], north - xy_m[:, 1]), axis=1)
