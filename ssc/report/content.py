"""Everything the page says, as values a template can write down: no drawing, no HTML of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from ssc.report.colours import STATUS
from ssc.report.coverage import LETTERS
from ssc.report.frames import Frames
from ssc.report.words import STATUSES, amount, flag_meanings, reach_name, reason_kind

TABLE_ROWS: Final = 40
"""Reaches in the table under the map; the store holds them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusLine:
    """One line of the summary."""

    name: str
    meaning: str
    colour: str
    letter: str
    """As in the calendar."""
    n: int
    share: float
    """Percent of all granules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachLine:
    """One reach in numbers; concentrations are written out, in mg/L."""

    name: str
    n: int
    n_good: int
    """Estimates without any quality flag."""
    median: str
    lowest: str
    highest: str
    last: str
    """Day of the latest estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagLine:
    """One quality flag."""

    bit: int
    name: str
    meaning: str
    n: int
    """Estimates that carry it."""


def key_figures(frames: Frames, medians: pd.DataFrame) -> list[tuple[str, str]]:
    """The store in a handful of numbers: (value with unit, what it is)."""
    estimates = frames.rows["ssc"].dropna()
    reached = int((medians["n"] > 0).sum())
    middle = f"{amount(float(estimates.median()))} mg/L" if len(estimates) else "none"
    return [
        (f"{len(frames.ledger):,}", "granules"),
        (f"{reached:,} of {len(medians):,}", "reaches with an estimate"),
        (f"{len(estimates):,}", "SSC estimates"),
        (middle, "median SSC"),
    ]


def period(frames: Frames) -> str:
    """First to last day of what the store holds; empty when it holds nothing dated."""
    times = pd.concat([frames.rows["time"], frames.ledger["acquired"]]).dropna()
    if times.empty:
        return ""
    first, last = f"{times.min():%Y-%m-%d}", f"{times.max():%Y-%m-%d}"
    return first if first == last else f"{first} to {last}"


def status_lines(ledger: pd.DataFrame) -> list[StatusLine]:
    """How the granules ended, in the order of `STATUSES`; a status nobody has is left out."""
    counts = Counter(ledger["status"])
    return [
        StatusLine(
            name=name,
            meaning=meaning,
            colour=STATUS[status],
            letter=LETTERS[status],
            n=counts[status],
            share=100 * counts[status] / len(ledger),
        )
        for status, (name, meaning) in STATUSES.items()
        if counts[status]
    ]


def set_aside(ledger: pd.DataFrame) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
    """(kind of reason, granules) by frequency, and (granule, reason) by name."""
    failed = ledger[ledger["status"] == "set_aside"].sort_values("granule_id")
    kinds = Counter(reason_kind(reason) for reason in failed["reason"])
    return kinds.most_common(), list(zip(failed["granule_id"], failed["reason"], strict=True))


def reach_medians(rows: pd.DataFrame, reaches: pd.DataFrame) -> pd.DataFrame:
    """One row per reach that any granule showed; all reaches of the store when none did.

    Returns:
        Indexed by reach_id: n, n_good (estimates, and those without flags), ssc (median, mg/L), low, high, last (time),
        and, where the store has the line of the reach, geometry and river_name.
    """
    estimates = rows[rows["ssc"].notna()]
    by = estimates.groupby("reach_id")
    seen = pd.Index(rows["reach_id"].unique(), name="reach_id") if len(rows) else reaches.index
    table = pd.DataFrame(
        {
            "n": by.size(),
            "n_good": (estimates["ssc_quality"] == 0).groupby(estimates["reach_id"]).sum(),
            "ssc": by["ssc"].median().astype(float),
            "low": by["ssc"].min(),
            "high": by["ssc"].max(),
            "last": by["time"].max(),
        }
    ).reindex(seen.sort_values())
    counts = table[["n", "n_good"]].fillna(0).astype("int64")
    named = table.assign(**counts).join(reaches[["geometry", "river_name"]])
    return named.assign(river_name=named["river_name"].where(named["river_name"].notna(), "").astype(str))


def reach_lines(medians: pd.DataFrame) -> list[ReachLine]:
    """The reaches with most estimates in numbers."""
    best = medians[medians["n"] > 0].sort_values("n", ascending=False, kind="stable").head(TABLE_ROWS)
    return [
        ReachLine(
            name=reach_name(row["reach_id"], row["river_name"]),
            n=row["n"],
            n_good=row["n_good"],
            median=amount(row["ssc"]),
            lowest=amount(row["low"]),
            highest=amount(row["high"]),
            last=f"{row['last']:%Y-%m-%d}",
        )
        for row in best.reset_index().to_dict("records")
    ]


def flag_lines(rows: pd.DataFrame) -> list[FlagLine]:
    """Every quality flag, what it means and how many estimates carry it."""
    bits = rows.loc[rows["ssc"].notna(), "ssc_qual"].to_numpy(dtype=np.int64)
    return [
        FlagLine(bit=int(flag), name=name, meaning=meaning, n=int(np.count_nonzero(bits & int(flag))))
        for flag, (name, meaning) in flag_meanings().items()
    ]


def months(ledger: pd.DataFrame) -> list[tuple[str, dict[str, int]]]:
    """Granules of each month by status, for those who cannot see the calendar."""
    dated = ledger[ledger["acquired"].notna()]
    counts = pd.crosstab(dated["acquired"].dt.strftime("%Y-%m"), dated["status"])
    return [(str(month), {str(key): int(n) for key, n in row.items()}) for month, row in counts.iterrows()]


def provenance(frames: Frames, method: tuple[str, str], facts: Mapping[str, object]) -> list[tuple[str, str]]:
    """What the numbers were made with, then what the caller adds."""
    rows = frames.rows
    known = [
        ("Masker", method[0]),
        ("Regressor", method[1]),
        ("Reach file (SWORD version)", _distinct(rows["sword_version"])),
        ("river-ssc", _distinct(rows["code_version"])),
        ("Settings hash", _distinct(rows["settings_hash"])),
        ("Satellites", _distinct(rows["platform"])),
        *_last_run(frames),
        *((str(name), str(value)) for name, value in facts.items()),
    ]
    return [(name, value) for name, value in known if value]


def _distinct(values: pd.Series[Any], most: int = 6) -> str:
    found = sorted({str(value) for value in values})
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def _last_run(frames: Frames) -> list[tuple[str, str]]:
    if not frames.runs:
        return []
    last = frames.runs[-1]
    libraries = ", ".join(f"{name} {version}" for name, version in dict(last.get("libraries") or {}).items())
    return [
        ("Last run", str(last.get("finished") or "")),
        ("Commit", str(last.get("code_commit") or "")),
        ("Libraries", libraries),
    ]
