# ruff: noqa: T201, PLC0415, PLR0913, PLR0917 (speaks on stdout, starts quickly, has many options)
"""`ssc plan`: which granules a run would read, and what it would cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from ssc.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from ssc.plan import Plan
    from ssc.reaches import Reaches


def plan(
    start: Annotated[str, typer.Option(help="First day or time, ISO, UTC.")],
    end: Annotated[str, typer.Option(help="Last day or time, ISO, UTC.")],
    reaches: Annotated[
        str | None, typer.Option(help="File of reaches: only granules on their tiles that may see one of them.")
    ] = None,
    nodes: Annotated[str | None, typer.Option(help="File with the nodes, if not in --reaches.")] = None,
    reach: Annotated[
        list[int] | None, typer.Option("--reach", help="Only this reach; may be repeated. Needs --reaches.")
    ] = None,
    basin: Annotated[
        str | None, typer.Option(help="Only reaches whose id starts with these Pfafstetter digits. Needs --reaches.")
    ] = None,
    bbox: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(help="Only reaches, or without --reaches granules, in WEST SOUTH EAST NORTH.", metavar="W S E N"),
    ] = None,
    cloud: Annotated[float, typer.Option(min=0, max=100, help="Most cloud in the tile, percent.")] = 100.0,
    workers: Annotated[int, typer.Option(min=1, help="Granules in work at the same time.")] = 1,
    cmr: Annotated[str | None, typer.Option(help="Address of CMR's search; default: NASA's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable plan on stdout.")] = False,
) -> None:
    """Search HLS granules in NASA's catalogue and say what a run over them would cost: bytes, disk, seconds.

    Nothing is downloaded and no login is needed. Seconds and bytes come from rates measured elsewhere, see ssc/plan.py.
    """
    from ssc.catalog import Query, by_reach, search, tiles_on
    from ssc.cmr import CMR
    from ssc.plan import Rates, plan_run

    chosen = _chosen(reaches, nodes, reach, basin, bbox)
    tiles = None if chosen is None else tiles_on(chosen)
    query = Query(start=start, end=end, max_cloud=cloud, tiles=tiles, bbox=bbox if tiles is None else None)
    found = search(query, base=cmr or CMR)
    seen = None if chosen is None else by_reach(found, chosen)
    _show(plan_run(found, seen, Rates(workers=workers)), as_json=as_json)


def _chosen(
    path: str | None,
    nodes: str | None,
    ids: list[int] | None,
    basin: str | None,
    bbox: tuple[float, float, float, float] | None,
) -> Reaches | None:
    """The reaches asked for; None for a search by bbox alone."""
    from ssc.reaches import read_reaches

    if path is not None:
        return read_reaches(path, nodes=nodes, ids=ids, basin=basin, bbox=bbox)
    if ids or basin or nodes:
        raise InputError("--reach, --basin and --nodes choose among reaches: found no --reaches, wanted their file")
    if bbox is None:
        raise InputError("no place to search: found neither --reaches nor --bbox, wanted one of them")
    return None


def _show(made: Plan, *, as_json: bool) -> None:
    summary = made.summary()
    if as_json:
        print(json.dumps(summary | {"by_tile": made.table.to_dict(orient="records")}, indent=2))
        return
    from rich.console import Console

    console = Console()
    if len(made.table):
        console.print(_table(made))
    console.print(_sentence(made), highlight=False, soft_wrap=True)


def _table(made: Plan) -> Table:
    from rich.table import Table

    table = Table(title="granules by tile and product", title_justify="left")
    for title in ("tile", "product", "granules", "rows at most", "read, MB", "on disk if staged, MB", "minutes"):
        table.add_column(title, justify="left" if title in {"tile", "product"} else "right")
    for row in made.table.itertuples():
        sizes = (f"{row.read_bytes / 1e6:.0f}", f"{row.staged_bytes / 1e6:.0f}", f"{row.seconds / 60:.1f}")
        table.add_row(row.tile, row.product, str(row.granules), str(row.rows), *sizes)
    return table


def _sentence(made: Plan) -> str:
    """Totals in one line; the whole files are told too, because a careless download would cost them."""
    total = made.summary()
    if not total["granules"]:
        return "no granules found"
    unsized = total["granules_of_unknown_size"]
    guessed = f"; size of {unsized} granules unknown, a typical one assumed" if unsized else ""
    return (
        f"{total['granules']} granules on {total['tiles']} tiles, {total['first']} to {total['last']}: read "
        f"{total['read_bytes'] / 1e9:.2f} GB of {total['granule_bytes'] / 1e9:.2f} GB, results "
        f"{total['store_bytes'] / 1e6:.1f} MB at most, about {total['seconds'] / 60:.0f} minutes with "
        f"{made.rates.workers} workers (rates measured elsewhere, see ssc/plan.py){guessed}"
    )
