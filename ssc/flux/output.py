"""Tables of sediment flux as files: CSV, Parquet, CF netCDF."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ssc.drafts import drafted
from ssc.errors import InputError
from ssc.flux.compute import FLUX, FluxQuality
from ssc.netcdf import write_netcdf
from ssc.schema import COLUMNS, FLAG_MASKS

SUFFIXES = (".csv", ".parquet", ".nc")
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_ABOUT = {
    "title": "Sediment flux of river reaches",
    "summary": "Suspended sediment flux per river reach and satellite acquisition: the concentration seen from space "
    "times the discharge nearest in time. Sampled instantaneous fluxes under clear skies: no loads of months or years.",
    "keywords": "suspended sediment, sediment flux, discharge, rivers, remote sensing, HLS, SWOT, SWORD",
    "comment": "Look at flux_qual and ssc_quality before use. The interval is of the flux at that moment; its centre "
    "is a median. ssc_used says whether the mean or the median of SSC was multiplied.",
    "source": "SSC from Harmonized Landsat and Sentinel-2 (HLS) v2.0; discharge as named in q_source",
}


def write_flux(table: pd.DataFrame, reaches: gpd.GeoDataFrame, out: str | Path) -> Path:
    """Write fluxes to a file, whole or not at all; its suffix says the format.

    Args:
        table: What `ssc.flux.flux` gives.
        reaches: `Store.reaches()`, for positions and names in a netCDF.
        out: File to write: .csv, .parquet or .nc.

    Raises:
        InputError: Another suffix.
    """
    path = Path(out)
    require_suffix(path)
    with drafted(path) as draft:
        if path.suffix == ".csv":
            text = table.to_csv(index=False, date_format=_TIME, lineterminator="\n")
            draft.write_text(text, encoding="utf-8")
        elif path.suffix == ".parquet":
            pq.write_table(_arrow(table), draft, compression="zstd")
        else:
            flags = {**FLAG_MASKS, "flux_qual": FluxQuality}
            write_netcdf(table, reaches, draft, columns=(*COLUMNS, *FLUX), flags=flags, attributes=_ABOUT)
    return path


def require_suffix(path: Path) -> None:
    """Refuse a file of another format before any work is done.

    Raises:
        InputError: No suffix of ours.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"no format for {path}: found {path.suffix or 'no suffix'}, wanted one of {' '.join(SUFFIXES)}"
        )


def _arrow(table: pd.DataFrame) -> pa.Table:
    """With unit and meaning in the metadata of the fields."""
    known = {column.name: column for column in (*COLUMNS, *FLUX)}
    columns = [known[str(name)] for name in table.columns]
    schema = pa.schema(
        pa.field(c.name, c.type, c.nullable, metadata={"units": c.unit, "long_name": c.meaning}) for c in columns
    )
    return pa.Table.from_pandas(table, schema=schema, preserve_index=False)
