"""What the class codes of benchmarks say about our five masks.

A benchmark gives each pixel one class; our masks are five independent questions. A class answers some of them:
"cloud" says nothing of the water below (UNKNOWN), "clear" without a water class says nothing of water either. No
benchmark labels terrain shadow. Thin cloud is cloud. As the published scores count, a pixel has one class only, so a
cloud pixel is "not shadow" and a shadow pixel is "not cloud".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.packing import UNKNOWN
from ssc.errors import DataError
from ssc.masks import Mask

Meaning = tuple[int, int, int, int, int]
"""Labels of a class in the order of `Mask`: 1 there, 0 not there, UNKNOWN."""
Classes = Mapping[int, Meaning]
"""Meaning by class code."""


def meaning(*, cloud: int = 0, shadow: int = 0, water: int = UNKNOWN, snow: int = UNKNOWN) -> Meaning:
    """What one class says; what it does not say is UNKNOWN.

    >>> meaning(cloud=1)
    (255, 1, 0, 255, 255)
    """
    return water, cloud, shadow, snow, UNKNOWN


NOTHING: Final[Meaning] = (UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
"""Fill, or not labelled."""

USGS: Final[Classes] = {
    0: NOTHING,
    64: meaning(shadow=1),
    128: meaning(),
    192: meaning(cloud=1),  # thin cloud
    255: meaning(cloud=1),
}
"""Codes of the USGS cloud cover assessment masks: fill, cloud shadow, clear, thin cloud, cloud."""


def decode(codes: NDArray[Any], classes: Classes, which: str) -> NDArray[np.uint8]:
    """(5, H, W) labels of an (H, W) map of class codes.

    Args:
        codes: Class codes, 0-255.
        classes: What each says.
        which: The file or scene, for the message.

    Raises:
        DataError: A code that is no class of the benchmark.
    """
    check_codes(codes, classes, which)
    table = np.full((256, len(Mask)), UNKNOWN, np.uint8)
    for code, labels in classes.items():
        table[code] = labels
    return np.ascontiguousarray(np.moveaxis(table[codes], -1, 0))


def check_codes(codes: NDArray[Any], classes: Classes, which: str) -> None:
    """Refuse class codes that the benchmark does not have.

    Raises:
        DataError: Such a code; the file or scene is named.
    """
    if unknown := sorted(set(np.unique(codes).tolist()) - set(classes)):
        raise DataError(f"{which}: found class codes {unknown[:10]}, wanted only {sorted(classes)}")
