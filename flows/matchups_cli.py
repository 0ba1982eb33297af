"""`ssc matchups`: read, usgs, wqp give samples; pair and points put them beside what satellites saw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ssc.errors import InputError

matchups_app = typer.Typer(
    help="Match-ups: water samples beside what satellites saw.", no_args_is_help=True, rich_markup_mode=None
)


class Source(StrEnum):
    """Files of samples that are known."""

    PLAIN = "plain"
    AQUAMATCH = "aquamatch"
    AQUASAT = "aquasat"
    GEMSTAT = "gemstat"
    GRQA = "grqa"


Json = Annotated[bool, typer.Option("--json", help="Machine-readable summary on stdout.")]
Out = Annotated[Path, typer.Option(help="File to write, .csv or .parquet.")]
Lost = Annotated[Path | None, typer.Option(help="CSV for the samples that found nothing, with the reason.")]
Within = Annotated[float, typer.Option(min=0, help="Longest time between sample and granule, hours.")]
Sites = Annotated[list[str] | None, typer.Option("--site", help="Site id like USGS-05586100; may be repeated.")]
Bbox = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option(help="Sites in WEST SOUTH EAST NORTH, degrees.", metavar="W S E N"),
]
Start = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day.")]
End = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day.")]


@matchups_app.command(
    epilog="Example: ssc matchups pair --store out/store --samples samples.csv --reaches sword.gpkg --out pairs.parquet"
)
def pair(
    store: Annotated[str, typer.Option(help="Results store: a folder or an s3:// location.")],
    samples: Annotated[Path, typer.Option(help="Sample table, .csv or .parquet, as ssc matchups read makes it.")],
    reaches: Annotated[str, typer.Option(help="The reach file of the store, with its lakes, dams and ghosts.")],
    out: Out,
    nodes: Annotated[str | None, typer.Option(help="File with the nodes, if not in --reaches.")] = None,
    masker: Annotated[str | None, typer.Option(help="Only rows of this masker; needed if there are several.")] = None,
    within_hours: Within = 24.0,
    lost: Lost = None,
    as_json: Json = False,
) -> None:
    """Pair samples with the rows of a results store, by reach and time."""
    from flows.matchups import pair_store, save_paired

    paired = pair_store(store, samples, reaches, nodes=nodes, masker=masker, within_h=within_hours)
    _finish(save_paired(paired, out, lost), as_json=as_json)


@matchups_app.command(
    epilog="Example: ssc matchups points --raster acolite --points samples.csv --factor 3 --out pairs.parquet"
)
def points(
    raster: Annotated[Path, typer.Option(help="Folder of GeoTIFFs with named bands, one per date.")],
    points: Annotated[Path, typer.Option(help="Sample table with longitude and latitude.")],
    out: Out,
    product: Annotated[str, typer.Option(help="S30 or L30: whose band names, B8A or B05 for NIR.")] = "S30",
    scale: Annotated[float, typer.Option(help="Reflectance = number x scale + offset.")] = 1.0,
    offset: Annotated[float, typer.Option(help="See --scale; sen2cor since 2022: 0.0001 and -0.1.")] = 0.0,
    nodata: Annotated[float | None, typer.Option(help="Number that means no data, beside the declared one.")] = None,
    masker: Annotated[str, typer.Option(help="Name or card of a network, or mndwi.")] = "default",
    factor: Annotated[int, typer.Option(min=1, help="Average so many pixels a side first: 3 makes 30 m of 10.")] = 1,
    radius: Annotated[float, typer.Option(min=1, help="Pixels this near to a point count, metres.")] = 60.0,
    name_time: Annotated[str, typer.Option(help="Date in the file names, as of strptime.")] = "%Y-%m-%d",
    overpass: Annotated[str, typer.Option(help="Time of day, HH:MM UTC, added to it.")] = "00:00",
    within_hours: Within = 24.0,
    lost: Lost = None,
    as_json: Json = False,
) -> None:
    """Pair samples with rasters, by place and time."""
    from flows.matchups import Rasters, pair_rasters, save_paired
    from ssc.bands import Product
    from ssc.matchups.raster import Scaling

    if product not in list(Product):
        raise InputError(f"--product {product}: wanted {' or '.join(Product)}")
    what = Rasters(
        folder=raster,
        pattern=name_time,
        overpass=overpass,
        product=product,
        scaling=Scaling(scale=scale, offset=offset, nodata=nodata),
        factor=factor,
        masker=masker,
    )
    _finish(save_paired(pair_rasters(what, points, radius_m=radius, within_h=within_hours), out, lost), as_json=as_json)


@matchups_app.command(
    epilog="Example: ssc matchups read lab.csv --column site=station --column time=when --column value=tss "
    "--constant unit=mg/L --out samples.csv"
)
def read(
    file: Annotated[Path, typer.Argument(help="CSV, Feather or Parquet.")],
    out: Out,
    source: Annotated[Source, typer.Option("--format", help="What the file is.")] = Source.PLAIN,
    stations: Annotated[Path | None, typer.Option(help="GEMStat: the file of its stations.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="Plain: OURS=THEIRS; site, time, value ...")] = None,
    constant: Annotated[list[str] | None, typer.Option(help="Plain: OURS=TEXT that holds for all rows.")] = None,
    label: Annotated[str, typer.Option(help="Plain: ssc or tss.")] = "ssc",
    date_format: Annotated[str, typer.Option(help="Plain: of times that are not ISO 8601.")] = "ISO8601",
    as_json: Json = False,
) -> None:
    """Make a sample table from a file, in mg/L; every row left out is counted by reason."""
    from flows.matchups import columns_of, save_samples
    from ssc.matchups import files

    if source is Source.PLAIN:
        names, constants = columns_of(column or [], "--column"), columns_of(constant or [], "--constant")
        found = files.read_plain(file, names, label=label, constants=constants, date_format=date_format)
    elif source is Source.GEMSTAT:
        if stations is None:
            raise InputError("--format gemstat needs --stations FILE: results alone tell no place")
        found = files.read_gemstat(file, stations)
    else:
        readers = {"aquamatch": files.read_aquamatch, "aquasat": files.read_aquasat, "grqa": files.read_grqa}
        found = readers[source.value](file)
    _finish(save_samples(found, out), as_json=as_json)


@matchups_app.command(
    epilog="Example: ssc matchups usgs --site USGS-05586100 --start 2018-01-01 --end 2024-12-31 --out samples.parquet"
)
def usgs(
    out: Out,
    site: Sites = None,
    bbox: Bbox = None,
    start: Start = None,
    end: End = None,
    base_url: Annotated[str | None, typer.Option(help="Another server that answers like USGS.", hidden=True)] = None,
    as_json: Json = False,
) -> None:
    """Fetch discrete suspended-sediment samples of the USGS; API_USGS_PAT raises the hourly limit."""
    from flows.matchups import fetched, save_samples
    from ssc.matchups.usgs import read_usgs

    asked = {"sites": site or (), "bbox": bbox, "start": _day(start), "end": _day(end), "base_url": base_url}
    found = fetched("USGS", read_usgs, asked)
    _finish(save_samples(found, out), as_json=as_json)


@matchups_app.command(
    epilog="Example: ssc matchups wqp --bbox -92 32 -91 33 --start 2018-01-01 --end 2024-12-31 --out samples.parquet"
)
def wqp(
    out: Out,
    site: Sites = None,
    bbox: Bbox = None,
    huc: Annotated[str | None, typer.Option(help="Sites in this hydrologic unit.")] = None,
    start: Start = None,
    end: End = None,
    base_url: Annotated[str | None, typer.Option(help="Another server that answers like WQP.", hidden=True)] = None,
    as_json: Json = False,
) -> None:
    """Fetch suspended sediment and solids of all who report to the Water Quality Portal."""
    from flows.matchups import fetched, save_samples
    from ssc.matchups.wqp import read_wqp

    asked = {"sites": site or (), "bbox": bbox, "start": _day(start), "end": _day(end), "base_url": base_url}
    found = fetched("Water Quality Portal", read_wqp, asked | {"huc": huc})
    _finish(save_samples(found, out), as_json=as_json)


def _day(moment: datetime | None) -> Any:
    return None if moment is None else moment.date()


def _finish(facts: Mapping[str, Any], *, as_json: bool) -> None:
    from flows.matchups import show

    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        show(facts)
