"""`ssc matchups`: samples from where they lie, beside what satellites saw; every row that is lost is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from flows.bars import staged_bar
from ssc.bands import Product
from ssc.errors import InputError
from ssc.matchups.assigning import assign_sites, with_reaches
from ssc.matchups.files import read_table, write_table
from ssc.matchups.harmonise import Harmonised
from ssc.matchups.hydrography import read_extras
from ssc.matchups.pairing import Paired, PairRule, pair
from ssc.matchups.points import PointRule, pair_points
from ssc.matchups.raster import Scaling
from ssc.reaches import Reaches, read_reaches
from ssc.results import open_store
from tasks.matchups import Source, open_bare, raster_look

_OF_SITE = ("longitude", "latitude", "river_name", "drainage_km2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rasters:
    """What to read in a folder of rasters."""

    folder: Path
    pattern: str
    """Of file names without suffix, as of strptime: "%Y%m%d"."""
    overpass: str
    """HH:MM, UTC, added to what the name tells."""
    product: str
    scaling: Scaling
    factor: int
    masker: str


def pair_store(
    store: str, samples: Path, reaches: str, *, nodes: str | None, masker: str | None, within_h: float
) -> Paired:
    """Samples beside the rows of a results store; sites without a reach id get one by place.

    Raises:
        InputError: No such store or file, or a store with several maskers and none named.
        DataError: Not a sample table.
    """
    with staged_bar() as tick:
        tick("matchups", 0, 3, "samples and reaches")
        known = read_reaches(reaches, nodes=nodes)
        placed = place(read_table(samples, "sample"), known, reaches, nodes)
        tick("matchups", 1, 3, "results")
        ids = sorted(set(placed.loc[placed["reach_id"] > 0, "reach_id"].tolist()))
        rows = open_store(store).query(ids, masker=masker)
        tick("matchups", 2, 3, "pairs")
        paired = pair(placed, rows, PairRule(within_h=within_h))
        tick("matchups", 3, 3, "")
    return paired


def place(samples: pd.DataFrame, reaches: Reaches, path: str, nodes: str | None) -> pd.DataFrame:
    """Samples with reach and width: the reach they tell of, else that of their site."""
    told = samples["reach_id"] > 0
    width = samples["reach_id"].map(reaches.table["width_m"])
    unknown = told & ~samples["reach_id"].isin(reaches.ids)
    reason = pd.Series("", index=samples.index).mask(unknown, "not in the reach file")
    own = samples.assign(width_m=width, reason=reason, reach_id=samples["reach_id"].mask(unknown, -1))
    if told.all():
        return own
    open_ = samples[~told]
    sites = open_.groupby("site", as_index=False)[[name for name in _OF_SITE if name in open_]].first()
    assigned = assign_sites(sites, reaches, extras=read_extras(path, nodes))
    return pd.concat([own[told], with_reaches(open_, assigned)], ignore_index=True)


def pair_rasters(rasters: Rasters, samples: Path, *, radius_m: float, within_h: float) -> Paired:
    """Samples beside the rasters of a folder.

    Raises:
        InputError: No rasters, a name that is no date, no such masker.
        DataError: A raster or a table that is none.
    """
    table = read_table(samples, "sample")
    source = Source(product=Product(rasters.product), scaling=rasters.scaling, factor=rasters.factor)
    ask = open_bare(rasters.masker, source.product)
    paths = sorted(rasters.folder.glob("*.tif"))
    if not paths:
        raise InputError(f"no rasters in {rasters.folder}: wanted GeoTIFFs with named bands, NAME.tif")
    looks = [raster_look(path, source, _time_of(path, rasters), ask, granule_id=path.name) for path in paths]
    rule = PointRule(radius_m=radius_m, pairs=PairRule(within_h=within_h, least_px=PointRule().pairs.least_px))
    with staged_bar() as tick:
        return pair_points(table, looks, rule, progress=lambda done, n, what: tick("rasters", done, n, what))


def fetched(service: str, read: Callable[..., Harmonised], asked: Mapping[str, Any]) -> Harmonised:
    """What a service answers, with a word on the way: it may take minutes."""
    with staged_bar() as tick:
        tick("asking", 0, 1, service)
        found = read(**asked)
        tick("asking", 1, 1, service)
    return found


def save_paired(paired: Paired, out: Path, lost: Path | None) -> dict[str, Any]:
    """Write match-ups, and lost samples where wanted; the summary for `--json`."""
    write_table(paired.matchups, out, "matchup")
    if lost is not None:
        paired.lost.to_csv(lost, index=False)
    groups = int(paired.matchups["group"].nunique())
    return {"out": str(out), "rows": len(paired.matchups), "groups": groups, "samples": paired.counts()}


def save_samples(found: Harmonised, out: Path) -> dict[str, Any]:
    """Write samples; the summary for `--json`."""
    write_table(found.samples, out, "sample")
    gone = {reason: count for reason, count in found.attrition.dropped.items() if count}
    sites = int(found.samples["site"].nunique())
    return {"out": str(out), "rows": len(found.samples), "sites": sites, "read": found.attrition.start, "dropped": gone}


def show(facts: Mapping[str, Any]) -> None:
    """The summary in words."""
    told = {**facts, **facts.get("samples", {}), **{f"dropped: {k}": n for k, n in facts.get("dropped", {}).items()}}
    console = Console()
    for what, count in told.items():
        if isinstance(count, int):
            console.print(f"{count:>7} {what}", highlight=False, markup=False, soft_wrap=True)
    console.print(facts["out"], highlight=False, markup=False, soft_wrap=True)


def columns_of(texts: Sequence[str], option: str) -> dict[str, str]:
    """Pairs OURS=THEIRS.

    Raises:
        InputError: A text without =.

    >>> columns_of(["value=tss", "site=station"], "--column")
    {'value': 'tss', 'site': 'station'}
    """
    for text in texts:
        if not all(text.partition("=")):
            raise InputError(f"{option} {text}: wanted OURS=THEIRS, like value=tss")
    return {text.partition("=")[0]: text.partition("=")[2] for text in texts}


def _time_of(path: Path, rasters: Rasters) -> datetime:
    """When a raster was taken, by its name."""
    try:
        day = datetime.strptime(path.stem, rasters.pattern).replace(tzinfo=UTC)
    except ValueError:
        raise InputError(
            f"no time in the name {path.name}: wanted {rasters.pattern!r} before .tif; see --name-time"
        ) from None
    try:
        clock = datetime.strptime(rasters.overpass, "%H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise InputError(f"--overpass {rasters.overpass}: wanted HH:MM, UTC") from None
    return day + timedelta(hours=clock.hour, minutes=clock.minute)
