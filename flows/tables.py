"""The tables a command ends with."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table

from ssc.report.words import STATUSES
from tasks.run import Summary


def show_summary(summary: Summary, console: Console) -> None:
    """Print what became of the granules, and why some were set aside."""
    table = Table(title="granules", title_justify="left")
    table.add_column("status")
    table.add_column("granules", justify="right")
    table.add_column("meaning")
    for status, (name, meaning) in STATUSES.items():
        if summary.statuses[status]:
            table.add_row(name, str(summary.statuses[status]), meaning)
    if summary.done_before:
        table.add_row(
            "done before", str(summary.done_before), "same granule and settings, skipped (--redo does them again)"
        )
    console.print(table)
    if summary.set_aside:
        console.print(_reasons(summary))
    console.print(
        f"{summary.estimates} SSC estimates in {summary.reach_rows} reach rows; store {summary.store}: "
        f"{summary.inserted} inserted, {summary.updated} updated, {summary.unchanged} unchanged; "
        f"{summary.seconds:.1f} s",
        highlight=False,
        soft_wrap=True,
    )


def _reasons(summary: Summary) -> Table:
    """Granules that were set aside, the same reason once."""
    kinds = Counter(why.split(":")[0] for why in summary.set_aside.values())
    table = Table(title=f"set aside ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})", title_justify="left")
    table.add_column("granule", overflow="fold")
    table.add_column("reason", overflow="fold")
    for granule, why in sorted(summary.set_aside.items()):
        table.add_row(granule, why)
    return table
