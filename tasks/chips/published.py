"""The data set the published networks were trained on (multitask_data_opera), as it comes.

    root/train.npy, val.npy, test.npy       which samples are in which split
    root/b069/<sample>.npy                  one crop of 768 px of one HLS granule, with masks from OPERA DSWx-HLS

Masks are 1 where the thing is, but `sun_mask` is 1 where the sun shines. They were made by comparing values of DSWx
layers (`cloud = CLOUD == 4`): water is 0 under cloud, and what is two of cloud, shadow and snow is labelled neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.chips import SPLITS, Chip
from models.packing import UNKNOWN
from ssc.bands import SIX, Band
from ssc.errors import DataError, InputError
from ssc.legacy.dswx_layers import cloud
from ssc.legacy.fmask import FILL
from ssc.masks import Mask
from tasks.chips.dswx_labels import obstructions
from tasks.chips.published_files import Sample, listed_paths, product_in

SOURCE: Final = "multitask-data-opera"
KEYS: Final = {
    Mask.WATER: "water_mask",
    Mask.CLOUD: "cloud_mask",
    Mask.CLOUD_SHADOW: "cloudshadow_mask",
    Mask.SNOW_ICE: "snowice_mask",
    Mask.TERRAIN_SHADOW: "sun_mask",
}
"""Where each mask lies in a sample; the last is turned round."""
_OVER: Final = slice(Mask.CLOUD, Mask.SNOW_ICE + 1)


class PublishedChips:
    """One split of the published data set; see `models.chips.Chips`."""

    bands: tuple[Band, ...] = SIX

    def __init__(self, root: str | Path, split: str, *, mend: bool = False) -> None:
        """Read the list of a split; samples are read one by one when they are asked for.

        Args:
            root: Folder of the data set.
            split: "train", "val" or "test".
            mend: Label cloud, cloud shadow and snow bit by bit from the Fmask in the sample instead of as published:
                with what comparing values lost, and unknown in the ring round clouds, published as cloud shadow.

        Raises:
            InputError: No such split or list.
            DataError: The list is damaged or not a list of paths.
        """
        if split not in SPLITS:
            raise InputError(f"no split {split!r}: wanted one of {' '.join(SPLITS)}")
        self.root, self.name, self.mend = Path(root), split, mend
        self.paths: tuple[PurePosixPath, ...] = listed_paths(self.root / f"{split}.npy")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int, /) -> Chip:
        """Read a sample, 768 x 768 px as published.

        Raises:
            DataError: The file is missing or damaged, or an array in it is missing or not what it should be.
        """
        inner = self.paths[place]
        with Sample(self.root / inner) as sample:
            reflectance = sample.features()
            shape = reflectance.shape[1:]
            masks = {mask: sample.mask(key, shape) for mask, key in KEYS.items()}
            fmask = sample.fmask(shape)
            product = product_in(inner.stem) or sample.product()
        if self.mend and fmask is None:
            raise DataError(f"cannot mend {self.root / inner}: found no fmask_data or fmask")
        no_data = np.isnan(reflectance).any(axis=0)
        return Chip(
            bands=SIX,
            reflectance=reflectance,
            labels=labels_of(masks, np.asarray(no_data), fmask if self.mend else None),
            product=product,
            source=SOURCE,
            region=_region(inner),
            scene=_scene(inner),
            fmask=fmask,
        )

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row per sample; made when first asked for: a sample whose name tells no satellite is opened.

        Raises:
            DataError: Such a file is missing or damaged.
        """
        columns = {
            "source": SOURCE,
            "product": [self._product(inner) for inner in self.paths],
            "region": [_region(inner) for inner in self.paths],
            "scene": [_scene(inner) for inner in self.paths],
            "split": self.name,
            "simulated": False,
        }
        return pd.DataFrame(columns, index=range(len(self.paths)))

    def _product(self, inner: PurePosixPath) -> str:
        told = product_in(inner.stem)
        if told is None:
            with Sample(self.root / inner) as sample:
                told = sample.product()
        return told.value


def labels_of(
    masks: Mapping[Mask, NDArray[np.uint8]], no_data: NDArray[np.bool_], fmask: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """(5, H, W) labels in the order of `Mask` from published masks.

    Args:
        masks: Each (H, W) of 0, 1 and 255; that of TERRAIN_SHADOW is `sun_mask`, 1 = sunlit.
        no_data: (H, W), True where a band has no data: every label is unknown there.
        fmask: (H, W), to label cloud, cloud shadow and snow from; None: as published.
    """
    labels = np.stack([masks[mask] for mask in Mask])
    sun = labels[Mask.TERRAIN_SHADOW]
    labels[Mask.TERRAIN_SHADOW] = np.where(sun == UNKNOWN, sun, 1 - sun)
    if fmask is not None:
        layer = cloud(fmask, None, np.zeros_like(fmask))
        labels[_OVER] = np.where(fmask == FILL, np.uint8(UNKNOWN), obstructions(layer, fmask))
    labels[Mask.WATER][(labels[_OVER] != 0).any(axis=0)] = UNKNOWN  # obscured: published as "not water"
    labels[:, no_data] = UNKNOWN
    return labels


def _region(inner: PurePosixPath) -> str:
    """The box of 6 degrees, by which the authors split."""
    return inner.parts[0]


def _scene(inner: PurePosixPath) -> str:
    return str(inner.with_suffix(""))
