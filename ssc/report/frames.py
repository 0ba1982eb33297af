"""What a report is made from: the tables of a store, cut down to one masker and one regressor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import geopandas as gpd
import pandas as pd

from ssc.errors import GranuleNameError
from ssc.granules import parse
from ssc.results import Store

COLUMNS: Final = (
    *("reach_id", "time", "platform", "masker", "regressor", "product", "granule_ids"),
    *("ssc", "ssc_lo90", "ssc_hi90", "ssc_qual", "ssc_quality"),
    *("sword_version", "code_version", "settings_hash"),
)
"""Columns of the results that a report reads."""
METHOD: Final = ["masker", "regressor"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frames:
    """Tables of one store."""

    rows: pd.DataFrame
    """Results rows, at least `COLUMNS`."""
    ledger: pd.DataFrame
    """granule_id, masker, regressor, status, reason, n_reaches, n_estimated; one row per granule and method."""
    reaches: gpd.GeoDataFrame
    """Indexed by reach_id: geometry (EPSG:4326 lines) and river_name."""
    runs: Sequence[Mapping[str, Any]] = field(default=())
    """Run records, oldest first."""

    @classmethod
    def of(cls, store: Store) -> Frames:
        """Read a store."""
        return cls(
            rows=store.query(columns=COLUMNS), ledger=store.ledger.read(), reaches=store.reaches(), runs=store.runs()
        )

    @property
    def methods(self) -> list[tuple[str, str]]:
        """Masker and regressor pairs in the store, the one with most estimates first."""
        columns = [*METHOD, "n_estimated"]
        table = self.ledger[columns]
        if table.empty:
            table = self.rows.assign(n_estimated=self.rows["ssc"].notna().astype("int64"))[columns]
        ranked = table.groupby(METHOD, sort=True)["n_estimated"].sum().sort_values(ascending=False, kind="stable")
        return [(str(masker), str(regressor)) for masker, regressor in ranked.index]

    def only(self, method: tuple[str, str]) -> Frames:
        """The same, of one masker and regressor; the ledger also tells when each granule was acquired."""
        rows, ledger = (_of(table, method) for table in (self.rows, self.ledger))
        ledger = ledger.assign(acquired=acquired(ledger["granule_id"]))
        return Frames(rows=rows, ledger=ledger, reaches=self.reaches, runs=self.runs)


def _of(table: pd.DataFrame, method: tuple[str, str]) -> pd.DataFrame:
    masker, regressor = method
    return table[(table["masker"] == masker) & (table["regressor"] == regressor)].reset_index(drop=True)


def acquired(granule_ids: pd.Series[Any]) -> pd.Series[Any]:
    """Acquisition times in granule names, aware UTC; NaT where a name is none."""
    times = [_acquired(name) for name in granule_ids]
    return pd.Series(times, index=granule_ids.index, dtype="datetime64[us, UTC]")


def _acquired(name: str) -> datetime | None:
    try:
        return parse(name).acquired
    except GranuleNameError:
        return None
