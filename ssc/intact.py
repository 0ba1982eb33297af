"""Whether a GeoTIFF on this disk is whole: its blocks are there and say what their checksums tell, at every level."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import IO

import rasterio
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from ssc.gdal import configured


def read_through(path: Path, *, every: bool = True) -> None:
    """Read a GeoTIFF of one band to nowhere, with its overviews.

    Args:
        path: The file.
        every: Every block, against its checksum where it has one (DEFLATE has); else the last block of each level,
            which finds what was cut.

    Raises:
        FAILURES: It is not whole (`ssc.gdal`).
    """
    # One driver only: a .tif that is a VRT could make GDAL read any file of this machine.
    with configured(str(path)), rasterio.open(path, driver="GTiff") as dataset, path.open("rb") as file:
        for level in range(-1, len(dataset.overviews(1))):
            options = {} if level < 0 else {"OVERVIEW_LEVEL": level}
            with rasterio.open(path, driver="GTiff", **options) as part:
                _read_last(part)
                if every and dataset.profile.get("compress") == "deflate":
                    _inflate(file, dataset, _grid(part), None if level < 0 else level)
                elif every:
                    part.read(1)


def _read_last(part: rasterio.DatasetReader) -> None:
    high, wide = part.block_shapes[0]
    row, col = (part.height - 1) // high * high, (part.width - 1) // wide * wide
    part.read(1, window=Window(col, row, part.width - col, part.height - row))


def _grid(part: rasterio.DatasetReader) -> tuple[int, int]:
    """Blocks down and across."""
    high, wide = part.block_shapes[0]
    return -(-part.height // high), -(-part.width // wide)


def _inflate(file: IO[bytes], dataset: rasterio.DatasetReader, grid: tuple[int, int], level: int | None) -> None:
    """Unpack every block of a level by zlib: GDAL does not look at the Adler-32 behind it, so 1 flip in 15 passes."""
    for row in range(grid[0]):
        for col in range(grid[1]):
            offset = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1, ovr=level)
            size = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1, ovr=level)
            if offset is None or size is None:
                continue  # a block of fill only has no bytes
            file.seek(int(offset))
            try:
                zlib.decompress(file.read(int(size)))
            except zlib.error:
                raise RasterioIOError(f"wrong checksum of the block in row {row}, column {col}") from None
