"""What became of every granule: the ledger decides what is done, so that a run killed anywhere is simply run again.

A granule's rows are written before its entry; killed between the two, the granule is done again and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
import pandas as pd
import pyarrow as pa

from ssc.conform import match, same_rows, to_frame, to_table
from ssc.delta import KeyedTable, Swap, Written, text
from ssc.errors import InputError
from ssc.provenance import code_version


class Status(StrEnum):
    """How a granule ended; SET_ASIDE is the only one that is tried again."""

    ESTIMATED = "estimated"
    """At least one reach got an SSC estimate."""
    CLOUDY = "cloudy"
    """No estimate: most of the channel was hidden by cloud, shadow, snow or terrain shadow, or had no data."""
    NO_WATER = "no_water"
    """No estimate: the channel was seen, but too little of it was water."""
    NO_REACH = "no_reach"
    """None of the reaches lies on the granule's grid."""
    SET_ASIDE = "set_aside"
    """The granule could not be read; `reason` says why."""


KEY = ("granule_id", "masker", "regressor")

SCHEMA = pa.schema(
    [
        pa.field("granule_id", pa.string(), nullable=False),
        pa.field("masker", pa.string(), nullable=False),
        pa.field("regressor", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("n_reaches", pa.int32(), nullable=False),
        pa.field("n_estimated", pa.int32(), nullable=False),
        pa.field("settings_hash", pa.string(), nullable=False),
        pa.field("code_version", pa.string(), nullable=False),
        pa.field("seconds", pa.float32()),
        pa.field("finished", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("year", pa.int32(), nullable=False),
    ]
)

_CLOCK = ("seconds", "finished")
"""Not part of what an entry says: an entry that differs in these only is not written again."""
_YEAR = re.compile(r"\.(\d{4})\d{3}T\d{6}\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One granule, masker and regressor: how it ended."""

    granule_id: str
    masker: str
    regressor: str
    status: str
    """A value of `Status`."""
    settings_hash: str
    reason: str = ""
    """One line; empty unless set aside."""
    n_reaches: int = 0
    n_estimated: int = 0
    code_version: str = field(default_factory=code_version)
    seconds: float = float("nan")
    """Wall time spent on the granule, NaN if unknown."""
    finished: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if self.status not in set(Status):
            raise InputError(f"no status {self.status!r} for {self.granule_id}: wanted one of {' '.join(Status)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The table of entries beside the results."""

    table: KeyedTable

    @classmethod
    def at(cls, uri: str) -> Ledger:
        """The ledger that lies there."""
        return cls(table=KeyedTable(uri=uri, schema=SCHEMA, key=KEY, partitions=("year",)))

    def write(self, entries: Sequence[Entry]) -> Written:
        """Add or replace entries in one commit; of two entries with one key the later in the sequence counts."""
        if not entries:
            return Written()
        new = _table(entries)
        years = sorted(set(new["year"].to_pylist()))
        named = text("granule_id").isin(new["granule_id"].cast(pa.large_string()))
        return self.table.swap({"year": years}, named, lambda stored: _swap(new, stored))

    def read(self) -> pd.DataFrame:
        """All entries, by granule, masker and regressor."""
        return to_frame(self.table.read().sort_by([(name, "ascending") for name in KEY]).drop_columns("year"))

    def done(self, masker: str, regressor: str) -> dict[str, str]:
        """The settings_hash with which each granule was done, by granule id; what was set aside is not done."""
        where = (
            (text("masker") == masker) & (text("regressor") == regressor) & (text("status") != Status.SET_ASIDE.value)
        )
        found = self.table.read(where, ["granule_id", "settings_hash"])
        return dict(zip(found["granule_id"].to_pylist(), found["settings_hash"].to_pylist(), strict=True))


def _table(entries: Sequence[Entry]) -> pa.Table:
    last = {(entry.granule_id, entry.masker, entry.regressor): entry for entry in entries}
    names = [item.name for item in fields(Entry)]
    frame = pd.DataFrame([[getattr(entry, name) for name in names] for entry in last.values()], columns=names)
    frame = frame.assign(
        seconds=frame["seconds"].astype(np.float32),
        year=frame["granule_id"].str.extract(_YEAR, expand=False).fillna("0").astype(np.int32),
    )
    return to_table(frame, SCHEMA)


def _swap(new: pa.Table, stored: pa.Table) -> Swap:
    """Entries that say the same but for the clock stay as they are."""
    ours, theirs = match(new, stored, KEY)
    said = _without(new, _CLOCK), _without(stored, _CLOCK)
    same = same_rows(said[0].take(ours), said[1].take(theirs))
    changed = np.ones(new.num_rows, dtype=bool)
    changed[ours[same]] = False
    before = stored.take(theirs)
    after = pa.concat_tables([new.filter(changed), before.filter(same)])
    return Swap(before=before, after=after, fresh=np.ones(after.num_rows, dtype=bool))


def _without(table: pa.Table, names: Collection[str]) -> pa.Table:
    return table.drop_columns(list(names))
