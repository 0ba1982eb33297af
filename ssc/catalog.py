"""Which HLS granules there are: CMR searched by place and time, and which reaches each granule may see.

    query = Query(start="2021-09-01", end="2021-09-30", tiles=tiles_on(reaches))
    found = search(query)
    by_reach(found, reaches)

Reaches are searched by the names of their tiles, not by a polygon: a granule is one tile, so names are exact, a few
characters each, the same across the antimeridian, and the tiles are those that decide which granule a reach is read
from (`ssc.tiles`). A polygon would have to be simplified, and CMR limits its vertices. Granules whose footprint leaves
all the reaches out, as at the edge of a swath, fall away in `by_reach`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import shapely

from ssc.bands import Band, Layer, Product
from ssc.cmr import CMR, PAGE, Patience, Record, granule_records
from ssc.errors import DataError, GranuleNameError, InputError
from ssc.granules import Granule, parse
from ssc.lonlat import BBox, box_of
from ssc.mgrs import tile_geobox
from ssc.reaches import Reaches
from ssc.selection import Time, moment
from ssc.tiles import footprint, tiles_of

VERSION: Final = "2.0"
TILES_AT_ONCE: Final = 50
"""Tiles in one search: each is a name pattern per product, and CMR's time grows with their number."""
MARGIN_DEG: Final = 0.02
"""What is added around footprints, about 2 km: their corners are few, and rivers are wider than their centrelines."""

_UNITS: Final = {"KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
"""UMM-G's units; CMR's MB of HLS granules are 2**20 bytes (103 MB beside SizeInBytes 1077..., recorded in 2021)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is searched for. At least one of bbox and tiles is needed; with both, granules meet both."""

    start: Time
    """First day or moment, UTC unless it says otherwise."""
    end: Time
    """Last day (the whole of it) or moment."""
    bbox: BBox | None = None
    """West, south, east, north in degrees; west > east means across the antimeridian."""
    tiles: tuple[str, ...] | None = None
    """MGRS tiles, "15SXR"."""
    max_cloud: float = 100.0
    """Most cloud in the whole tile, percent. Granules whose cloud CMR does not tell stay in."""
    products: tuple[Product, ...] = (Product.L30, Product.S30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One granule as CMR tells it."""

    granule: Granule
    """Named by the native id; its hrefs are https, of the bands and layers that CMR lists."""
    revision: int
    """CMR's revision of the record, from 1: it grows when the granule is delivered again."""
    revised: datetime
    """When that revision came, aware UTC."""
    cloud: float
    """Cloud cover of the tile, percent; NaN when CMR does not tell."""
    size: int
    """Bytes of all its files together; 0 when CMR does not tell."""
    s3: Mapping[Band | Layer, str] = field(compare=False, repr=False)
    """s3:// locations by band or layer, for readers in us-west-2."""
    footprint: shapely.Polygon | shapely.MultiPolygon = field(repr=False)
    """What the satellite saw of the tile, EPSG:4326, in continuous longitude."""

    @property
    def direct(self) -> Granule:
        """The same granule to be read from s3."""
        return replace(self.granule, hrefs=self.s3)


def search(query: Query, *, base: str = CMR, page_size: int = PAGE, patience: Patience | None = None) -> list[Found]:
    """Granules that meet a query, each once in its newest revision, ordered by acquisition, tile and product.

    Cloud is judged here and not by CMR, which would leave out granules whose cloud it does not know.

    Args:
        query: Place, time, cloud.
        base: Where CMR's search lies: the real one, or a server that speaks like it.
        page_size: Records asked for at once, at most 2000.
        patience: Pauses, tries and time-outs.

    Raises:
        InputError: Dates, a box or tiles that are none, or no place at all; CMR refuses the search.
        AccessError: CMR refuses us.
        TransientError: No answer from CMR, or pages are lost.
        DataError: An answer that is not CMR's, or a record without what a granule needs.
    """
    records = [
        record
        for parameters in searches(query)
        for record in granule_records(parameters, base=base, page_size=page_size, patience=patience)
    ]
    return [found for found in newest(map(read_record, records)) if not found.cloud > query.max_cloud]


def searches(query: Query) -> list[list[tuple[str, str]]]:
    """The parameters of the CMR searches that a query takes: one, or one for every 50 tiles.

    Raises:
        InputError: Dates, a box or tiles that are none, or no place at all.
    """
    if query.bbox is None and not query.tiles:
        raise InputError("no place to search: found neither bbox nor tiles, wanted one of them")
    if not 0 <= query.max_cloud <= 100:
        raise InputError(f"not a cloud limit: found {query.max_cloud}, wanted 0 to 100 percent")
    common = [("short_name[]", f"HLS{product}") for product in query.products]
    common += [("version", VERSION), ("temporal[]", _temporal(query))]
    if query.bbox is not None:
        common.append(("bounding_box[]", _bounding_box(query.bbox)))
    if not query.tiles:
        return [common]
    tiles = sorted({_tile(tile) for tile in query.tiles})
    batches = [tiles[first : first + TILES_AT_ONCE] for first in range(0, len(tiles), TILES_AT_ONCE)]
    return [common + _patterns(batch, query.products) for batch in batches]


def tiles_on(reaches: Reaches) -> tuple[str, ...]:
    """MGRS tiles that hold a part of any reach, ordered."""
    return tuple(sorted(tiles_of(reaches)["tile"].unique()))


def newest(found: Iterable[Found]) -> list[Found]:
    """Each granule once, in its newest revision, ordered by acquisition, tile and product."""
    best: dict[Granule, Found] = {}
    for each in found:
        known = best.get(each.granule)
        if known is None or (each.revision, each.revised) > (known.revision, known.revised):
            best[each.granule] = each
    return sorted(best.values(), key=lambda each: (each.granule.acquired, each.granule.tile, each.granule.product))


def by_reach(
    found: Sequence[Found], reaches: Reaches, *, margin_deg: float = MARGIN_DEG
) -> dict[Granule, tuple[int, ...]]:
    """Reaches whose centreline each granule may see, ids ascending; granules that see none are not in it."""
    prints = shapely.buffer(np.array([each.footprint for each in found], dtype=object), margin_deg)
    tree = shapely.STRtree(prints)
    pairs: set[tuple[int, int]] = set()
    for turn in (-360.0, 0.0, 360.0):  # lines and footprints may count their longitudes on different turns
        lines = shapely.transform(reaches.lines, lambda xy, turn=turn: xy + np.array([turn, 0.0]))
        line, granule = tree.query(lines, predicate="intersects")
        pairs |= set(zip(granule.tolist(), reaches.ids[line].tolist(), strict=True))
    seen: dict[Granule, list[int]] = defaultdict(list)
    for index, reach_id in sorted(pairs):
        seen[found[index].granule].append(reach_id)
    return {granule: tuple(ids) for granule, ids in seen.items()}


def read_record(record: Record) -> Found:
    """A granule from CMR's record of it (meta and UMM-G 1.6).

    A granule without links is one too (some have none for a while): reading it will say what is missing.

    Raises:
        DataError: Not an HLS granule, or without revision or footprint.
    """
    try:
        meta, umm = record["meta"], record["umm"]
        granule = parse(meta["native-id"])
        https, s3 = _links(umm.get("RelatedUrls") or (), granule)
        return Found(
            granule=replace(granule, hrefs=https),
            revision=int(meta["revision-id"]),
            revised=_time(meta["revision-date"]),
            cloud=_cloud(umm),
            size=_size(umm),
            s3=s3,
            footprint=_footprint(
                umm["SpatialExtent"]["HorizontalSpatialDomain"]["Geometry"]["GPolygons"], granule.tile
            ),
        )
    except KeyError as error:
        raise DataError(f"incomplete CMR record: {_which(record)}: found no {error.args[0]}, wanted it") from None
    except (AttributeError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise DataError(f"unreadable CMR record: {_which(record)}: found {error}, wanted HLS in UMM-G") from None


def _temporal(query: Query) -> str:
    first, last = moment(query.start), moment(query.end, last=True)
    if last < first:
        raise InputError(f"no time to search: found start {query.start} after end {query.end}, wanted start before end")
    return ",".join(each.isoformat(timespec="milliseconds").replace("+00:00", "Z") for each in (first, last))


def _bounding_box(bbox: BBox) -> str:
    """West, south, east, north as CMR wants them: within 180 degrees; it reads west > east as across the antimeridian.

    >>> _bounding_box((170, -20, 190, -10))
    '170.0,-20.0,-170.0,-10.0'
    """
    west, south, east, north = box_of(bbox).bounds
    if east - west >= 360:
        west, east = -180.0, 180.0
    west, east = (lon if -180 <= lon <= 180 else (lon + 180) % 360 - 180 for lon in (west, east))
    return ",".join(str(float(side)) for side in (west, south, east, north))


def _tile(tile: str) -> str:
    tile_geobox(tile)  # raises when there is no such tile
    return tile[-5:]


def _patterns(tiles: Iterable[str], products: Iterable[Product]) -> list[tuple[str, str]]:
    names = [f"HLS.{product}.T{tile}.*" for tile in tiles for product in products]
    return [("options[readable_granule_name][pattern]", "true"), *(("readable_granule_name[]", name) for name in names)]


def _links(urls: Iterable[Mapping[str, Any]], granule: Granule) -> tuple[dict[Band | Layer, str], ...]:
    """Locations by band or layer, https and s3; pictures, metadata and services are passed over."""
    links: dict[str, dict[Band | Layer, str]] = {"https": {}, "http": {}, "s3": {}}
    for url in urls:
        location = str(url["URL"])
        scheme = location.partition("://")[0]
        try:
            file = parse(location)
        except GranuleNameError:
            continue
        if file == granule and scheme in links:
            links[scheme].update(file.hrefs)
    return {**links["http"], **links["https"]}, links["s3"]


def _cloud(umm: Mapping[str, Any]) -> float:
    """Percent: UMM-G's own field, else HLS's attribute of that name."""
    if umm.get("CloudCover") is not None:
        return float(umm["CloudCover"])
    for attribute in umm.get("AdditionalAttributes") or ():
        if attribute["Name"] == "CLOUD_COVERAGE" and attribute.get("Values"):
            return float(attribute["Values"][0])
    return math.nan


def _size(umm: Mapping[str, Any]) -> int:
    """Bytes of all files: SizeInBytes where it is told, else Size in its unit."""
    data = umm.get("DataGranule") or {}
    return sum(map(_bytes, data.get("ArchiveAndDistributionInformation") or ()))


def _bytes(file: Mapping[str, Any]) -> int:
    if "SizeInBytes" in file:
        return int(file["SizeInBytes"])
    return round(float(file.get("Size", 0)) * _UNITS.get(file.get("SizeUnit", ""), 0))


def _footprint(polygons: Sequence[Mapping[str, Any]], tile: str) -> shapely.Polygon | shapely.MultiPolygon:
    """The polygons as one; the whole tile where they enclose nothing, so that a granule is not lost for its outline."""
    shapes = shapely.make_valid(np.array([_ring(each["Boundary"]["Points"]) for each in polygons], dtype=object))
    areas = [part for part in shapely.get_parts(shapely.get_parts(shapes)) if part.geom_type == "Polygon" and part.area]
    return shapely.union_all(areas) if areas else footprint(tile_geobox(tile))


def _ring(points: Sequence[Mapping[str, float]]) -> shapely.Polygon:
    lon = np.unwrap([float(point["Longitude"]) for point in points], period=360)
    return shapely.Polygon(np.column_stack([lon, [float(point["Latitude"]) for point in points]]))


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _which(record: Record) -> str:
    """The name of a record, or as much of it as there is."""
    meta = record.get("meta") if isinstance(record, dict) else None
    meta = meta if isinstance(meta, dict) else {}
    return str(meta.get("native-id") or meta.get("concept-id") or "a record without name")
