"""Public benchmarks of cloud and cloud-shadow masks, read as chips.

    chips = open_benchmark("sparcs", "/data/sparcs")
    chips[0].labels                                   (5, H, W): 1 there, 0 not there, 255 nobody knows

None is shipped or downloaded. All inputs are top-of-atmosphere reflectance, made here from Level-1 (see `TOA_NOTE`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ssc.errors import InputError
from tasks.benchmarks.biome import open_biome
from tasks.benchmarks.cloudsen12 import open_cloudsen12
from tasks.benchmarks.lana import open_lana
from tasks.benchmarks.scenes import SceneChips
from tasks.benchmarks.sparcs import open_sparcs

NAMES: Final[dict[str, str]] = {
    "lana": (
        "Landsat 8/9, 512-px patches: clear, thin cloud, cloud, shadow (USGS, SPARCS and own labels, refined); "
        "Zenodo 7786456; licence: see there; its file names were not seen, see tasks/benchmarks/lana.py"
    ),
    "sparcs": (
        "Landsat 8, 80 sub-scenes of 1000 px: cloud, shadow, water, snow, land, flooded; USGS doi 10.5066/F7FB5146 "
        "or Oregon State sparcs_data_L8.zip; USGS data release, cite Hughes & Kennedy 2019"
    ),
    "biome": (
        "Landsat 8, 96 scenes: cloud, thin cloud, clear, shadow in part of the scenes; USGS doi 10.5066/F7251GDH or "
        "Hugging Face torchgeo/l8biome; CC0"
    ),
    "cloudsen12": (
        "Sentinel-2 Level-1C, patches of 5 and 20 km made 30 m: clear, thick and thin cloud, shadow; Hugging Face "
        "tacofoundation/cloudsen12 (CC0) or csaybar/CloudSEN12-high (CC-BY-NC-4.0)"
    ),
}
"""One line each: sensor, labels, how to obtain, licence."""

TOA_NOTE: Final = (
    "Inputs are top-of-atmosphere reflectance (Level-1); the maskers were made for surface reflectance (HLS). "
    "Published figures: others' inputs and splits, quoted, not reproduced."
)
"""Stands above every table of benchmark scores."""

_OPENERS: Final[dict[str, Callable[..., SceneChips]]] = {
    "lana": open_lana,
    "sparcs": open_sparcs,
    "biome": open_biome,
    "cloudsen12": open_cloudsen12,
}


def open_benchmark(name: str, path: str | Path, *, size: int = 512) -> SceneChips:
    """A benchmark on disk as chips; pixels are read when a chip is asked for.

    Args:
        name: One of NAMES.
        path: The folder it was unpacked into.
        size: Pixels of 30 m per side of a chip; smaller where the smallest scene is (`chips.size`).

    Raises:
        InputError: No such benchmark, or nothing at the path.
        DataError: What lies there is not the benchmark, or a scene lacks a file. Asking for a chip raises it, too, for
            broken files, sizes that differ and unknown class codes, with the file's name.
    """
    if name not in _OPENERS:
        raise InputError(f"no benchmark {name!r}: wanted one of {' '.join(NAMES)}")
    return _OPENERS[name](path, size=size)
