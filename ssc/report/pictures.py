"""Quick-looks as they are embedded: small enough together, whatever their number."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from PIL import Image

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp")
BUDGET: Final = 5_500_000
"""Bytes of all pictures of a page before base64 adds a third; the whole page must stay under 10 MB."""
MOST: Final = 100
"""Pictures a page shows at most."""
LARGEST: Final = 400_000
"""Bytes one picture may take, however few there are."""
LADDER: Final = ((2000, 80), (1600, 78), (1300, 74), (1000, 70), (900, 60), (800, 50), (700, 40), (500, 30))
"""Width in pixels and WebP quality, tried in this order."""
LEAST_BYTES: Final = 0.06
"""Bytes per pixel that even smooth pictures take: larger sizes need not be tried."""


def picture_files(folder: Path, granule_ids: Iterable[str]) -> dict[str, Path]:
    """Files of the granules that have a picture in the folder, in the order of the granules, at most `MOST`."""
    files = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES}
    found = {name: files[name] for name in granule_ids if name in files}
    return dict(list(found.items())[:MOST])


def embed(path: Path, most_bytes: int) -> str:
    """A picture as a data address, scaled down and compressed until it is small enough.

    The last rung of `LADDER` counts even when it is too large: 500 pixels of noise take about 40 kB.
    """
    with Image.open(path) as source:
        rungs = _rungs(source.size, most_bytes)
        source.draft("RGB", rungs[0][0])
        image = source.convert("RGB")
    for size, quality in rungs:
        content = _compress(image, size, quality)
        if len(content) <= most_bytes:
            break
    return "data:image/webp;base64," + base64.b64encode(content).decode("ascii")


def share(count: int) -> int:
    """Bytes each of so many pictures may take."""
    return min(LARGEST, BUDGET // max(count, 1))


def _rungs(size: tuple[int, int], most_bytes: int) -> list[tuple[tuple[int, int], int]]:
    """Sizes and qualities worth trying: no larger than the picture, not hopelessly large, and always the last."""
    width, height = size
    rungs = [((min(most, width), max(1, round(height * min(most, width) / width))), q) for most, q in LADDER]
    return [rung for rung in rungs if rung[0][0] * rung[0][1] * LEAST_BYTES <= most_bytes] or rungs[-1:]


def _compress(image: Image.Image, size: tuple[int, int], quality: int) -> bytes:
    stream = io.BytesIO()
    resized = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    resized.save(stream, format="WEBP", quality=quality, method=1)
    return stream.getvalue()
