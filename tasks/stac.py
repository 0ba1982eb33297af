"""A STAC 1.1 item for the masks of one granule: what lies where, of when, on which grid.

Sources: STAC spec 1.1.0 (item-spec); extensions projection, classification and raster 2.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import shapely
from odc.geo.geobox import GeoBox

from ssc.granules import Granule
from ssc.lonlat import projection
from ssc.masks import Mask
from ssc.observation import TileFacts

VERSION: Final = "1.1.0"
EXTENSIONS: Final = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
)
_POINTS: Final = 8
"""Segments on each side of a tile's outline, which is curved in degrees."""
_DECIMALS: Final = 6
"""Of degrees: 0.1 m."""


def item(
    granule: Granule, facts: TileFacts, assets: Mapping[str, Mapping[str, Any]], properties: Mapping[str, Any]
) -> dict[str, Any]:
    """The item, ready for JSON.

    Args:
        granule: Whose masks they are.
        facts: Grid, time and platform.
        assets: STAC assets by key, with hrefs relative to the item.
        properties: Beyond those every item has.
    """
    outline = _outline(facts.geobox)
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": list(EXTENSIONS),
        "id": f"{granule.name}.masks",
        "geometry": shapely.geometry.mapping(_on_globe(outline)),
        "bbox": _bbox(outline),
        "properties": {
            "datetime": facts.sensed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "platform": facts.platform,
            "gsd": abs(facts.geobox.affine.a),
            **properties,
        },
        "links": [],
        "assets": {key: dict(asset) for key, asset in assets.items()},
    }


def grid_fields(grid: GeoBox) -> dict[str, Any]:
    """The projection extension's fields of an asset on a grid."""
    west, south, east, north = grid.boundingbox
    return {
        "proj:code": str(grid.crs).upper(),
        "proj:shape": [int(side) for side in grid.shape],
        "proj:transform": [float(number) for number in tuple(grid.affine)[:6]],
        "proj:bbox": [west, south, east, north],
    }


def bitfields() -> list[dict[str, Any]]:
    """The classification extension's account of a masks file: one bit for each mask."""
    return [
        {
            "name": mask.name.lower(),
            "offset": int(mask),
            "length": 1,
            "classes": [{"value": 0, "name": "absent"}, {"value": 1, "name": mask.name.lower()}],
        }
        for mask in Mask
    ]


def _outline(grid: GeoBox) -> shapely.Polygon:
    """In degrees, counter-clockwise, continuous in longitude: may go beyond 180."""
    box = shapely.box(*grid.boundingbox)
    xy = shapely.get_coordinates(shapely.segmentize(box, box.length / 4 / _POINTS))
    lon, lat = projection(str(grid.crs)).transform(xy[:, 0], xy[:, 1], direction="INVERSE")
    ring = np.column_stack([np.unwrap(lon, period=360), lat]).round(_DECIMALS)
    return shapely.geometry.polygon.orient(shapely.Polygon(ring))


def _on_globe(outline: shapely.Polygon) -> shapely.Geometry:
    """Within -180 to 180; in two parts where it crosses the antimeridian (RFC 7946, 3.1.9)."""
    parts = [
        shapely.transform(
            shapely.clip_by_rect(outline, turn - 180, -90, turn + 180, 90), lambda xy, turn=turn: xy - (turn, 0)
        )
        for turn in (-360, 0, 360)
    ]
    whole = [shapely.geometry.polygon.orient(part) for part in parts if part.area > 0]
    return whole[0] if len(whole) == 1 else shapely.MultiPolygon(whole)


def _bbox(outline: shapely.Polygon) -> list[float]:
    """West, south, east, north; west > east across the antimeridian (RFC 7946, 5.2)."""
    west, south, east, north = outline.bounds
    return [_wrapped(west), south, _wrapped(east), north]


def _wrapped(lon: float) -> float:
    return round((lon + 180) % 360 - 180, _DECIMALS)
