"""Samples from files: AquaSat, AquaMatch, GEMStat, GRQA, and plain CSV; and tables of our own.

Column names of others are those that public code for these files uses (AquaMatch's own harmonisation, GRQA's own
builder, readers of AquaSat and of GEMStat's Zenodo archive). UNCONFIRMED: that AquaSat's date_utc is the sampling time
and date_only marks dates without one; GEMStat's parameter code TSS; which zone GEMStat's and GRQA's times are in (taken
for local solar time, see `harmonise.moments`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ssc.errors import DataError, InputError
from ssc.matchups.columns import TIME, Kind, conform
from ssc.matchups.harmonise import RAW, SSC_NAMES, TSS_NAMES, Harmonised, harmonise

NAMES: Final = {"ssc": SSC_NAMES[0], "tss": TSS_NAMES[0]}
"""Label to a name that `harmonise` knows."""
_ZONES: Final = {-4: "AST EDT", -5: "EST CDT", -6: "CST MDT", -7: "MST PDT", -8: "PST AKDT", -9: "AKST", -10: "HST"}
OFFSETS: Final = {
    "UTC": "+00:00",
    "GMT": "+00:00",
    **{zone: f"-{-hours:02d}:00" for hours, zones in _ZONES.items() for zone in zones.split()},
}
"""Zones of the Water Quality Portal, which GRQA takes over."""
DEFAULT_CLOCKS: Final = ("00:00", "00:00:00", "12:00", "12:00:00")
"""What GEMStat writes where only the date is known."""
_DATE: Final = r"\d{4}-\d{2}-\d{2}"


def read_aquamatch(path: str | Path) -> Harmonised:
    """AquaMatch's tss_harmonized_final (EDI 2048), CSV, Feather or Parquet.

    What AquaMatch drew at random below the limit (mdl_flag 1) has lost its limit and is left out (no_limit), as is
    what is above the range of the method (greater_flag 1).

    Raises:
        InputError: No such file.
        DataError: Not such a table.
    """
    table = _load(path)
    _require(table, ("MonitoringLocationIdentifier", "ActivityStartDate", "harmonized_value", "parameter"), path)
    text = _texts(table)
    told, flagged = text("ActivityStartTime.Time") != "", _one(text("field_flag"))
    tss = text("parameter") == "tss"
    raw = {
        "site": text("MonitoringLocationIdentifier"),
        "provider": text("OrganizationIdentifier"),
        "site_type": text("ResolvedMonitoringLocationTypeName"),
        "name": text("parameter").map(NAMES),
        "value": text("harmonized_value").mask(_one(text("mdl_flag")), "nd"),
        "unit": text("harmonized_units"),
        "longitude": text("lon"),
        "latitude": text("lat"),
        "depth_m": pd.to_numeric(text("harmonized_discrete_depth_value"), errors="coerce").abs(),
        # its field flag means depth for TSS and no depth for SSC; where it does not apply, it is 0
        "sampling": np.where((text("field_flag") != "") & (tss == flagged), "pump or at depth", ""),
        "sample_time": _utc(text("harmonized_utc").where(told, "")),
        "local_date": text("ActivityStartDate"),
    }
    above = _one(text("greater_flag"))
    return harmonise(pd.DataFrame(raw).assign(value=lambda rows: rows["value"].mask(above, ">" + rows["value"])))


def read_aquasat(path: str | Path) -> Harmonised:
    """AquaSat's sr_wq_rs_join (Ross et al. 2019), CSV, Feather or Parquet: its samples, not its Landsat side.

    A sample stands there once for each scene; duplicates go. It does not tell TSS from SSC: all is labelled TSS.

    Raises:
        InputError: No such file.
        DataError: Not such a table.
    """
    table = _load(path)
    _require(table, ("SiteID", "lat", "long", "date", "tss"), path)
    text = _texts(table)
    raw = {
        "site": text("SiteID"),
        "provider": text("source"),
        "site_type": text("type"),
        "name": np.where(text("tss") == "", "", NAMES["tss"]),
        "value": text("tss"),
        "unit": "mg/L",
        "longitude": text("long"),
        "latitude": text("lat"),
        "sample_time": _utc(text("date_utc").mask(text("date_only").str.lower().isin(["true", "1", "t"]), "")),
        "local_date": text("date").str.slice(0, 10),
    }
    return harmonise(pd.DataFrame(raw))


def read_gemstat(path: str | Path, stations: str | Path) -> Harmonised:
    """GEMStat: a file of results (Zenodo 18459694) and its GEMStat_station_metadata.csv.

    12:00 and 00:00 stand for no time. Results of quality Suspect or Poor are left out (status).

    Raises:
        InputError: No such file.
        DataError: Not such tables.
    """
    table, places = _spaced(_load(path)), _spaced(_load(stations))
    _require(table, ("GEMS Station Number", "Sample Date", "Parameter Code", "Value", "Unit"), path)
    _require(places, ("GEMS Station Number", "Latitude", "Longitude"), stations)
    station = "GEMS Station Number"
    table = table.merge(places.drop_duplicates(station), how="left", on=station, suffixes=("", " of station"))
    text = _texts(table)
    quality = text("Data Quality")
    raw = {
        "site": text("GEMS Station Number"),
        "provider": "GEMStat",
        "basin": text("Main Basin"),
        "site_type": text("Water Type"),
        "name": np.where(text("Parameter Code") == "TSS", NAMES["tss"], ""),
        "value": _signs(text("Value Flags")) + _points(text("Value")),
        "unit": text("Unit"),
        "status": quality.where(quality.isin(["Suspect", "Poor"]), ""),
        "method": text("Analysis Method Code"),
        "depth_m": pd.to_numeric(_points(text("Depth")), errors="coerce").abs(),
        "longitude": _points(text("Longitude")),
        "latitude": _points(text("Latitude")),
        "local_date": text("Sample Date").str.slice(0, 10),
        "local_clock": text("Sample Time").mask(lambda clock: clock.isin(DEFAULT_CLOCKS), ""),
    }
    return harmonise(pd.DataFrame(raw))


def read_grqa(path: str | Path) -> Harmonised:
    """GRQA's TSS_GRQA.csv (Virro et al. 2021). Its zones (EST ...) are read; GEMStat's default times count as none.

    Raises:
        InputError: No such file.
        DataError: Not such a table.
    """
    table = _load(path)
    _require(table, ("site_id", "lat_wgs84", "lon_wgs84", "obs_date", "param_code", "obs_value", "unit"), path)
    text = _texts(table)
    clock = text("obs_time")
    clock = clock.mask((text("source") == "GEMSTAT") & clock.isin(DEFAULT_CLOCKS), "")
    offset = text("obs_time_zone").map(OFFSETS)
    stamp = (text("obs_date").str.slice(0, 10) + "T" + clock + offset).where(clock != "", "")
    raw = {
        "site": text("site_id"),
        "sample_id": text("obs_id"),
        "provider": text("source"),
        "basin": text("drainage_region_name"),
        "name": np.where(text("param_code") == "TSS", NAMES["tss"], ""),
        "value": _signs(text("detection_limit_flag")) + text("obs_value"),
        "unit": text("unit"),
        "longitude": text("lon_wgs84"),
        "latitude": text("lat_wgs84"),
        "sample_time": _utc(stamp),
        "local_date": text("obs_date").str.slice(0, 10),
        "local_clock": clock,
    }
    return harmonise(pd.DataFrame(raw))


def read_plain(
    path: str | Path,
    columns: Mapping[str, str],
    *,
    label: str = "ssc",
    constants: Mapping[str, str] | None = None,
    date_format: str = "ISO8601",
) -> Harmonised:
    """Any CSV, Feather or Parquet of one row per sample.

    read_plain("lab.csv", {"site": "station", "time": "when", "value": "tss", "longitude": "x", "latitude": "y"},
    label="tss", constants={"unit": "mg/L"})

    Args:
        path: The file; no cell of CSV loses digits.
        columns: Our name to the file's: site, value and time, and any other of `harmonise.RAW`. A time without an
            offset is local, a date alone is put at noon.
        label: "ssc" or "tss".
        constants: Our name to what holds for all rows.
        date_format: Of `time`, as of strftime, for what is not ISO 8601.

    Raises:
        InputError: No such file or column, or a name that is none of ours.
        DataError: No table, or a time that is none.
    """
    constants = {"unit": "mg/L", **(constants or {})}
    ours = {*columns, *constants}
    unknown, lacking = ours - {*RAW, "time"}, {"site", "value", "time"} - ours
    if unknown or lacking or label not in NAMES:
        raise InputError(
            f"cannot read {path} so: unknown columns {' '.join(sorted(unknown)) or 'none'}, "
            f"missing {' '.join(sorted(lacking)) or 'none'}, label {label}; wanted {' '.join(NAMES)}"
        )
    table = _load(path)
    absent = [there for there in columns.values() if there not in table]
    if absent:
        raise InputError(f"no column {' '.join(absent)} in {path}: found {' '.join(map(str, table))}")
    text = _texts(table)
    raw = pd.DataFrame({name: text(there) for name, there in columns.items()}).assign(**constants, name=NAMES[label])
    return harmonise(pd.concat([raw.drop(columns="time"), _split_times(raw["time"], date_format, path)], axis=1))


def read_table(path: str | Path, kind: Kind) -> pd.DataFrame:
    """A sample or match-up table of our own, as `write_table` makes it.

    Raises:
        InputError: No such file.
        DataError: Not such a table.
    """
    try:
        return conform(_load(path), kind)
    except DataError as error:
        raise DataError(f"cannot use {path}: {error}") from error


def write_table(table: pd.DataFrame, path: str | Path, kind: Kind) -> None:
    """Write a sample or match-up table as Parquet, or as CSV where the name ends so.

    Raises:
        DataError: Not such a table.
    """
    rows = conform(table, kind)
    if Path(path).suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        rows.to_parquet(path, index=False)


def _load(path: str | Path) -> pd.DataFrame:
    """CSV as text throughout, Feather and Parquet with their types."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {path}: wanted CSV, Feather or Parquet")
    try:
        if path.suffix in {".feather", ".arrow"}:
            return pd.read_feather(path)
        return pd.read_parquet(path) if path.suffix == ".parquet" else _load_csv(path)
    except (OSError, ValueError) as error:
        what = str(error).splitlines()[0]
        raise DataError(f"cannot read {path}: found {what}, wanted CSV, Feather or Parquet") from error


def _load_csv(path: Path) -> pd.DataFrame:
    """Comma or semicolon, whichever its header has more of; UTF-8, or Latin-1 as of GEMStat."""
    try:
        path.read_text(encoding="utf-8-sig")
        encoding = "utf-8-sig"
    except UnicodeDecodeError:
        encoding = "latin-1"
    with path.open(encoding=encoding) as file:
        header = file.readline()
    separator = ";" if header.count(";") > header.count(",") else ","
    return pd.read_csv(path, sep=separator, dtype="str", encoding=encoding)


def _require(table: pd.DataFrame, wanted: Sequence[str], path: str | Path) -> None:
    lacking = [name for name in wanted if name not in table]
    if lacking:
        raise DataError(f"no column {' '.join(lacking)} in {path}: found {' '.join(map(str, table.columns[:12]))}")


class _texts:  # noqa: N801 - used as a function
    """Columns of a table as stripped text, "" where there is nothing or no such column."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table

    def __call__(self, name: str) -> pd.Series:
        if name not in self._table:
            return pd.Series("", index=self._table.index, dtype="str")
        return self._table[name].astype("str").fillna("").str.strip()


def _spaced(table: pd.DataFrame) -> pd.DataFrame:
    """GEMStat separates the words of its headers by spaces or by dots."""
    return table.rename(columns=lambda name: str(name).replace(".", " ").strip())


def _signs(flags: pd.Series) -> pd.Series:
    return flags.where(flags.isin(["<", ">"]), "")


def _points(numbers: pd.Series) -> pd.Series:
    return numbers.str.replace(",", ".", regex=False)


def _one(flags: pd.Series) -> pd.Series:
    return flags.isin(["1", "1.0"])


def _utc(times: pd.Series) -> pd.Series:
    return pd.to_datetime(times.replace("", None), format="ISO8601", utc=True, errors="coerce").astype(TIME)


def _split_times(text: pd.Series, date_format: str, path: str | Path) -> pd.DataFrame:
    """sample_time of what has an offset, local_date and local_clock of the rest."""
    given: Any = text.replace("", None)
    zoned = text.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$") & text.str.contains(":")
    try:
        local = pd.to_datetime(given.mask(zoned), format=date_format)
        aware = pd.to_datetime(given.where(zoned), format="ISO8601", utc=True)
    except ValueError as error:
        raise DataError(f"cannot read times of {path}: found {error}, wanted {date_format}") from error
    iso = date_format == "ISO8601"
    dated = text.str.fullmatch(_DATE) if iso else pd.Series("%H" not in date_format, index=text.index)
    return pd.DataFrame(
        {
            "sample_time": aware.astype(TIME),
            "local_date": local.dt.strftime("%Y-%m-%d"),
            "local_clock": local.dt.strftime("%H:%M:%S").mask(dated, ""),
        }
    )
