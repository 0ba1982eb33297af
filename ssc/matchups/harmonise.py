"""From what laboratories report to samples in mg/L: pure functions, and a count of every row that is left out.

A reader (`usgs`, `wqp`, `files`) brings its table into the columns of `RAW`, in the provider's own words; `harmonise`
does the rest, the same for all.

The vocabularies (statuses, media, fail words, units, parameter codes) are those of AquaMatch (Brousil et al. 2024,
tss harmonisation) and AquaSat (Ross et al. 2019). Unlike there, a sample below detection gets its limit and is marked
censored (AquaMatch: a random number below half of it), and one above the range of its method is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from ssc.errors import DataError
from ssc.matchups.columns import TIME, conform, empty
from ssc.matchups.sites import average, exact_duplicates, merge_sites
from ssc.regression.physical import FLOOR

RAW: Final[dict[str, str]] = {
    **dict.fromkeys(("site", "sample_id", "provider", "basin", "site_type", "reach_id"), "str"),
    **dict.fromkeys(("name", "pcode", "value", "unit", "limit", "limit_unit", "condition"), "str"),
    **dict.fromkeys(("status", "media", "comment", "method", "sampling", "local_date", "local_clock"), "str"),
    **dict.fromkeys(("depth_m", "longitude", "latitude"), "float64"),
    "sample_time": TIME,
}
"""Columns of a raw table and their types. name and pcode: what was measured; condition: words on detection; sampling:
equipment and relative depth; sample_time: UTC, NaT where unknown; then local_date (YYYY-MM-DD) and local_clock
(HH:MM or HH:MM:SS, in no known zone) tell what is known."""

SSC_NAMES: Final = ("suspended sediment concentration (ssc)", "suspended sediment concentration")
TSS_NAMES: Final = ("total suspended solids", "total suspended particulate matter")
"""In lower case. "Fixed suspended solids" is none of them: the mineral part alone."""
SSC_CODE, TSS_CODE, TURBIDITY_CODE, SURROGATE_CODE = "80154", "00530", "63680", "99409"
"""USGS parameter codes: SSC, TSS, turbidity (FNU), SSC computed from turbidity."""
TSS_FAMILY: Final = (
    TSS_CODE,
    *("70299", "70293", "70292", "69613"),
    *(str(code) for code in range(69579, 69589)),
)
"""Codes that AquaMatch keeps as suspended matter. UNCONFIRMED: which of them, but for 00530, the USGS calls SSC; a row
with one of them is taken for TSS unless its name says SSC."""
WEIGHTS: Final = {"ssc": 1.0, "tss": 1.0, "ssc_daily": 0.2, "turbidity_surrogate": 0.5}
"""Weight in training by label source. 0.5 at most: USGS T&M 3-C4 labels; 0.2 is ASSUMED (daily records interpolate)."""

STATUSES: Final = frozenset(
    {"", "accepted", "final", "historical", "validated", "preliminary", "provisional", "approved"}
)
"""Lower case. The first six are AquaMatch's; the Samples service of the USGS writes Provisional and Approved."""
MEDIA: Final = frozenset({"", "surface water", "water", "estuary"})
NOT_A_RIVER: Final = r"lake|reservoir|impoundment|pond\b|\bwell\b|facility|ocean|groundwater"
FAIL_WORDS: Final = (
    *("beyond accept", "cancelled", "contaminat", "error", "fail", "improper", "interference", "invalid"),
    *("no result", "no test", "not accept", "outside of accept", "problem", "questionable", "suspect", "unable"),
    *("violation", "reject", "no data", "time exceed", "value extrapolated", "exceeds", "biased"),
    *("parameter not required", "not visited"),
)
NOT_DETECTED: Final = r"non-detect|not detect|non detect|undetect|below|present <ql"
NO_NUMBER_NOT_DETECTED: Final = r"nd|bdl|" + NOT_DETECTED
ABOVE: Final = r"present above|above (?:upper )?quantif"
AT_DEPTH: Final = r"pump|peristaltic|niskin|van dorn|kemmerer|bottom|midwater|below thermocline|hypolimnion"
SURFACE_M: Final = 1.0
"""A sample from deeper is one from depth (AquaMatch)."""

UNITS: Final = {
    **dict.fromkeys(("mg/l", "ppm", "g/m3", "ug/ml", "mg l-1"), 1.0),
    **dict.fromkeys(("g/l", "kg/m3", "mg/cm3", "mg/ml"), 1000.0),
    **dict.fromkeys(("ug/l", "ppb", "mg/m3"), 0.001),
}
"""Unit in lower case to mg/L. ppm holds to 1 % up to 16 000 mg/L. Not here: ppt (thousand or trillion) and "%", which
marks particle sizes."""
METRES: Final = {"m": 1.0, "meters": 1.0, "cm": 0.01, "ft": 0.3048, "feet": 0.3048, "in": 0.0254}

CLOCK_H: Final = 3.0
"""Hours by which a clock of unknown zone may differ from local solar time (western China, most)."""
DAY_H: Final = 12.0
"""The same for a date alone, put at local solar noon."""
NUMBER: Final = r"([<>]=?|~)?\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*\*?"
"""Sign and number. 1,200 is refused: it is 1.2 in half of the world."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attrition:
    """What became of the rows of a source."""

    start: int
    """Rows read."""
    dropped: Mapping[str, int]
    """Rows by why they are gone, the first reason that holds; averaged: went into the mean of another row."""

    @property
    def kept(self) -> int:
        """Rows of the sample table."""
        return self.start - sum(self.dropped.values())

    def __add__(self, other: Attrition) -> Attrition:
        reasons = {**self.dropped, **other.dropped}
        both = {reason: self.dropped.get(reason, 0) + other.dropped.get(reason, 0) for reason in reasons}
        return Attrition(start=self.start + other.start, dropped=both)

    def table(self) -> pd.DataFrame:
        """Rows reason, dropped and left, from the read rows on."""
        lost = pd.Series({"read": 0, **self.dropped}, dtype="int64")
        return pd.DataFrame({"reason": lost.index, "dropped": lost.to_numpy(), "left": self.start - lost.cumsum()})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Harmonised:
    """Samples of one source, or of several."""

    samples: pd.DataFrame
    """A sample table (see `columns`), ordered by site and time."""
    attrition: Attrition
    """Of the rows it was made from."""


def harmonise(raw: pd.DataFrame) -> Harmonised:
    """Samples in mg/L from reported results.

    Sites of several providers within 500 m become one; then exact duplicates go, and samples of one site and method
    within an hour become their mean.

    Args:
        raw: Columns of `RAW`; those it lacks are unknown.

    Raises:
        DataError: No column for sites or for values.
    """
    rows = _as_raw(raw)
    reason = _reasons(rows)
    dropped = {name: int((reason == name).sum()) for name in CHECKS}
    samples = _samples(rows[reason == ""])
    return _settled(samples, Attrition(start=len(rows), dropped=dropped))


def combine(parts: Iterable[Harmonised]) -> Harmonised:
    """Several sources as one: what two of them tell of one site and time is told once.

    The means of the parts count as single samples.
    """
    parts = list(parts)
    attrition = sum((part.attrition for part in parts), Attrition(start=0, dropped={}))
    tables = [part.samples for part in parts if len(part.samples)]
    return _settled(pd.concat(tables, ignore_index=True) if tables else empty("sample"), attrition)


def _settled(samples: pd.DataFrame, attrition: Attrition) -> Harmonised:
    """Sites merged, duplicates dropped, replicates averaged."""
    if samples.empty:
        none = {"duplicate": 0, "averaged": 0}
        return Harmonised(samples=empty("sample"), attrition=attrition + Attrition(start=0, dropped=none))
    merged = merge_sites(samples)
    single = merged[~exact_duplicates(merged)]
    means = average(single)
    lost = {"duplicate": len(samples) - len(single), "averaged": len(single) - len(means)}
    return Harmonised(samples=conform(means, "sample"), attrition=attrition + Attrition(start=0, dropped=lost))


def metres(value: pd.Series, unit: pd.Series) -> pd.Series:
    """Depths in m (float64), positive whatever their sign; NaN for unknown units, gaps and fillers like 999."""
    number = pd.to_numeric(value, errors="coerce").abs().astype("float64")
    factor = unit.astype("str").str.strip().str.lower().map(METRES).astype("float64")
    return (number * factor).where(~number.isin([99, 999, 9999]))


def _as_raw(raw: pd.DataFrame) -> pd.DataFrame:
    lacking = [name for name in ("site", "value") if name not in raw]
    if lacking:
        raise DataError(f"no raw samples: found columns {' '.join(map(str, raw))}, wanted also {' '.join(lacking)}")
    rows = raw.reset_index(drop=True)
    return pd.DataFrame({name: _cast(rows, name, dtype) for name, dtype in RAW.items()}, index=rows.index)


def _cast(rows: pd.DataFrame, name: str, dtype: Any) -> pd.Series:
    if name not in rows:
        return pd.Series("" if dtype == "str" else None, index=rows.index, dtype=dtype)
    if dtype == "str":
        return rows[name].astype("str").fillna("").str.strip()
    if dtype == TIME:
        return pd.to_datetime(rows[name], utc=True).astype(TIME)
    return pd.to_numeric(rows[name], errors="coerce").astype(dtype)


def label_sources(rows: pd.DataFrame) -> pd.Series:
    """What each raw row is a label of, "" for other quantities. A parameter code decides where there is one."""
    name, code = rows["name"].str.lower(), rows["pcode"].str.zfill(5).where(rows["pcode"] != "", "")
    named = np.select([name.isin(SSC_NAMES), name.isin(TSS_NAMES)], ["ssc", "tss"], default="")
    coded = np.select(
        [code == SSC_CODE, code == SURROGATE_CODE, code.isin(TSS_FAMILY) & (named == "ssc"), code.isin(TSS_FAMILY)],
        ["ssc", "turbidity_surrogate", "ssc", "tss"],
        default="",
    )
    return pd.Series(np.where(code == "", named, coded), index=rows.index, dtype="str")


def concentrations(rows: pd.DataFrame) -> pd.DataFrame:
    """What each raw row reports.

    Returns:
        ssc_mg_l (NaN where no number or no unit is told), censored, above (True: more than the method could tell),
        told (True: there is a number), and limited (False: below a limit that nobody tells).
    """
    parts = rows["value"].str.extract(f"^{NUMBER}$")
    sign, number = parts[0].fillna(""), pd.to_numeric(parts[1])
    words = rows["condition"].str.contains(NOT_DETECTED, case=False)
    hidden = words | rows["value"].str.fullmatch(NO_NUMBER_NOT_DETECTED, case=False) | sign.str.startswith("<")
    limit = pd.to_numeric(rows["limit"].str.lstrip("<= "), errors="coerce")
    limit = limit.where(limit > 0)
    in_value = sign.str.startswith("<") | limit.isna()
    bound = np.where(in_value, number.where(number > 0) * _factor(rows["unit"]), limit * _limit_factor(rows))
    zero = (number == 0) & ~hidden  # written to whole mg/L: below 0.5
    ssc = np.select([hidden, zero], [bound, np.fmax(bound, FLOOR)], default=number * _factor(rows["unit"]))
    return pd.DataFrame(
        {
            "ssc_mg_l": ssc,
            "censored": hidden | zero,
            "above": sign.str.startswith(">") | rows["condition"].str.contains(ABOVE, case=False),
            "told": number.notna() | (hidden & limit.notna()),
            "limited": ~hidden | limit.notna() | (number > 0),
        }
    )


def _factor(unit: pd.Series) -> pd.Series:
    return unit.str.lower().str.replace("\u00b5", "u").str.replace("\u03bc", "u").map(UNITS).astype("float64")


def _limit_factor(rows: pd.DataFrame) -> pd.Series:
    return _factor(rows["limit_unit"].where(rows["limit_unit"] != "", rows["unit"]))


def moments(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Times (UTC, NaT where even the date is unknown) and half widths of what is not known of them (hours).

    Without a zone, a clock is taken for local solar time and a date for its local noon, when satellites pass.
    """
    shift = pd.to_timedelta(rows["longitude"].fillna(0) / 15, unit="h")
    date = pd.to_datetime(rows["local_date"].str.slice(0, 10), format="%Y-%m-%d", utc=True, errors="coerce")
    clock = pd.to_timedelta(rows["local_clock"].str.replace(r"^(\d+:\d+)$", r"\1:00", regex=True), errors="coerce")
    local = date + clock.fillna(pd.Timedelta(hours=DAY_H)) - shift
    known_clock = clock.notna() & rows["longitude"].notna()
    uncertain = np.select([rows["sample_time"].notna(), known_clock], [0.0, CLOCK_H], default=DAY_H)
    return rows["sample_time"].fillna(local.astype(TIME)), pd.Series(uncertain, index=rows.index)


def at_depth(rows: pd.DataFrame) -> pd.Series:
    """(n,) bool, True: from deeper than 1 m, or by equipment or in words that say so."""
    return (rows["depth_m"] > SURFACE_M) | rows["sampling"].str.contains(AT_DEPTH, case=False)


def field_flags(rows: pd.DataFrame) -> pd.Series:
    """(n,) bool, True: TSS from depth, or SSC of others than the USGS not from depth (so not depth-integrated)."""
    deep, label = at_depth(rows), label_sources(rows)
    return ((label == "tss") & deep) | ((label == "ssc") & ~deep & ~rows["provider"].str.startswith("USGS"))


Check = Callable[[pd.DataFrame, pd.DataFrame], pd.Series]
"""(raw rows, their concentrations) to (n,) bool, True = leave the row out."""

CHECKS: Final[dict[str, Check]] = {
    "quantity": lambda rows, _: label_sources(rows) == "",
    "no_site": lambda rows, _: rows["site"] == "",
    "site_type": lambda rows, _: rows["site_type"].str.contains(NOT_A_RIVER, case=False),
    "media": lambda rows, _: ~rows["media"].str.lower().isin(MEDIA),
    "status": lambda rows, _: ~rows["status"].str.lower().isin(STATUSES),
    "fail_word": lambda rows, _: _words(rows).str.contains("|".join(FAIL_WORDS), case=False),
    "above_range": lambda _, found: found["above"],
    "no_limit": lambda _, found: ~found["limited"],
    "no_value": lambda _, found: ~found["told"],
    "unit": lambda _, found: found["ssc_mg_l"].isna(),
    "negative": lambda _, found: found["ssc_mg_l"] < 0,
    "no_time": lambda rows, _: moments(rows)[0].isna(),
}
"""Why a row is left out, in this order; a row is counted once, for the first."""


def _words(rows: pd.DataFrame) -> pd.Series:
    return rows["comment"] + " " + rows["condition"] + " " + rows["value"]


def _reasons(rows: pd.DataFrame) -> pd.Series:
    found = concentrations(rows)
    failed: dict[str, Any] = {name: check(rows, found).to_numpy(dtype=bool) for name, check in CHECKS.items()}
    reason = np.select(list(failed.values()), list(failed), default="")
    return pd.Series(reason, index=rows.index, dtype="str")


def _samples(rows: pd.DataFrame) -> pd.DataFrame:
    found, (time, uncertain), label = concentrations(rows), moments(rows), label_sources(rows)
    same = ["site", "sample_id", "provider", "basin", "longitude", "latitude", "method"]
    return rows[same].assign(
        sample_time=time,
        dt_uncertain_h=uncertain,
        ssc_mg_l=found["ssc_mg_l"],
        censored=found["censored"],
        label_source=label,
        weight=label.map(WEIGHTS),
        field_flag=field_flags(rows),
        n_samples=1,
        cv=np.nan,
        reach_id=pd.to_numeric(rows["reach_id"], errors="coerce").fillna(-1).astype("int64"),
    )
