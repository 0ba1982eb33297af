"""The `ssc` command. Heavy libraries are imported inside the commands, so that `ssc --help` is quick.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 done with granules set aside.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.engine import Engine, run_estimate
from flows.flux_cli import flux
from flows.masker_cli import masker_app
from flows.matchups_cli import matchups_app
from flows.plan_cli import plan
from flows.regressor_cli import regressor_app
from ssc.errors import InputError, SscError

if TYPE_CHECKING:
    from tasks.run import Summary

app = typer.Typer(
    name="ssc",
    help="Suspended sediment concentration (SSC, mg/L) per river reach, from HLS satellite granules.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich would take longer to load than all the rest
)
app.add_typer(masker_app, name="masker")
app.add_typer(matchups_app, name="matchups")
app.add_typer(regressor_app, name="regressor")
app.command(epilog="Example: ssc flux out/store --discharge na_sword_v16_SOS_results.nc --out flux.csv")(flux)
app.command(epilog="Example: ssc plan --reaches sword.gpkg --basin 74 --start 2021-09-01 --end 2021-09-30")(plan)


class Format(StrEnum):
    """What a query can be written as."""

    CSV = "csv"
    PARQUET = "parquet"
    GEOPARQUET = "geoparquet"
    GEOJSON = "geojson"
    NETCDF = "netcdf"
    SOS = "sos"


Json = Annotated[bool, typer.Option("--json", help="Machine-readable summary on stdout.")]
Reaches = Annotated[
    str, typer.Option(help="SWORD (netCDF, GeoPackage, shapefile, GeoParquet) or any file with a reach id.")
]
Nodes = Annotated[str | None, typer.Option(help="File with the nodes, if not in --reaches.")]
Ids = Annotated[list[int] | None, typer.Option("--reach", help="Only this reach; may be repeated.")]
Bbox = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option(help="Only reaches in WEST SOUTH EAST NORTH, degrees.", metavar="W S E N"),
]
Basin = Annotated[str | None, typer.Option(help="Only reaches whose id starts with these Pfafstetter digits.")]
Polygon = Annotated[Path | None, typer.Option(help="Only reaches that touch the polygons of this file.")]
Config = Annotated[Path | None, typer.Option(help="Settings file (YAML) over the defaults.")]
EngineOption = Annotated[
    Engine, typer.Option(help="prefect: as a flow with history; local: plain threads, quicker start.")
]


@app.command(epilog="Example: ssc estimate granules/ --reaches sword.gpkg --dem glo30/ --out out/store")
def estimate(
    granules: Annotated[list[str], typer.Argument(help="Granule folders or files, or https:// or s3:// granules.")],
    reaches: Reaches,
    out: Annotated[str, typer.Option(help="Results store: a folder or an s3:// location; made if missing.")],
    masker: Annotated[str | None, typer.Option(help="Name of the masker, see ssc masker list.")] = None,
    regressor: Annotated[str | None, typer.Option(help="Name of the regressor, see ssc regressor list.")] = None,
    dem: Annotated[str | None, typer.Option(help="Elevation model for terrain shadow: GeoTIFF, VRT or folder.")] = None,
    nodes: Nodes = None,
    reach: Ids = None,
    bbox: Bbox = None,
    basin: Basin = None,
    polygon: Polygon = None,
    config: Config = None,
    workers: Annotated[int | None, typer.Option(help="Granules in work at the same time.")] = None,
    quicklooks: Annotated[
        Path | None, typer.Option(help="Folder for one picture per granule; reads whole tiles.")
    ] = None,
    redo: Annotated[bool, typer.Option("--redo", help="Do again what the store already holds.")] = False,
    engine: EngineOption = Engine.PREFECT,
    as_json: Json = False,
) -> None:
    """Estimate SSC per reach from HLS granules, into a results store. Run again, it resumes and repeats nothing."""
    settings = {"masker": masker, "regressor": regressor, "dem": dem, "workers": workers}
    parameters: dict[str, Any] = {
        "granules": granules,
        "reaches": reaches,
        "store": out,
        "nodes": nodes,
        "ids": reach,
        "bbox": list(bbox) if bbox else None,
        "basin": basin,
        "polygon": str(polygon) if polygon else None,
        "overlay": str(config) if config else None,
        "settings": {name: value for name, value in settings.items() if value is not None},
        "quicklooks": str(quicklooks) if quicklooks else None,
        "redo": redo,
    }
    _finish(run_estimate(parameters, engine), as_json=as_json)


def _finish(summary: Summary, *, as_json: bool) -> None:
    """Say what became of the granules, and leave with the exit code that tells."""
    from rich.console import Console

    from flows.tables import show_summary

    if as_json:
        print(json.dumps(summary.as_dict(), indent=2))
    else:
        show_summary(summary, Console())
    raise typer.Exit(summary.exit_code)


@app.command(epilog="Example: ssc demo --out demo")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the simulated basin.")] = 7,
    granules: Annotated[int, typer.Option(min=6, help="Granules to simulate; the last one is damaged on purpose.")] = 8,
    size: Annotated[int, typer.Option(min=256, max=3660, help="Pixels of 30 m per side of the simulated tile.")] = 800,
    engine: EngineOption = Engine.PREFECT,
    as_json: Json = False,
) -> None:
    """Simulate a small basin as real HLS files, run the whole pipeline on it, write a report. Needs no network."""
    from flows.demo import run_demo

    places = run_demo(out, seed=seed, granules=granules, size=size, engine=engine)
    if as_json:
        print(json.dumps(places, indent=2))
    else:
        for what, where in places.items():
            print(f"{what:<12} {where}")


@app.command(epilog="Example: ssc simulate --out basin --granules 6 --seed 7 --size 1000")
def simulate(
    out: Annotated[Path, typer.Option(help="Folder for granules, reaches, DEM, samples and truth.")],
    granules: Annotated[int, typer.Option(min=1, help="Granules to simulate, L30 and S30 in turn.")] = 6,
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 7,
    size: Annotated[int, typer.Option(min=128, max=3660, help="Pixels of 30 m per side.")] = 3660,
    tile: Annotated[str, typer.Option(help="MGRS tile whose grid and sun are used.")] = "13TDM",
) -> None:
    """Simulate HLS granules of a river basin whose masks and SSC are known."""
    from flows.demo import simulate_with_progress

    basin = simulate_with_progress(out, granules=granules, seed=seed, size=size, tile=tile)
    print(f"SIMULATED basin of {granules} granules in {out}; reaches {basin.reaches}, truth {basin.truth}")


@app.command(epilog="Example: ssc query out/store --reach 74299900011 --start 2021-09-01 --format csv > reach.csv")
def query(
    store: Annotated[str, typer.Argument(help="Results store.")],
    reach: Ids = None,
    start: Annotated[str | None, typer.Option(help="First day or time, ISO, UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day or time, ISO, UTC.")] = None,
    masker: Annotated[str | None, typer.Option(help="Only rows of this masker.")] = None,
    regressor: Annotated[str | None, typer.Option(help="Only rows of this regressor.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="Format of the answer.")] = Format.CSV,
    out: Annotated[Path | None, typer.Option(help="File to write; CSV goes to stdout without it.")] = None,
) -> None:
    """Take rows out of a results store, one per reach and acquisition; units are in `ssc.schema` and in the netCDF."""
    from ssc.exports import csv_text, export
    from ssc.results import open_store

    opened = open_store(store)
    rows = opened.query(reach_ids=reach, start=start, end=end, masker=masker, regressor=regressor)
    if out is None and format_ is not Format.CSV:
        raise InputError(f"--format {format_.value} needs --out FILE: only csv goes to stdout")
    if out is None:
        sys.stdout.write(csv_text(rows))
    else:
        export(opened, out, format_.value, rows=rows)
        print(f"{len(rows)} rows in {out}", file=sys.stderr)


@app.command(epilog="Example: ssc report out/store --out report.html --quicklooks out/quicklooks")
def report(
    store: Annotated[str, typer.Argument(help="Results store.")],
    out: Annotated[Path, typer.Option(help="HTML file to write.")],
    quicklooks: Annotated[
        Path | None, typer.Option(help="Folder of pictures that ssc estimate --quicklooks made.")
    ] = None,
    insitu: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="CSV of samples: reach_id, time (UTC), ssc_mg_l.")
    ] = None,
) -> None:
    """Write one self-contained HTML page about a results store."""
    import pandas as pd

    from ssc.report import write_report

    samples = None if insitu is None else pd.read_csv(insitu, comment="#")
    write_report(store, out, quicklooks=quicklooks, insitu=samples)
    print(out)


@app.command(epilog="Example: ssc doctor --json")
def doctor(as_json: Json = False) -> None:
    """Say what is installed, logged in and reachable, and what to do about what is not."""
    from flows.doctor import examine, show

    findings = examine()
    if as_json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        show(findings)
    raise typer.Exit(0 if all(finding.ok or not finding.needed for finding in findings) else 1)


def main() -> None:
    """Entry point of the `ssc` command."""
    try:
        app()
    except SscError as error:
        print(f"ssc: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)


if __name__ == "__main__":
    main()
