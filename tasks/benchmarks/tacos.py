"""TACO files of version 1 ("tortillas"): GeoTIFFs packed one after another, with a Parquet table of where they are.

Bytes 0-2 are `WX` or `#y`, 2-10 the table's place and 10-18 its length, both little endian; a row whose format is
TORTILLA is such a pack within the pack, its places counted from its own start.
Source of the format: tacofoundation/tacoreader, version 1 reader.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ssc.errors import DataError

MAGIC: Final = (b"WX", b"#y")
ID: Final = "tortilla:id"
PLACE: Final = "tortilla:offset"
LENGTH: Final = "tortilla:length"
_HEADER: Final = 18


def read_table(path: Path, start: int = 0) -> pd.DataFrame:
    """The table of a pack, its places counted from the start of the file.

    Args:
        path: A .taco file.
        start: Where the pack begins: 0, or the place of a pack within.

    Raises:
        DataError: No pack there, or cut short.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            header = file.read(_HEADER)
            if header[:2] not in MAGIC:
                raise DataError(f"{path}: found {header[:2]!r} at byte {start}, wanted a TACO of version 1 ({MAGIC})")
            file.seek(start + int.from_bytes(header[2:10], "little"))
            packed = file.read(int.from_bytes(header[10:18], "little"))
        table = pq.read_table(pa.BufferReader(packed)).to_pandas()
    except (OSError, OverflowError, pa.ArrowException) as error:
        raise DataError(f"{path}: found {error} at byte {start}, wanted the table of a TACO (cut short?)") from error
    if missing := {ID, PLACE, LENGTH} - set(table.columns):
        raise DataError(f"{path}: found a table without {sorted(missing)}, wanted that of a TACO of version 1")
    table[PLACE] += start
    return table


def gdal_names(path: Path, start: int = 0) -> dict[str, str]:
    """What GDAL calls the files of a pack, by id.

    Raises:
        DataError: As `read_table`.
    """
    table = read_table(path, start)
    columns = (table[ID].astype(str), table[PLACE].astype(int), table[LENGTH].astype(int))
    return {name: f"/vsisubfile/{place}_{length},{path}" for name, place, length in zip(*columns, strict=True)}
