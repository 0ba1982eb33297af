"""`ssc flux`: sediment flux from a results store and discharge."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def flux(
    store: Annotated[str, typer.Argument(help="Results store.")],
    discharge: Annotated[
        list[Path],
        typer.Option(help="SoS results, consensus, an algorithm's file or a gauge CSV; may be repeated, best first."),
    ],
    out: Annotated[Path, typer.Option(help="File to write: .csv, .parquet or .nc.")],
    unit: Annotated[str | None, typer.Option(help="Unit of discharge in gauge CSVs: m3/s or ft3/s.")] = None,
    q: Annotated[str, typer.Option("--q-column", help="Gauge CSVs: column of discharge.")] = "q",
    time: Annotated[str, typer.Option("--time-column", help="Gauge CSVs: column of ISO times or dates.")] = "time",
    reach_column: Annotated[str, typer.Option(help="Gauge CSVs: column of SWORD reach ids.")] = "reach_id",
    relative_sd: Annotated[
        str | None, typer.Option(help="Gauge CSVs: column of the relative standard error of discharge.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="Gauge CSVs: zone of times without an offset.")] = "UTC",
    swot: Annotated[Path | None, typer.Option(help="SWOT input file of the reach, for an algorithm's file.")] = None,
    reach: Annotated[list[int] | None, typer.Option("--reach", help="Only this reach; may be repeated.")] = None,
    start: Annotated[str | None, typer.Option(help="First day or time, ISO, UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day or time, ISO, UTC.")] = None,
    masker: Annotated[str | None, typer.Option(help="Only rows of this masker.")] = None,
    regressor: Annotated[str | None, typer.Option(help="Only rows of this regressor.")] = None,
    within: Annotated[float, typer.Option(min=0, help="Most hours between SSC and discharge.")] = 24.0,
    correlation: Annotated[float, typer.Option(min=-1, max=1, help="Of the errors of ln SSC and ln Q.")] = 0.0,
    assumed_sd: Annotated[
        float, typer.Option(min=0, help="Standard deviation of ln Q where the discharge tells none.")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable summary on stdout.")] = False,
) -> None:
    """Multiply each SSC by the discharge nearest in time: sediment flux in kg/s and t/d, with interval and flags."""
    import pandas as pd

    from ssc.flux import flux as fluxes
    from ssc.flux.output import require_suffix, write_flux
    from ssc.flux.source import read_discharge
    from ssc.results import open_store

    require_suffix(out)
    opened = open_store(store)
    rows = opened.query(reach, start=start, end=end, masker=masker, regressor=regressor)
    gauges = {"q": q, "time": time, "reach": reach_column, "relative_sd": relative_sd, "timezone": timezone}
    ids = rows["reach_id"].unique().tolist()
    readings = [read_discharge(path, reach_ids=ids, swot=swot, unit=unit, gauges=gauges) for path in discharge]
    known = pd.concat([reading.table for reading in readings], ignore_index=True)
    table = fluxes(rows, known, within_h=within, correlation=correlation, assumed_ln_q_sd=assumed_sd)
    write_flux(table, opened.reaches(), out)
    left_out: dict[str, int] = {}
    for reading in readings:
        left_out |= {why: left_out.get(why, 0) + count for why, count in reading.left_out.items()}
    summary = {"rows": len(table), "fluxes": int(table["sed_flux"].notna().sum()), "discharges": len(known)}
    if as_json:
        print(json.dumps(summary | {"left_out": left_out, "out": str(out)}, indent=2))
    else:
        print(
            f"{summary['fluxes']} fluxes in {summary['rows']} rows, from {summary['discharges']} discharges, in {out}"
        )
        told = ", ".join(f"{count} {why}" for why, count in left_out.items() if count)
        print(f"discharges left out: {told or 'none'}", file=sys.stderr)
