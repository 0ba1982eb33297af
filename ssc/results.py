"""The results store: one row per reach, acquisition, platform, masker and regressor.

    store = open_store("out/store")
    store.query(reach_ids=[74299900011], start="2021-09-01", quality_max=1)

A store is a folder, local or in an object store (`ssc.places` says how to log in to one):

    results/         Delta table of `ssc.schema.COLUMNS`, partitioned by basin and year
    granules/        Delta table: the ledger (`ssc.ledger`)
    reaches.parquet  GeoParquet: the reaches the rows speak of
    runs/            one JSON per run (`ssc.provenance.run_record`)
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ssc.conform import match, to_frame, to_table
from ssc.delta import KeyedTable, Swap, Written
from ssc.errors import InputError
from ssc.ledger import Ledger
from ssc.overlaps import OVERPASS
from ssc.overpasses import scope_of, settle
from ssc.places import Place
from ssc.schema import KEY, PARTITIONS, arrow_schema
from ssc.selection import Time, where

ORDER = ("reach_id", "time", "acquisition", "platform", "masker", "regressor")
"""How answers are sorted."""

_OURS = {"results", "granules", "reaches.parquet", "runs", "cache"}

Resolve = Callable[[pd.DataFrame], pd.DataFrame]
"""Picks one row per reach, platform, overpass, masker and regressor: some of the rows it is given, as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Results of one or many runs. Any number of processes may read; writers wait for each other."""

    place: Place

    @property
    def results(self) -> KeyedTable:
        """The table of results."""
        return KeyedTable(uri=(self.place / "results").uri, schema=arrow_schema(), key=KEY, partitions=PARTITIONS)

    @property
    def ledger(self) -> Ledger:
        """What became of every granule."""
        return Ledger.at((self.place / "granules").uri)

    def write(self, rows: pd.DataFrame, *, resolve: Resolve | None = None) -> Written:
        """Add rows or replace those with the same key, in one commit; none when nothing differs.

        With `resolve`, the new rows and the stored rows of the same overpasses compete, and those that lose are not
        stored or are taken out in the same commit: tile A then tile B ends in the same table as B then A.

        Args:
            rows: Columns of `ssc.schema.COLUMNS` in any order, NaN where there is no number.
            resolve: Picks one row per overpass, such as `ssc.overlaps.resolve`.

        Raises:
            ResultError: A column is missing, unknown, of another type or empty where it must not be; a key is there
                twice; a row is in the wrong partition.
            TransientError: Other writers were quicker each time.
        """
        if rows.empty:
            return Written()
        new = to_table(rows, arrow_schema())
        return self.results.swap(scope_of(new), _near(new), lambda stored: _decide(new, stored, resolve))

    def query(
        self,
        reach_ids: Collection[int] | None = None,
        *,
        start: Time | None = None,
        end: Time | None = None,
        masker: str | None = None,
        regressor: str | None = None,
        quality_max: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Rows that meet every given condition, sorted by reach_id and time.

        Args:
            reach_ids: Reaches; one that is not in the store gives no rows.
            start: First day or moment (`time`), ISO text or date; UTC unless it says otherwise.
            end: Last day, which is included whole, or last moment.
            masker: Name of the masker.
            regressor: Name of the regressor.
            quality_max: Largest `ssc_quality`: 0 good, 1 suspect, 2 degraded, 3 bad.
            columns: Only these, in this order.

        Returns:
            Numbered from 0; float32 with NaN for missing, times aware UTC, `granule_ids` and `tile_ids` lists.

        Raises:
            InputError: Not a date, a reach id or a column.
        """
        return to_frame(
            self.arrow(
                reach_ids,
                start=start,
                end=end,
                masker=masker,
                regressor=regressor,
                quality_max=quality_max,
                columns=columns,
            )
        )

    def arrow(  # noqa: PLR0917  the conditions of `query`
        self,
        reach_ids: Collection[int] | None = None,
        start: Time | None = None,
        end: Time | None = None,
        masker: str | None = None,
        regressor: str | None = None,
        quality_max: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """As `query`, as an Arrow table with unit and meaning in the metadata of its fields; missing is null."""
        names = _known(columns)
        condition = where(reach_ids, start=start, end=end, masker=masker, regressor=regressor, quality_max=quality_max)
        found = self.results.read(condition, [*names, *(name for name in ORDER if name not in names)])
        return found.sort_by([(name, "ascending") for name in ORDER]).select(names)

    def geo(self, **conditions: Any) -> gpd.GeoDataFrame:
        """As `query`, with the line of the reach as geometry and its river_name and width_m.

        Rows whose reach is not in `reaches.parquet` have no geometry.
        """
        rows = self.query(**conditions)
        if "reach_id" not in rows:
            raise InputError(f"cannot join reaches: found columns {' '.join(rows.columns)}, wanted reach_id among them")
        return gpd.GeoDataFrame(rows.join(self.reaches(), on="reach_id"), geometry="geometry", crs="EPSG:4326")

    def reaches(self) -> gpd.GeoDataFrame:
        """The reaches of all runs, indexed by reach_id, lines in EPSG:4326; empty before the first run."""
        try:
            content = (self.place / "reaches.parquet").read()
        except FileNotFoundError:
            empty = gpd.GeoDataFrame({"river_name": [], "width_m": []}, geometry=[], crs="EPSG:4326")
            return empty.set_index(pd.Index([], dtype=np.int64, name="reach_id"))
        return gpd.read_parquet(io.BytesIO(content)).set_index("reach_id")

    def write_reaches(self, table: gpd.GeoDataFrame) -> None:
        """Add reaches or replace those with the same id.

        The file is written whole; of two runs that start in the same second with other reaches, the later one counts,
        and the next run of the other mends it.

        Args:
            table: `ssc.reaches.Reaches.table`: indexed by reach_id (int64), lines in EPSG:4326.
        """
        place, known = self.place / "reaches.parquet", self.reaches()
        kept = known[~known.index.isin(table.index)]
        merged = table if kept.empty else gpd.GeoDataFrame(pd.concat([kept, table]), crs=table.crs)
        content = io.BytesIO()
        merged.sort_index().rename_axis("reach_id").reset_index().to_parquet(content, index=False)
        if known.empty or content.getvalue() != place.read():
            place.write(content.getvalue())

    def tidy(self) -> None:
        """Join small files and delete what no version of the last week names; no row changes. Safe at any time."""
        self.results.tidy()
        self.ledger.table.tidy()

    def write_run(self, record: Mapping[str, Any]) -> Place:
        """Keep the record of a run (`ssc.provenance.run_record`) beside the results."""
        place = self.place / "runs" / f"{record['run']}.json"
        place.write((json.dumps(record, indent=2) + "\n").encode())
        return place

    def runs(self) -> list[dict[str, Any]]:
        """Records of runs, oldest first."""
        folder = self.place / "runs"
        return [json.loads((folder / name).read()) for name in folder.names() if name.endswith(".json")]


def open_store(path: str | Path, *, create: bool = False) -> Store:
    """The store at a path or URL (s3://bucket/prefix).

    Args:
        path: Folder or URL.
        create: Make it if there is nothing yet.

    Raises:
        InputError: No store there, or a folder of something else.
        AccessError: A service refuses us.
    """
    store = Store(place=Place.of(path))
    names = set(store.place.names())
    strange = sorted(name for name in names - _OURS if not name.startswith("."))
    if "results" not in names and strange:
        raise InputError(
            f"not a results store: {path} holds {' '.join(strange[:3])} ..., wanted an empty or new folder"
        )
    if create:
        store.ledger.table.create("What became of every granule")
        store.results.create("Suspended sediment concentration per river reach and acquisition")
    elif not store.results.exists():
        raise InputError(f"no results store at {path}: make one with `ssc estimate ... --out {path}`, or `ssc demo`")
    return store


def _near(new: pa.Table) -> pc.Expression:
    """Stored rows that could share a key or an overpass with new ones."""
    first, last = (bound(new["acquisition"]).as_py() for bound in (pc.min, pc.max))
    margin = OVERPASS.to_pytimedelta()
    time = pc.field("acquisition")
    return pc.field("reach_id").isin(new["reach_id"].unique()) & (time >= first - margin) & (time <= last + margin)


def _decide(new: pa.Table, stored: pa.Table, resolve: Resolve | None) -> Swap:
    if resolve is not None:
        return settle(new, stored, resolve)
    _, replaced = match(new, stored, KEY)
    return Swap(before=stored.take(np.unique(replaced)), after=new, fresh=np.ones(new.num_rows, dtype=bool))


def _known(columns: Sequence[str] | None) -> list[str]:
    names = arrow_schema().names
    if columns is None:
        return names
    unknown = [name for name in columns if name not in names]
    if unknown:
        raise InputError(f"no column {' '.join(unknown)} in the results: wanted some of {' '.join(names)}")
    return list(columns)
