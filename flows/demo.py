"""`ssc demo`: a simulated basin through the whole road, its truth beside the estimates, and labelled so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from flows.engine import Engine, run_estimate
from flows.tables import show_summary
from ssc.bands import Band
from ssc.granules import find
from ssc.report import write_report
from ssc.simulate import Basin, simulate_basin
from ssc.simulate.basin import TILE

MASKER = "default"


def run_demo(out: Path, *, seed: int, granules: int, size: int, engine: Engine) -> dict[str, str]:
    """Simulate, damage one granule, estimate, report.

    Returns:
        Where things are, by what they are.
    """
    _start_over_if_changed(out, {"seed": seed, "granules": granules, "size": size})
    basin = simulate_with_progress(out / "basin", granules=granules, seed=seed, size=size)
    damaged = damage_last(basin.granules)
    store, quicklooks = out / "store", out / "quicklooks"
    summary = run_estimate(
        {
            "granules": [str(basin.granules)],
            "reaches": str(basin.reaches),
            "store": str(store),
            "settings": {"masker": MASKER, "dem": str(basin.dem)},
            "quicklooks": str(quicklooks),
        },
        engine,
    )
    show_summary(summary, Console(stderr=True))
    report = write_report(
        store,
        out / "report.html",
        quicklooks=quicklooks,
        insitu=pd.read_csv(basin.insitu),
        truth=pd.read_csv(basin.truth / "reaches.csv"),
        title="River sediment, demonstration basin",
        simulated=True,
    )
    return {
        "granules": f"{basin.granules} (SIMULATED; {damaged} was damaged on purpose)",
        "reaches": str(basin.reaches),
        "truth": str(basin.truth),
        "store": f"{store} (try: ssc query {store})",
        "report": str(report),
    }


def _start_over_if_changed(out: Path, parameters: dict[str, int]) -> None:
    """Another seed or size is another basin: results of the former must not lie beside its own."""
    record = out / "demo.json"
    if record.exists() and json.loads(record.read_text(encoding="utf-8")) == parameters:
        return
    for made in (out / "store", out / "quicklooks"):
        if record.exists() and made.exists():
            shutil.rmtree(made)
    out.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(parameters), encoding="utf-8")


def simulate_with_progress(out: Path, *, granules: int, seed: int, size: int, tile: str = TILE) -> Basin:
    """Simulate a basin, with a bar on a terminal and plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return simulate_basin(out, granules=granules, seed=seed, size=size, tile=tile, progress=console.print)
    with Progress(console=console) as bar:
        work = bar.add_task("simulating", total=granules)

        def tick(text: str) -> None:
            bar.update(work, advance=1, description=text)

        return simulate_basin(out, granules=granules, seed=seed, size=size, tile=tile, progress=tick)


def damage_last(folder: Path) -> str:
    """Cut a band file of the last granule in half, as an interrupted download leaves it; its name."""
    granule = find(folder)[-1]
    red = Path(granule.href(Band.RED))
    content = red.read_bytes()
    red.write_bytes(content[: len(content) // 2])
    return granule.name
