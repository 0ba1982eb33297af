"""The door between the published networks' outputs and ours: other order, other sense of one of the five.

`sun_mask` says 1 = sunlit (production multiplies water by it; 92 to 94 % of the training pixels are 1). It becomes
TERRAIN_SHADOW = 1 - sun here and nowhere else, and its threshold with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from ssc.errors import InputError
from ssc.masks import Mask

DOOR: Final = {
    "water_mask": Mask.WATER,
    "cloudshadow_mask": Mask.CLOUD_SHADOW,
    "cloud_mask": Mask.CLOUD,
    "snowice_mask": Mask.SNOW_ICE,
    "sun_mask": Mask.TERRAIN_SHADOW,
}
"""What each published output becomes, in the published order."""
POLARITY: Final = {"sun_mask": "1 = sunlit; turned into terrain shadow = 1 - sun"}


def to_masks(outputs: Mapping[str, Tensor] | Tensor) -> Tensor:
    """Published outputs as ours.

    Args:
        outputs: Probabilities: task -> (B, 1, H, W), or (B, 5, H, W) in the published order.

    Returns:
        (B, 5, H, W) probabilities in the order of `Mask`; 1 = the thing named is there. NaN stays NaN.

    Raises:
        InputError: Not the five tasks.
    """
    stack = outputs if isinstance(outputs, Tensor) else _stacked(outputs)
    if stack.ndim != 4 or stack.shape[1] != len(DOOR):
        raise InputError(f"published outputs: found shape {tuple(stack.shape)}, wanted (B, {len(DOOR)}, H, W)")
    water, cloud_shadow, cloud, snow_ice, sun = stack.unbind(dim=1)
    return torch.stack([water, cloud, cloud_shadow, snow_ice, 1 - sun], dim=1)


def turn_thresholds(published: Mapping[str, float]) -> dict[Mask, float]:
    """Thresholds for what `to_masks` gives, in the order of `Mask`.

    Every threshold is strict: there where p > t. Lit is sun > t, so shadow is sun <= t, that is 1 - sun >= 1 - t. To
    say so strictly the new threshold is the float32 just below 1 - t: a pixel exactly at t stays in shadow, as
    published. From t = 0.5 up the two agree for every float32; below, 1 - sun is rounded, and a sun that is less than
    6e-8 above t may count as shadow. t = 0, as published for two networks: shadow where sun is 0.

    Args:
        published: Task -> threshold, as the authors state them, 0..1.

    Raises:
        InputError: Not the five tasks, a threshold outside 0..1, or 1 for the sun (nothing would ever be lit).
    """
    if published.keys() != DOOR.keys():
        raise InputError(f"published thresholds: found {' '.join(published) or 'none'}, wanted {' '.join(DOOR)}")
    for task, threshold in published.items():
        if not 0 <= threshold <= 1 or (task == "sun_mask" and np.float32(threshold) == 1):
            raise InputError(f"published threshold of {task}: found {threshold}, wanted 0..1, below 1 for sun_mask")
    turned = {DOOR[task]: float(threshold) for task, threshold in published.items()}
    turned[Mask.TERRAIN_SHADOW] = float(np.nextafter(1 - np.float32(published["sun_mask"]), np.float32(0)))
    return {mask: turned[mask] for mask in Mask}


def _stacked(outputs: Mapping[str, Tensor]) -> Tensor:
    if outputs.keys() != DOOR.keys():
        raise InputError(f"published outputs: found {' '.join(outputs) or 'none'}, wanted {' '.join(DOOR)}")
    return torch.cat([outputs[task] for task in DOOR], dim=1)
